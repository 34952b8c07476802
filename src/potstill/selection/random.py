"""Random images of each class, and the best of many random choices: the baselines that others have to beat."""

from __future__ import annotations

import torch
from torch import Tensor

from potstill.data import LabeledImages
from potstill.engine.schedule import Schedule
from potstill.experts.feature_source import FeatureSource
from potstill.runtime.errors import UserError
from potstill.runtime.streams import Streams

TRIES = 20
JUDGES = 100
"""Other training images of each class on which a choice is tested."""

SCHEDULE = Schedule(epochs=100)


def random_indices(real: LabeledImages, images_per_class: int, generator: torch.Generator) -> Tensor:
    """Distinct images of each class, drawn at random.

    Args:
        real: the images to choose from.
        images_per_class: how many of each class.
        generator: a CPU generator.

    Returns:
        int64 (classes * images_per_class,), ordered by class.

    Raises:
        UserError: a class has fewer images than that.
    """
    check_enough(real, images_per_class)
    return real.sample_per_class(images_per_class, generator).flatten()


def check_enough(real: LabeledImages, images_per_class: int) -> None:
    """Make sure that every class has that many images.

    Raises:
        UserError: one has fewer: which.
    """
    for name, size in zip(real.class_names, real.class_sizes, strict=True):
        if size < images_per_class:
            raise UserError(
                f"class {name!r} has {size} images, fewer than {images_per_class} per class",
                f"use --ipc {size} or less",
            )


def optimised_random(source: FeatureSource, images_per_class: int, streams: Streams, *, tries: int = TRIES) -> Tensor:
    """Of many random choices the one from which a network learns most, judged by other training images.

    One of the baselines of Wang et al., "Dataset Distillation" (2018), who keep the best fifth of many. The images that
    judge are never among those chosen from.

    Args:
        source: the images, and the network to train.
        images_per_class: how many to choose of each class.
        streams: the randomness: choices, judges, initial weights.
        tries: how many choices to try.

    Returns:
        int64 (classes * images_per_class,), ordered by class.

    Raises:
        UserError: a class has no image left to judge by, or the source has no network.
    """
    real = source.real
    smallest = min(real.class_sizes)
    if smallest <= images_per_class:
        name = real.class_names[real.class_sizes.index(smallest)]
        raise UserError(
            f"class {name!r} has {smallest} images: with {images_per_class} chosen none is left to judge by",
            f"use --ipc {smallest - 1} or less" if smallest > 1 else "optimised-random needs two images of each class",
        )
    judges = min(JUDGES, smallest - images_per_class)
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
