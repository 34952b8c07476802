"""Feature sources for selections: pixels, a network trained for the purpose, or stored experts."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from potstill.augmentation import siamese_augmentation
from potstill.data import LabeledImages
from potstill.engine.features import FeatureExtractor, classifier, embedding, logits_of
from potstill.engine.fit import telling_of_steps
from potstill.engine.schedule import Schedule
from potstill.engine.trainer import Trainer
from potstill.experts.difficulty import NeverLearned, area_under_margin, el2n, forgetting_events, grand
from potstill.experts.manifest import check_experts
from potstill.experts.plan import Score
from potstill.networks import ImageShape, Network, build_network
from potstill.networks.spec import names_pretrained
from potstill.networks.weights import Weights, WeightsFile, install, weight_files
from potstill.runtime.bounds import memory_bytes
from potstill.runtime.compute import Compute
from potstill.runtime.errors import UserError
from potstill.runtime.progress import Pace, Progress, silent
from potstill.runtime.streams import Streams
from potstill.schema.experts import ExpertsManifest

EARLY = 0.2
"""Fraction of the training after which EL2N and GraNd are computed."""
EPOCHS = 10
"""Default number of training epochs."""

FEATURE_VALUES = 2**26
"""The most values of features that are in memory at once: 256 MB; in little memory, a sixteenth of it."""

Trajectory = Callable[[], list[Weights]]
"""Returns the weights of a network before its training and after every epoch."""


@dataclass(frozen=True, kw_only=True)
class Training:
    """The real images, and everything needed to train a network on them.

    Attributes:
        real: the images, on the device.
        network: spec of the architecture.
        streams: source of all random numbers.
        compute: device, precision and compilation.
        flips: whether a mirrored image keeps its class.
        dataset_fingerprint: fingerprint of the dataset that the images belong to, which stored experts must share; None
            if unknown.
        progress: callback for progress messages of long computations.
    """

    real: LabeledImages
    network: str
    streams: Streams
    compute: Compute
    flips: bool
    dataset_fingerprint: str | None = None
    progress: Progress = field(default=silent, repr=False, compare=False)

    def build_network(self) -> Network:
        """A network of the architecture, in float32 on the CPU."""
        return build_network(self.network, ImageShape(*self.real.shape), self.real.class_count, torch.Generator())


class Members(Protocol):
    """What is chosen from, and its classes."""

    @property
    def class_names(self) -> tuple[str, ...]:
        """The name of each class."""
        ...

    @property
    def class_sizes(self) -> tuple[int, ...]:
        """The number of members of each class."""
        ...

    @property
    def class_index(self) -> tuple[Tensor, ...]:
        """The ascending int64 indices of the members of each class."""
        ...

    def __len__(self) -> int: ...


class FeatureSource(ABC):
    """Features of what is chosen from and, if networks are available, scores of difficulty.

    Every source has features. All other methods need networks; a source without networks raises a ``UserError``.

    Args:
        members: the N images, or what stands for them.
        progress: callback for progress messages.
    """

    def __init__(self, members: Members, progress: Progress = silent) -> None:
        self.members, self.progress = members, progress

    @property
    @abstractmethod
    def real(self) -> LabeledImages:
        """The images.

        Raises:
            UserError: there are none, only vectors.
        """

    @cached_property
    def features(self) -> Tensor:
        """(N, D), on the CPU: the feature vector of each image, computed once."""
        return self._describe(self.real)

    def features_by_class(self) -> Iterator[tuple[Tensor, Tensor]]:
        """The features of the images of each class; where all would take much memory, of some classes at a time.

        Yields:
            int64 (n,), the indices of the images of a class, and float32 (n, D), their features; both on the CPU.
        """
        members = [index.cpu() for index in self.members.class_index]
        most = int(min(FEATURE_VALUES, memory_bytes() / 64)) // self._width
        if len(self.members) <= most:
            yield from ((index, self.features[index]) for index in members)
            return
        for group in grouped(members, most):
            features = self._describe(self.real.take(torch.cat(group)))
            yield from zip(group, features.split([len(index) for index in group]), strict=True)

    @property
    @abstractmethod
    def _width(self) -> int:
        """The number of features of an image."""

    @abstractmethod
    def _describe(self, images: LabeledImages) -> Tensor:
        """float32 (n, D), on the CPU: the features of some images."""

    def trainer(self) -> Trainer:
        """An untrained network of the architecture, for selections that train networks themselves."""
        raise _without_networks("no network to train")

    def cross_entropies(self, images: Tensor, label: int) -> Tensor:
        """(n,): the cross-entropy of images of one class under the network at the end of its training.

        Args:
            images: float32 (n, C, H, W), normalised.
            label: their class.
        """
        raise _without_networks("no teacher")

    def el2n(self) -> Tensor:
        """(N,): see :func:`potstill.experts.difficulty.el2n`."""
        raise _without_networks("no measure of how hard an image is")

    def grand(self) -> Tensor:
        """(N,): see :func:`potstill.experts.difficulty.grand`."""
        raise _without_networks("no measure of how hard an image is")

    def forgetting(self, never_learned: NeverLearned = "hardest") -> Tensor:
        """(N,): events, averaged over networks; see :func:`potstill.experts.difficulty.forgetting_events`."""
        raise _without_networks("no measure of how hard an image is")

    def aum(self) -> Tensor:
        """(N,): averaged over networks; see :func:`potstill.experts.difficulty.area_under_margin`."""
        raise _without_networks("no measure of how hard an image is")

    def score(self, name: Score) -> Tensor:
        """(N,): the difficulty score of that name."""
        return {"el2n": self.el2n, "grand": self.grand, "forgetting": self.forgetting}[name]()


def grouped(members: Sequence[Tensor], most: int) -> Iterator[list[Tensor]]:
    """Consecutive classes that together have at most ``most`` images, or are a single class with more.

    Args:
        members: for each class its images, int64 (n,).
        most: the number of images.
    """
    group: list[Tensor] = []
    for index in members:
        if group and sum(map(len, group)) + len(index) > most:
            yield group
            group = []
        group.append(index)
    yield group


def _without_networks(what: str) -> UserError:
    return UserError(f"these features provide {what}", "use `features=trained` or a folder of experts")


class OfImages(FeatureSource):
    """A source that describes images.

    Args:
        real: the images.
        progress: callback for progress messages.
    """

    def __init__(self, real: LabeledImages, progress: Progress = silent) -> None:
        super().__init__(real, progress)
        self._real = real

    @property
    def real(self) -> LabeledImages:
        """The images."""
        return self._real


class Pixels(OfImages):
    """The normalised pixels themselves."""

    @property
    def _width(self) -> int:
        return math.prod(self.real.shape)

    def _describe(self, images: LabeledImages) -> Tensor:
        return images.normalised().flatten(1).cpu()


class NetworkSource(OfImages):
    """Networks whose weights are available after every epoch of their training on the real images.

    Features are the embeddings of the first network at the end of its training.

    Args:
        training: the images, the architecture and the compute settings.
    """

    def __init__(self, training: Training) -> None:
        super().__init__(training.real, training.progress)
        self.training = training
        self._pace = Pace()

    @cached_property
    def trajectories(self) -> list[Trajectory]:
        """The trajectory of each network."""
        return self._open()

    @abstractmethod
    def _open(self) -> list[Trajectory]:
        """Load or compute the trajectories, on first use."""

    @property
    def _width(self) -> int:
        return self.training.build_network().embed(torch.zeros(1, *self.real.shape)).shape[1]

    @cached_property
    def _extractor(self) -> FeatureExtractor:
        extractor = FeatureExtractor(self._network_with(self.trajectories[0]()[-1]), embedding, self.training.compute)
        extractor.network.eval()
        return extractor

    def _describe(self, images: LabeledImages) -> Tensor:
        return self._extractor.describe(images)[0].cpu()

    def trainer(self) -> Trainer:
        """An untrained network of the architecture."""
        return Trainer(self.training.build_network(), self.training.compute)

    @cached_property
    def _teacher(self) -> FeatureExtractor:
        return classifier(self._network_with(self.trajectories[0]()[-1]), self.training.compute)

    def cross_entropies(self, images: Tensor, label: int) -> Tensor:
        """(n,): under the first network, on the CPU."""
        logits = self._teacher.describe_tensor(images.to(self.training.compute.device))[0].float().cpu()
        return F.cross_entropy(logits, torch.full((len(images),), label), reduction="none")

    def el2n(self) -> Tensor:
        """(N,): averaged over networks, early in their training."""
        self._check_every_epoch()
        early = [_early(trajectory()) for trajectory in self.trajectories]
        return el2n([self._logits(weights).softmax(1) for weights in early], self.real.labels.cpu())

    def grand(self) -> Tensor:
        """(N,): averaged over networks, early in their training."""
        self._check_every_epoch()
        networks = [self._network_with(_early(trajectory())) for trajectory in self.trajectories]
        return grand([network.to(self.training.compute.device) for network in networks], self.real)

    def forgetting(self, never_learned: NeverLearned = "hardest") -> Tensor:
        """(N,): averaged over networks.

        Raises:
            UserError: the networks were trained for fewer than two epochs, or not every epoch was kept.
        """
        self._check_every_epoch()
        labels, events = self.real.labels.cpu(), []
        for trajectory in self.trajectories:
            weights = trajectory()
            if len(weights) < 3:
                raise UserError(
                    "forgetting events are counted between epochs, and there are fewer than two epochs",
                    "use more `teacher_epochs`, or experts with every epoch kept",
                )
            epochs = enumerate(weights[1:], 1)
            right = [self._right(some, labels, f"{epoch} of {len(weights) - 1}") for epoch, some in epochs]
            events.append(forgetting_events(torch.stack(right), never_learned).double())
        return torch.stack(events).mean(0)

    def aum(self) -> Tensor:
        """(N,): averaged over networks.

        Raises:
            UserError: not every epoch was kept.
        """
        return self._areas.clone()

    @cached_property
    def _areas(self) -> Tensor:
        self._check_every_epoch()
        labels, areas = self.real.labels.cpu(), []
        for trajectory in self.trajectories:
            weights = trajectory()
            areas.append(area_under_margin((self._logits(each) for each in weights[1:]), labels))
            self._tell("measuring margins")
        return torch.stack(areas).mean(0)

    @property
    def every_epoch(self) -> bool:
        """Whether the weights of every epoch are there."""
        return True

    def _check_every_epoch(self) -> None:
        """Make sure that no epoch of the trajectories is missing."""

    def _right(self, weights: Weights, labels: Tensor, which: str) -> Tensor:
        """bool (N,): whether a network with these weights classifies each image correctly."""
        right = self._logits(weights).argmax(1) == labels
        self._tell(f"testing the network of epoch {which}")
        return right

    @cached_property
    def _classifier(self) -> FeatureExtractor:
        """For any weights, which are installed in it before use."""
        return classifier(self.training.build_network(), self.training.compute)

    def _logits(self, weights: Weights) -> Tensor:
        install(self._classifier.network, weights, self._weights_from)
        return logits_of(self._classifier, self.real)

    def _network_with(self, weights: Weights) -> Network:
        network = self.training.build_network()
        install(network, weights, self._weights_from)
        return network

    @property
    def _weights_from(self) -> Path:
        """The source of the weights, for error messages."""
        return Path(self.training.network)

    def _tell(self, words: str) -> None:
        if self._pace.due():
            self.training.progress(words)


class TrainedNetworkSource(NetworkSource):
    """One network, trained on first use.

    Args:
        training: the images, the architecture, the random streams and the compute settings.
        epochs: number of training epochs.
    """

    def __init__(self, training: Training, epochs: int = EPOCHS) -> None:
        super().__init__(training)
        self.epochs = epochs

    def _open(self) -> list[Trajectory]:
        trainer, streams = self.trainer(), self.training.streams
        schedule = Schedule(epochs=self.epochs, augmentation=siamese_augmentation(flips=self.training.flips))
        trainer.begin(schedule.initial, [streams])
        kept, begun = [trainer.snapshot()], Pace()

        def after_epoch(epoch: int, loss: float) -> None:
            kept.append(trainer.snapshot())
            self._tell(f"training the selection's network, epoch {epoch} of {self.epochs}: loss {loss:.3g}")

        def after_step(done: float) -> None:
            left = begun.left(done, self.epochs)
            self._tell(f"training the selection's network, epoch {math.ceil(done)} of {self.epochs}, {left}")

        with telling_of_steps(after_step):
            trainer.fit(self.real, schedule, streams, after_epoch=after_epoch)
        return [lambda: kept]


class StoredExperts(NetworkSource):
    """The experts in a folder: features come from the first, scores are averaged over all.

    They are opened on first use, which raises a ``UserError`` if there are none, or if they differ in network, image
    shape, whitening or dataset.

    Args:
        training: the images, the architecture that the experts must have, and the compute settings.
        folder: folder that ``potstill experts`` wrote.
    """

    def __init__(self, training: Training, folder: Path) -> None:
        super().__init__(training)
        self.folder = folder

    @property
    def files(self) -> list[Path]:
        """The files of weights."""
        return weight_files(self.folder)

    @property
    def every_epoch(self) -> bool:
        """Whether the weights of every epoch are there."""
        return all(map(_has_every_epoch, self.files))

    def check(self) -> None:
        """Open the experts.

        Raises:
            UserError: there are none, or they do not suit the images.
        """
        _ = self.trajectories

    def _open(self) -> list[Trajectory]:
        paths = weight_files(self.folder)
        if not paths:
            raise UserError(f"{self.folder} contains no experts", "use a folder that potstill experts wrote")
        if (self.folder / ExpertsManifest.FILE).exists():
            check_experts(self.folder, self.training.network, self.real, self.training.dataset_fingerprint)
        return [partial(_all_epochs, WeightsFile(path)) for path in paths]

    def _check_every_epoch(self) -> None:
        for path in self.files:
            if not _has_every_epoch(path):
                raise UserError(f"{path} does not have every epoch", "use experts with every epoch kept")

    @property
    def _weights_from(self) -> Path:
        return self.folder


def feature_source(features: str, training: Training, epochs: int = EPOCHS) -> FeatureSource:
    """The feature source that a user names.

    Args:
        features: ``pixels``, ``trained``, ``timm:MODEL:weights=WHERE``, or a folder of experts.
        training: the images, and everything needed to train a network on them.
        epochs: number of training epochs, for ``trained``.
    """
    if features == "pixels":
        return Pixels(training.real)
    if features == "trained":
        return TrainedNetworkSource(training, epochs)
    if names_pretrained(features):
        from potstill.experts.pretrained import PretrainedFeatures  # it derives from a class of this module

        return PretrainedFeatures(training, features)
    return StoredExperts(training, Path(features))


def _early(trajectory: list[Weights]) -> Weights:
    """The weights early in training."""
    return trajectory[max(round(EARLY * (len(trajectory) - 1)), 1)]


def _has_every_epoch(path: Path) -> bool:
    """Whether a file has the weights before training and after each epoch."""
    file = WeightsFile(path)
    return file.is_complete and file.has((0, 1))


def _all_epochs(file: WeightsFile) -> list[Weights]:
    return [file.read(epoch) for epoch in file.epochs]
