"""What the records of applications have in common: their dataset, and what a record on file must agree with."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from potstill.data import ImageDataset
from potstill.runtime.errors import UserError, differing
from potstill.runtime.lock import locked
from potstill.schema import Record
from potstill.schema.applications import LearnedDataset
from potstill.schema.shapes import kind_of

Whole = TypeVar("Whole", bound=Record)


def described(dataset: ImageDataset) -> LearnedDataset:
    """A dataset as records have it."""
    return LearnedDataset(
        name=dataset.name,
        fingerprint=dataset.fingerprint,
        train=len(dataset.train),
        test=len(dataset.test),
        kind=kind_of(dataset.shape),
    )


@contextmanager
def recording(path: Path, asked: Whole, check_earlier: Callable[[Path, Whole], None]) -> Iterator[None]:
    """Within this context a record has one writer, and there is one on file: without results, or an earlier one.

    Results on file stay until there are others, so that nothing is lost if the sets of an earlier call are refused.

    Args:
        path: the record.
        asked: what is asked for, without results.
        check_earlier: makes sure that a record on file agrees with it.

    Raises:
        UserError: it does not, or another process writes it.
    """
    with locked(path):
        check_earlier(path, asked)
        if not path.exists():
            asked.write(path)
        yield


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
