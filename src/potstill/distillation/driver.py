"""The driver: one loop for all methods, with time limit, checkpoints, validation, resume and events."""

from __future__ import annotations

import math
import time
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from potstill.data import ImageDataset, load_dataset
from potstill.distillation.checkpoint import Checkpoint
from potstill.distillation.following import Lead, check_ranks, follow
from potstill.distillation.memory import planned_memory
from potstill.distillation.plan import Plan, resolve
from potstill.distillation.provenance import Provenance, continued, describe_run
from potstill.distillation.run_folder import RunFolder, resumed_settings, run_to_resume
from potstill.distillation.settings import Settings
from potstill.distillation.starts import make_start
from potstill.distillation.unseen_steps import Seen, UnseenSteps
from potstill.distillation.validation import Validation
from potstill.distillation.vector_map import make_map
from potstill.engine.layout import shrinking_chunks
from potstill.inspection import inspect
from potstill.methods import Method, Problem, State, find_method
from potstill.networks import ImageShape, build_network
from potstill.runtime.bounds import check_least
from potstill.runtime.errors import Diverged, UserError, in_one_line, is_lack_of_memory
from potstill.runtime.events import Listener
from potstill.runtime.interrupts import Interrupts
from potstill.runtime.lock import locked
from potstill.runtime.machine import reset_peak_memory
from potstill.runtime.parallel import cpu_workers
from potstill.runtime.progress import Pace, Progress, silent
from potstill.runtime.ranks import ALONE, Ranks
from potstill.runtime.streams import Streams
from potstill.schema.inspection import Inspection
from potstill.schema.manifest import Manifest, Status
from potstill.schema.privacy import Privacy
from potstill.schema.vector_map import VectorMap
from potstill.synthetic import SyntheticSet

CHECKPOINT_SECONDS = 20.0
LOGGED_STEPS = 1000


@dataclass(frozen=True, kw_only=True)
class DistillationResult:
    """The result of a distillation.

    Attributes:
        synthetic: the set: the best by validation, or the last one if there was no validation.
        settings: the settings with every default filled in.
        status: how the run ended.
        folder: the folder of the run; None if nothing was written.
        privacy: what the set guarantees for the training images; None without a guarantee.
    """

    synthetic: SyntheticSet
    settings: Settings[Method]
    status: Status
    folder: Path | None
    privacy: Privacy | None = None


def distill(
    settings: Settings[Method] | Method | str,
    dataset: ImageDataset | None = None,
    *,
    out: str | Path | None = None,
    resume: bool | Literal["auto"] = False,
    time_limit: float | None = None,
    command: str = "",
    listen: Listener = lambda _event, _fields: None,
    ranks: Ranks = ALONE,
) -> DistillationResult:
    """Distil a dataset.

    Several ranks do it together: each calls this function with the same arguments, within ``joined_ranks``. Rank 0
    writes, listens and decides when to stop; all return the set. After an error they are of no more use.

    Whatever else a method or a listener raises is raised again once the run is closed: it is kept and can be resumed.

    Args:
        settings: the settings; or just a method, or the name of one, with every other setting at its default.
        dataset: the images, if they are already loaded; by default the dataset named in the settings is loaded.
        out: a new folder for the run, or the folder of the run to resume; None writes nothing.
        resume: continue the run in ``out`` with its own settings; the result is bit-identical to that of an
            uninterrupted run. ``"auto"`` continues a run if there is one, and starts one otherwise.
        time_limit: seconds after which this session stops; the run can be resumed.
        command: the command line to record in the manifest.
        listen: called with the name and the fields of every event.
        ranks: the processes that share the work of each iteration; by default this one does all of it.

    Returns:
        The set, its settings with every default filled in, and how the run ended.

    Raises:
        UserError: the settings cannot be carried out, or contradict those of the run to resume; or another process
            writes that run; or ranks do not agree, or one of them is lost.
        Diverged: the loss became infinite or NaN; the last good set is kept.
        KeyboardInterrupt: the run was interrupted; it is kept and can be resumed.
    """
    check_least("time_limit", time_limit, 0)
    settings = find_method(settings)() if isinstance(settings, str) else settings
    settings = settings if isinstance(settings, Settings) else Settings(method=settings)
    folder = RunFolder(Path(out)) if out is not None else None
    if resume == "auto":
        resume = folder is not None and folder.config.exists()
    earlier = run_to_resume(folder) if resume else None
    if earlier is not None:
        settings = resumed_settings(earlier, settings)
    if dataset is None:
        dataset = load_dataset(
            settings.dataset, choices=settings.choices, image_size=settings.image_size, zca=settings.zca
        )
    plan = resolve(replace(settings, device=ranks.device(settings.device)), dataset, time_limit)
    check_ranks(plan, dataset, ranks)
    with cpu_workers(plan.compute.device, ranks.workers), ExitStack() as closing:
        if not ranks.is_first:
            return _followed(plan, dataset, ranks)
        run = _Run(plan, dataset, folder, command, listen, ranks, closing)
        if earlier is None:
            run.begin()
        else:
            run.resume(earlier)
        return run.go(time_limit)


