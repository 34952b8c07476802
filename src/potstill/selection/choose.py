"""Selections by name: every way to choose or to make a few images of each class without distilling."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import torch
from torch import Tensor

from potstill.data import LabeledImages
from potstill.experts.teacher import Teacher
from potstill.runtime.errors import UserError
from potstill.runtime.streams import Streams
from potstill.selection.herding import herding
from potstill.selection.k_center import k_center
from potstill.selection.k_means import k_means_centres, k_means_nearest
from potstill.selection.optimised_random import optimised_random
from potstill.selection.random import check_enough, random_indices
from potstill.selection.ranking import hardest, nearest_to_mean


@dataclass(frozen=True)
class Selection:
    """A way to come by a few images of each class.

    Attributes:
        name: how it is asked for.
        choose: indices int64 (classes * n,), ordered by class, from a teacher, n and the randomness; None where images
            are made instead.
        make: the images themselves, float32 (classes * n, C, H, W) in normalised units, likewise.
        looks: whether it looks at a trained network rather than at pixels unless told otherwise.
    """

    name: str
    choose: Callable[[Teacher, int, Streams], Tensor] | None = None
    make: Callable[[Teacher, int, Streams], Tensor] | None = None
    looks: bool = True

    def images(self, teacher: Teacher, images_per_class: int, streams: Streams) -> Tensor:
        """The images, float32 (classes * n, C, H, W) in normalised units, on the CPU, ordered by class.

        Raises:
            UserError: a class has fewer images than that, or features are not finite.
        """
        if self.name != "average":
            check_enough(teacher.real, images_per_class)
        if self.make is not None:
            return self.make(teacher, images_per_class, streams).float().cpu()
        assert self.choose is not None
        return teacher.real.normalised(self.choose(teacher, images_per_class, streams)).cpu()


def _by_features(
    pick: Callable[[Tensor, int, int], Tensor],
) -> Callable[[Teacher, int, Streams], Tensor]:
    """A choice within each class from its features (n, D), a number and a seed."""

    def choose(teacher: Teacher, count: int, streams: Streams) -> Tensor:
        features = finite(teacher.features)
        return _each_class(teacher.real, lambda members, c: pick(features[members], count, _seed(streams, c)))

    return choose


def by_score(score: Callable[[Teacher], Tensor]) -> Callable[[Teacher, int, Streams], Tensor]:
    """The choice of the hardest of each class, by a score (N,) that a teacher tells."""

    def choose(teacher: Teacher, count: int, streams: Streams) -> Tensor:
        scores = finite(score(teacher))
        return _each_class(teacher.real, lambda members, c: hardest(scores[members], count))

    return choose


def _each_class(real: LabeledImages, pick: Callable[[Tensor, int], Tensor]) -> Tensor:
    """Indices into all images from positions within each class."""
    classes = enumerate(index.cpu() for index in real.class_index)
    return torch.cat([members[pick(members, c)] for c, members in classes])


def _seed(streams: Streams, label: int) -> int:
    return streams.derived_seed("class", label)


def _centres(teacher: Teacher, count: int, streams: Streams) -> Tensor:
    pixels = teacher.real.normalised().flatten(1).cpu()
    members = (index.cpu() for index in teacher.real.class_index)
    made = [k_means_centres(pixels[some], count, _seed(streams, c)) for c, some in enumerate(members)]
    return torch.cat(made).unflatten(1, teacher.real.shape)


def _average(teacher: Teacher, count: int, streams: Streams) -> Tensor:
    means = [teacher.real.normalised(index).mean(0) for index in teacher.real.class_index]
    return torch.stack(means).repeat_interleave(count, dim=0)


def finite(values: Tensor) -> Tensor:
    """The same, if all of it is finite.

    Raises:
        UserError: it is not: the image is named by its number.
    """
    wrong = (~values.isfinite()).flatten(1 if values.dim() > 1 else 0)
    rows = (wrong.any(1) if wrong.dim() > 1 else wrong).nonzero().flatten()
    if len(rows):
        raise UserError(
            f"image {int(rows[0])} has features that are not finite ({len(rows)} in all)",
            "train the network with a smaller learning rate, or use --features pixels",
        )
    return values


SELECTIONS: Mapping[str, Selection] = MappingProxyType(
    {
        selection.name: selection
        for selection in (
            Selection(
                "random",
                choose=lambda teacher, n, streams: random_indices(teacher.real, n, streams.generator("choice")),
                looks=False,
            ),
            Selection("herding", choose=_by_features(lambda features, count, seed: herding(features, count))),
            Selection("k-center", choose=_by_features(lambda features, count, seed: k_center(features, count))),
            Selection("k-means", make=_centres, looks=False),
            Selection("k-means-nearest", choose=_by_features(k_means_nearest)),
            Selection("average", make=_average, looks=False),
            Selection("average-nearest", choose=_by_features(lambda features, n, seed: nearest_to_mean(features, n))),
            Selection("forgetting", choose=by_score(Teacher.forgetting)),
            Selection("el2n", choose=by_score(Teacher.el2n)),
            Selection("grand", choose=by_score(Teacher.grand)),
            Selection("optimised-random", choose=optimised_random, looks=False),
        )
    }
)
"""Every selection by name: methods, starts and baselines are made of it."""
