"""Telling trackers of the events of a run. One that fails is left out, and the run goes on."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar

from potstill.runtime.errors import UserError
from potstill.runtime.files import write_json
from potstill.runtime.reading import read_toml
from potstill.schema import Record, plain
from potstill.schema.events import Traces
from potstill.schema.fields import Fields
from potstill.schema.manifest import Manifest
from potstill.schema.run_folder import RunPaths
from potstill.tracking import results
from potstill.tracking.base import TrackedRun, Tracker, Value, reason, without_secrets
from potstill.tracking.pictures import picture_of
from potstill.tracking.registry import make_trackers

if TYPE_CHECKING:
    from potstill.schema.evaluation import Evaluation

FILE = "tracking.json"
"""In the folder of a run: by tracker, where the run is there."""
SCALARS = {"step": ("loss", "loss"), "validation": ("accuracy", "validation/accuracy")}
"""For each event with a number: its field, and what the number is called in trackers."""
PICTURE = "picture"
"""What stands for the pictures beside the events with numbers."""

PLACE = re.compile(r"(?!\.{1,2}$)[^/\\\x00-\x1f]{1,200}")
"""What finds a run in a tracker again: trackers make names of files of it, and it may come from anyone's folder."""

T = TypeVar("T")
_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class TrackerRecord(Record):
    """Where a run is in a tracker.

    Attributes:
        run: what finds it there again.
        closed: whether the last session has closed the tracker; otherwise it was killed, or goes on.
        told: by event, the last iteration of which it was told.
        where: what holds the run, such as a server and a project.
    """

    run: str
    closed: bool
    told: Mapping[str, int]
    where: Mapping[str, str] = field(default_factory=dict)

    def is_at(self, where: Mapping[str, str]) -> bool:
        """Whether a tracker that keeps its runs there has this one."""
        return all(not place or self.where.get(name, place) == place for name, place in where.items())


