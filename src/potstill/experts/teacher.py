"""A network that knows the real images: where selections look when they do not look at pixels."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property, partial
from pathlib import Path

import torch
from torch import Tensor

from potstill.augmentation import siamese_augmentation
from potstill.data import LabeledImages
from potstill.engine.features import FeatureExtractor, embedding
from potstill.engine.schedule import Schedule
from potstill.engine.trainer import Trainer
from potstill.experts.difficulty import NeverLearned, Score, el2n, forgetting_events, grand
from potstill.experts.manifest import check_experts
from potstill.networks import ImageShape, Network, build_network
from potstill.networks.weights import Weights, WeightsFile, install, weight_files
from potstill.runtime.compute import Compute
from potstill.runtime.errors import UserError
from potstill.runtime.progress import Pace, Progress, silent
from potstill.runtime.streams import Streams
from potstill.schema.experts import ExpertsManifest

EARLY = 0.2
"""The share of the training after which difficulty is told by errors and gradients."""


class Teacher:
    """Networks trained on the real images, or the pixels in their place.

    Args:
        real: the images, on the device.
        network: the spec of the architecture.
        streams: the randomness of the training.
        compute: device, precision and compilation.
        flips: whether mirrored images keep their class.
        source: ``trained`` trains a network, ``pixels`` takes the pixels themselves for features, and anything else is
            a folder of potstill experts.
        epochs: passes over the images, where a network is trained.
        dataset_fingerprint: of the dataset that the images are from, which experts must be of too; None where it is
            not known.
        progress: told now and then how far a long training, or a long look, is.
    """

    def __init__(
        self,
        real: LabeledImages,
        *,
        network: str,
        streams: Streams,
        compute: Compute,
        flips: bool,
        source: str = "trained",
        epochs: int = 10,
        dataset_fingerprint: str | None = None,
        progress: Progress = silent,
    ) -> None:
        self.real, self.streams, self.compute, self.source = real, streams, compute, source
        self._spec, self._flips, self._epochs = network, flips, epochs
        self._fingerprint = dataset_fingerprint
        self._progress, self._pace = progress, Pace()

    @cached_property
    def features(self) -> Tensor:
        """float32 (N, D), on the CPU: each image as the first network sees it at the end of its training."""
        if self.source == "pixels":
            return self.real.normalised().flatten(1).cpu()
        extractor = FeatureExtractor(self._at(self.trajectories[0]()[-1]), embedding, self.compute)
        extractor.network.eval()
        return extractor.describe(self.real)[0].cpu()

    @cached_property
    def trajectories(self) -> list[Callable[[], list[Weights]]]:
        """For each network what gives its weights after every epoch, from before the first.

        Raises:
            UserError: pixels are no network, or there are no experts, or they are of something else: of what.
        """
        if self.source == "pixels":
            raise UserError("pixels do not tell how hard an image is", "use --features trained or a folder of experts")
        if self.source == "trained":
            trained = self._train()
            return [lambda: trained]
        paths = weight_files(Path(self.source))
        if not paths:
            raise UserError(f"{self.source} holds no experts", "name a folder that potstill experts wrote")
        if (Path(self.source) / ExpertsManifest.FILE).exists():
            check_experts(Path(self.source), self._spec, self.real, self._fingerprint)
        return [partial(_all_epochs, WeightsFile(path)) for path in paths]

    def score(self, name: Score) -> Tensor:
        """(N,): one of the scores of difficulty by its name."""
        return {"el2n": self.el2n, "grand": self.grand, "forgetting": self.forgetting}[name]()

    def el2n(self) -> Tensor:
        """(N,): see :func:`potstill.experts.difficulty.el2n`."""
        early = [self._early(trajectory()) for trajectory in self.trajectories]
        return el2n([self._logits(self._at(weights)).softmax(1) for weights in early], self.real.labels.cpu())

    def grand(self) -> Tensor:
        """(N,): see :func:`potstill.experts.difficulty.grand`."""
        networks = [self._at(self._early(trajectory())) for trajectory in self.trajectories]
        return grand([network.to(self.compute.device) for network in networks], self.real)

    def forgetting(self, never_learned: NeverLearned = "hardest") -> Tensor:
        """(N,): events, their mean over networks; see :func:`potstill.experts.difficulty.forgetting_events`."""
        labels, events = self.real.labels.cpu(), []
        for trajectory in self.trajectories:
            weights = trajectory()
            if len(weights) < 3:
                raise UserError("forgetting shows over epochs", "use more --teacher-epochs, or experts of every epoch")
            right = [self._right(some, labels, f"{n} of {len(weights) - 1}") for n, some in enumerate(weights[1:], 1)]
            events.append(forgetting_events(torch.stack(right), never_learned).double())
        return torch.stack(events).mean(0)

    def _train(self) -> list[Weights]:
        trainer = Trainer(self.network(), self.compute)
        schedule = Schedule(
            epochs=self._epochs,
            augmentation=siamese_augmentation(flips=self._flips),
        )
        trainer.begin(schedule.initial, [self.streams])
        kept = [trainer.snapshot()]

        def after_epoch(epoch: int, loss: float) -> None:
            kept.append(trainer.snapshot())
            self._tell(f"training a network to choose by, epoch {epoch} of {self._epochs}: loss {loss:.3g}")

        trainer.fit(self.real, schedule, self.streams, after_epoch=after_epoch)
        return kept

    def _right(self, weights: Weights, labels: Tensor, which: str) -> Tensor:
        """bool (N,): whether a network with these weights tells each image right."""
        right = self._logits(self._at(weights)).argmax(1) == labels
        self._tell(f"looking at what epoch {which} told right")
        return right

    def _tell(self, words: str) -> None:
        if self._pace.due():
            self._progress(words)

    def _early(self, trajectory: list[Weights]) -> Weights:
        if len(trajectory) < 2:
            raise UserError("these experts kept their last epoch only", "use experts of every epoch")
        return trajectory[max(round(EARLY * (len(trajectory) - 1)), 1)]

    def network(self) -> Network:
        """A network of the architecture, in float32 on the CPU."""
        return build_network(self._spec, ImageShape(*self.real.shape), self.real.class_count, torch.Generator())

    def _at(self, weights: Weights) -> Network:
        network = self.network()
        install(network, weights, Path(self.source))
        return network

    def _logits(self, network: Network) -> Tensor:
        """float32 (N, classes), on the CPU."""
        extractor = FeatureExtractor(network, _logits, self.compute.precise)
        extractor.network.eval()
        return extractor.describe(self.real)[0].float().cpu()


def _all_epochs(file: WeightsFile) -> list[Weights]:
    return [file.read(epoch) for epoch in file.epochs]


def _logits(network: Network, images: Tensor) -> tuple[Tensor]:
    return (network(images),)
