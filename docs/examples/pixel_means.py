"""A method that lives outside Potstill: class means of augmented pixels are made to agree."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from potstill.augmentation import siamese_augmentation
from potstill.methods import Citation, Method, Problem, State
from potstill.methods.state import SGD, descend


@dataclass(frozen=True, kw_only=True)
class PixelMeans(Method):
    """Pixel means: the mean of a class's few images follows that of its many, under the same augmentation.

    Attributes:
        batch_real: real images of each class at an iteration.
        learning_rate: step size for the synthetic pixels.
    """

    name: ClassVar[str] = "pixel-means"
    citation: ClassVar[Citation] = Citation(
        title="An Example",
        authors="Doe, Jane",
        venue="arXiv preprint",
        year=2026,
        url="https://example.org/pixel-means",
        key="doe2026pixelmeans",
    )

    batch_real: int = 64
    learning_rate: float = 0.1

    def default_iterations(self, images_per_class: int) -> int:
        """As many as it takes for the step to average over many batches."""
        return 200

    def prepare(self, problem: Problem) -> State:
        """The start's pixels, with no momentum yet."""
        return SGD(self.learning_rate, 0.5).init("images", problem.start_images)

    def step(self, problem: Problem, state: State, iteration: int) -> tuple[State, float]:
        """Draw a batch and an augmentation for each class, and descend on the distance of the means."""
        streams, classes = problem.streams.child("iteration", iteration), problem.class_count
        images = self.decoded(problem, state).images.detach().requires_grad_()
        chosen = problem.real.sample_per_class(self.batch_real, streams.generator("real batch"))
        real = problem.real.normalised(chosen.flatten()).to(images.dtype)
        augmentation = siamese_augmentation(flips=problem.flips)
        draw = augmentation.draw(streams.generator("augmentation"), classes)
        target, mean = (augmentation.apply(some, draw).unflatten(0, (classes, -1)).mean(1) for some in (real, images))
        loss = (target - mean).square().sum()
        gradients = self.pullback(problem, state, {"images": torch.autograd.grad(loss, images)[0]})
        return descend(state, gradients, {"images": SGD(self.learning_rate, 0.5)}, iteration), loss.item()
