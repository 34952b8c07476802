"""``manifest.json``: the outcome of a distillation, and what identifies it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

from potstill.runtime.text import visible
from potstill.schema import Record
from potstill.schema.account import Account
from potstill.schema.fields import Amount, Count, Positive
from potstill.schema.privacy import Privacy
from potstill.schema.shapes import bytes_of, is_vector
from potstill.schema.words import channels_in_words, counted

Status = Literal["complete", "interrupted", "time limit", "diverged"]


@dataclass(frozen=True, kw_only=True)
class MethodRecord(Record):
    """The method and its paper.

    Attributes:
        name: the name of the method.
        title: the title of the paper.
        citation: the BibTeX entry of the paper; empty for a method without one.
        url: the web address of the paper; may be empty.
    """

    name: str
    title: str
    citation: str = ""
    url: str = ""


@dataclass(frozen=True, kw_only=True)
class DatasetRecord(Record):
    """The dataset that was distilled.

    Attributes:
        name: its name in records.
        fingerprint: a hash of its images and labels.
        shape: (C, H, W) of one image.
        classes: the number of classes.
        train: the number of training images.
        validation: the number of validation images.
        test: the number of test images.
        account: how the dataset was understood; None in older records.
    """

    name: str
    fingerprint: str
    shape: tuple[Positive, Positive, Positive]
    classes: Count
    train: Count
    validation: Count
    test: Count
    account: Account | None = None

    @property
    def train_bytes(self) -> int:
        """The size of the training images as 8-bit pixels, of vectors as 32-bit numbers."""
        return self.train * bytes_of(self.shape)

    @property
    def images(self) -> int:
        """The number of images in all splits."""
        return self.train + self.validation + self.test

    @property
    def title(self) -> str:
        """The dataset in a phrase: its name, the number of images and classes, their size and colour."""
        channels, height, width = self.shape
        if is_vector(self.shape):
            vectors = counted(self.images, "vector")
            return visible(f"{self.name}: {vectors} of {self.classes:,} classes, {channels:,} numbers each")
        return visible(
            f"{self.name}: {counted(self.images, 'image')} of {self.classes:,} classes, {width}×{height}, "
            f"{channels_in_words(channels)}"
        )

    def lines(self) -> list[str]:
        """The dataset in a few lines: the phrase, and how it was understood."""
        return [self.title, *(f"  {line}" for line in (self.account.lines() if self.account else []))]


@dataclass(frozen=True, kw_only=True)
class Iterations(Record):
    """Iterations that were done, and that were requested; both 0 if images were chosen rather than distilled."""

    done: Count
    asked: Count


@dataclass(frozen=True, kw_only=True)
class ComputeRecord(Record):
    """Device, precision, whether networks were compiled, and how many processes shared the work.

    With several, seconds and memory are those of rank 0.
    """

    device: str
    precision: str
    compile: bool
    ranks: Count = 1


@dataclass(frozen=True, kw_only=True)
class Manifest(Record):
    """The outcome of a run, and what identifies it.

    Attributes:
        method: the method and its paper.
        dataset: the dataset that was distilled.
        seed: seed for all random draws.
        iterations: iterations done and requested.
        chosen_iteration: the iteration whose set is kept; None in older records.
        seconds: the time of all sessions together.
        peak_memory_bytes: the peak memory of all sessions; 0 if it is not available.
        set_bytes: the size of the set.
        tensors_sha256: the SHA-256 of the set's tensors.
        machine: processor, cores, accelerator, system and versions.
        compute: device, precision and compilation.
        status: how the last session ended.
        started: when the first session started, in ISO 8601.
        command: the command line of the first session; empty for a run that was started from Python.
        privacy: what the set guarantees for the training images; None without a guarantee, and in older records.
    """

    SCHEMA: ClassVar[int | None] = 1

    method: MethodRecord
    dataset: DatasetRecord
    seed: int
    iterations: Iterations
    chosen_iteration: Count | None = None
    seconds: Amount
    peak_memory_bytes: Count
    set_bytes: Count
    tensors_sha256: str
    machine: Mapping[str, str | int]
    compute: ComputeRecord
    status: Status
    started: str
    command: str
    privacy: Privacy | None = None