class Tracking:
    """A listener that tells trackers of a run, and a context that closes them.

        with Tracking("tensorboard", "runs/digits") as tracking:
            distill(settings, out="runs/digits", listen=tracking)

    A tracker is opened by the first event that it needs, so a run that is refused leaves nothing there. A run that was
    tracked before goes on in the same place. What a tracker was not told in earlier sessions is told from the record,
    which has no pictures. A tracker that fails is reported with one warning, and told nothing more in this session.

    Args:
        trackers: names, as for ``make_trackers``; or trackers by name, from there.
        folder: the folder of the run, new or not.

    Raises:
        UserError: a tracker cannot be used, or what the folder keeps of the run is damaged.
    """

    def __init__(self, trackers: str | Sequence[str] | Mapping[str, Tracker], folder: str | Path) -> None:
        if not isinstance(trackers, Mapping):
            trackers = make_trackers([trackers] if isinstance(trackers, str) else trackers)
        self._paths = RunPaths(Path(folder))
        self._told = [_Listener(name, each) for name, each in trackers.items()]
        self._earlier = _read_record(self._paths.path / FILE)
        _recorded(self._paths.metrics)  # so that a damaged one is refused before anything runs
        self._remembers = True
        self._settings: Mapping[str, Any] | None = None
        self._complete = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *unused: object) -> None:
        for each in self._told:
            each.close(complete=self._complete)
        self._remember(closed=True)

    def __call__(self, event: str, fields: Mapping[str, Any]) -> None:
        """Tell the trackers of one event."""
        try:
            self._tell(event, fields)
        except UserError as error:  # the record of the run is damaged: that is not a reason to stop the run
            _log.warning("%s", f"trackers do not receive everything ({error.problem})")

    def _tell(self, event: str, fields: Mapping[str, Any]) -> None:
        if event == "settings":
            self._settings = fields["settings"]
        elif event in ("start", "resume"):
            self._open(fields["iteration"])
        elif event in SCALARS:
            self._tell_scalars(event, fields)
        elif event in ("set", "validated"):
            self._tell_picture(fields)
        elif event == "manifest":
            self._tell_outcome(fields["manifest"])
        elif event == "evaluation":
            self._tell_evaluation(fields["evaluation"])

    def _open(self, iteration: int | None) -> None:
        """Open all trackers, and tell each what is on record and it has not."""
        settings = self._settings if self._settings is not None else _stored_settings(self._paths.config)
        recorded = _recorded(self._paths.metrics)
        run = TrackedRun(
            folder=self._paths.path, name=self._paths.path.resolve().name, config=flat(settings), iteration=iteration
        )
        for each in self._told:
            if each.tells or each.failed:
                continue
            each.open(run, self._earlier.get(each.name))
            self._remember(closed=False)
            for event, number, value in recorded:
                self._tell_number(each, event, number, value)

    def _remember(self, *, closed: bool) -> None:
        """Write down where the run is in the trackers, what they were told, and whether they are closed."""
        now = {each.name: replace(each.record, closed=closed) for each in self._told if each.place}
        if not self._remembers or not now or self._earlier | now == self._earlier:
            return
        self._earlier |= now
        try:
            write_json(self._paths.path / FILE, plain(self._earlier), durable=closed)
        except UserError as error:
            self._remembers = False
            _log.warning("%s", f"{error.problem}; when this run is tracked again, trackers will receive things twice")

    def _tell_number(self, told: _Listener, event: str, iteration: int, value: float) -> None:
        """Tell a tracker a number, unless it has it, and write that down."""
        _, name = SCALARS[event]
        if told.tell(event, iteration, lambda tracker: tracker.scalars({name: value}, iteration)):
            self._remember(closed=False)

    def _tell_scalars(self, event: str, fields: Mapping[str, Any]) -> None:
        field, _ = SCALARS[event]
        for each in self._told:
            self._tell_number(each, event, fields["iteration"], float(fields[field]))

    def _tell_picture(self, fields: Mapping[str, Any]) -> None:
        iteration = fields["iteration"]
        if fields["synthetic"].holds_vectors:
            return  # there is nothing to look at
        title = f"Iteration {iteration:,}" if iteration else "Before the first iteration"
        title += f", validation accuracy {fields['accuracy']:.1%}" if "accuracy" in fields else ""
        drawn = cache(lambda: picture_of(fields["synthetic"], title))
        for each in self._told:
            if each.tell(PICTURE, iteration, lambda tracker: tracker.picture("set", drawn(), iteration)):
                self._remember(closed=False)

    def _tell_outcome(self, manifest: Manifest) -> None:
        self._complete = manifest.status == "complete"
        values = flat(
            {
                "status": manifest.status,
                "iterations": manifest.iterations.done,
                "chosen_iteration": manifest.chosen_iteration,
                "seconds": manifest.seconds,
                "peak_memory_bytes": manifest.peak_memory_bytes,
                "set_bytes": manifest.set_bytes,
                "set_sha256": manifest.tensors_sha256,
                "dataset_fingerprint": manifest.dataset.fingerprint,
                "compute": manifest.compute.to_json(),
                "machine": manifest.machine,
            }
        )
        for each in self._listening():
            each.do(lambda tracker: tracker.outcome(values))

    def _tell_evaluation(self, found: Evaluation) -> None:
        self._open(None)
        manifest = Manifest.read(self._paths.manifest) if self._paths.manifest.exists() else None
        self._complete = manifest is None or manifest.status == "complete"
        iteration = 0 if manifest is None else manifest.chosen_iteration or 0  # that of the set
        for each in self._listening():
            each.do(lambda tracker: tracker.table(results.name(found), results.COLUMNS, results.rows(found), iteration))
            each.do(lambda tracker: tracker.scalars(results.means(found), iteration))

    def _listening(self) -> Iterable[_Listener]:
        """Those that are open."""
        return (each for each in self._told if each.tells)


