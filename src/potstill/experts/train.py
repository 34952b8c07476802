"""Training experts: networks trained on the real images, whose weights are kept after every epoch."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

from potstill.augmentation import siamese_augmentation
from potstill.data import ImageDataset
from potstill.engine.fit import fit, telling_of_steps
from potstill.engine.schedule import Schedule
from potstill.engine.stacked import StackedNetworks
from potstill.engine.trainer import Trainer
from potstill.experts.curriculum import Curriculum, curriculum_in
from potstill.experts.difficulty import DIFFICULTY, read_difficulty, write_difficulty
from potstill.experts.feature_source import StoredExperts, Training
from potstill.experts.manifest import check_begun, create_folder, expert_file, new_record, resumed_record
from potstill.experts.plan import ExpertPlan, Score
from potstill.networks import ImageShape, Network, build_network
from potstill.networks.weights import Weights, write_weights
from potstill.runtime.compute import Compute
from potstill.runtime.errors import UserError
from potstill.runtime.executor_choice import HERE, check_executor
from potstill.runtime.lock import locked
from potstill.runtime.parallel import cpu_workers
from potstill.runtime.progress import Pace, Progress, silent
from potstill.runtime.streams import Streams
from potstill.schema import Record
from potstill.schema.experts import Expert, ExpertsManifest
from potstill.units import Crew, Job, Materials, Unit, Work, Workplace, runner_by


def train_experts(
    plan: ExpertPlan,
    dataset: ImageDataset,
    out: str | Path,
    compute: Compute,
    *,
    resume: bool = False,
    executor: str | Executor | Crew = HERE,
    progress: Progress = silent,
) -> ExpertsManifest:
    """Train experts and store them in a folder: one file per expert, and ``experts.json`` with the record of all.

    Each expert depends only on the seed and its number, apart from rounding if several are trained at once. It is
    stored as soon as it is finished. A resumed training trains the missing and damaged experts, and ends with the same
    files as an uninterrupted one.

    Args:
        plan: what to train.
        dataset: the dataset of the plan, loaded.
        out: a new folder, or the one to continue.
        compute: device, precision and compilation.
        resume: continue with the experts in ``out``.
        executor: who trains them, as for ``potstill.Session``. It changes no weight.
        progress: callback for progress messages.

    Returns:
        The contents of ``experts.json``.

    Raises:
        UserError: there is no such executor; the folder exists, is being written by another process, or contains
            experts of another plan or dataset; an expert diverges; or there is not enough memory or disk space.
    """
    if isinstance(executor, str):
        check_executor(executor)
    out = Path(out)
    network = _network(plan, dataset)
    record = new_record(plan, dataset, compute)
    if resume:
        check_begun(out)
    else:
        create_folder(out, record, plan, network)
    workplace = Workplace(Materials(), compute, progress)
    key = workplace.materials.add(dataset)
    pixels = plan.pixels(dataset)
    work = Work(pixels, pixels * min(plan.at_once / plan.count, 1))
    with locked(out), runner_by(executor, workplace, amount=work) as runner:
        record = resumed_record(out, record) if resume else record
        if plan.curriculum:  # its difficulty scores are computed once, before the experts
            with cpu_workers(compute.device):
                training = _training(plan, workplace.dataset(key), compute, progress)
                curriculum_in(out, training, plan.curriculum_by, plan.epochs)
        there = {expert.number for expert in record.experts}
        groups = [range(first, min(first + plan.at_once, plan.count)) for first in range(0, plan.count, plan.at_once)]
        missing = [
            TrainTogether(
                plan=record.plan,
                dataset=key,
                numbers=tuple(numbers),
                keep=tuple(number for number in numbers if number not in there),
                folder=str(out.resolve()),
            )
            for numbers in groups
            if not there.issuperset(numbers)
        ]
        jobs = (Job(unit, unit.title(plan.count), unit) for unit in missing)
        for _, made in runner.results(jobs, len(missing)):
            record = replace(record, experts=sorted([*record.experts, *made.experts], key=lambda made: made.number))
            record.write(out / ExpertsManifest.FILE)
            for expert in made.experts:
                progress(_summary(expert, plan))
    return record


@dataclass(frozen=True, kw_only=True)
class TrainedTogether(Record):
    """The experts that a unit has trained and kept."""

    experts: list[Expert]


@dataclass(frozen=True, kw_only=True)
class TrainTogether(Unit[TrainedTogether]):
    """Train some experts of a plan in step, and write their files.

    Attributes:
        plan: the settings of the plan.
        dataset: the SHA-256 of the prepared dataset.
        numbers: the numbers of the experts. What an expert becomes depends on its companions, by rounding.
        keep: the numbers of those whose files are written; the others are there already.
        folder: the directory of the experts, with the scores of their curriculum, if they have one.
    """

    result: ClassVar[type[Record]] = TrainedTogether
    version: ClassVar[int] = 2

    plan: Mapping[str, Any]
    dataset: str
    numbers: tuple[int, ...]
    keep: tuple[int, ...]
    folder: str

    def title(self, count: int) -> str:
        """Such as ``expert 3 of 10``."""
        first, last = min(self.numbers) + 1, max(self.numbers) + 1
        return f"expert {first} of {count}" if first == last else f"expert {first} to {last} of {count}"

    def run(self, workplace: Workplace) -> TrainedTogether:
        """Train the experts.

        Raises:
            UserError: one diverges, or memory or disk space is too small.
        """
        plan, folder, dataset = ExpertPlan(**self.plan), Path(self.folder), workplace.dataset(self.dataset)
        count = len(self.numbers)
        learners = workplace.tool("learners", (plan, count), lambda: _learners(plan, dataset, workplace.compute, count))
        curriculum = None
        if plan.curriculum:
            training = _training(plan, dataset, workplace.compute, workplace.progress)
            curriculum = curriculum_in(folder, training, plan.curriculum_by, plan.epochs)
        try:
            made = _train_together(plan, learners, dataset, self.numbers, curriculum, workplace.progress)
        except torch.OutOfMemoryError as error:
            batches = f"{count} experts at once with a batch size of {plan.batch_size}"
            raise UserError(
                f"the memory of {workplace.compute.device} is too small for {batches}",
                "use a smaller `at_once` or `batch_size` in another `out`",
            ) from error
        experts = []
        for number, (weights, details) in zip(self.numbers, made, strict=True):
            if number in self.keep:
                about = {
                    "number": number,
                    "network": plan.trained_network(dataset.shape),
                    "dataset_fingerprint": dataset.fingerprint,
                }
                write_weights(expert_file(folder, number), weights, about)
                experts.append(Expert(number=number, **details))
        return TrainedTogether(experts=experts)


def _network(plan: ExpertPlan, dataset: ImageDataset) -> Network:
    spec = plan.trained_network(dataset.shape)
    return build_network(spec, ImageShape(*dataset.shape), dataset.class_count, torch.Generator())


def _learners(plan: ExpertPlan, dataset: ImageDataset, compute: Compute, count: int) -> Trainer | StackedNetworks:
    network = _network(plan, dataset)
    return Trainer(network, compute) if count == 1 else StackedNetworks(network, compute, count)


def _train_together(
    plan: ExpertPlan,
    learners: Trainer | StackedNetworks,
    dataset: ImageDataset,
    numbers: Sequence[int],
    curriculum: Curriculum | None,
    progress: Progress,
) -> list[tuple[dict[int, Weights], dict[str, Any]]]:
    """For each of the given experts, its weights by epoch and the fields of its record."""
    started = time.perf_counter()
    schedule = Schedule(
        epochs=plan.epochs,
        batch_size=plan.batch_size,
        learning_rate=plan.learning_rate,
        momentum=plan.momentum,
        weight_decay=plan.weight_decay,
        decay="none",
        gsam_rho=plan.gsam_rho,
        augmentation=siamese_augmentation(flips=dataset.flips) if plan.augment else None,
    )
    kept: list[dict[int, Weights]] = [{} for _ in numbers]
    details: list[dict[str, Any]] = [{"losses": []} for _ in numbers]
    pace = Pace()

    def keep(epoch: int) -> None:
        for own, member in zip(kept, learners.members(), strict=True):
            own[epoch] = member.snapshot()

    def after_epoch(epoch: int, losses: list[float]) -> None:
        for own, loss in zip(details, losses, strict=True):
            if not math.isfinite(loss):
                raise UserError(f"an expert diverged in epoch {epoch}", "use a smaller `learning_rate`")
            own["losses"].append(loss)
        if epoch < plan.epochs and pace.due():
            mean = f"loss {sum(losses) / len(losses):.3g}"
            left = f"{pace.left(epoch, plan.epochs)} for it" if len(numbers) == 1 else pace.left(epoch, plan.epochs)
            progress(f"epoch {epoch} of {plan.epochs}, {mean}, {left}")
        if epoch == plan.epochs or not (plan.last_only or plan.ends_only):
            keep(epoch)

    def after_step(done: float) -> None:
        if done < plan.epochs and pace.due():
            progress(f"epoch {math.ceil(done)} of {plan.epochs}, {pace.left(done, plan.epochs)}")

    streams = [Streams(plan.seed).child("expert", number) for number in numbers]
    if not plan.last_only:
        learners.begin(schedule.initial, streams)
        keep(0)
    taking_part = None if curriculum is None else curriculum.taking_part
    with telling_of_steps(after_step):
        fit(learners, dataset.train, schedule, streams, after_epoch=after_epoch, taking_part=taking_part)
    seconds = round((time.perf_counter() - started) / len(numbers), 3)
    for own, member in zip(details, learners.members(), strict=True):
        own |= {"seconds": seconds, "compute": str(learners.compute)}
        if len(dataset.validation):
            right = member.predict(dataset.validation) == dataset.validation.labels.cpu()
            own["validation_accuracy"] = right.double().mean().item()
    return list(zip(kept, details, strict=True))


def _summary(expert: Expert, plan: ExpertPlan) -> str:
    accuracy = expert.validation_accuracy
    shown = "" if accuracy is None else f", validation accuracy {accuracy:.1%}"
    return f"expert {expert.number + 1} of {plan.count}: {expert.seconds:.0f} s{shown}"


def keep_scores(
    plan: ExpertPlan,
    dataset: ImageDataset,
    out: Path,
    compute: Compute,
    names: Sequence[Score],
    progress: Progress = silent,
) -> dict[str, Tensor]:
    """Compute difficulty scores of the training images from the experts in ``out``, and store them beside the experts.

    Args:
        plan: the plan of the experts.
        dataset: the dataset that they were trained on, loaded.
        out: folder of the experts.
        compute: device, precision and compilation.
        names: the scores to compute; other stored scores are kept.
        progress: callback for progress messages.

    Returns:
        float32 (N,) for each stored score, by name.

    Raises:
        UserError: too few epochs of the experts were kept for a score.
    """
    path = out / DIFFICULTY
    with cpu_workers(compute.device), locked(out):
        scores = read_difficulty(path, len(dataset.train)) if path.exists() else {}
        experts = StoredExperts(_training(plan, dataset.to(compute.device), compute, progress), out)
        scores |= {name: experts.score(name).float() for name in names}
        write_difficulty(path, scores)
    return scores


def _training(plan: ExpertPlan, dataset: ImageDataset, compute: Compute, progress: Progress) -> Training:
    """Everything needed to score the difficulty of images, with separate random streams."""
    return Training(
        real=dataset.train,
        network=plan.trained_network(dataset.shape),
        streams=Streams(plan.seed).child("difficulty"),
        compute=compute,
        flips=dataset.flips,
        progress=progress,
    )
