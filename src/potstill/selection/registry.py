"""Selections by name: every way to choose or construct a few images per class without distillation."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import torch
from torch import Tensor

from potstill.data import LabeledImages
from potstill.experts.feature_source import FeatureSource, Pixels, TrainedNetwork, Training
from potstill.runtime.errors import UserError
from potstill.runtime.streams import Streams
from potstill.selection.geometry import hardest, herding, k_center, k_means_centres, k_means_nearest, nearest_to_mean
from potstill.selection.random import check_enough, optimised_random, random_indices

Rule = Callable[[FeatureSource, int, Streams], Tensor]
"""Maps a feature source, images per class and random streams to indices or images, ordered by class."""


@dataclass(frozen=True)
class Selection(ABC):
    """A way to obtain a few images of each class.

    Attributes:
        name: name of the selection, as the user writes it.
        rule: the function that selects; the subclasses say what it returns.
        needs_network: whether it uses a network trained on the real images by default, rather than pixels.
    """

    name: str
    rule: Rule
    needs_network: bool = True

    def source(self, training: Training) -> FeatureSource:
        """The feature source that the selection uses by default."""
        return TrainedNetwork(training) if self.needs_network else Pixels(training.real)

    @property
    @abstractmethod
    def is_real(self) -> bool:
        """Whether the images are real ones, rather than computed from them."""

    def check(self, real: LabeledImages, images_per_class: int) -> None:
        """Make sure that there are enough images to choose from.

        Args:
            real: the real images.
            images_per_class: the number to choose of each class.

        Raises:
            TooFewImages: a class has fewer.
        """
        check_enough(real, images_per_class)

    @abstractmethod
    def images(self, source: FeatureSource, images_per_class: int, streams: Streams) -> Tensor:
        """Choose or construct the images.

        Args:
            source: the real images with their features and scores.
            images_per_class: number of images of each class.
            streams: random streams of the selection.

        Returns:
            float32 (classes * images_per_class, C, H, W) in normalised units, on the CPU, ordered by class.

        Raises:
            UserError: a class has too few images, the source has no networks where they are needed, or features are
                not finite.
        """


@dataclass(frozen=True)
class Choice(Selection):
    """A selection of real images; its rule returns their indices, int64 (classes * n,)."""

    @property
    def is_real(self) -> bool:
        """True: it chooses among the real images."""
        return True

    def images(self, source: FeatureSource, images_per_class: int, streams: Streams) -> Tensor:
        """The real images that the rule chooses.

        Args:
            source: the real images with their features and scores.
            images_per_class: number of images of each class.
            streams: random streams of the selection.

        Returns:
            float32 (classes * images_per_class, C, H, W), as in the base class.
        """
        self.check(source.real, images_per_class)
        return source.real.normalised(self.rule(source, images_per_class, streams)).cpu()


@dataclass(frozen=True)
class Construction(Selection):
    """A selection that computes images from the real ones; its rule returns them, (classes * n, C, H, W).

    Attributes:
        repeats: whether the number of images may exceed the size of a class.
    """

    repeats: bool = False

    @property
    def is_real(self) -> bool:
        """False: it computes new images."""
        return False

    def check(self, real: LabeledImages, images_per_class: int) -> None:
        """Make sure that there are enough images, where that matters.

        Args:
            real: the real images.
            images_per_class: the number to construct for each class.

        Raises:
            TooFewImages: a class has fewer.
        """
        if not self.repeats:
            super().check(real, images_per_class)

    def images(self, source: FeatureSource, images_per_class: int, streams: Streams) -> Tensor:
        """The images that the rule constructs.

        Args:
            source: the real images with their features and scores.
            images_per_class: number of images of each class.
            streams: random streams of the selection.

        Returns:
            float32 (classes * images_per_class, C, H, W), as in the base class.
        """
        self.check(source.real, images_per_class)
        return self.rule(source, images_per_class, streams).float().cpu()


def by_features(pick: Callable[[Tensor, int, int], Tensor]) -> Rule:
    """A rule that applies ``pick`` to each class: its features (n, D), the number to choose and a seed."""

    def rule(source: FeatureSource, count: int, streams: Streams) -> Tensor:
        classes = enumerate(source.features_by_class())
        return torch.cat(
            [
                members[pick(finite(features, members), count, _seed(streams, label))]
                for label, (members, features) in classes
            ]
        )

    return rule


def by_score(score: Callable[[FeatureSource], Tensor]) -> Rule:
    """A rule that chooses the images with the highest ``score`` (N,) in each class."""

    def rule(source: FeatureSource, count: int, _: Streams) -> Tensor:
        scores = finite(score(source), torch.arange(len(source.real)))
        return within_classes(source.real, lambda members, _: hardest(scores[members], count))

    return rule


def within_classes(real: LabeledImages, pick: Callable[[Tensor, int], Tensor]) -> Tensor:
    """Choose images within each class.

    Args:
        real: the images to choose from.
        pick: maps the indices (n,) of the images of a class, on the CPU, and the class number to positions among them.

    Returns:
        int64: indices into all images, ordered by class.
    """
    classes = enumerate(index.cpu() for index in real.class_index)
    return torch.cat([members[pick(members, label)] for label, members in classes])


def finite(values: Tensor, images: Tensor) -> Tensor:
    """Return ``values`` (n,) or (n, D) unchanged if all are finite.

    Args:
        values: a score or features of each of some images.
        images: int64 (n,), the indices of these images.

    Raises:
        UserError: some are not finite; the message names the first such image.
    """
    wrong = (~values.isfinite()).flatten(1 if values.dim() > 1 else 0)
    rows = (wrong.any(1) if wrong.dim() > 1 else wrong).nonzero().flatten()
    if len(rows):
        raise UserError(
            f"image {int(images[rows[0]])} has features that are not finite ({len(rows)} in all)",
            "train the network with a smaller learning rate, or use `features=pixels`",
        )
    return values


def _random(source: FeatureSource, count: int, streams: Streams) -> Tensor:
    return random_indices(source.real, count, streams.generator("choice"))


def _centres(source: FeatureSource, count: int, streams: Streams) -> Tensor:
    classes = enumerate(Pixels(source.real).features_by_class())
    made = [k_means_centres(pixels, count, _seed(streams, label)) for label, (_, pixels) in classes]
    return torch.cat(made).unflatten(1, source.real.shape)


def _average(source: FeatureSource, count: int, _: Streams) -> Tensor:
    means = [source.real.normalised(index).mean(0) for index in source.real.class_index]
    return torch.stack(means).repeat_interleave(count, dim=0)


def _seed(streams: Streams, label: int) -> int:
    return streams.derived_seed("class", label)


_ALL: tuple[Selection, ...] = (
    Choice("random", _random, needs_network=False),
    Choice("herding", by_features(lambda features, count, _: herding(features, count))),
    Choice("k-center", by_features(lambda features, count, _: k_center(features, count))),
    Construction("k-means", _centres, needs_network=False),
    Choice("k-means-nearest", by_features(k_means_nearest)),
    Construction("average", _average, needs_network=False, repeats=True),
    Choice("average-nearest", by_features(lambda features, count, _: nearest_to_mean(features, count))),
    Choice("forgetting", by_score(lambda source: source.forgetting())),
    Choice("el2n", by_score(lambda source: source.el2n())),
    Choice("grand", by_score(lambda source: source.grand())),
    Choice("optimised-random", optimised_random),
)

SELECTIONS: Mapping[str, Selection] = MappingProxyType({selection.name: selection for selection in _ALL})
"""Every selection by name; used as coreset methods, starts and baselines."""
