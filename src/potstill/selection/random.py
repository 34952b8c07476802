"""Random images of each class, and the best of many random choices: the baselines to beat."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from potstill.data import LabeledImages
from potstill.engine.schedule import Schedule
from potstill.experts.feature_source import FeatureSource, Members
from potstill.runtime.errors import UserError
from potstill.runtime.streams import Streams

TRIES = 20
JUDGES = 100
"""The most held-out training images per class on which a choice is tested."""

SCHEDULE = Schedule(epochs=100)


def random_indices(real: LabeledImages, images_per_class: int, generator: torch.Generator) -> Tensor:
    """Distinct images of each class, drawn at random.

    Args:
        real: the images to choose from.
        images_per_class: number of images of each class.
        generator: a CPU generator.

    Returns:
        int64 (classes * images_per_class,), ordered by class.

    Raises:
        UserError: a class has too few images.
    """
    check_enough(real, images_per_class)
    return real.sample_per_class(images_per_class, generator).flatten()


def random_subset(members: Members, counts: Sequence[int], generator: torch.Generator) -> Tensor:
    """Distinct members of each class, drawn at random, as many as are asked for of each.

    Args:
        members: what to choose from.
        counts: the number for each class, at most its size.
        generator: a CPU generator.

    Returns:
        int64 (sum of counts,), ordered by class, on the CPU.
    """
    classes = zip(members.class_index, counts, strict=True)
    return torch.cat([index.cpu()[torch.randperm(len(index), generator=generator)[:count]] for index, count in classes])


class TooFewImages(UserError):
    """A class has fewer images than are asked for.

    Args:
        problem: as in :class:`UserError`.
        remedy: likewise.
        label: the class.
    """

    def __init__(self, problem: str, remedy: str, label: int) -> None:
        super().__init__(problem, remedy)
        self.label = label


def check_enough(real: LabeledImages, images_per_class: int) -> None:
    """Check that every class has at least ``images_per_class`` images.

    Raises:
        TooFewImages: a class has fewer.
    """
    for label, (name, size) in enumerate(zip(real.class_names, real.class_sizes, strict=True)):
        if size < images_per_class:
            raise TooFewImages(
                f"class {name!r} has {size} training image{'s' * (size != 1)}, fewer than {images_per_class} per class",
                f"use `ipc={size}` or less",
                label,
            )


def optimised_random(source: FeatureSource, images_per_class: int, streams: Streams, *, tries: int = TRIES) -> Tensor:
    """The best of several random choices, judged by the accuracy of a network on held-out training images.

    Based on a baseline of Wang et al., "Dataset Distillation" (2018), who keep the best fifth of many. Images used for
    judging are never chosen.

    Args:
        source: the images, and the network to train.
        images_per_class: number of images to choose from each class.
        streams: random streams for choices, held-out images and initial weights.
        tries: number of random choices to compare.

    Returns:
        int64 (classes * images_per_class,), ordered by class.

    Raises:
        UserError: a class has no image left for judging, or the source has no network.
    """
    real = source.real
    smallest = min(real.class_sizes)
    if smallest <= images_per_class:
        name = real.class_names[real.class_sizes.index(smallest)]
        raise UserError(
            f"class {name!r} has {smallest} images: choosing {images_per_class} leaves none to judge the choice by",
            f"use `ipc={smallest - 1}` or less" if smallest > 1 else "optimised-random needs two images per class",
        )
    # About half of what is left, or a small class would have no others to choose.
    judges = min(JUDGES, (smallest - images_per_class + 1) // 2)
    judging = random_indices(real, judges, streams.generator("judges"))
    others = torch.ones(len(real), dtype=torch.bool)
    others[judging.cpu()] = False
    pool_indices = others.nonzero().flatten()
    pool, judge = real.take(pool_indices), real.take(judging)
    trainer = source.trainer()
    best, best_accuracy = torch.tensor([], dtype=torch.int64), -1.0
    for attempt in range(tries):
        tried = streams.child("try", attempt)
        indices = random_indices(pool, images_per_class, tried.generator("choice"))
        trainer.fit(pool.take(indices), SCHEDULE, tried)
        accuracy = (trainer.predict(judge) == judge.labels.cpu()).double().mean().item()
        if accuracy > best_accuracy:
            best, best_accuracy = pool_indices[indices.cpu()], accuracy
    return best
