"""What the records of applications have in common: their dataset, and what a record on file must agree with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from potstill.data import ImageDataset
from potstill.runtime.errors import UserError, differing
from potstill.schema.continual import LearnedDataset
from potstill.schema.shapes import kind_of


def described(dataset: ImageDataset) -> LearnedDataset:
    """A dataset as records have it."""
    return LearnedDataset(
        name=dataset.name,
        fingerprint=dataset.fingerprint,
        train=len(dataset.train),
        test=len(dataset.test),
        kind=kind_of(dataset.shape),
    )


def check_same(
    path: Path,
    images: tuple[Sequence[str], Sequence[str]],
    settings: tuple[Mapping[str, object], Mapping[str, object]],
) -> None:
    """Make sure that a record on file is of the same images and settings as what is asked for.

    Args:
        path: the record.
        images: the fingerprints of the datasets there, and of those that are asked for.
        settings: what decides the results, by the names of the options: there, and as asked for.

    Raises:
        UserError: they differ, and in what.
    """
    if list(images[0]) != list(images[1]):
        raise UserError(f"{path} is about other images or vectors", "choose another `out`")
    there, asked = settings
    both = {name: (there.get(name), asked.get(name)) for name in {**asked, **there}}
    if changed := {name: pair for name, pair in both.items() if pair[0] != pair[1]}:
        raise UserError(f"{path} was made with other settings: {differing(changed)}", "choose another `out`")
