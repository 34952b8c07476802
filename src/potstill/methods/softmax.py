"""The way back through a softmax."""

from __future__ import annotations

from torch import Tensor


def through_softmax(probabilities: Tensor, gradient: Tensor) -> Tensor:
    """The gradient by logits from that by their probabilities, (N, classes) each: p (g - <g, p>)."""
    return probabilities * (gradient - (gradient * probabilities).sum(1, keepdim=True))
