"""The trackers by name. One is imported when it is asked for."""

from __future__ import annotations

import dataclasses
import inspect
import re
from collections.abc import Mapping, Sequence

from potstill.runtime.errors import UserError, unknown
from potstill.runtime.importing import imported_object
from potstill.runtime.lazy import Located
from potstill.tracking.base import Tracker

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
    """Trackers that can be used, ready to be told of a run.

    Args:
        specs: each the name of one or ``module:Class``, and options as ``:option=value``, such as
            ``wandb:project=thesis``.

    Returns:
        Each by its name.

    Raises:
        UserError: there is no such tracker or option, one is named twice, or one cannot be used: its package is absent,
            or what it sends to cannot be reached.
    """
    made: dict[str, Tracker] = {}
    for spec in specs:
        name, *given = re.split(r":(?=\w+=)", spec)
        if name in made:
            raise UserError(f"the tracker {name!r} is named twice", "name it once")
        options = dict(each.split("=", 1) for each in given)
        kind = _kind(name)
        known = [field.name for field in dataclasses.fields(kind) if field.init]
        for option in options:
            if not known:
                raise UserError(f"the tracker {name} has no options", f"write {name} alone")
            if option not in known:
                raise unknown(f"option of the tracker {name}", option, known, listing=", ".join(known))
        made[name] = kind(**options)
    for tracker in made.values():
        tracker.check()
    return made


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
