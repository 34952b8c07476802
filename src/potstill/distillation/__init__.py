"""Distillation: settings, the loop that every method shares, and the folder that a run is kept in."""

from potstill.distillation.driver import DistillationResult, distill, log_progress, settings_conflict
from potstill.distillation.run_folder import Checkpoint, RunFolder
from potstill.distillation.settings import Settings, differing

__all__ = [
    "Checkpoint",
    "DistillationResult",
    "RunFolder",
    "Settings",
    "differing",
    "distill",
    "log_progress",
    "settings_conflict",
]
