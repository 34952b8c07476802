"""Distillation: settings, the loop that every method shares, and the folder that a run is kept in."""

from potstill.distillation.driver import Distilled, begun_otherwise, distill, in_words
from potstill.distillation.run_folder import Checkpoint, RunFolder
from potstill.distillation.settings import Settings, differing

__all__ = [
    "Checkpoint",
    "Distilled",
    "RunFolder",
    "Settings",
    "begun_otherwise",
    "differing",
    "distill",
    "in_words",
]
