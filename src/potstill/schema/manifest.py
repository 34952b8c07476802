"""``manifest.json``: how a distillation went."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

from potstill.schema import Record
from potstill.schema.fields import Amount, Count, Positive

Status = Literal["complete", "interrupted", "time limit", "diverged"]


@dataclass(frozen=True, kw_only=True)
class MethodRecord(Record):
    """The method and its paper.

    Attributes:
        name: of the method.
        title: of the paper.
        citation: its BibTeX entry; empty for a method without one.
        url: where to read it; may be empty.
    """

    name: str
    title: str
    citation: str = ""
    url: str = ""


@dataclass(frozen=True, kw_only=True)
class DatasetRecord(Record):
    """What was distilled.

    Attributes:
        name: in records.
        fingerprint: of its images and labels.
        shape: (C, H, W) of one image.
        classes: how many.
        train: training images.
        validation: validation images.
        test: test images.
    """

    name: str
    fingerprint: str
    shape: tuple[Positive, Positive, Positive]
    classes: Count
    train: Count
    validation: Count
    test: Count

    @property
    def train_bytes(self) -> int:
        """The training images as 8-bit pixels."""
        return self.train * math.prod(self.shape)


@dataclass(frozen=True, kw_only=True)
class Iterations(Record):
    """Iterations that were done, and asked for; both 0 where images are chosen rather than distilled."""

    done: Count
    asked: Count


@dataclass(frozen=True, kw_only=True)
class ComputeRecord(Record):
    """Device, precision and whether networks were compiled."""

    device: str
    precision: str
    compile: bool


@dataclass(frozen=True, kw_only=True)
class Manifest(Record):
    """How a run went.

    Attributes:
        method: the method and its paper.
        dataset: what was distilled.
        seed: for all random draws.
        iterations: done and asked for.
        chosen_iteration: the iteration whose set is kept; None in records that do not tell it.
        seconds: spent, over all sessions.
        peak_memory_bytes: the largest of all sessions; 0 where the system does not tell it.
        set_bytes: the size of the set.
        tensors_sha256: of the set's tensors.
        machine: processor, cores, accelerator, system and versions.
        compute: device, precision and compilation.
        status: how the last session ended.
        started: when the first session did, in ISO 8601.
        command: of the first session; empty for a run that was started from Python.
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