def log_progress(progress: Progress, name: str = "") -> Listener:
    """A listener that regularly reports the iteration and loss of a distillation, with its name if it has one."""
    pace, first, total = Pace(), 0, 0
    prefix = f"{name}: " if name else ""

    def listen(event: str, fields: dict[str, Any]) -> None:
        nonlocal pace, first, total
        if event == "doing":
            if fields["doing"] and pace.due():
                progress(f"{prefix}{fields['doing']}")
        elif event == "out of memory":
            progress(f"{prefix}{fields['words']}")
        elif event in ("start", "resume"):
            pace, first, total = Pace(), fields["iteration"], fields["total"]
        elif event == "step" and pace.due():
            left = pace.left(fields["iteration"] - first, total - first)
            progress(f"{prefix}iteration {fields['iteration']} of {total}, loss {fields['loss']:.3g}, {left}")

    return listen


def _followed(plan: Plan[Method], dataset: ImageDataset, ranks: Ranks) -> DistillationResult:
    """The result of a run that rank 0 leads, on another rank."""
    dataset = dataset.to(plan.compute.device)
    synthetic, status = follow(plan, ranks, lambda start: _problem(plan, dataset, start, ranks))
    return DistillationResult(
        synthetic=synthetic, settings=plan.settings, status=status, folder=None, privacy=plan.privacy
    )


def _problem(
    plan: Plan[Method], dataset: ImageDataset, start: SyntheticSet, ranks: Ranks, progress: Progress = silent
) -> Problem:
    return Problem(
        real=dataset.train,
        start=start,
        network=plan.network,
        streams=Streams(plan.seed).child("method"),
        compute=plan.compute,
        flips=dataset.flips,
        dataset=plan.dataset,
        dataset_fingerprint=dataset.fingerprint,
        ranks=ranks,
        progress=progress,
    )


