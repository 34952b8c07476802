"""Distribution matching under mixtures of untrained and trained networks, the base class of DANCE and NCFM."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, Literal, Self

import torch
import torch.nn.functional as F
from torch import Tensor

from potstill.augmentation import NO_AUGMENTATION, SiameseAugmentation, matching_augmentation
from potstill.engine.features import Descriptors, FeatureExtractor, embedding
from potstill.experts.pool import ExpertPool, mixed
from potstill.methods.distribution import DistributionMatching, extractor_of, squared_distance, with_gradients
from potstill.methods.distribution.characteristic import CharacteristicFunction, characteristic_distance
from potstill.methods.problem import Problem
from potstill.methods.state import State, descend
from potstill.networks import Network
from potstill.networks.weights import install, weight_files
from potstill.runtime.bounds import at_least
from potstill.runtime.errors import UserError
from potstill.runtime.streams import Streams

DistanceName = Literal["mean", "characteristic"]


@dataclass(frozen=True, kw_only=True)
class PoolMatching(DistributionMatching):
    """Match distributions under a mixture l w_0 + (1 - l) w_T of a stored network before and after its training.

    Each iteration draws a network of the pool and l ~ U(0, 1), and takes two steps of the pixels: one on the distance
    of the distributions under the mixture, and one, the calibration, on the cross-entropy of the synthetic images under
    the trained network. The augmentation is that of IDC: colours, a shift and a blanked square, drawn for each class.

    Attributes:
        experts: folder of potstill experts of the same dataset and network: the pool. ``potstill experts --ends-only``
            keeps what it needs.
        distance: ``mean`` compares class means of embeddings, as DANCE does; ``characteristic`` compares the
            characteristic functions of embeddings of unit length, as NCFM does.
        calibration: weight of the cross-entropy; 0 leaves this step out.
        frequencies: arguments of the characteristic functions, drawn from N(0, 1) in each iteration.
        amplitude_weight: weight of the squared difference of the moduli of two characteristic functions.
        phase_weight: weight of what else separates them; with equal weights the distance is that of the two complex
            numbers.
        characteristic_scale: factor of the distance of characteristic functions; 300 in the NCFM program.
        clamp: keep pixels between black and white after each iteration; the authors' programs do so before the next.
            Whitened pixels have no such range.
    """

    published_learning_rate: ClassVar[float] = 0.16

    experts: str = ""
    distance: DistanceName = "mean"
    calibration: float = 1.0
    frequencies: int = 1024
    amplitude_weight: float = 0.5
    phase_weight: float = 0.5
    characteristic_scale: float = 300.0
    clamp: bool = True
    batch_real: int = 128

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(self, calibration=0, frequencies=1, amplitude_weight=0, phase_weight=0, characteristic_scale=0)
        if not self.amplitude_weight and not self.phase_weight:
            raise UserError("`amplitude_weight` and `phase_weight` are both 0", "give one of them a weight")

    def resolved(self, images_per_class: int, dataset: str = "") -> Self:
        """A copy with the learning rate filled in: with SGD, the published one times the images per class."""
        if self.learning_rate is None and self.optimiser == "sgd":
            return replace(self, learning_rate=self.published_learning_rate * images_per_class)
        return super().resolved(images_per_class, dataset)

    def input_files(self) -> list[Path]:
        """The files of the pool."""
        return weight_files(Path(self.experts)) if self.experts else []

    def images_per_iteration(self, classes: int, images_per_class: int) -> int:
        """The real batches of all classes of a step plus their synthetic images, once more for the calibration."""
        calibrated = images_per_class * self.parts_of_iteration(classes) if self.calibration else 0
        return super().images_per_iteration(classes, images_per_class) + calibrated

    def augmentation(self, problem: Problem) -> SiameseAugmentation:
        """Colours, a shift and a blanked square, one after another."""
        return matching_augmentation() if self.augment else NO_AUGMENTATION

    def descriptor(self) -> Callable[[Network, Tensor], Descriptors]:
        """The embedding, of which the characteristic function is another descriptor."""
        return embedding

    def loss(self, targets: Descriptors, means: Descriptors) -> Tensor:
        """The distance of two distributions in each class, summed over the classes of the step."""
        if self.distance == "mean":
            return squared_distance(targets[0], means[0])
        weights = self.amplitude_weight, self.phase_weight
        return self.characteristic_scale * characteristic_distance(targets, means, *weights)

    def prepare(self, problem: Problem) -> State:
        """The initial pixels and their optimiser state.

        Raises:
            UserError: there is no pool, or it belongs to another network or dataset.
        """
        self._pool(problem)  # raises before any work is done
        return super().prepare(problem)

    def step(self, problem: Problem, state: State, iteration: int) -> tuple[State, float | Tensor]:
        """Match the distributions under one mixture, then calibrate.

        Args:
            problem: the distillation problem.
            state: the pixels and their optimiser state.
            iteration: index of this iteration, counted from 0.

        Returns:
            The next state, and the distance of the distributions before this step.
        """
        streams = problem.streams.child("iteration", iteration)
        entry = self._pool(problem).draw(streams.generator("network"))
        share = torch.rand((), generator=streams.generator("mixture")).item()
        extractor = self.extractor(problem)
        install(extractor.network, mixed(entry, share), entry.file.path)
        if self.distance == "characteristic":
            self._characteristic(problem).redraw(streams.generator("frequencies"))
        state = self.with_batches(problem, state, extractor.network, streams, iteration)
        steps = 2 if self.calibration else 1
        state, loss = self.update(problem, extractor, state, streams, steps * iteration)
        if self.calibration:
            install(self._classifier(problem).network, entry.trained, entry.file.path)
            state = self._calibrated(problem, state, streams, steps * iteration + 1)
        if self.clamp:
            state = self.clamped(problem, state)
        return state, loss

    def extractor(self, problem: Problem) -> FeatureExtractor:
        """The feature extractor of the mixture, built on the first call."""

        def make() -> FeatureExtractor:
            if self.distance == "mean":
                return extractor_of(problem, embedding)
            return extractor_of(problem, self._characteristic(problem).describe)

        return problem.cached((self, "extractor"), make)

    def _calibrated(self, problem: Problem, state: State, streams: Streams, before: int) -> State:
        """One step of the pixels on the cross-entropy of each class of the iteration under the trained network."""
        chosen = self.classes_of(problem.class_count, streams)
        draw = self.augmentation(problem).draw(streams.generator("calibration"), len(chosen))
        images, extractor = self.decoded(problem, state).images, self._classifier(problem)
        means, pullback = self.synthetic_means(problem, extractor, images, chosen, draw)
        own = torch.arange(len(chosen)), chosen
        _, back = with_gradients(lambda means: -self.calibration * means[0][own].sum(), means)
        gradients = self.pullback(problem, state, {"images": pullback(back)})
        return descend(state, gradients, self.optimisers(problem), before)

    def _classifier(self, problem: Problem) -> FeatureExtractor:
        return problem.cached((self, "classifier"), lambda: extractor_of(problem, log_probabilities))

    def _pool(self, problem: Problem) -> ExpertPool:
        return problem.cached((self, "pool"), lambda: ExpertPool(problem.experts(self.experts)))

    def _characteristic(self, problem: Problem) -> CharacteristicFunction:
        def make() -> CharacteristicFunction:
            size = problem.build_network(torch.Generator()).embedding_size
            return CharacteristicFunction(self.frequencies, size, problem.compute)

        return problem.cached((self, "characteristic"), make)


def log_probabilities(network: Network, images: Tensor) -> Descriptors:
    """The logarithms of the probabilities of all classes, (N, classes), in float32 or better.

    Their class means hold the cross-entropy of each class, with the opposite sign.
    """
    logits = network(images)
    return (F.log_softmax(logits.to(torch.promote_types(logits.dtype, torch.float32)), dim=1),)
