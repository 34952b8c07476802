"""Selections: a few images per class, chosen or constructed without distillation; for starts, baselines and methods."""

from __future__ import annotations

from typing import TYPE_CHECKING

from potstill.runtime.lazy import on_first_use

if TYPE_CHECKING:
    from potstill.selection.random import random_indices as random_indices
    from potstill.selection.registry import SELECTIONS as SELECTIONS
    from potstill.selection.registry import Choice as Choice
    from potstill.selection.registry import Selection as Selection
    from potstill.selection.registry import by_coverage as by_coverage
    from potstill.selection.registry import by_score as by_score
else:
    __getattr__, __dir__, __all__ = on_first_use(__name__)
