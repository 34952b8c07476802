"""Selections by name: every way to choose or construct a few images per class without distillation."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import torch
from torch import Tensor

from potstill.data import LabeledImages
from potstill.experts.feature_source import FeatureSource, Pixels, TrainedNetworkSource, Training
from potstill.runtime.errors import UserError
from potstill.runtime.progress import Progress
from potstill.runtime.streams import Streams
from potstill.selection.coverage import CUT, moderate, stratified
from potstill.selection.facility_location import facility_location
from potstill.selection.geometry import hardest, k_means_centres, k_means_nearest, nearest_to_mean
from potstill.selection.greedy import herding, k_center
from potstill.selection.random import check_enough, optimised_random, random_indices, random_subset

FINITE_ROWS = 2**14  # that are checked at once

Rule = Callable[[FeatureSource, Sequence[int], Streams], Tensor]
"""Maps a feature source, the number for each class and random streams to indices or images, ordered by class."""


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
        return TrainedNetworkSource(training) if self.needs_network else Pixels(training.real)

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
        chosen = self.choose(source, [images_per_class] * source.real.class_count, streams)
        return source.real.normalised(chosen).cpu()

    def choose(self, source: FeatureSource, counts: Sequence[int], streams: Streams) -> Tensor:
        """The indices of the images that the rule chooses.

        Args:
            source: what to choose from, with its features and scores.
            counts: the number for each class, at most its size.
            streams: random streams of the selection.

        Returns:
            int64 (sum of counts,), ordered by class, on the CPU.
        """
        return self.rule(source, counts, streams).cpu()


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
        return self.rule(source, [images_per_class] * source.real.class_count, streams).float().cpu()


def by_features(pick: Callable[[Tensor, int, int, Progress], Tensor]) -> Rule:
    """A rule that applies ``pick`` to each class: its features (n, D), the number to choose, a seed and progress."""

    def rule(source: FeatureSource, counts: Sequence[int], streams: Streams) -> Tensor:
        chosen = []
        for label, (members, features) in enumerate(source.features_by_class()):
            seed = _seed(streams, label)
            if counts[label]:
                chosen.append(members[pick(finite(features, members), counts[label], seed, source.progress)])
        return torch.cat(chosen)

    return rule


def by_score(score: Callable[[FeatureSource], Tensor]) -> Rule:
    """A rule that chooses the images with the highest ``score`` (N,) in each class."""
    return _of_scores(score, lambda scores, count, _: hardest(scores, count))


def _of_scores(
    score: Callable[[FeatureSource], Tensor], pick: Callable[[Tensor, int, torch.Generator], Tensor]
) -> Rule:
    """A rule that applies ``pick`` to the scores of each class, the number to choose and a generator."""

    def rule(source: FeatureSource, counts: Sequence[int], streams: Streams) -> Tensor:
        scores = finite(score(source), torch.arange(len(source.members)))
        members = [index.cpu() for index in source.members.class_index]
        return torch.cat(
            [
                index[pick(scores[index], count, streams.generator("class", label))]
                for label, (index, count) in enumerate(zip(members, counts, strict=True))
            ]
        )

    return rule


def finite(values: Tensor, images: Tensor) -> Tensor:
    """Return ``values`` (n,) or (n, D) unchanged if all are finite.

    Args:
        values: a score or features of each of some images.
        images: int64 (n,), the indices of these images.

    Raises:
        UserError: some are not finite; the message names the first such image.
    """
    blocks = values.reshape(len(values), -1).split(FINITE_ROWS)
    rows = (~torch.cat([block.isfinite().all(1) for block in blocks])).nonzero().flatten() if blocks else images[:0]
    if len(rows):
        raise UserError(
            f"image {int(images[rows[0]])} has features that are not finite ({len(rows)} in all)",
            "train the network with a smaller learning rate, or use `features=pixels`",
        )
    return values


def _random(source: FeatureSource, counts: Sequence[int], streams: Streams) -> Tensor:
    generator, members = streams.generator("choice"), source.members
    if len(set(counts)) == 1 and isinstance(members, LabeledImages):
        return random_indices(members, counts[0], generator)
    return random_subset(members, counts, generator)


def _optimised_random(source: FeatureSource, counts: Sequence[int], streams: Streams) -> Tensor:
    return optimised_random(source, counts[0], streams)


def _centres(source: FeatureSource, counts: Sequence[int], streams: Streams) -> Tensor:
    classes = enumerate(Pixels(source.real).features_by_class())
    made = [k_means_centres(pixels, counts[label], _seed(streams, label)) for label, (_, pixels) in classes]
    return torch.cat(made).unflatten(1, source.real.shape)


def _average(source: FeatureSource, counts: Sequence[int], _: Streams) -> Tensor:
    means = [source.real.normalised(index).mean(0) for index in source.real.class_index]
    return torch.stack(means).repeat_interleave(torch.tensor(counts, device=means[0].device), dim=0)


def _seed(streams: Streams, label: int) -> int:
    return streams.derived_seed("class", label)


def _facility_location(features: Tensor, count: int, seed: int, progress: Progress) -> Tensor:
    return facility_location(features, count, seed, progress=progress)


def by_coverage(cut: float = CUT) -> Rule:
    """A rule that covers the difficulty of each class, without its hardest images; ``cut`` is their share."""
    return _of_scores(
        lambda source: -source.aum(), lambda scores, count, draws: stratified(scores, count, draws, cut=cut)
    )


_ALL: tuple[Selection, ...] = (
    Choice("random", _random, needs_network=False),
    Choice("herding", by_features(lambda features, count, _, progress: herding(features, count, progress=progress))),
    Choice("k-center", by_features(lambda features, count, _, progress: k_center(features, count, progress=progress))),
    Choice("facility-location", by_features(_facility_location)),
    Construction("k-means", _centres, needs_network=False),
    Choice("k-means-nearest", by_features(lambda features, count, seed, _: k_means_nearest(features, count, seed))),
    Construction("average", _average, needs_network=False, repeats=True),
    Choice("average-nearest", by_features(lambda features, count, *_: nearest_to_mean(features, count))),
    Choice("moderate", by_features(lambda features, count, *_: moderate(features, count))),
    Choice("ccs", by_coverage()),
    Choice("aum", by_score(lambda source: -source.aum())),
    Choice("forgetting", by_score(lambda source: source.forgetting())),
    Choice("el2n", by_score(lambda source: source.el2n())),
    Choice("grand", by_score(lambda source: source.grand())),
    Choice("optimised-random", _optimised_random),
)

SELECTIONS: Mapping[str, Selection] = MappingProxyType({selection.name: selection for selection in _ALL})
"""Every selection by name; used as coreset methods, starts and baselines."""
