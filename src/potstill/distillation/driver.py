"""The driver: one loop for every method, with budget, checkpoints, validation, resume and events."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from potstill.data import ImageDataset, load_dataset
from potstill.distillation.run_folder import Checkpoint, RunFolder
from potstill.distillation.settings import Settings, differing, recorded_method
from potstill.engine.trainer import Trainer
from potstill.evaluation import make_trainer, validation_accuracy
from potstill.experts.teacher import Teacher
from potstill.methods import Method, Problem, State, method_name
from potstill.networks import ImageShape, build_network
from potstill.runtime.compute import Compute
from potstill.runtime.errors import Diverged, UserError
from potstill.runtime.files import sha256_of_files
from potstill.runtime.machine import describe_machine, peak_memory_bytes, reset_peak_memory
from potstill.runtime.parallel import cpu_workers
from potstill.runtime.progress import Pace, Progress, silent
from potstill.runtime.streams import Streams
from potstill.schema.manifest import ComputeRecord, DatasetRecord, Iterations, Manifest, MethodRecord, Status
from potstill.selection import SELECTIONS, random_indices
from potstill.synthetic import SyntheticSet

CHECKPOINT_SECONDS = 20.0
LOGGED_STEPS = 1000

Listener = Callable[[str, dict[str, Any]], None]


@dataclass(frozen=True, kw_only=True)
class DistillationResult:
    """What a distillation leaves.

    Attributes:
        synthetic: the set: the best by validation, or the last where none was validated.
        settings: resolved.
        status: how it ended.
        folder: where it is kept; None if nowhere.
    """

    synthetic: SyntheticSet
    settings: Settings[Method]
    status: Status
    folder: Path | None


def distill(
    settings: Settings[Method] | Method,
    dataset: ImageDataset | None = None,
    *,
    out: str | Path | None = None,
    resume: bool = False,
    time_limit: float | None = None,
    command: str = "",
    listen: Listener = lambda event, fields: None,
) -> DistillationResult:
    """Distil a dataset.

    Args:
        settings: what to do, or just a method with everything else by default.
        dataset: already loaded; by default what the settings name is loaded.
        out: a new folder for the run; None keeps nothing.
        resume: go on with the run in ``out``, with its own settings; it ends bit-identical to an uninterrupted one.
        time_limit: seconds after which this session stops; the run can be resumed.
        command: recorded in the manifest.
        listen: told of every event: its name and its fields.

    Raises:
        UserError: something that was asked for cannot be done.
        Diverged: the loss stopped being finite; the last good set is kept.
        KeyboardInterrupt: interrupted; the run is kept and can be resumed.
    """
    settings = Settings(method=settings) if isinstance(settings, Method) else settings
    folder = RunFolder(Path(out)) if out is not None else None
    if resume:
        settings = _stored_settings(folder, settings)
    if dataset is None:
        dataset = load_dataset(settings.dataset, image_size=settings.image_size, zca=settings.zca)
    else:
        settings = settings if resume else _of_dataset(settings, dataset)
        _check_images(settings, dataset)
    settings = settings.resolved(dataset)
    run = _Run(settings, dataset, folder, command, listen)
    with cpu_workers(run.compute.device):
        return run.go(resume=resume, time_limit=time_limit)


def log_progress(progress: Progress, name: str) -> Listener:
    """What listens to a distillation and tells in words, now and then, how far that of ``name`` is."""
    pace, total = Pace(), 0

    def listen(event: str, fields: dict[str, Any]) -> None:
        nonlocal total
        if event == "preparation":
            progress(f"{name}: {fields['doing']}")
        elif event in ("start", "resume"):
            total = fields["total"]
        elif event == "step" and pace.due():
            progress(f"{name}: iteration {fields['iteration']} of {total}, loss {fields['loss']:.3g}")

    return listen


def make_start(
    settings: Settings[Method], dataset: ImageDataset, compute: Compute, progress: Progress = silent
) -> SyntheticSet:
    """The set that a distillation begins from.

    Args:
        settings: resolved.
        dataset: on the device.
        compute: for a start that looks at a trained network.
        progress: told now and then how far the training of that network is.

    Raises:
        UserError: a class has fewer real images than are asked for.
    """
    streams, real, ipc = Streams(settings.seed), dataset.train, settings.ipc
    if settings.start == "noise":
        return SyntheticSet.from_noise(real, ipc, streams.generator("start"))
    if settings.start == "real":
        return SyntheticSet.from_indices(real, random_indices(real, ipc, streams.generator("start")))
    selection, streams = SELECTIONS[str(settings.start)], streams.child("start")
    teacher = Teacher(
        real,
        network=settings.network,
        streams=streams.child("teacher"),
        compute=compute,
        flips=dataset.flips,
        source="trained" if selection.looks else "pixels",
        progress=progress,
    )
    images = selection.images(teacher, ipc, streams)
    return replace(SyntheticSet.from_noise(real, ipc, streams.generator("unused")), images=images)


def _of_dataset(settings: Settings[Method], dataset: ImageDataset) -> Settings[Method]:
    """``settings`` that ask for the dataset that was given, where they ask for none of their own."""
    if settings.dataset != Settings(method=settings.method).dataset:
        return settings
    size = settings.image_size or dataset.image_size
    return replace(settings, dataset=dataset.spec or dataset.name, image_size=size)


def _check_images(settings: Settings[Method], dataset: ImageDataset) -> None:
    """Make sure that a dataset that was given has such images as the settings ask for.

    Raises:
        UserError: it has not: size or whitening differ.
    """
    whitened = dataset.train.whitening is not None
    if settings.zca != whitened:
        has = "is whitened" if whitened else "is not whitened"
        raise UserError(f"the dataset {has}, the settings have zca = {settings.zca}", "make the two agree")
    if settings.image_size is not None and set(dataset.shape[1:]) != {settings.image_size}:
        _, height, width = dataset.shape
        problem = f"the dataset's images are {height}x{width}, the settings have image_size = {settings.image_size}"
        raise UserError(problem, "make the two agree")


def _stored_settings(folder: RunFolder | None, asked: Settings[Method]) -> Settings[Method]:
    if folder is None or not folder.config.exists():
        where = "nowhere" if folder is None else str(folder.path)
        raise UserError(f"there is no run to resume in {where}", "name its folder with --out, or leave --resume out")
    if recorded_method(folder.config) != method_name(type(asked.method)):
        raise settings_conflict(folder.path, ["method"])
    stored = Settings.from_toml(folder.config, type(asked.method))
    if changed := differing(asked, stored):
        raise settings_conflict(folder.path, changed)
    return stored


def settings_conflict(path: Path, changed: Sequence[str]) -> UserError:
    """The error for a run in ``path`` that is to go on with other settings: with which."""
    return UserError(
        f"{path} was begun with another {', '.join(changed)}",
        "resume it with its own settings (just --out and --resume), or choose another --out",
    )


class _Run:
    """One distillation under way: the method's state, the best set so far, and where they are written."""

    def __init__(
        self,
        settings: Settings[Method],
        dataset: ImageDataset,
        folder: RunFolder | None,
        command: str,
        listen: Listener,
    ) -> None:
        self.settings, self.method, self.folder, self.command = settings, settings.method, folder, command
        self.compute: Compute = settings.compute()
        self.dataset = dataset.to(self.compute.device)
        self.streams = Streams(settings.seed)
        self.total = settings.iterations or 0
        self._listen = listen
        self._started = datetime.now(UTC).isoformat(timespec="seconds")
        self._clock = time.monotonic()
        self._last_checkpoint = self._clock
        self._seconds_before = 0.0
        self._trainer: Trainer | None = None
        self._earlier: Manifest | None = None

    def go(self, *, resume: bool, time_limit: float | None) -> DistillationResult:
        reset_peak_memory(self.compute.device)
        self.problem = Problem(
            real=self.dataset.train,
            start=self._stored_start(self.folder) if resume and self.folder is not None else self._new_start(),
            network=self.settings.network,
            streams=self.streams.child("method"),
            compute=self.compute,
            flips=self.dataset.flips,
            dataset=self.settings.dataset,
            dataset_fingerprint=self.dataset.fingerprint,
            progress=self._tell,
        )
        if resume and self.folder is not None:
            self.now = self._stored_checkpoint(self.folder)
            self._earlier = self.folder.read_manifest() if self.folder.manifest.exists() else None
        else:
            self.now = self._begin()
        self._seconds_before = self.now.seconds
        self._emit("resume" if resume else "start", total=self.total)
        try:
            status = self._loop(time_limit)
        except KeyboardInterrupt:
            self._finish("interrupted")
            raise
        except UserError as error:
            self._finish("diverged" if isinstance(error, Diverged) else "interrupted")
            raise
        except torch.OutOfMemoryError as error:
            self._finish("interrupted")
            raise UserError(
                f"the memory of {self.compute.device} is too small for an iteration",
                "begin anew with a smaller --ipc or batch, or keep less: --keep roots, where the method has it",
            ) from error
        return DistillationResult(
            synthetic=self._finish(status),
            settings=self.settings,
            status=status,
            folder=self.folder.path if self.folder else None,
        )

    def _new_start(self) -> SyntheticSet:
        """The set to begin from, made; a network that cannot be built is refused first."""
        shape = ImageShape(*self.dataset.shape)
        build_network(self.settings.network, shape, self.dataset.class_count, self.streams.generator("check"))
        made = make_start(self.settings, self.dataset, self.compute, self._tell)
        return replace(made, provenance=self._provenance(0))

    def _stored_start(self, folder: RunFolder) -> SyntheticSet:
        """The set that the run in the folder was begun with, if it was of the same dataset."""
        stored = SyntheticSet.load(folder.start)
        if stored.provenance.get("dataset_fingerprint") != self.dataset.fingerprint:
            raise UserError(
                f"dataset {self.settings.dataset!r} is not the one that {folder.path} was begun with",
                "restore the dataset, or begin anew with another --out",
            )
        if stored.provenance.get("reads_sha256", self._reads) != self._reads:
            raise UserError(
                f"the experts that {folder.path} was begun with have changed, or others have joined them",
                "restore them, or begin anew with another --out",
            )
        return stored

    @cached_property
    def _reads(self) -> str | None:
        """The content of the files that the method's steps depend on, if there are any."""
        paths = [path for path in self.method.input_files() if path.is_file()]
        return sha256_of_files(paths) if paths else None

    def _begin(self) -> Checkpoint:
        """Prepare the method, and then the folder: what cannot be begun leaves none."""
        if self.folder is not None:
            self.folder.check_new()
        self.problem = replace(self.problem, start=self.method.start(self.problem))
        first = Checkpoint(state=self.method.prepare(self.problem))
        if self.folder is not None:
            self.folder.create(self.settings.to_toml(), self.problem.start)
        return first

    def _stored_checkpoint(self, folder: RunFolder) -> Checkpoint:
        """Where the run in the folder stands; at its beginning if it was stopped before its first checkpoint."""
        stored = folder.load_checkpoint()
        if stored is None:
            stored = Checkpoint(state=self.method.prepare(self.problem))
        folder.events().truncate_after(stored.iteration, validation=stored.validated)
        best = None if stored.best_state is None else self._on_device(stored.best_state)
        return replace(stored, state=self._on_device(stored.state), best_state=best)

    def _on_device(self, state: State) -> State:
        return {name: tensor.to(self.compute.device) for name, tensor in state.items()}

    def _loop(self, time_limit: float | None) -> Status:
        log_every = max(self.total // LOGGED_STEPS, 1)
        if self._due_for_validation():  # that was interrupted
            self._validate()
        while self.now.iteration < self.total:
            if time_limit is not None and self._session_seconds() > time_limit:
                return "time limit"
            state, loss = self.method.step(self.problem, self.now.state, self.now.iteration)
            iteration = self.now.iteration + 1
            self._check_finite(loss, state, iteration)
            self.now = replace(self.now, state=state, iteration=iteration, seconds=self._seconds())
            if iteration % log_every == 0 or iteration == self.total:
                self._emit("step", loss=loss)
            if self._due_for_validation():
                self._validate()
            if time.monotonic() - self._last_checkpoint > CHECKPOINT_SECONDS:
                self._checkpoint()
        return "complete"

    def _check_finite(self, loss: float, state: State, iteration: int) -> None:
        """Stop before a state that is not finite replaces the last good one."""
        lost = [name for name, tensor in state.items() if tensor.is_floating_point() and not tensor.isfinite().all()]
        if math.isfinite(loss) and not lost:
            return
        rate = getattr(self.method, "learning_rate", None)
        cause = "the precision is too low" if self.compute.precision == "bfloat16" else "the step is too large"
        what = ", ".join(lost) or "the loss"
        raise Diverged(
            f"at iteration {iteration} {what} stopped being finite (loss {loss}); likely {cause}",
            f"try a smaller --learning-rate than {rate} or --precision float32; the last good set is kept",
        )

    def _due_for_validation(self) -> bool:
        every, iteration = self.settings.validate_every, self.now.iteration
        if not every or not len(self.dataset.validation) or iteration == self.now.validated:
            return False
        return iteration % every == 0 or iteration == self.total

    def _validate(self) -> None:
        """Train a network on the current set; keep it if it beats every earlier one on the validation split.

        Of sets with equal accuracies the earliest stays.
        """
        current = self.method.result(self.problem, self.now.state)
        compute = self.compute if current.replay is None else self.compute.precise  # learned steps are taken exactly
        if self._trainer is None:
            self._trainer = make_trainer(self.settings.network, self.dataset, compute)
        accuracy = validation_accuracy(
            current,
            self.dataset,
            network=self.settings.network,
            streams=self.streams.child("validation"),
            compute=compute,
            trainer=self._trainer,
        )
        self._emit("validation", accuracy=accuracy)
        self.now = replace(self.now, validated=self.now.iteration)
        if self.now.best_accuracy is None or accuracy > self.now.best_accuracy:
            self.now = replace(
                self.now, best_iteration=self.now.iteration, best_accuracy=accuracy, best_state=self.now.state
            )

    def _chosen(self) -> SyntheticSet:
        """The best set by validation, or the current one where none was validated."""
        state = self.now.state if self.now.best_state is None else self.now.best_state
        iteration = self.now.iteration if self.now.best_iteration is None else self.now.best_iteration
        return replace(self.method.result(self.problem, state), provenance=self._provenance(iteration))

    def _checkpoint(self) -> SyntheticSet:
        chosen = self._chosen()
        if self.folder is not None:
            chosen.save(self.folder.synthetic)
            self.folder.save_checkpoint(self.now)
        self._last_checkpoint = time.monotonic()
        return chosen

    def _finish(self, status: Status) -> SyntheticSet:
        self.now = replace(self.now, seconds=self._seconds())
        chosen = self._checkpoint()
        if self.folder is not None:
            self._manifest(status, chosen).write(self.folder.manifest)
        self._emit("finish", status=status, chosen_iteration=chosen.provenance["chosen_iteration"])
        return chosen

    def _emit(self, event: str, **fields: Any) -> None:
        fields = {"iteration": self.now.iteration, **fields, "seconds": round(self._seconds(), 3)}
        if self.folder is not None:
            self.folder.events().append(event, **fields)
        self._listen(event, fields)

    def _tell(self, words: str) -> None:
        """Before the first iteration there is nothing to record: only whoever listens hears of it."""
        self._listen("preparation", {"iteration": 0, "doing": words, "seconds": round(self._session_seconds(), 3)})

    def _session_seconds(self) -> float:
        return time.monotonic() - self._clock

    def _seconds(self) -> float:
        return self._seconds_before + self._session_seconds()

    def _provenance(self, iteration: int) -> dict[str, Any]:
        """How the set was made: nothing in it differs between two equal runs."""
        return {
            **self.settings.to_dict(),
            "dataset_fingerprint": self.dataset.fingerprint,
            "chosen_iteration": iteration,
            **({} if self._reads is None else {"reads_sha256": self._reads}),
        }

    def _manifest(self, status: Status, chosen: SyntheticSet) -> Manifest:
        """What is recorded: of the first session its start and command, of all sessions the largest peak."""
        method, dataset, compute, earlier = self.method, self.dataset, self.compute, self._earlier
        channels, height, width = dataset.shape
        peak = peak_memory_bytes(compute.device)
        return Manifest(
            method=MethodRecord(
                name=method_name(type(method)),
                title=method.citation.title,
                citation=method.citation.bibtex(),
                url=method.citation.url,
            ),
            dataset=DatasetRecord(
                name=dataset.name,
                fingerprint=dataset.fingerprint,
                shape=(channels, height, width),
                classes=dataset.class_count,
                train=len(dataset.train),
                validation=len(dataset.validation),
                test=len(dataset.test),
            ),
            seed=self.settings.seed,
            iterations=Iterations(done=self.now.iteration, asked=self.total),
            chosen_iteration=chosen.provenance["chosen_iteration"],
            seconds=round(self.now.seconds, 3),
            peak_memory_bytes=peak if earlier is None else max(peak, earlier.peak_memory_bytes),
            set_bytes=chosen.size_bytes,
            tensors_sha256=chosen.fingerprint(),
            machine=describe_machine(),
            compute=ComputeRecord(device=str(compute.device), precision=compute.precision, compile=compute.compile),
            status=status,
            started=self._started if earlier is None else earlier.started,
            command=self.command if earlier is None else earlier.command,
        )
