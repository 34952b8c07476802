"""Starts: the initial sets of distillations."""

from __future__ import annotations

from dataclasses import replace

import torch

from potstill.data import ImageDataset
from potstill.distillation.plan import Plan
from potstill.experts.feature_source import Training
from potstill.methods import Method
from potstill.runtime.progress import Progress, silent
from potstill.runtime.streams import Streams
from potstill.selection import SELECTIONS, random_indices
from potstill.selection.random import TooFewImages
from potstill.synthetic import SyntheticSet


def make_start(plan: Plan[Method], dataset: ImageDataset, progress: Progress = silent) -> SyntheticSet:
    """Make the initial set of a distillation.

    Args:
        plan: the start, the number of images per class, and the seed.
        dataset: the dataset, on the device.
        progress: called with a message now and then while a network is trained, if the start needs one.

    Raises:
        TooFewImages: a class has fewer real images than the plan needs.
    """
    if plan.start == "noise":
        noise = SyntheticSet.from_noise(dataset.train, plan.ipc, Streams(plan.seed).generator("start"))
        return replace(noise, formation=plan.formation)
    try:
        return _of_real_images(plan, dataset, progress).formed(plan.formation)
    except TooFewImages as error:
        raise _explained(error, plan, dataset) from error


def _explained(error: TooFewImages, plan: Plan[Method], dataset: ImageDataset) -> TooFewImages:
    """The error with the images of that class that were held out, and everything that can be done about it."""
    problem, remedies = error.problem, [error.remedy]
    splits = () if dataset.account is None else dataset.account.splits
    if held_out := sum(split.class_sizes[error.label] for split in splits if split.held_out):
        names = " and ".join(split.name for split in splits if split.held_out)
        problem += f" ({held_out} more are held out for {names})"
        remedies.append("decide what is held out with folders train, validation and test")
    if not plan.method.only_start:
        remedies.append("or start from noise: `start=noise`")
    return TooFewImages(problem, ", ".join(remedies), error.label)


def _of_real_images(plan: Plan[Method], dataset: ImageDataset, progress: Progress) -> SyntheticSet:
    streams, real, count = Streams(plan.seed), dataset.train, plan.pictures_per_class
    if plan.start == "real":
        return SyntheticSet.from_indices(real, random_indices(real, count, streams.generator("start")))
    selection, streams = SELECTIONS[plan.start], streams.child("start")
    training = Training(
        real=real,
        network=plan.network,
        streams=streams.child("teacher"),
        compute=plan.compute,
        flips=dataset.flips,
        progress=progress,
    )
    images = selection.images(selection.source(training), count, streams)
    return SyntheticSet.from_images(real, images, torch.arange(real.class_count).repeat_interleave(count))
