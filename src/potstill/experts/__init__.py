"""Experts: networks trained on the real images, their features, and the difficulty of images for them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from potstill.runtime.lazy import on_first_use

if TYPE_CHECKING:
    from potstill.experts.manifest import stored_plan as stored_plan
    from potstill.experts.plan import ExpertPlan as ExpertPlan
    from potstill.experts.plan import Score as Score
    from potstill.experts.train import keep_scores as keep_scores
    from potstill.experts.train import train_experts as train_experts
    from potstill.schema.experts import ExpertsManifest as ExpertsManifest
else:
    __getattr__, __dir__, __all__ = on_first_use(__name__)
