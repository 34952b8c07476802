"""A run as its page shows it: the records in its folder, read and checked against each other."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, cast

from potstill.report.images import ImageSet, read_images
from potstill.runtime.errors import UserError
from potstill.runtime.reading import read_toml
from potstill.schema import SetRecord
from potstill.schema.evaluation import Evaluation, NetworkResult, real_images_per_class
from potstill.schema.events import Trace, Traces
from potstill.schema.fields import REMEDY
from potstill.schema.manifest import Manifest
from potstill.schema.run_folder import RunPaths, not_a_run

R = TypeVar("R", bound=SetRecord)


@dataclass(frozen=True)
class Run:
    """All that a run's folder records.

    Attributes:
        paths: the files.
        manifest: how the run went.
        config: the settings, as ``config.toml`` has them.
        config_text: the same file as text.
        losses: the distillation loss, without the values that were not finite.
        validations: accuracies on the validation split, as fractions.
        after: the distilled set.
        before: the set before distillation; None if it was not kept, or if images were chosen rather than distilled.
        found: what other commands recorded about the set, by the class of the record.
        outdated: the file names of records of an earlier set, which was replaced when the run continued; they are left
            out.
        elsewhere: the file names of records that were made with another dataset than the run's; they are left out.
    """

    paths: RunPaths
    manifest: Manifest
    config: Mapping[str, Any]
    config_text: str
    losses: Trace
    validations: Trace
    after: ImageSet
    before: ImageSet | None
    found: Mapping[type[SetRecord], SetRecord]
    outdated: tuple[str, ...]
    elsewhere: tuple[str, ...]

    def record(self, kind: type[R]) -> R | None:
        """The record of a class; None if no such record was made of this set and dataset."""
        return cast("R | None", self.found.get(kind))

    @property
    def evaluation(self) -> Evaluation | None:
        """What the set is worth, if it was measured."""
        return self.record(Evaluation)

    @property
    def distilled(self) -> bool:
        """Whether the set was distilled; otherwise its images were chosen or computed in one step."""
        return self.manifest.iterations.asked > 0

    @property
    def random_images(self) -> int:
        """The number of real images that replace the set in baselines."""
        return len(self.after.members) * real_images_per_class(len(self.after), len(self.after.members))

    @property
    def headline(self) -> str | None:
        """The network whose result comes first: the one that was matched, else the first that has a result."""
        usable = {} if self.evaluation is None else self.evaluation.usable
        matched = str(self.config.get("network", ""))
        return matched if matched in usable else next(iter(usable), None)


@dataclass(frozen=True)
class Section:
    """A part of the page of a run.

    Attributes:
        name: the name of its template, ``templates/sections/NAME.html.jinja``, whose variable ``view`` is the view.
        view: makes the view of a run; returns None if there is nothing to show.
        record: the class of the record that the section shows, if it is not one of the run's own; it is read with the
            run.
    """

    name: str
    view: Callable[[Run], Any]
    record: type[SetRecord] | None = None


def load_run(path: Path, kinds: Sequence[type[SetRecord]]) -> Run:
    """Read the records of a run.

    Args:
        path: the run's folder.
        kinds: classes of records about the set; those that exist are read.

    Raises:
        UserError: a record is missing, damaged, or does not fit the others; the error names the file.
    """
    paths = RunPaths(path)
    if not paths.manifest.is_file():
        raise not_a_run(path)
    manifest = Manifest.read(paths.manifest)
    before, after = _images(paths, manifest)
    text, config = read_toml(paths.config)
    traces = Traces.read(paths.metrics)
    records = {kind: kind.read(path / kind.FILE) for kind in kinds if (path / kind.FILE).is_file()}
    for kind, record in records.items():
        if isinstance(record, Evaluation):
            _check_classes(path / kind.FILE, record, manifest.dataset.classes)
    outdated = [kind for kind, record in records.items() if record.set_sha256 != manifest.tensors_sha256]
    known = (manifest.dataset.fingerprint, "")
    elsewhere = [kind for kind, record in records.items() if record.dataset_fingerprint not in known]
    elsewhere = [kind for kind in elsewhere if kind not in outdated]
    return Run(
        paths=paths,
        manifest=manifest,
        config=config,
        config_text=text,
        losses=traces.losses,
        validations=traces.validations,
        after=after,
        before=before,
        found={kind: record for kind, record in records.items() if kind not in (*outdated, *elsewhere)},
        outdated=tuple(kind.FILE for kind in outdated),
        elsewhere=tuple(kind.FILE for kind in elsewhere),
    )


def _images(paths: RunPaths, manifest: Manifest) -> tuple[ImageSet | None, ImageSet]:
    """The set before distillation, where there was one, and after it."""
    after = read_images(paths.synthetic)
    if len(after.class_names) != manifest.dataset.classes or after.pixels.shape[1:] != manifest.dataset.shape:
        raise UserError(
            f"{paths.synthetic} does not fit {paths.manifest}: shape or classes differ", "restore the files of one run"
        )
    if after.tensors_sha256 != manifest.tensors_sha256:
        raise UserError(
            f"{paths.manifest} is of another set: the run was continued and killed before its manifest was updated",
            f"continue the run: potstill distill --out {paths.path} --resume",
        )
    if not paths.start.is_file() or not manifest.iterations.asked:
        return None, after  # images that were chosen rather than distilled have no state before
    before = read_images(paths.start)
    if before.pixels.shape != after.pixels.shape:
        raise UserError(f"{paths.start} has other images than {paths.synthetic}", "restore the files of one run")
    return before, after


def _check_classes(file: Path, evaluation: Evaluation, classes: int) -> None:
    """Make sure that the confusion matrices of an evaluation have as many classes as the set."""
    tables: dict[str, Mapping[str, NetworkResult]] = {"networks": evaluation.networks}
    tables |= {f"baselines.{name}": results for name, results in evaluation.baselines.items()}
    for place, results in tables.items():
        for network, result in results.items():
            if len(result.confusion) not in (0, classes):
                problem = f"{place}.{network}.confusion is not a table of {classes} × {classes} counts"
                raise UserError(f"{file}: {problem}", REMEDY)
