"""Telling trackers of the events of a run. One that fails is left out, and the run goes on."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar

from potstill.runtime.errors import UserError, in_one_line
from potstill.runtime.events import read_events
from potstill.runtime.files import write_json
from potstill.runtime.reading import read_toml
from potstill.schema import Record, plain
from potstill.schema.fields import Fields
from potstill.schema.manifest import Manifest
from potstill.schema.run_folder import RunPaths
from potstill.tracking import results
from potstill.tracking.base import TrackedRun, Tracker, Value
from potstill.tracking.pictures import picture_of
from potstill.tracking.registry import make_trackers

if TYPE_CHECKING:
    from potstill.schema.evaluation import Evaluation

FILE = "tracking.json"
"""In the folder of a run: by tracker, where the run is there."""
SCALARS = {"step": ("loss", "loss"), "validation": ("accuracy", "validation/accuracy")}
"""For each event with a number: its field, and what the number is called in trackers."""

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
    """

    run: str
    closed: bool


class Tracking:
    """A listener that tells trackers of a run, and a context that closes them.

        with Tracking("tensorboard", "runs/digits") as tracking:
            distill(settings, out="runs/digits", listen=tracking)

    A tracker is opened by the first event that it needs, so a run that is refused leaves nothing there. A run that was
    tracked before goes on in the same place; one that was not is told from its record, without the pictures. A tracker
    that fails is reported with one warning, and told nothing more.

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
        self._told = [_Told(name, each) for name, each in trackers.items()]
        self._earlier = _read_record(self._paths.path / FILE)
        self._recorded = {_key(event) for event in read_events(self._paths.metrics)} if self._earlier else set()
        self._settings: Mapping[str, Any] | None = None
        self._complete = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *unused: object) -> None:
        for each in self._told:
            each.close(complete=self._complete)
        with suppress(UserError):  # then the next session believes that this one was killed
            self._remember(closed=True)

    def __call__(self, event: str, fields: Mapping[str, Any]) -> None:
        """Tell the trackers of one event."""
        if event == "settings":
            self._settings = fields["settings"]
        elif event in ("start", "resume"):
            self._open(fields["iteration"])
        elif event in SCALARS:
            self._tell_scalars(event, fields)
        elif event == "validated":
            self._tell_picture(fields)
        elif event == "manifest":
            self._tell_outcome(fields["manifest"])
        elif event == "evaluation":
            self._tell_evaluation(fields["evaluation"])

    def _open(self, iteration: int | None) -> None:
        """Open all trackers, and tell each what is on record and it has not."""
        for each in self._told:
            if each.tells or each.failed:
                continue
            earlier = self._earlier.get(each.name)
            run = TrackedRun(
                folder=self._paths.path,
                name=self._paths.path.resolve().name,
                config=flat(self._settings if self._settings is not None else _stored_settings(self._paths.config)),
                earlier=None if earlier is None else earlier.run,
                killed=earlier is not None and not earlier.closed,
                iteration=iteration,
            )
            each.open(run, self._recorded)
            for event in read_events(self._paths.metrics) if each.tells else ():
                if (name := str(event.get("event"))) in SCALARS and _key(event) not in each.known:
                    each.do(lambda tracker, name=name, event=event: tracker.scalars(*_scalar(name, event)))
        self._remember(closed=False)

    def _remember(self, *, closed: bool) -> None:
        """Write down where the run is in the trackers, and whether they are closed."""
        now = {each.name: TrackerRecord(run=each.place, closed=closed) for each in self._told if each.place}
        if now and self._earlier | now != self._earlier:
            self._earlier |= now
            write_json(self._paths.path / FILE, plain(self._earlier))

    def _tell_scalars(self, event: str, fields: Mapping[str, Any]) -> None:
        for each in self._listening((event, fields["iteration"])):
            each.do(lambda tracker: tracker.scalars(*_scalar(event, fields)))

    def _tell_picture(self, fields: Mapping[str, Any]) -> None:
        iteration = fields["iteration"]
        if fields["synthetic"].holds_vectors:
            return  # there is nothing to look at
        title = f"Iteration {iteration:,}, validation accuracy {fields['accuracy']:.1%}"
        drawn = cache(lambda: picture_of(fields["synthetic"], title))
        for each in self._listening(("validation", iteration)):
            each.do(lambda tracker: tracker.picture("set", drawn(), iteration))

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
            each.do(lambda tracker: tracker.table("evaluation", results.COLUMNS, results.rows(found), iteration))
            each.do(lambda tracker: tracker.scalars(results.means(found), iteration))

    def _listening(self, key: tuple[str, int] | None = None) -> Iterable[_Told]:
        """Those that are open and, with the key of an event, have not got it before the run was killed."""
        return (each for each in self._told if each.tells and key not in each.known)


class _Told:
    """A tracker, and whether it is told anything.

    Attributes:
        place: what finds the run there again; empty until it is open.
        failed: whether it has failed.
        known: the keys of the events that it has from earlier sessions.
    """

    def __init__(self, name: str, tracker: Tracker) -> None:
        self.name, self._tracker = name, tracker
        self.place, self.failed = "", False
        self.known: set[tuple[str, int]] = set()

    @property
    def tells(self) -> bool:
        """Whether it is open and has not failed."""
        return bool(self.place) and not self.failed

    def open(self, run: TrackedRun, recorded: set[tuple[str, int]]) -> None:
        """Open it; ``recorded`` are the keys of the events that the record had before the run went on."""
        self.place = self.do(lambda tracker: _checked(tracker.open(run))) or ""
        reached = self._tracker.reached
        if run.earlier is not None:
            self.known = {key for key in recorded if reached is None or key[1] <= reached}

    def do(self, what: Callable[[Tracker], T]) -> T | None:
        """Do something with the tracker, unless it has failed before."""
        if self.failed:
            return None
        try:
            return what(self._tracker)
        except (Exception, SystemExit) as error:  # whatever it is, the run goes on
            self.failed = True
            reason = in_one_line(error) if isinstance(error, Exception) else "it ends the program"
            _log.warning("%s", f"the tracker {self.name} fails ({reason}); the run goes on without it")
            return None

    def close(self, *, complete: bool) -> None:
        """Close it, if it was opened."""
        if not self.place:
            return
        if self.failed:
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


def _scalar(event: str, fields: Mapping[str, Any]) -> tuple[dict[str, float], int]:
    """The number of an event, by its name in trackers, and its iteration."""
    field, name = SCALARS[event]
    return {name: float(fields[field])}, fields["iteration"]


def _key(event: Mapping[str, Any]) -> tuple[str, int]:
    return str(event.get("event")), event.get("iteration", 0)


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
