"""Distillation: settings, the loop that all methods share, and the folder in which a run is kept."""

from potstill.distillation.checkpoint import Checkpoint
from potstill.distillation.driver import DistillationResult, Listener, distill, log_progress
from potstill.distillation.plan import Plan, resolve
from potstill.distillation.run_folder import RunFolder, resume_conflicts, resumed_settings
from potstill.distillation.settings import Settings
from potstill.distillation.starts import make_start

__all__ = [
    "Checkpoint",
    "DistillationResult",
    "Listener",
    "Plan",
    "RunFolder",
    "Settings",
    "distill",
    "log_progress",
    "make_start",
    "resolve",
    "resume_conflicts",
    "resumed_settings",
]
