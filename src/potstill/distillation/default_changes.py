"""Settings taken from a file that keep their value although their default changes with the options given beside it."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from potstill.distillation.settings import Settings
from potstill.methods import Method


@dataclass(frozen=True)
class MovedDefault:
    """A setting that keeps its value while its default changes.

    Attributes:
        name: name of the setting.
        kept: its value.
        default: its new default.
    """

    name: str
    kept: Any
    default: Any


def moved_defaults(base: Settings[Method], changed: Settings[Method]) -> list[MovedDefault]:
    """The settings with the same value in both, but another default for ``changed``.

    Files record every default as a value. If only the optimiser is replaced by Adam, for example, the learning rate of
    SGD stays.

    Args:
        base: the settings from the file.
        changed: the same settings after the changes.
    """
    before, after = _defaults(base), _defaults(changed)
    given, values = _values(base), _values(changed)
    return [
        MovedDefault(name, values[name], default)
        for name, default in after.items()
        if default != before[name] and values[name] == given[name] and values[name] not in (default, None)
    ]


def _defaults(settings: Settings[Method]) -> dict[str, Any]:
    """The default number of iterations, and the defaults of the method's settings that depend on others."""
    method = settings.method
    is_open = {field.name: field.default is None for field in fields(method)}
    values = {name: None if is_open[name] else getattr(method, name) for name in is_open}
    resolved = type(method)(**values).resolved(settings.ipc, settings.dataset)
    chosen = {name: getattr(resolved, name) for name in is_open if is_open[name]}
    return {"iterations": resolved.default_iterations(settings.ipc), **chosen}


def _values(settings: Settings[Method]) -> dict[str, Any]:
    method = settings.method
    return {"iterations": settings.iterations, **{field.name: getattr(method, field.name) for field in fields(method)}}
