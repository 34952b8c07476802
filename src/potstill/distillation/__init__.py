"""Distillation: settings, the loop that all methods share, and the folder in which a run is kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

from potstill.runtime.lazy import on_first_use

if TYPE_CHECKING:
    from potstill.distillation.checkpoint import Checkpoint as Checkpoint
    from potstill.distillation.default_changes import moved_defaults as moved_defaults
    from potstill.distillation.driver import DistillationResult as DistillationResult
    from potstill.distillation.driver import distill as distill
    from potstill.distillation.driver import log_progress as log_progress
    from potstill.distillation.known_settings import chosen_settings as chosen_settings
    from potstill.distillation.plan import Plan as Plan
    from potstill.distillation.plan import resolve as resolve
    from potstill.distillation.run_folder import RunFolder as RunFolder
    from potstill.distillation.run_folder import resume_conflicts as resume_conflicts
    from potstill.distillation.run_folder import resumed_settings as resumed_settings
    from potstill.distillation.settings import Settings as Settings
    from potstill.distillation.starts import make_start as make_start
    from potstill.runtime.events import Listener as Listener
    from potstill.runtime.events import in_turn as in_turn
    from potstill.runtime.ranks import ALONE as ALONE
    from potstill.runtime.ranks import Ranks as Ranks
    from potstill.runtime.ranks import joined_ranks as joined_ranks
else:
    __getattr__, __dir__, __all__ = on_first_use(__name__)
