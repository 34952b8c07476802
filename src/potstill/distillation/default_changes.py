"""What settings taken from elsewhere keep, although other settings were changed that its default follows."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from potstill.distillation.settings import Settings
from potstill.methods import Method


@dataclass(frozen=True)
class MovedDefault:
    """A setting that was not changed, while its default was.

    Attributes:
        name: of the setting.
        kept: its value.
        default: what its default is now.
    """

    name: str
    kept: Any
    default: Any


def moved_defaults(base: Settings[Method], changed: Settings[Method]) -> list[MovedDefault]:
    """The settings that are as in ``base``, and whose default is another for ``changed``.

    Files record every default as a value. A learning rate of SGD stays, for example, where only the optimiser is
    replaced by Adam.

    Args:
        base: the settings that were taken.
        changed: the same with some of them changed.
    """
    before, after = _defaults(base), _defaults(changed)
    given, values = _values(base), _values(changed)
    return [
        MovedDefault(name, values[name], default)
        for name, default in after.items()
        if default != before[name] and values[name] == given[name] and values[name] not in (default, None)
    ]


def _defaults(settings: Settings[Method]) -> dict[str, Any]:
    """The number of iterations, and the values of a method's open settings, that would be taken by default."""
    method = settings.method
    is_open = {field.name: field.default is None for field in fields(method)}
    values = {name: None if is_open[name] else getattr(method, name) for name in is_open}
    resolved = type(method)(**values).resolved(settings.ipc, settings.dataset)
    chosen = {name: getattr(resolved, name) for name in is_open if is_open[name]}
    return {"iterations": resolved.default_iterations(settings.ipc), **chosen}


def _values(settings: Settings[Method]) -> dict[str, Any]:
    method = settings.method
    return {"iterations": settings.iterations, **{field.name: getattr(method, field.name) for field in fields(method)}}