class _Listener:
    """A tracker, and what it has heard so far.

    Attributes:
        place: what finds the run there again; empty until it is open.
        failed: whether it has failed.
    """

    def __init__(self, name: str, tracker: Tracker) -> None:
        self.name, self._tracker = name, tracker
        self.place, self.failed = "", False
        self._begun = False
        self._told: dict[str, int] = {}
        self._where: dict[str, str] = {}

    @property
    def tells(self) -> bool:
        """Whether it is open and has not failed."""
        return bool(self.place) and not self.failed

    @property
    def record(self) -> TrackerRecord:
        """Where the run is there, and what it was told."""
        return TrackerRecord(run=self.place, closed=False, told=dict(self._told), where=dict(self._where))

    def open(self, run: TrackedRun, earlier: TrackerRecord | None) -> None:
        """Open it; ``earlier`` is where the run was there in the session before."""
        self._begun = True
        self.do(lambda tracker: self._open(tracker, run, earlier))

    def _open(self, tracker: Tracker, run: TrackedRun, earlier: TrackerRecord | None) -> None:
        where = {name: without_secrets(place) if "://" in place else place for name, place in tracker.where().items()}
        if earlier is not None and not earlier.is_at(where):
            earlier = None
        if earlier is not None:
            run = replace(run, earlier=earlier.run, killed=not earlier.closed)
            where = {**where, **{name: place for name, place in earlier.where.items() if not where.get(name)}}
        place = _checked(tracker.open(run))
        if earlier is not None:
            self._told = {event: _least(last, tracker.reached) for event, last in earlier.told.items()}
        self.place, self._where = place, where

    def tell(self, event: str, iteration: int, what: Callable[[Tracker], None]) -> bool:
        """Do something for an event, unless the tracker is not open or has that event; whether it was done."""
        if not self.tells or iteration <= self._told.get(event, -1):
            return False
        self.do(what)
        if not self.failed:
            self._told[event] = iteration
        return not self.failed

    def do(self, what: Callable[[Tracker], T]) -> T | None:
        """Do something with the tracker, unless it has failed before."""
        if self.failed:
            return None
        try:
            return what(self._tracker)
        except (Exception, SystemExit) as error:  # the run continues whatever a tracker raises
            self.failed = True
            _log.warning("%s", f"the tracker {self.name} failed ({reason(error)}); the run continues without it")
            return None

    def close(self, *, complete: bool) -> None:
        """Close it, if it was opened, completely or in part."""
        if not self._begun:
            return
        if self.failed or not self.place:
            with suppress(Exception, SystemExit):
                self._tracker.close(complete=False)
        else:
            self.do(lambda tracker: tracker.close(complete=complete))


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Value]:
    """Nested values by name, such as ``method.name``; lists as text, and without None."""
    found: dict[str, Value] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            found |= flat(value, f"{prefix}{name}.")
        elif value is not None:
            found[prefix + name] = value if isinstance(value, str | int | float) else str(value)
    return found


def _checked(place: str) -> str:
    if not PLACE.fullmatch(place):
        raise ValueError(f"{place!r} cannot be the number of a run")
    return place


def _least(last: int, reached: int | None) -> int:
    if reached is not None and type(reached) is not int:
        raise TypeError(f"reached is {reached!r}, not an iteration")
    return last if reached is None else min(last, reached)


def _recorded(metrics: Path) -> list[tuple[str, int, float]]:
    """The numbers on record, in order: event, iteration and value.

    Raises:
        UserError: a line is damaged.
    """
    traces = Traces.read(metrics)
    both = {"step": traces.losses, "validation": traces.validations}
    found = [
        (event, int(iteration), value)
        for event, trace in both.items()
        for iteration, value in zip(trace.iterations, trace.values, strict=True)
    ]
    return sorted(found, key=lambda each: each[1])


def _stored_settings(config: Path) -> Mapping[str, Any]:
    return read_toml(config)[1] if config.exists() else {}


def _read_record(path: Path) -> dict[str, TrackerRecord]:
    """Where a run is, by tracker.

    Raises:
        UserError: the file is damaged.
    """
    if not path.exists():
        return {}
    fields = Fields.of_file(path)
    found = {name: TrackerRecord.from_json(fields.part(name)) for name in fields.values}
    if not all(PLACE.fullmatch(each.run) for each in found.values()):
        raise UserError(f"{path} does not say which runs of which trackers belong to this run", "delete that file")
    return found
