"""A run, or a set without one, as its page shows it: the records in its folder, checked against each other."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
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
from potstill.schema.set_file import IMPORTED, SetMetadata, made_by
from potstill.synthetic.hub import PREFIX, SET_FILE
from potstill.synthetic.place import SetPlace, find_set

R = TypeVar("R", bound=SetRecord)


@dataclass(frozen=True)
class Run:
    """All that a run's folder records; of a set that is not in the folder of a run, what there is of it.

    Attributes:
        name: how the set is named on the command line.
        paths: the files.
        manifest: how the run went; None of an imported set, or one on the hub.
        config: the settings, as ``config.toml`` has them; empty without a run.
        config_text: the same file as text.
        losses: the distillation loss, without the values that were not finite.
        validations: accuracies on the validation split, as fractions.
        after: the set.
        before: the set before distillation; None if it was not kept, or if images were chosen rather than distilled.
        found: what other commands recorded about the set, by the class of the record.
        outdated: the file names of records of an earlier set, which was replaced when the run continued; they are left
            out.
        elsewhere: the file names of records that were made with another dataset than the run's; they are left out.
    """

    name: str
    paths: RunPaths
    manifest: Manifest | None
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
        return self.manifest is not None and self.manifest.iterations.asked > 0

    @property
    def method(self) -> str:
        """The method that made the set; empty if it is not recorded."""
        return self.manifest.method.name if self.manifest is not None else made_by(self.after.provenance) or ""

    @property
    def origin(self) -> str:
        """Where the set is from, to stand after its images: ``distilled``, ``by METHOD``, ``imported``, or nothing."""
        if self.distilled or self.method == IMPORTED:
            return "distilled" if self.distilled else IMPORTED
        return f"by {self.method}" if self.method else ""

    @property
    def dataset(self) -> str:
        """The dataset that the set stands for; empty if it is not recorded."""
        recorded = self.after.provenance.get("dataset")
        return self.manifest.dataset.name if self.manifest is not None else str(recorded or "")

    @property
    def dataset_fingerprint(self) -> str:
        """The fingerprint of that dataset; empty if it is not recorded."""
        recorded = self.after.provenance.get("dataset_fingerprint")
        return self.manifest.dataset.fingerprint if self.manifest is not None else str(recorded or "")

    @property
    def train(self) -> int | None:
        """The number of training images; None if it is not recorded."""
        return None if self.manifest is None else self.manifest.dataset.train

    @property
    def test(self) -> int | None:
        """The number of test images; None if it is not recorded."""
        if self.manifest is not None:
            return self.manifest.dataset.test
        usable = () if self.evaluation is None else self.evaluation.usable.values()
        tested = [sum(map(sum, result.confusion)) // result.repeats for result in usable if result.confusion]
        return tested[0] if tested else None

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


def load_run(name: str | Path, kinds: Sequence[type[SetRecord]]) -> Run:
    """Read the records of a run, or of a set without one.

    Args:
        name: the folder of a run or of an imported set, or ``hf:OWNER/NAME``.
        kinds: classes of records about the set; those that exist are read.

    Raises:
        UserError: a record is missing, damaged, or does not fit the others, and the error names the file; or the set
            has no folder of its own, or cannot be had from the hub.
    """
    place = _place(name)
    paths, manifest = RunPaths(place.path), None
    if place.run is not None and (paths.manifest.is_file() or paths.config.is_file()):
        if not paths.manifest.is_file():
            raise not_a_run(place.path)
        manifest = Manifest.read(paths.manifest)
    before, after = (None, read_images(place.file)) if manifest is None else _images(paths, manifest)
    text, config = ("", {}) if manifest is None else read_toml(paths.config)
    traces = Traces.read(paths.metrics)
    records = {kind: kind.read(path) for kind in kinds if (path := paths.path / kind.FILE).is_file()}
    for kind, record in records.items():
        if isinstance(record, Evaluation):
            _check_classes(paths.path / kind.FILE, record, len(after.class_names))
    run = Run(
        name=str(name) if place.run is None else str(place.path),
        paths=paths,
        manifest=manifest,
        config=config,
        config_text=text,
        losses=traces.losses,
        validations=traces.validations,
        after=after,
        before=before,
        found={},
        outdated=(),
        elsewhere=(),
    )
    outdated = [kind for kind, record in records.items() if record.set_sha256 != after.tensors_sha256]
    known = (run.dataset_fingerprint, "")
    elsewhere = [kind for kind, record in records.items() if any(known) and record.dataset_fingerprint not in known]
    elsewhere = [kind for kind in elsewhere if kind not in outdated]
    return replace(
        run,
        found={kind: record for kind, record in records.items() if kind not in (*outdated, *elsewhere)},
        outdated=tuple(kind.FILE for kind in outdated),
        elsewhere=tuple(kind.FILE for kind in elsewhere),
    )


def _place(name: str | Path) -> SetPlace:
    """Where the set of a page is.

    Raises:
        UserError: there is no set, or it is a file beside others.
    """
    paths = RunPaths(Path(name))
    if paths.manifest.is_file():  # for a run without its set, the missing set is what to report
        return SetPlace(paths.path, paths.synthetic)
    if not str(name).startswith(PREFIX) and not paths.path.exists():
        raise not_a_run(paths.path)
    place = find_set(name)
    if place.path == place.file:
        SetMetadata.of_file(place.file)  # raises for a file that is not a set
        raise UserError(
            f"{name} is a file, and its page needs a folder of its own",
            f"name the folder of a run, or put the file into a new folder as {SET_FILE}",
        )
    return place


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
