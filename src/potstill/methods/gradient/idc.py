"""IDC: information-intensive dataset condensation."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import ClassVar, Self

import torch
import torch.nn.functional as F
from torch import Tensor

from potstill.augmentation import SiameseAugmentation, cutmix, matching_augmentation
from potstill.engine.chunked import ChunkedNetwork
from potstill.methods.citations import Citation
from potstill.methods.gradient import GradientMatching
from potstill.methods.gradient.distances import DistanceName
from potstill.methods.inner_network import InnerNetwork
from potstill.methods.problem import Problem
from potstill.methods.state import State
from potstill.runtime.bounds import at_least, below_one
from potstill.runtime.streams import Streams

PUBLISHED_NETWORKS, UPDATES_PER_NETWORK = 2_000, 100
GREY_DATASETS = ("mnist", "fashion-mnist")
"""Datasets for which the program takes the absolute differences of gradients."""
PUBLISHED_RATES = {"l1": 1e-3, "mse": 0.08}
"""Step sizes for ten images per class of unit variance: 1e-4 / 0.31² and 5e-3 / 0.25²."""


@dataclass(frozen=True, kw_only=True)
class IDC(GradientMatching):
    """Gradient matching without normalisation, by a network that is trained on real images meanwhile.

    Jang-Hyun Kim et al., "Dataset Condensation via Efficient Synthetic-Data Parameterization", ICML 2022
    (arXiv:2205.14959). As in ``dsa``, one augmentation is applied to the real and the synthetic images of a class:
    colours, a shift and a blanked square. Between two updates of the pixels the network is trained on some real
    images, augmented and with CutMix. The paper's other contribution is a formation of 2, which is not a default here:
    add ``--formation 2``.

    Settings that are left out take those of the authors' program: absolute differences (``l1``) with a step size of
    1e-4 for MNIST and Fashion-MNIST, squared ones (``mse``) with 5e-3 elsewhere, for pixels in [0, 1] and ten images
    per class, in proportion to their number. The defaults are these for pixels of unit variance, divided by the squared
    standard deviation of MNIST or CIFAR-10. The program updates the images of one class after another; here all make
    one step. For MNIST in formation it leaves out the blanked square and CutMix; here only ``cutmix=0`` can be asked
    for.

    Attributes:
        network_images: real images on which the network is trained between two updates of the pixels; 0 trains none,
            None takes the published number for the dataset.
        network_batch: real images per training step of the network.
        network_momentum: momentum of these steps.
        network_weight_decay: weight decay of these steps.
        cutmix: probability of exchanging boxes between the images of a training step.
        clamp: keep pixels between black and white, where a new network is drawn; whitened ones have no such range.
    """

    name: ClassVar[str] = "idc"
    citation: ClassVar[Citation] = Citation(
        title="Dataset Condensation via Efficient Synthetic-Data Parameterization",
        authors="Kim, Jang-Hyun and Kim, Jinuk and Oh, Seong Joon and Yun, Sangdoo and Song, Hwanjun and "
        "Jeong, Joonhyun and Ha, Jung-Woo and Song, Hyun Oh",
        venue="International Conference on Machine Learning (ICML)",
        year=2022,
        url="https://arxiv.org/abs/2205.14959",
        key="kim2022idc",
    )

    distance: DistanceName | None = None  # type: ignore[assignment]
    batch_real: int = 64
    network_images: int | None = None
    network_batch: int = 64
    network_momentum: float = 0.9
    network_weight_decay: float = 5e-4
    cutmix: float = 0.5
    clamp: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(self, network_images=0, network_batch=1, network_weight_decay=0, cutmix=0)
        below_one(self, "network_momentum")

    def resolved(self, images_per_class: int, dataset: str = "") -> Self:
        """A copy with distance, learning rate and loop length filled in."""
        distance = self.distance or published_distance(dataset)
        rate = self.learning_rate
        if rate is None and self.optimiser == "sgd":
            rate = PUBLISHED_RATES.get(distance, self.published_learning_rate) * images_per_class / 10
        filled = replace(
            self,
            distance=distance,
            learning_rate=rate,
            outer_loops=self.updates_per_network(images_per_class),
            network_images=self._images_of_training(dataset),
        )
        return super(IDC, filled).resolved(images_per_class, dataset)

    def default_iterations(self, images_per_class: int) -> int:
        """200,000 as in the authors' program: 100 updates on each of 2,000 networks."""
        return PUBLISHED_NETWORKS * self.updates_per_network(images_per_class)

    def step(self, problem: Problem, state: State, iteration: int) -> tuple[State, float | Tensor]:
        """Update the pixels once, then train the network on real images.

        Args:
            problem: the distillation problem.
            state: as for the family.
            iteration: index of this iteration, counted from 0.

        Returns:
            The next state, and the loss before this step.
        """
        if self.clamp and iteration % self.updates_per_network(problem.images_per_class) == 0:
            state = self.clamped(problem, state)
        return super().step(problem, state, iteration)

    def updates_per_network(self, images_per_class: int) -> int:
        """100 by default."""
        return UPDATES_PER_NETWORK if self.outer_loops is None else self.outer_loops

    def images_per_iteration(self, classes: int, images_per_class: int) -> int:
        """The images that are matched, and those on which the network is trained."""
        return super().images_per_iteration(classes, images_per_class) + self._images_of_training("")

    def distance_of(self, problem: Problem) -> DistanceName:
        """That of the settings, otherwise the published one for the dataset."""
        return self.distance or published_distance(problem.dataset)

    def augmentation(self, problem: Problem) -> SiameseAugmentation:
        """Colours, a shift and a blanked square, one after another."""
        return matching_augmentation()

    def train_network(self, problem: Problem, network: InnerNetwork, state: State, streams: Streams) -> None:
        """Train the network on real images, drawn at random from all of them."""
        augmentation = matching_augmentation(cutout=False)
        total = self._images_of_training(problem.dataset)
        for step in range(math.ceil(total / self.network_batch)):
            own = streams.child("step", step)
            count = min(self.network_batch, total - step * self.network_batch)
            chosen = torch.randint(len(problem.real), (count,), generator=own.generator("real images"))
            images = problem.real.normalised(chosen).to(problem.start_images.dtype)
            images = augmentation.apply(images, augmentation.draw(own.generator("augmentation"), count))
            labels = problem.real.labels[chosen.to(problem.real.labels.device)].to(images.device)
            labels = F.one_hot(labels, network.network.classes).to(images)
            network.descend(
                *cutmix(images, labels, own.generator("cutmix"), probability=self.cutmix), self.network_learning_rate
            )

    def _images_of_training(self, dataset: str) -> int:
        if self.network_images is not None:
            return self.network_images
        return 2_000 if dataset.startswith("cifar") else 500

    def inner_network(self, problem: Problem) -> InnerNetwork:
        """The network, whose training has momentum and weight decay."""
        network = problem.build_network(problem.streams.generator("network"))
        return InnerNetwork(
            ChunkedNetwork(network, problem.compute),
            momentum=self.network_momentum,
            weight_decay=self.network_weight_decay,
        )


def published_distance(dataset: str) -> DistanceName:
    """The distance in the authors' program for a dataset."""
    return "l1" if dataset in GREY_DATASETS else "mse"
