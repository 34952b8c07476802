"""What the matching methods have in common: they descend a loss in the pixels, by SGD as published or by Adam."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Literal, Self

import torch
from torch import Tensor

from potstill.engine.features import FeatureExtractor, embedding
from potstill.methods.base import Method
from potstill.methods.problem import Problem
from potstill.methods.representative import REPRESENTATIVE, representative_images
from potstill.methods.state import SGD, Adam, Averaged, Optimiser, State, average_of
from potstill.networks import Network
from potstill.runtime.bounds import at_least, below_one
from potstill.runtime.errors import UserError
from potstill.runtime.streams import Streams
from potstill.synthetic import SyntheticSet

OptimiserName = Literal["sgd", "adam"]
BatchesName = Literal["random", "representative"]

ADAM_LEARNING_RATE = 0.05
"""In normalised units; a step of Adam changes a pixel by about as much, whatever the scale of the loss."""

AVERAGE = average_of("images")


def pixel_optimiser(name: OptimiserName, learning_rate: float, momentum: float) -> Optimiser:
    """The optimiser of the pixels.

    Args:
        name: ``sgd`` or ``adam``.
        learning_rate: its step size.
        momentum: of SGD; Adam has no use for it.
    """
    return SGD(learning_rate, momentum) if name == "sgd" else Adam(learning_rate)


@dataclass(frozen=True, kw_only=True)
class PixelDescent(Method):
    """A method that descends a loss in the pixels, which is a sum over classes.

    Attributes:
        batch_real: real images per class in each iteration.
        classes_per_step: number of classes in the loss of an iteration, redrawn each time; the images of the others get
            no gradient. 0 takes all classes, as published; a thousand of them may not fit into memory.
        batches: how real images are chosen: at ``random``, as published, or ``representative`` ones, nearest to the
            centres of clusters of their class, as in DREAM (Liu et al., ICCV 2023).
        clustering_interval: pixel updates before representative images are chosen again.
        clustering_candidates: images of each class among which they are chosen, drawn at random; 0 takes all, as in
            DREAM.
        optimiser: optimiser of the pixels: ``sgd`` as published, or ``adam``, whose steps do not depend on the scale of
            the loss.
        learning_rate: step size for the synthetic pixels; None uses the published one with ``sgd``, 0.05 with ``adam``.
        momentum: momentum of the pixel updates with ``sgd``.
        averaged_updates: the set is the average over about this many of the last pixel updates, so that it does not
            jitter with each batch; 0 takes the last, as published.
    """

    published_learning_rate: ClassVar[float]

    batch_real: int = 256
    classes_per_step: int = 0
    batches: BatchesName = "random"
    clustering_interval: int = 10
    clustering_candidates: int = 1000
    optimiser: OptimiserName = "sgd"
    learning_rate: float | None = None
    momentum: float = 0.5
    averaged_updates: int = 0

    def __post_init__(self) -> None:
        at_least(self, batch_real=1, learning_rate=0, classes_per_step=0, averaged_updates=0)
        at_least(self, clustering_interval=1, clustering_candidates=0)
        below_one(self, "momentum")

    def parts_of_iteration(self, classes: int) -> int:
        """Each class of an iteration is a part."""
        return min(self.classes_per_step or classes, classes)

    def classes_of(self, classes: int, streams: Streams) -> Tensor:
        """The classes of an iteration: int64 (parts,), ascending, on the CPU.

        Args:
            classes: the number of all classes.
            streams: random streams of the iteration.
        """
        if (count := self.parts_of_iteration(classes)) == classes:
            return torch.arange(classes)
        return torch.randperm(classes, generator=streams.generator("classes"))[:count].sort().values

    def initial_state(self, problem: Problem) -> State:
        """The initial pixels with their optimiser state, and a place for representative images."""
        state = self.optimisers(problem)["images"].init("images", problem.start_images)
        if self.batches == "representative":
            none = torch.zeros(problem.class_count, self.batch_real, dtype=torch.int64)
            state[REPRESENTATIVE] = none.to(problem.compute.device)
        return state

    def with_batches(self, problem: Problem, state: State, network: Network, streams: Streams, update: int) -> State:
        """The state with new representative images, where an update needs them.

        Args:
            problem: the distillation problem.
            state: the state before the update.
            network: the network that is matched, which embeds the images.
            streams: random streams of the update.
            update: number of updates taken before.

        Raises:
            UserError: batch norms would see the images in groups.
        """
        if self.batches == "random" or update % self.clustering_interval:
            return state
        if network.needs_whole_batches and network.training:
            raise UserError(
                f"`batches=representative` embeds images in groups, which batch norms of {problem.network} would see",
                "use another norm, or `batches=random`",
            )
        embedder = problem.cached((self, "embedder"), lambda: _embedder(network, problem))
        chosen = representative_images(
            problem.real,
            lambda images: embedder.describe(images)[0],
            streams.child("representative"),
            batch=self.batch_real,
            candidates=self.clustering_candidates,
        )
        return {**state, REPRESENTATIVE: chosen.to(problem.compute.device)}

    def real_indices(self, problem: Problem, state: State, streams: Streams, chosen: Tensor) -> Tensor:
        """The real images of an update: int64 (classes of the update, batch_real).

        Args:
            problem: the distillation problem.
            state: the state of ``with_batches``.
            streams: random streams of the update.
            chosen: int64 (classes of the update,), on the CPU.
        """
        if self.batches == "random":
            return problem.real.sample_per_class(self.batch_real, streams.generator("real batch"), chosen)
        of_all = state[REPRESENTATIVE]
        return of_all[chosen.to(of_all.device, non_blocking=True)]

    def resolved(self, images_per_class: int, dataset: str = "") -> Self:
        """A copy with the learning rate filled in."""
        return replace(super().resolved(images_per_class, dataset), learning_rate=self.settled_learning_rate)

    @property
    def settled_learning_rate(self) -> float:
        """The learning rate in effect."""
        if self.learning_rate is not None:
            return self.learning_rate
        return self.published_learning_rate if self.optimiser == "sgd" else ADAM_LEARNING_RATE

    def optimisers(self, problem: Problem) -> dict[str, Optimiser]:
        """The optimiser in effect, of each learned tensor."""
        settled = self.resolved(problem.images_per_class, problem.dataset)
        optimiser = pixel_optimiser(self.optimiser, settled.settled_learning_rate, self.momentum)
        return {"images": Averaged(optimiser, self.averaged_updates) if self.averaged_updates else optimiser}

    def clamped(self, problem: Problem, state: State) -> State:
        """The state with pixels, and their average, between black and white."""
        names = {"images", AVERAGE} & state.keys()
        return {**state, **{name: problem.real.clamped(state[name]) for name in names}}

    def result(self, problem: Problem, state: State) -> SyntheticSet:
        """The set of a state: of its pixels, or of their average."""
        return super().result(problem, {**state, "images": state[AVERAGE]} if AVERAGE in state else state)


def _embedder(network: Network, problem: Problem) -> FeatureExtractor:
    """Embeds images by a network that stays trainable if it is."""
    trainable, training = any(parameter.requires_grad for parameter in network.parameters()), network.training
    embedder = FeatureExtractor(network, embedding, problem.compute)
    network.requires_grad_(trainable).train(training)
    return embedder


def of_classes(images: Tensor, chosen: Tensor, classes: int) -> Tensor:
    """The images (chosen * n, ...) of some classes.

    Args:
        images: (classes * n, ...), ordered by class.
        chosen: int64 (chosen,), ascending.
        classes: the number of all classes.
    """
    if len(chosen) == classes:
        return images
    return images.unflatten(0, (classes, -1))[chosen.to(images.device, non_blocking=True)].flatten(0, 1)


def for_all_classes(gradient: Tensor, chosen: Tensor, classes: int) -> Tensor:
    """A gradient (classes * n, ...) that is zero for all but some classes; the inverse of ``of_classes``.

    Args:
        gradient: (chosen * n, ...), ordered by class.
        chosen: int64 (chosen,).
        classes: the number of all classes.
    """
    if len(chosen) == classes:
        return gradient
    by_class = gradient.unflatten(0, (len(chosen), -1))
    whole = by_class.new_zeros(classes, *by_class.shape[1:])
    return whole.index_copy_(0, chosen.to(whole.device, non_blocking=True), by_class).flatten(0, 1)
