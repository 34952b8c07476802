"""DM: distribution matching."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from potstill.engine.features import Descriptors, FeatureExtractor, embedding
from potstill.methods.base import Method, Problem, State
from potstill.methods.citations import Citation
from potstill.methods.distribution.base import matching_gradient, squared_distance
from potstill.methods.state import descend, initial_pixels, with_images
from potstill.runtime.errors import at_least
from potstill.synthetic import SyntheticSet


@dataclass(frozen=True, kw_only=True)
class DM(Method):
    """Distribution matching: class means in the embeddings of random networks are made to agree.

    Bo Zhao and Hakan Bilen, "Dataset Condensation with Distribution Matching", WACV 2023 (arXiv:2110.04181).

    At every iteration a network is drawn afresh and never trained, and the pixels descend on
    L = sum_c || mean_i f(A(x_ci)) - mean_j f(A(s_cj)) ||², f the embedding, A one augmentation a class.
    L is divided neither by the embedding's size nor by the number of classes: useful step sizes grow with neither.

    Attributes:
        batch_real: real images of each class at an iteration.
        learning_rate: of the pixels; the paper takes 10 for 100 images per class and more.
        momentum: of the pixels' updates.
        augment: whether Siamese augmentation is on.
    """

    name: ClassVar[str] = "dm"
    citation: ClassVar[Citation] = Citation(
        title="Dataset Condensation with Distribution Matching",
        authors="Zhao, Bo and Bilen, Hakan",
        venue="IEEE/CVF Winter Conference on Applications of Computer Vision (WACV)",
        year=2023,
        url="https://arxiv.org/abs/2110.04181",
        key="zhao2023dm",
    )

    batch_real: int = 256
    learning_rate: float = 1.0
    momentum: float = 0.5
    augment: bool = True

    def __post_init__(self) -> None:
        at_least(self, batch_real=1, learning_rate=0, momentum=0)

    def default_iterations(self, images_per_class: int) -> int:
        """The paper's 20,000, whatever the number of images."""
        return 20_000

    def images_per_iteration(self, classes: int, images_per_class: int) -> int:
        """The real batches of all classes, and the synthetic images."""
        return (self.batch_real + images_per_class) * classes

    def prepare(self, problem: Problem) -> State:
        """The start's pixels."""
        return initial_pixels(problem)

    def step(self, problem: Problem, state: State, iteration: int) -> tuple[State, float]:
        """Match the means under one new network."""
        streams = problem.streams.child("iteration", iteration)
        extractor = problem.cached(self, lambda: self._extractor(problem))
        extractor.redraw(streams.generator("network"))
        loss, gradient = matching_gradient(
            problem,
            extractor,
            state["images"],
            streams,
            embedding_distance,
            batch_real=self.batch_real,
            augment=self.augment,
        )
        return descend(state, gradient, learning_rate=self.learning_rate, momentum=self.momentum), loss

    def result(self, problem: Problem, state: State) -> SyntheticSet:
        """The start with its pixels replaced."""
        return with_images(problem, state)

    def _extractor(self, problem: Problem) -> FeatureExtractor:
        network = problem.build_network(problem.streams.generator("network"))
        return FeatureExtractor(network, embedding, problem.compute)


def embedding_distance(targets: Descriptors, means: Descriptors) -> Tensor:
    """L of the paper's equation 4 under one network and one augmentation: sum_c ||target_c - mean_c||²."""
    return squared_distance(targets[0], means[0])
