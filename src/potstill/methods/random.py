"""Random real images: no distillation at all, and the baseline of all of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from potstill.methods.base import Citation, Method, Problem, State
from potstill.methods.pixels import initial_pixels, with_images
from potstill.synthetic import SyntheticSet


@dataclass(frozen=True, kw_only=True)
class Random(Method):
    """Random real images of each class, as they are.

    Every table of the field has this row; Zhao et al., "Dataset Condensation with Gradient Matching", ICLR 2021
    (arXiv:2006.05929), give its figures for the networks that the others are measured with.
    """

    name: ClassVar[str] = "random"
    citation: ClassVar[Citation] = Citation(
        title="Dataset Condensation with Gradient Matching",
        authors="Zhao, Bo and Mopuri, Konda Reddy and Bilen, Hakan",
        venue="International Conference on Learning Representations (ICLR)",
        year=2021,
        url="https://arxiv.org/abs/2006.05929",
        key="zhao2021dc",
    )

    def usual_iterations(self, images_per_class: int) -> int:
        """None: nothing is distilled."""
        return 0

    def prepare(self, problem: Problem) -> State:
        """The start's pixels."""
        return initial_pixels(problem)

    def step(self, problem: Problem, state: State, iteration: int) -> tuple[State, float]:
        """Nothing to do: the state stays."""
        return state, 0.0

    def result(self, problem: Problem, state: State) -> SyntheticSet:
        """The start."""
        return with_images(problem, state)
