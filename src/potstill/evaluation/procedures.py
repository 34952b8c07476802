"""How one network is trained in an evaluation: on a set, on real images, or not at all."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from potstill.data import Examples, LabeledImages
from potstill.engine.fit import Labeller
from potstill.engine.schedule import Schedule
from potstill.engine.trainer import Trainer
from potstill.evaluation.schedules import training_schedule
from potstill.networks import InitialWeights
from potstill.runtime.errors import UserError
from potstill.runtime.streams import Streams
from potstill.schema.recipe import Recipe
from potstill.schema.shapes import is_vector
from potstill.synthetic import SyntheticSet

AfterEpoch = Callable[[int, float], None]
"""Called with the number of epochs done and the mean loss of the last one."""


@dataclass(frozen=True)
class Procedure:
    """One training.

    Attributes:
        epochs: passes over the images.
        train: draws the initial weights of a trainer's network and trains it, with a callback after every epoch. All
            randomness comes from the streams.
        varies: whether two trainings from the same initial weights differ: there is something else to draw.
    """

    epochs: int
    train: Callable[[Trainer, Streams, AfterEpoch], None]
    varies: bool = True


def on_set(
    synthetic: SyntheticSet,
    recipe: Recipe,
    weights: InitialWeights,
    flips: bool,
    *,
    learning_rate: float | None = None,
    relabelled: Callable[[SyntheticSet], SyntheticSet] | None = None,
    labeller: Labeller | None = None,
) -> Procedure:
    """Training on a set by a recipe.

    Args:
        synthetic: the set.
        recipe: the protocol.
        weights: the initial weights.
        flips: whether mirrored images keep their class.
        learning_rate: the tuned learning rate; None uses the recipe's, or the set's own if the recipe says so.
        relabelled: replaces the labels of the set's pictures before the training.
        labeller: labels every augmented batch instead.
    """
    if synthetic.replay is not None and recipe.replay:
        steps, passes = synthetic.replayed(), len(synthetic.replay.rates) // synthetic.replay.batches

        def take_steps(trainer: Trainer, streams: Streams, _: AfterEpoch) -> None:
            trainer.replay(steps, weights, streams)

        return Procedure(passes, take_steps, varies=False)
    pictures = synthetic.decoded()
    if relabelled is not None:
        pictures = relabelled(pictures)
    step_size = None if synthetic.step_size is None else synthetic.step_size.item()
    epochs = epochs_of_equal_steps(recipe, len(synthetic), len(pictures))
    schedule = training_schedule(recipe, flips=flips, epochs=epochs, initial=weights, step_size=step_size)
    if learning_rate is not None:
        schedule = replace(schedule, learning_rate=learning_rate)
    return by_schedule(pictures, schedule, labeller)


def random_set(
    train: LabeledImages, images_per_class: int, streams: Streams, like: SyntheticSet | None = None
) -> SyntheticSet:
    """A set of random real images.

    Args:
        train: the images to draw from.
        images_per_class: the number of images of each class.
        streams: the randomness of the draw.
        like: a set whose images they replace: all else that was learned with it is kept.
    """
    images, labels = random_images(train, images_per_class, streams)
    if like is not None:
        return replace(like, images=images, labels=labels, formation=1)
    return SyntheticSet.from_images(train, images, labels)


def by_schedule(examples: Examples, schedule: Schedule, labeller: Labeller | None = None) -> Procedure:
    """Training on any examples by a schedule, with their own labels or those of a labeller."""

    def fit(trainer: Trainer, streams: Streams, after_epoch: AfterEpoch) -> None:
        trainer.fit(examples, schedule, streams, after_epoch=after_epoch, labeller=labeller)

    changed = schedule.augmentation is not None or schedule.cutmix
    changed = changed and not is_vector(examples.normalised(slice(0, 1)).shape[1:])  # vectors are left as they are
    return Procedure(schedule.epochs, fit, varies=changed or len(examples) > schedule.batch_size)


def stopped_early(
    train: LabeledImages, like: SyntheticSet, recipe: Recipe, weights: InitialWeights, flips: bool
) -> Procedure:
    """Training on real images that is stopped after as many steps as training on a set takes.

    It differs from training on the set in nothing but the images: an epoch shows the next real images of a pass in
    random order, as many as the set holds pictures.

    Args:
        train: the real images.
        like: the set.
        recipe: the protocol.
        weights: the initial weights.
        flips: whether mirrored images keep their class.
    """
    pictures = like.pictures
    step_size = None if like.step_size is None else like.step_size.item()
    epochs = epochs_of_equal_steps(recipe, len(like), pictures)
    schedule = training_schedule(recipe, flips=flips, epochs=epochs, initial=weights, step_size=step_size)

    def fit(trainer: Trainer, streams: Streams, after_epoch: AfterEpoch) -> None:
        def taking_part(epoch: int) -> Tensor:
            return next_in_passes(len(train), pictures, epoch, streams.child("passes"))

        trainer.fit(train, schedule, streams, after_epoch=after_epoch, taking_part=taking_part)

    return Procedure(epochs, fit)


def next_in_passes(images: int, count: int, turn: int, streams: Streams) -> Tensor:
    """The next ``count`` of endless passes over images, each in a random order.

    Args:
        images: the number of images.
        count: how many are taken in each turn.
        turn: counted from 0.
        streams: the randomness of the orders.

    Returns:
        int64 (count,) indices. In as many turns as a pass takes, every image comes once before any comes again.
    """
    first, last = turn * count, (turn + 1) * count
    passes = range(first // images, math.ceil(last / images))
    orders = torch.cat([torch.randperm(images, generator=streams.generator("pass", each)) for each in passes])
    skipped = first - passes.start * images
    return orders[skipped : skipped + count]


def untrained(weights: InitialWeights) -> Procedure:
    """No training at all: a network keeps its initial weights."""

    def begin(trainer: Trainer, streams: Streams, _: AfterEpoch) -> None:
        trainer.begin(weights, [streams])

    return Procedure(0, begin, varies=False)


def epochs_of_equal_steps(recipe: Recipe, stored: int, pictures: int) -> int:
    """The epochs over all pictures of a formation that take as many steps as the recipe's over the stored images.

    Without this, a formation would be trained on for longer than a set of equal bytes.

    Args:
        recipe: the protocol.
        stored: the number of stored images.
        pictures: the number of pictures that they hold.
    """
    steps_an_epoch = [math.ceil(images / recipe.batch_size) for images in (stored, pictures)]
    return max(round(recipe.epochs * steps_an_epoch[0] / steps_an_epoch[1]), 1)


def images_in_training(recipe: Recipe, stored: int, pictures: int) -> int:
    """The images that a network sees in one training on a set by a recipe, each counted once per epoch.

    Args:
        recipe: the protocol.
        stored: the number of stored images.
        pictures: the number of pictures that they hold; that of the images without a formation.
    """
    return epochs_of_equal_steps(recipe, stored, pictures) * pictures


def random_images(train: LabeledImages, images_per_class: int, streams: Streams) -> tuple[Tensor, Tensor]:
    """Random real images of each class; those of a class with fewer images are repeated.

    Args:
        train: the images to draw from.
        images_per_class: the number of images of each class.
        streams: the randomness of the draw.

    Returns:
        Images float32 (N, C, H, W) in normalised units and labels int64 (N,), on the CPU, ordered by class.
    """
    generator = streams.generator("random images")
    orders = [torch.randperm(len(members), generator=generator) for members in train.class_index]
    chosen = [
        members[order.repeat(math.ceil(images_per_class / max(len(order), 1)))[:images_per_class].to(members.device)]
        for members, order in zip(train.class_index, orders, strict=True)
    ]
    drawn = train.take(torch.cat(chosen))
    return drawn.normalised().cpu(), drawn.labels.cpu()


def initial_weights(recipe: Recipe, synthetic: SyntheticSet, initial: str) -> InitialWeights:
    """The initial weights of the networks of an evaluation.

    Args:
        recipe: the protocol. If it replays learned steps, the weights are those that the set was distilled for.
        synthetic: the set.
        initial: ``random``, or a folder or file written by ``potstill experts``.

    Raises:
        UserError: the recipe replays learned steps and the set has no such steps.
    """
    if not recipe.replay:
        return InitialWeights(initial)
    if synthetic.replay is None:
        raise UserError("the set has no learned steps to replay", f"use another recipe than {recipe.name}")
    return synthetic.replay.initial