class _Run:
    """One distillation in progress: call ``begin`` or ``resume``, then ``go``.

    From the moment when there is something to lose, Ctrl-C waits for ``go``, which closes the run after it, and after
    any error.
    """

    problem: Problem

    def __init__(
        self,
        plan: Plan[Method],
        dataset: ImageDataset,
        folder: RunFolder | None,
        command: str,
        listen: Listener,
        ranks: Ranks,
        closing: ExitStack,
    ) -> None:
        self.interrupts, self._closing = closing.enter_context(Interrupts()), closing
        self._halve_chunks = closing.enter_context(shrinking_chunks())
        self.plan, self.method, self.compute = plan, plan.method, plan.compute
        self.folder, self.command = folder, command
        self.ranks, self.lead = ranks, Lead(ranks, self.compute.device)
        self.dataset = dataset.to(self.compute.device)
        self.validation = Validation(plan, self.dataset)
        self.provenance = Provenance(plan, self.dataset)
        self._listen = listen
        self._started = datetime.now(UTC).isoformat(timespec="seconds")
        self._clock = time.monotonic()
        self._last_checkpoint = self._clock
        self._seconds_before = 0.0
        self._earlier: Manifest | None = None
        self.now = self._good = Checkpoint(state={})
        self._unseen, self._loss = UnseenSteps(self.compute.device), math.nan
        reset_peak_memory(self.compute.device)

    def begin(self) -> None:
        """Make the initial set, prepare the method, and then create the folder: a run that cannot start leaves none."""
        if self.folder is not None:
            self.folder.check_new()
        problem = self._problem(self._new_start())
        self.problem = replace(problem, start=self.method.start(problem))
        self.now = Checkpoint(state=self._prepared())
        inspection = self._inspected()
        planned = planned_memory(self.method, self.problem)
        self.interrupts.hold()
        if self.folder is not None:
            self.folder.create(self.plan.settings.to_toml(), self.problem.start)
            self._closing.enter_context(locked(self.folder.path))
        if self.plan.privacy is not None:
            self._checkpoint()  # so that no private draw is made twice
        self._mention("settings", settings=self.plan.settings.to_dict())
        self._mention("inspection", inspection=inspection)
        if planned is not None:
            self._mention("memory", planned=planned)
        self._emit("start", total=self.plan.iterations)

    def resume(self, folder: RunFolder) -> None:
        """Continue from the last checkpoint, or from the beginning if the run has no checkpoint yet."""
        self._closing.enter_context(locked(folder.path))
        self.problem = self._problem(self.provenance.checked(SyntheticSet.load(folder.start), folder.path))
        if folder.checkpoint.exists():
            loaded = Checkpoint.load(folder.checkpoint, lambda: self.method.prepare(self.problem))
            self.now = loaded.to(self.compute.device)
        else:
            self.now = Checkpoint(state=self._prepared())
        self._inspected()
        planned_memory(self.method, self.problem)
        self.interrupts.hold()
        folder.events().truncate_after(self.now.iteration, validation=self.now.validated)
        self._earlier = folder.read_manifest() if folder.manifest.exists() else None
        self._seconds_before = self.now.seconds
        if self.plan.privacy is not None and not folder.checkpoint.exists():
            self._checkpoint()  # as in ``begin``
        self._mention("settings", settings=self.plan.settings.to_dict())
        self._emit("resume", total=self.plan.iterations)

    def go(self, time_limit: float | None) -> DistillationResult:
        """Iterate to the end, or until the time limit."""
        try:
            self.interrupts.release()
            self.lead.begin(self.problem.start)
            if self.now.iteration == 0:
                self._mention("set", synthetic=self.method.result(self.problem, self.now.state))
            status = self._loop(time_limit)
            self.interrupts.hold()
        except KeyboardInterrupt:
            self._finish("interrupted")
            raise
        except UserError as error:
            self._finish_after(error)
            raise
        except Exception as error:
            self._finish_after(error)
            if not is_lack_of_memory(error):
                raise
            raise UserError(
                f"the memory of {self.compute.device} is too small for an iteration",
                "start again with a smaller `ipc` or batch, or keep less: `keep=roots`, where the method has it",
            ) from error
        chosen = self._finish(status)
        self.lead.end(chosen, status)
        return DistillationResult(
            synthetic=chosen,
            settings=self.plan.settings,
            status=status,
            folder=self.folder.path if self.folder else None,
            privacy=self.plan.privacy,
        )

    def _loop(self, time_limit: float | None) -> Status:
        total = self.plan.iterations
        log_every = max(total // LOGGED_STEPS, self._unseen.most)
        if self.validation.due(self.now):  # a validation that was interrupted
            self._validate()
        self._good, first = self.now, self.now.iteration
        self._tell("compiling" if self.compute.compile else "first iteration")
        while self.now.iteration < total:
            if time_limit is not None and self._session_seconds() > time_limit:
                self._look()
                return "time limit"
            self.lead.iterate(self.now.state, self.now.iteration)
            state, loss = self._step()
            with self.interrupts.held():  # an iteration counts with its line in the record, or not at all
                self._unseen.add(loss, state)
                iteration = self.now.iteration + 1
                self.now = replace(self.now, state=state, iteration=iteration, seconds=self._seconds())
                waited = time.monotonic() - self._last_checkpoint
                kept = self.method.checkpoints_every_iteration or waited > CHECKPOINT_SECONDS
                logged = iteration % log_every == 0 or iteration == total
                judged = self.validation.due(self.now)
                if self._unseen.due or iteration == first + 1 or logged or judged or kept:
                    self._look()
                step = self._record("step", loss=self._loss) if logged else None
            if iteration == first + 1:
                self._tell("")
            if step is not None:
                self._listen("step", step)
            if judged:
                self._validate()
            if kept:
                self._checkpoint()
        return "complete"

    def _step(self) -> tuple[State, float | Tensor]:
        """One iteration; where the device has no memory left for it, the same again in smaller chunks.

        Not with several ranks, which would wait for each other at different places, nor where a step draws in secret:
        it would be drawn again until it fits.
        """
        while True:
            try:
                return self.method.step(self.problem, self.now.state, self.now.iteration)
            except Exception as error:
                if not is_lack_of_memory(error):
                    self._look()  # the cause may lie in an earlier step that has not been checked yet
                    raise
                if self.ranks.count > 1 or self.plan.privacy is not None or not self._halve_chunks():
                    raise
            if self.compute.device.type == "cuda":
                torch.cuda.empty_cache()
            words = f"too little memory on {self.compute.device}: trying again with fewer images at a time"
            self._mention("out of memory", words=words)

    def _validate(self) -> None:
        self._tell("validating")
        synthetic = self.method.result(self.problem, self.now.state)
        accuracy = self.validation.accuracy(synthetic)
        with self.interrupts.held():
            validation = self._record("validation", accuracy=accuracy)
            self._good = self.now = self.now.judged(accuracy)
        self._listen("validation", validation)
        self._mention("validated", accuracy=accuracy, synthetic=synthetic)

    def _look(self) -> None:
        """Look at the steps since the last look.

        Raises:
            Diverged: something stopped being finite; the run is back at the last good state.
        """
        for iteration, seen in enumerate(self._unseen.look(), self._good.iteration + 1):
            if not seen.is_finite:
                self.now = self._good
                self._unseen.forget()
                raise self._diverged(iteration, seen)
            self._loss = seen.loss
        self._good = self.now
        self._unseen.forget()

    def _diverged(self, iteration: int, seen: Seen) -> Diverged:
        rate = getattr(self.method, "learning_rate", None)
        cause = "the precision is too low" if self.compute.precision == "bfloat16" else "the step is too large"
        what = ", ".join(seen.lost) or "the loss"
        return Diverged(
            f"at iteration {iteration} {what} stopped being finite (loss {seen.loss}); likely {cause}",
            f"try a smaller `learning_rate` than {rate} or `precision=float32`; the last good set is kept",
        )

    def _problem(self, start: SyntheticSet) -> Problem:
        return _problem(self.plan, self.dataset, start, self.ranks, self._tell)

    def _new_start(self) -> SyntheticSet:
        """Make the initial set, after a check that the network can be built."""
        self._tell("making the initial set")
        shape, check = ImageShape(*self.dataset.shape), Streams(self.plan.seed).generator("check")
        build_network(self.plan.network, shape, self.dataset.class_count, check)
        return replace(make_start(self.plan, self.dataset, self._tell), provenance=self.provenance.of_start())

    def _inspected(self) -> Inspection:
        """Inspect the dataset; its account, which the manifest records, gets the warnings."""
        self._tell("inspecting the dataset")
        inspection = inspect(self.dataset)
        self.dataset = replace(self.dataset, account=inspection.account)
        return inspection

    def _prepared(self) -> State:
        self._tell(f"preparing {self.method.name}")
        return self.method.prepare(self.problem)

    def _checkpoint(self) -> SyntheticSet:
        """Write the chosen set and the checkpoint, and return the set."""
        state, iteration = self.now.chosen
        chosen = replace(self.method.result(self.problem, state), provenance=self.provenance.of(iteration))
        if self.folder is not None:
            chosen.save(self.folder.synthetic)
            self.now.save(self.folder.checkpoint)
        self._last_checkpoint = time.monotonic()
        return chosen

    def _finish_after(self, error: Exception) -> None:
        """Keep what there was before an error. If that fails too, the first error is still the one to report."""
        try:
            self._finish("diverged" if isinstance(error, Diverged) else "interrupted")
        except Exception as another:
            error.add_note(f"The run could not be closed either: {in_one_line(another)}.")

    def _finish(self, status: Status) -> SyntheticSet:
        self.interrupts.hold()
        with suppress(Diverged):  # after an interrupt, some steps may not have been checked yet
            self._look()
        self.now = replace(self.now, seconds=self._seconds())
        chosen = self._checkpoint()
        if self.folder is not None:
            described = describe_run(
                self.plan,
                self.dataset,
                self.now,
                chosen,
                status=status,
                started=self._started,
                command=self.command,
                ranks=self.ranks.count,
            )
            manifest = continued(described, self._earlier)
            manifest.write(self.folder.manifest)
            self._mention("manifest", manifest=manifest)
            self._map(chosen, self.folder)
        self._mention("set", iteration=chosen.provenance["chosen_iteration"], synthetic=chosen)
        self._emit("finish", status=status, chosen_iteration=chosen.provenance["chosen_iteration"])
        return chosen

    def _map(self, chosen: SyntheticSet, folder: RunFolder) -> None:
        """Write where a set of vectors lies among real ones; with a guarantee, these may not be read."""
        if chosen.holds_vectors and self.plan.privacy is None:
            make_map(chosen, self.dataset).write(folder.path / VectorMap.FILE)

    def _emit(self, event: str, **fields: Any) -> None:
        self._listen(event, self._record(event, **fields))

    def _record(self, event: str, **fields: Any) -> dict[str, Any]:
        """Write an event into the record; returns what listeners are given of it."""
        fields = {"iteration": self.now.iteration, **fields, "seconds": round(self._seconds(), 3)}
        if self.folder is not None:
            self.folder.events().append(event, **fields)
        return fields

    def _tell(self, words: str) -> None:
        """Report what is done before and between iterations."""
        self._mention("doing", doing=words)

    def _mention(self, event: str, **fields: Any) -> None:
        """Tell the listener of an event that is not recorded."""
        self._listen(event, {"iteration": self.now.iteration, **fields, "seconds": round(self._seconds(), 3)})

    def _session_seconds(self) -> float:
        return time.monotonic() - self._clock

    def _seconds(self) -> float:
        return self._seconds_before + self._session_seconds()
