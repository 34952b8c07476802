"""Experiment trackers: one more listener to the events of a run, for programs that collect and compare runs.

- ``base``: what a tracker is.
- ``registry``: the trackers by name; a file each, ``on_tensorboard``, ``on_wandb``, ``on_trackio`` and ``on_mlflow``.
- ``listening``: :class:`Tracking`, which tells trackers of events, and goes on without one that fails.
- ``pictures``: the picture of a set.
- ``results``: the rows of an evaluation.

The record of a run is its folder; what a tracker has is a copy of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from potstill.runtime.lazy import on_first_use

if TYPE_CHECKING:
    from potstill.tracking.base import TrackedRun as TrackedRun
    from potstill.tracking.base import Tracker as Tracker
    from potstill.tracking.listening import Tracking as Tracking
    from potstill.tracking.registry import TRACKERS as TRACKERS
    from potstill.tracking.registry import check_trackers as check_trackers
    from potstill.tracking.registry import make_trackers as make_trackers
    from potstill.tracking.registry import unchecked_trackers as unchecked_trackers
else:
    __getattr__, __dir__, __all__ = on_first_use(__name__)
