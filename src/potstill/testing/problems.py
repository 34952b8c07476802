"""Small problems on real handwritten digits of 8x8 pixels, on which a method can be tested within seconds."""

from __future__ import annotations

import atexit
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Literal
from unittest.mock import patch

import numpy as np
import torch

from potstill.data import ImageDataset, LabeledImages, load_dataset
from potstill.experts.plan import ExpertPlan
from potstill.experts.train import train_experts
from potstill.methods import Problem
from potstill.privacy import entropy
from potstill.runtime.compute import CPU, Compute
from potstill.runtime.files import sha256
from potstill.runtime.streams import Streams
from potstill.selection import random_indices
from potstill.synthetic import SyntheticSet

NETWORK = "convnet:depth=2:width=8"
"""Spec of the network that the problems match."""


@cache
def digits() -> ImageDataset:
    """The dataset digits: handwritten digits of 8x8 pixels, contained in scikit-learn."""
    return load_dataset("digits", cache=None)


def few(images: LabeledImages, sizes: tuple[int, ...]) -> LabeledImages:
    """The first ``sizes[c]`` images of each class c, for the first ``len(sizes)`` classes."""
    chosen = torch.cat([images.class_index[c][:size] for c, size in enumerate(sizes)])
    return replace(images.take(chosen), class_names=images.class_names[: len(sizes)])


def small_digits(train: int = 20, validation: int = 5, test: int = 5) -> ImageDataset:
    """A subset of digits, with a fingerprint of its own.

    Args:
        train: training images per class.
        validation: validation images per class.
        test: test images per class.
    """
    all_of_it = digits()
    return replace(
        all_of_it,
        train=few(all_of_it.train, (train,) * 10),
        validation=few(all_of_it.validation, (validation,) * 10),
        test=few(all_of_it.test, (test,) * 10),
        fingerprint=sha256(f"{train}, {validation}, {test} per class of {all_of_it.fingerprint}".encode()),
    )


@cache
def small_experts() -> str:
    """A folder of two experts of ``NETWORK`` on digits, four epochs each; deleted when the process exits."""
    folder = tempfile.TemporaryDirectory(prefix="experts-")
    atexit.register(folder.cleanup)
    plan = ExpertPlan(network=NETWORK, count=2, epochs=4, learning_rate=0.05)
    train_experts(plan, digits(), Path(folder.name) / "digits", CPU)
    return str(Path(folder.name) / "digits")


def problem(
    *,
    real: LabeledImages | None = None,
    ipc: int = 1,
    formation: int = 1,
    network: str = NETWORK,
    precision: Literal["float32", "float64"] = "float32",
    compilation: bool = False,
    seed: int = 0,
    flips: bool = False,
) -> Problem:
    """A problem of distilling digits on the CPU; its start does not depend on the seed.

    Args:
        real: the training images; by default those of digits.
        ipc: synthetic images per class.
        formation: the small pictures along each side of a synthetic image.
        network: spec of the network to match.
        precision: precision of the networks.
        compilation: whether networks are compiled.
        seed: seed for all random draws except those of the start.
        flips: whether a mirrored image keeps its class.
    """
    real = digits().train if real is None else real
    indices = random_indices(real, ipc * formation**2, torch.Generator().manual_seed(0))
    start = SyntheticSet.from_indices(real, indices)
    return Problem(
        real=real,
        start=start.formed(formation),
        network=network,
        streams=Streams(seed),
        compute=Compute(torch.device("cpu"), precision, compilation),
        flips=flips,
    )


@contextmanager
def known_entropy(seed: int = 0) -> Iterator[None]:
    """Within the block, secret draws are the same ones every time; inside another such block, they go on with its own.

    Only for tests: a set that is made with known noise is not private. No setting or argument leads here.

    Args:
        seed: which draws.
    """
    if entropy.random_bytes is not _SECRET:
        yield
        return
    known = np.random.default_rng(seed)
    with patch.object(entropy, "random_bytes", known.bytes):
        yield


_SECRET = entropy.random_bytes
