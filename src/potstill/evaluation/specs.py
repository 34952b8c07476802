"""What an evaluation trains networks on: the set, real images in its place, the full data, or nothing."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from potstill.data import LabeledImages
from potstill.engine.schedule import Schedule
from potstill.engine.trainer import Trainer
from potstill.evaluation.schedules import training_schedule
from potstill.evaluation.training import AfterEpoch, Repeat, Trainings, TrainingSpec
from potstill.experts.feature_source import Training
from potstill.networks import InitialWeights
from potstill.runtime.errors import UserError
from potstill.runtime.streams import Streams
from potstill.schema.evaluation import real_images_per_class
from potstill.schema.recipe import Recipe
from potstill.selection import SELECTIONS
from potstill.synthetic import SyntheticSet


def on_set(synthetic: SyntheticSet, recipe: Recipe, weights: InitialWeights, flips: bool, repeats: int) -> TrainingSpec:
    """Trainings on a set by a recipe.

    Args:
        synthetic: the set.
        recipe: the protocol.
        weights: the initial weights; of pre-trained networks each repeat uses a different held-out one.
        flips: whether mirrored images keep their class.
        repeats: the number of trainings; fewer are done if repeats would all be identical.

    Returns:
        What a trainer has to do for each repeat.
    """
    if synthetic.replay is not None and recipe.replay:
        steps, passes = synthetic.replayed(), len(synthetic.replay.rates) // synthetic.replay.batches

        def take_steps(trainer: Trainer, repeat: Repeat, *_: object) -> None:
            trainer.replay(steps, weights.held_out(repeat.number), repeat.streams)

        # Learned steps from the same weights involve no random draw: repeats would all be identical.
        return TrainingSpec(trained_on="set", epochs=passes, repeats=weights.different(repeats), train=take_steps)
    pictures = synthetic.decoded()
    step_size = None if synthetic.step_size is None else synthetic.step_size.item()
    epochs = epochs_of_equal_steps(recipe, len(synthetic), len(pictures))
    schedule = training_schedule(recipe, flips=flips, epochs=epochs, initial=weights, step_size=step_size)

    def train(trainer: Trainer, repeat: Repeat, after_epoch: AfterEpoch, learning_rate: float | None) -> None:
        chosen = replace(schedule, initial=weights.held_out(repeat.number))
        chosen = chosen if learning_rate is None else replace(chosen, learning_rate=learning_rate)
        trainer.fit(pictures, chosen, repeat.streams, after_epoch=after_epoch)

    whole = len(pictures) <= schedule.batch_size
    if whole and schedule.augmentation is None and not schedule.cutmix:
        repeats = weights.different(repeats)  # only the initial weights are random
    return TrainingSpec(
        trained_on="set",
        epochs=schedule.epochs,
        repeats=repeats,
        train=train,
        learning_rate_grid=recipe.learning_rate_grid,
    )


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


@dataclass(frozen=True)
class RealImages:
    """Real images that replace the synthetic ones: as many of each class, chosen by a selection.

    Attributes:
        selection: its name; ``random`` draws new images for every repeat, any other selection chooses once.
        trainings: provide the real images.
        images_per_class: the number of images of each class.
    """

    selection: str
    trainings: Trainings
    images_per_class: int

    def draw(self, repeat: Repeat) -> tuple[Tensor, Tensor]:
        """The images, float32 (N, C, H, W), and labels, int64 (N,), of a repeat, on the CPU."""
        if self.selection == "random":
            return random_images(self.trainings.dataset.train, self.images_per_class, repeat.streams)
        return self._chosen

    @cached_property
    def _chosen(self) -> tuple[Tensor, Tensor]:
        trainings, train = self.trainings, self.trainings.dataset.train
        selection, streams = SELECTIONS[self.selection], trainings.streams
        trainings.progress(f"selecting images by {self.selection}")
        training = Training(
            real=train,
            network="convnet",
            streams=streams.child("teacher"),
            compute=trainings.compute,
            flips=trainings.dataset.flips,
            progress=trainings.progress,
        )
        source, streams = selection.source(training), streams.child("selection", self.selection)
        images = selection.images(source, self.images_per_class, streams)
        return images, torch.arange(train.class_count).repeat_interleave(self.images_per_class)


def on_real(
    name: str,
    trainings: Trainings,
    synthetic: SyntheticSet,
    recipe: Recipe,
    weights: InitialWeights,
    repeats: int,
) -> TrainingSpec:
    """Trainings on real images chosen by a selection, with everything else as for ``on_set``.

    Args:
        name: the selection, a name in ``SELECTIONS``.
        trainings: the dataset, device and random streams of these trainings.
        synthetic: the set whose images the real ones replace.
        recipe: the protocol.
        weights: the initial weights of the networks.
        repeats: the number of trainings.

    Returns:
        What a trainer has to do for each repeat.
    """
    flips = trainings.dataset.flips
    real = RealImages(name, trainings, real_images_per_class(len(synthetic), synthetic.class_count))

    def train(trainer: Trainer, repeat: Repeat, after_epoch: AfterEpoch, learning_rate: float | None) -> None:
        images, labels = real.draw(repeat)
        instead = replace(synthetic, images=images, labels=labels, formation=1)
        on_set(instead, recipe, weights, flips, repeats).train(trainer, repeat, after_epoch, learning_rate)

    same = on_set(replace(synthetic, formation=1), recipe, weights, flips, repeats)
    # Random images differ in every repeat, even if the initial weights do not.
    return replace(same, trained_on=name, repeats=repeats if name == "random" else same.repeats, train=train)


def untrained(weights: InitialWeights, repeats: int) -> TrainingSpec:
    """No training at all: networks are tested with their initial weights."""

    def begin(trainer: Trainer, repeat: Repeat, *_: object) -> None:
        trainer.begin(weights.held_out(repeat.number), [repeat.streams])

    return TrainingSpec(trained_on="initial", epochs=0, repeats=weights.different(repeats), train=begin)


def on_full(train: LabeledImages, schedule: Schedule, repeats: int) -> TrainingSpec:
    """Trainings on the full training data.

    Args:
        train: the training split, on the device.
        schedule: how to train, with the initial weights.
        repeats: the number of trainings.

    Returns:
        What a trainer has to do for each repeat.
    """

    def fit(trainer: Trainer, repeat: Repeat, after_epoch: AfterEpoch, _: float | None) -> None:
        chosen = replace(schedule, initial=schedule.initial.held_out(repeat.number))
        trainer.fit(train, chosen, repeat.streams, after_epoch=after_epoch)

    return TrainingSpec(trained_on="full", epochs=schedule.epochs, repeats=repeats, train=fit)


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
