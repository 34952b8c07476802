"""The records of a run, read and checked."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from potstill.report.fields import Fields
from potstill.report.images import ImageSet, read_images
from potstill.report.robustness import Robustness, read_robustness
from potstill.report.scores import Evaluation, read_evaluation
from potstill.report.search import Search, read_search
from potstill.runtime.errors import UserError
from potstill.runtime.events import read_events

STATUSES = ("complete", "interrupted", "time limit", "diverged")


Record = Evaluation | Robustness | Search
"""What other commands find about a set."""

M = TypeVar("M", bound=Record)


@dataclass(frozen=True)
class MethodRecord:
    """The method and its paper; ``citation`` and ``url`` are empty for a method without one."""

    name: str
    title: str
    citation: str
    url: str


@dataclass(frozen=True)
class DatasetRecord:
    """What was distilled; ``shape`` is (C, H, W) of one image."""

    name: str
    fingerprint: str
    shape: tuple[int, int, int]
    classes: int
    train: int
    validation: int
    test: int

    @property
    def train_bytes(self) -> int:
        """The training images as 8-bit pixels."""
        return self.train * math.prod(self.shape)


@dataclass(frozen=True)
class Manifest:
    """How a run went: ``manifest.json``."""

    method: MethodRecord
    dataset: DatasetRecord
    seed: int
    iterations_done: int
    iterations_asked: int
    chosen_iteration: int | None
    seconds: float
    peak_memory_bytes: int
    set_bytes: int
    tensors_sha256: str
    machine: Mapping[str, str]
    compute: Mapping[str, str]
    status: str
    started: str
    command: str


@dataclass(frozen=True)
class Trace:
    """A quantity by iteration."""

    iterations: tuple[float, ...]
    values: tuple[float, ...]


@dataclass(frozen=True)
class Run:
    """All that a run's folder records.

    Attributes:
        path: the folder.
        manifest: how it went.
        config: the settings, as ``config.toml`` has them.
        config_text: the same file as text.
        losses: the distillation loss, without the values that were not finite.
        validations: accuracies on the validation split, as fractions.
        after: the distilled set.
        before: the set before distillation, where it was kept and there was any.
        evaluation: what the set is worth, if it was measured.
        robustness: its robust scores, if they were measured.
        search: an architecture search with it, if there was one.
        outdated: the names of records of an earlier set, which was replaced when the run went on; they are left out.
        elsewhere: the names of records that were made with another dataset than the run's; they are left out too.
    """

    path: Path
    manifest: Manifest
    config: Mapping[str, Any]
    config_text: str
    losses: Trace
    validations: Trace
    after: ImageSet
    before: ImageSet | None
    evaluation: Evaluation | None
    robustness: Robustness | None
    search: Search | None
    outdated: tuple[str, ...]
    elsewhere: tuple[str, ...]


def read_run(path: Path) -> Run:
    """Read the records of the run in the folder ``path``.

    Raises:
        UserError: a record is missing, damaged, or does not fit the others; the error names the file.
    """
    if not (path / "manifest.json").is_file():
        raise UserError(
            f"{path} is not the folder of a finished run: it has no manifest.json",
            "name a folder that potstill distill wrote",
        )
    manifest = _read_manifest(path / "manifest.json")
    after = read_images(path / "synthetic.safetensors")
    if len(after.class_names) != manifest.dataset.classes or after.pixels.shape[1:] != manifest.dataset.shape:
        raise UserError(
            f"{path / 'synthetic.safetensors'} does not fit {path / 'manifest.json'}: shape or classes differ",
            "restore the files of one run",
        )
    if after.tensors_sha256 != manifest.tensors_sha256:
        raise UserError(
            f"{path / 'manifest.json'} is of another set: the run went on and was killed before it could renew it",
            f"go on with the run: potstill distill --out {path} --resume",
        )
    start = path / "checkpoint" / "start.safetensors"
    # What was chosen rather than distilled has nothing that it was before.
    before = read_images(start) if start.is_file() and manifest.iterations_asked else None
    if before is not None and before.pixels.shape != after.pixels.shape:
        raise UserError(
            f"{start} has other images than {path / 'synthetic.safetensors'}", "restore the files of one run"
        )
    text, config = _read_config(path / "config.toml")
    evaluation = _read_if_there(path / "evaluation.json", lambda file: read_evaluation(file, manifest.dataset.classes))
    robustness = _read_if_there(path / "robustness.json", read_robustness)
    search = _read_if_there(path / "search.json", read_search)

    def of_this_set(record: Record) -> bool:
        return record.set_sha256 == manifest.tensors_sha256

    def of_this_dataset(record: Record) -> bool:
        return record.dataset_fingerprint in (manifest.dataset.fingerprint, "")

    def current(record: M | None) -> M | None:
        return record if record is not None and of_this_set(record) and of_this_dataset(record) else None

    there: dict[str, Record] = {
        f"{name}.json": record
        for name, record in (("evaluation", evaluation), ("robustness", robustness), ("search", search))
        if record is not None
    }
    return Run(
        path=path,
        manifest=manifest,
        config=config,
        config_text=text,
        losses=_read_trace(path / "metrics.jsonl", "step", "loss"),
        validations=_read_trace(path / "metrics.jsonl", "validation", "accuracy"),
        after=after,
        before=before,
        evaluation=current(evaluation),
        robustness=current(robustness),
        search=current(search),
        outdated=tuple(name for name, record in there.items() if not of_this_set(record)),
        elsewhere=tuple(name for name, record in there.items() if of_this_set(record) and not of_this_dataset(record)),
    )


def _read_if_there(file: Path, read: Callable[[Path], M]) -> M | None:
    return read(file) if file.is_file() else None


def _read_manifest(file: Path) -> Manifest:
    fields = Fields.of_record(file, 1)
    if fields.text("status") not in STATUSES:
        fields.refuse("status", f"one of {', '.join(STATUSES)}")
    method, iterations = fields.part("method"), fields.part("iterations")
    return Manifest(
        method=MethodRecord(
            name=method.text("name"),
            title=method.text("title"),
            citation=method.text("citation") if "citation" in method else "",
            url=method.text("url") if "url" in method else "",
        ),
        dataset=_read_dataset(fields.part("dataset")),
        seed=fields.integer("seed"),
        iterations_done=iterations.whole("done"),
        iterations_asked=iterations.whole("asked"),
        chosen_iteration=fields.whole("chosen_iteration") if "chosen_iteration" in fields else None,
        seconds=fields.number("seconds"),
        peak_memory_bytes=fields.whole("peak_memory_bytes"),
        set_bytes=fields.whole("set_bytes"),
        tensors_sha256=fields.text("tensors_sha256"),
        machine=fields.part("machine").texts(),
        compute=fields.part("compute").texts(),
        status=fields.text("status"),
        started=fields.text("started"),
        command=fields.text("command"),
    )


def _read_dataset(fields: Fields) -> DatasetRecord:
    shape = fields.numbers("shape")
    if len(shape) != 3 or not all(side >= 1 and side == int(side) for side in shape):
        fields.refuse("shape", "[channels, height, width]")
    return DatasetRecord(
        name=fields.text("name"),
        fingerprint=fields.text("fingerprint"),
        shape=(int(shape[0]), int(shape[1]), int(shape[2])),
        **{name: fields.whole(name) for name in ("classes", "train", "validation", "test")},
    )


def _read_config(file: Path) -> tuple[str, dict[str, Any]]:
    try:
        text = file.read_text(encoding="utf-8")
        return text, tomllib.loads(text)
    except OSError as error:
        raise UserError(f"cannot read {file}: {error.strerror or error}", "restore the file") from error
    except ValueError as error:
        raise UserError(f"{file} is not valid TOML: {error}", "restore the file") from error


def _read_trace(file: Path, event: str, quantity: str) -> Trace:
    """A quantity of the events of one kind; values that are not finite are left out."""
    points = []
    for number, record in enumerate(read_events(file), start=1):
        fields = Fields.of(file, record, f"line {number}.")
        value = fields.values.get(quantity)
        if fields.values.get("event") != event or value is None:
            continue
        if not isinstance(value, int | float) or isinstance(value, bool):
            fields.refuse(quantity, "a number")
        if math.isfinite(value):
            points.append((fields.whole("iteration"), value))
    return Trace(tuple(float(iteration) for iteration, _ in points), tuple(float(value) for _, value in points))
