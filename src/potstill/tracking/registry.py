"""The trackers by name. One is imported when it is asked for."""

from __future__ import annotations

import dataclasses
import inspect
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from potstill.runtime.errors import UserError, unknown
from potstill.runtime.importing import imported_object
from potstill.runtime.lazy import Located
from potstill.tracking.base import Tracker, reason

TRACKERS: Mapping[str, type[Tracker]] = Located(
    {
        "tensorboard": "potstill.tracking.on_tensorboard:TensorBoard",
        "wandb": "potstill.tracking.on_wandb:WandB",
        "trackio": "potstill.tracking.on_trackio:Trackio",
        "mlflow": "potstill.tracking.on_mlflow:MLflow",
    }
)
"""Every tracker of this package, by name."""


def make_trackers(specs: Sequence[str]) -> dict[str, Tracker]:
    """Trackers that can be used, ready to record a run.

    Args:
        specs: each the name of one or ``module:Class``, and options as ``:option=value``, such as
            ``wandb:project=thesis``.

    Returns:
        Each by its name.

    Raises:
        UserError: there is no such tracker or option, one is named twice, or one cannot be used: its package is absent,
            or what it sends to cannot be reached.
    """
    made = unchecked_trackers(specs)
    check_trackers(made)
    return made


def check_trackers(made: Mapping[str, Tracker]) -> None:
    """Make sure that trackers can be used.

    Args:
        made: from ``unchecked_trackers``.

    Raises:
        UserError: the package of one is absent, or what it sends to cannot be reached.
    """
    for name, tracker in made.items():
        with _refused(name):
            tracker.check()


def unchecked_trackers(specs: Sequence[str]) -> dict[str, Tracker]:
    """Trackers with their options; no package of theirs is imported, and nothing is reached.

    Args:
        specs: as for ``make_trackers``.

    Raises:
        UserError: there is no such tracker or option, or one is named twice.
    """
    made: dict[str, Tracker] = {}
    for spec in specs:
        name, *given = re.split(r":(?=\w+=)", spec)
        if name in made:
            raise UserError(f"the tracker {name!r} is named twice", "name it once")
        _check_values(name)
        options = _options(name, given)
        kind = _kind(name)
        fields = [field for field in dataclasses.fields(kind) if field.init]
        known = [field.name for field in fields]
        for option in options:
            if not known:
                raise UserError(f"the tracker {name} has no options", f"write {name} alone")
            if option not in known:
                raise unknown(f"option of the tracker {name}", option, known, listing=", ".join(known))
        for field in fields:
            if _is_required(field) and field.name not in options:
                raise UserError(f"the tracker {name} needs the option {field.name}", f"write {name}:{field.name}=VALUE")
        with _refused(name):
            made[name] = kind(**options)
    return made


def _check_values(name: str) -> None:
    """Refuse what stands after the name of a tracker like an option, but without a value."""
    parts = name.split(":")
    own = 1 if parts[0] in TRACKERS else 2  # otherwise a module and a class
    if len(parts) > own and parts[own].isidentifier():
        tracker = ":".join(parts[:own])
        raise UserError(
            f"the option {parts[own]} of the tracker {tracker} has no value", f"write {tracker}:{parts[own]}=VALUE"
        )


def _options(name: str, given: Sequence[str]) -> dict[str, str]:
    options: dict[str, str] = {}
    for each in given:
        option, value = each.split("=", 1)
        if option in options:
            raise UserError(f"the option {option} of the tracker {name} is given twice", "give it once")
        options[option] = value
    return options


def _is_required(field: dataclasses.Field[object]) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


@contextmanager
def _refused(name: str) -> Iterator[None]:
    """Whatever the code of a tracker raises is an error that the user can do something about."""
    try:
        yield
    except UserError:
        raise
    except (Exception, SystemExit) as error:
        raise UserError(
            f"the tracker {name} cannot be used ({reason(error)})", "check its options, or leave it out"
        ) from error


def _kind(name: str) -> type[Tracker]:
    if ":" not in name:
        if name not in TRACKERS:
            raise unknown("tracker", name, TRACKERS, listing=", ".join(TRACKERS))
        return TRACKERS[name]
    found = imported_object(name, "tracker", _fits)
    if not _fits(found):
        raise UserError(
            f"{name} is not a usable tracker", "derive it from potstill.tracking.Tracker, and define all of it"
        )
    return found


def _fits(value: object) -> bool:
    return isinstance(value, type) and issubclass(value, Tracker) and not inspect.isabstract(value)
