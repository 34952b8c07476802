"""The best of many random choices."""

from __future__ import annotations

import torch
from torch import Tensor

from potstill.engine.schedule import Schedule
from potstill.engine.trainer import Trainer
from potstill.experts.teacher import Teacher
from potstill.runtime.errors import UserError
from potstill.runtime.streams import Streams
from potstill.selection.random import random_indices

TRIES = 20
JUDGES = 100
"""Other training images of each class by which a choice is judged."""

SCHEDULE = Schedule(epochs=100)


def optimised_random(teacher: Teacher, images_per_class: int, streams: Streams, *, tries: int = TRIES) -> Tensor:
    """Of many random choices the one from which a network learns most, told by other training images.

    One of the baselines of Wang et al., "Dataset Distillation" (2018), who keep the best fifth of many; the images that
    judge are never among those that are chosen from.

    Args:
        teacher: gives the images and trains the networks.
        images_per_class: how many of each class.
        streams: the randomness: choices, judges, initial weights.
        tries: how many.

    Returns:
        int64 (classes * images_per_class,), ordered by class.

    Raises:
        UserError: a class has not one image more than that.
    """
    real = teacher.real
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
    trainer = Trainer(teacher.network(), teacher.compute)
    best, best_accuracy = torch.tensor([], dtype=torch.int64), -1.0
    for attempt in range(tries):
        tried = streams.child("try", attempt)
        indices = random_indices(pool, images_per_class, tried.generator("choice"))
        trainer.fit(pool.take(indices), SCHEDULE, tried)
        accuracy = (trainer.predict(judge) == judge.labels.cpu()).double().mean().item()
        if accuracy > best_accuracy:
            best, best_accuracy = pool_indices[indices.cpu()], accuracy
    return best
