"""Experts: networks trained on the real images, and what they were after every epoch of it."""

from __future__ import annotations

import copy
import math
import shutil
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from potstill.augmentation import siamese_augmentation
from potstill.data import ImageDataset
from potstill.engine.fit import fit
from potstill.engine.schedule import Schedule
from potstill.engine.stacked import StackedNetworks
from potstill.engine.trainer import Trainer
from potstill.experts.curriculum import Curriculum
from potstill.experts.difficulty import DIFFICULTY, Score, read_difficulty, write_difficulty
from potstill.experts.teacher import Teacher
from potstill.networks import ImageShape, Network, build_network
from potstill.networks.weights import Weights, WeightsFile, write_weights
from potstill.runtime.compute import LONG_RUN_PIXELS, Compute, ComputeChoice
from potstill.runtime.errors import UserError, at_least
from potstill.runtime.files import staged
from potstill.runtime.machine import describe_machine
from potstill.runtime.parallel import cpu_workers
from potstill.runtime.progress import Pace, Progress, silent
from potstill.runtime.streams import Streams
from potstill.schema.experts import Expert, ExpertsManifest

CURRICULUM = "curriculum.safetensors"
"""The difficulty that a curriculum goes by: of a network trained for it before there are experts."""
DIFFICULTY_EPOCHS = 10
"""Of the network by which a curriculum tells easy images from hard ones."""


@dataclass(frozen=True, kw_only=True)
class ExpertPlan:
    """How experts are trained: as for matching training trajectories (Cazenavette et al., CVPR 2022).

    By default they are fewer and shorter than the paper's, which are 100 of 50 epochs.

    Attributes:
        dataset: what they are trained on; named as for distillation.
        network: the spec of their architecture.
        count: how many.
        at_once: how many are trained in step, as one stack of networks: for a GPU that one would leave idle; on a CPU
            one after another is faster.
        epochs: passes over the training images.
        batch_size: images a step.
        learning_rate: of SGD.
        momentum: of SGD.
        weight_decay: of SGD.
        augment: whether Siamese augmentation is on, one operation a batch, parameters a sample.
        gsam_rho: rho of GSAM, for experts in flat minima; 0.01 for those of DATM and PAD, 0 for plain SGD.
        curriculum: whether easy images come first and go first, as for PAD; by the score ``curriculum_by``.
        curriculum_by: ``el2n``, ``grand`` (as PAD has it; it takes a gradient of each image) or ``forgetting``, of a
            network trained for it.
        last_only: keep what each is in the end, not after every epoch: enough to begin from, not to match.
        image_size: resize images to this many pixels a side.
        zca: whiten with a ZCA fitted on the training images.
        seed: of all randomness.
    """

    dataset: str = "digits"
    network: str = "convnet"
    count: int = 10
    at_once: int = 1
    epochs: int = 20
    batch_size: int = 256
    learning_rate: float = 0.01
    momentum: float = 0.0
    weight_decay: float = 0.0
    augment: bool = True
    gsam_rho: float = 0.0
    curriculum: bool = False
    curriculum_by: Score = "el2n"
    last_only: bool = False
    image_size: int | None = None
    zca: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        at_least(self, at_once=1, batch_size=1, learning_rate=0, momentum=0, weight_decay=0, gsam_rho=0)
        if self.count < 1 or self.epochs < 1:
            raise UserError("no expert would be trained", "use --count and --epochs of 1 or more")

    def is_long(self, dataset: ImageDataset) -> bool:
        """Whether compilation and low precision pay for training them."""
        pixels = self.count * self.epochs * len(dataset.train) * math.prod(dataset.shape[1:])
        return pixels >= LONG_RUN_PIXELS

    def bytes_kept(self, network: Network) -> int:
        """What the files will weigh."""
        one = sum(tensor.numel() * 4 for tensor in network.state_dict().values())
        return self.count * one * (1 if self.last_only else self.epochs + 1)


def train_experts(
    plan: ExpertPlan,
    dataset: ImageDataset,
    out: Path,
    compute: Compute,
    *,
    resume: bool = False,
    progress: Progress = silent,
) -> ExpertsManifest:
    """Train experts and keep them in a folder: a file for each, and ``experts.json`` about all of them.

    Each expert depends on the seed and its number alone (on those beside it by rounding), and is kept as soon as it is
    finished: an interrupted training goes on with those that are missing or damaged, and ends with the same files as an
    uninterrupted one.

    Args:
        plan: what to train.
        dataset: what the plan names, loaded.
        out: a new folder, or one to go on with.
        compute: device, precision and compilation.
        resume: go on with the experts in ``out``.
        progress: told in a few words what has been trained.

    Returns:
        What ``experts.json`` holds.

    Raises:
        UserError: the folder exists, holds experts of another plan or dataset, or the disk has too little room.
    """
    network = build_network(plan.network, ImageShape(*dataset.shape), dataset.class_count, torch.Generator())
    record = _begin(plan, dataset, out, network, compute, resume=resume)
    data = dataset.to(compute.device)

    @cache
    def learners(count: int) -> Trainer | StackedNetworks:
        own = copy.deepcopy(network)
        return Trainer(own, compute) if count == 1 else StackedNetworks(own, compute, count)

    with cpu_workers(compute.device):
        curriculum = _curriculum(plan, data, out, compute, progress) if plan.curriculum else None
        for first in range(0, plan.count, plan.at_once):
            numbers = range(first, min(first + plan.at_once, plan.count))
            there = {expert.number for expert in record.experts}
            if there.issuperset(numbers):
                continue
            try:
                made = _train_together(plan, learners(len(numbers)), data, numbers, curriculum, progress)
            except torch.OutOfMemoryError as error:
                batches = f"{len(numbers)} batches of {plan.batch_size} at once"
                raise UserError(
                    f"the memory of {compute.device} is too small for {batches}",
                    "use a smaller --at-once or --batch-size in another --out",
                ) from error
            for number, (weights, told) in zip(numbers, made, strict=True):
                if number in there:
                    continue  # kept before an interruption, and made again for the sake of those beside it
                about = {"number": number, "network": plan.network, "dataset_fingerprint": dataset.fingerprint}
                write_weights(expert_file(out, number), weights, about)
                expert = Expert(number=number, **told)
                record = replace(record, experts=sorted([*record.experts, expert], key=lambda made: made.number))
                record.write(out / ExpertsManifest.FILE)
                progress(_in_words(expert, plan))
    return record


def expert_file(folder: Path, number: int) -> Path:
    """Where the expert of that number is."""
    return folder / f"expert-{number:04d}.safetensors"


def stored_plan(folder: Path) -> tuple[ExpertPlan, ComputeChoice]:
    """The plan that the experts in ``folder`` were begun with, and where they were computed.

    Raises:
        UserError: the folder has no such record, or a damaged one.
    """
    path = folder / ExpertsManifest.FILE
    record = ExpertsManifest.read(path)
    try:
        return ExpertPlan(**record.plan), ComputeChoice(**record.compute)  # type: ignore[arg-type]
    except TypeError as error:
        raise UserError(f"{path} is not a record of experts ({error})", "choose another --out") from error


def _train_together(
    plan: ExpertPlan,
    learners: Trainer | StackedNetworks,
    dataset: ImageDataset,
    numbers: Sequence[int],
    curriculum: Curriculum | None,
    progress: Progress,
) -> list[tuple[dict[int, Weights], dict[str, Any]]]:
    """For the expert of each number what it was after each epoch, and what is recorded of it."""
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
    told: list[dict[str, Any]] = [{"losses": []} for _ in numbers]
    pace = Pace()

    def keep(epoch: int) -> None:
        for own, member in zip(kept, learners.members(), strict=True):
            own[epoch] = member.snapshot()

    def after_epoch(epoch: int, losses: list[float]) -> None:
        for own, loss in zip(told, losses, strict=True):
            if not math.isfinite(loss):
                raise UserError(f"an expert diverged in epoch {epoch}", "use a smaller --learning-rate")
            own["losses"].append(loss)
        if epoch < plan.epochs and pace.due():
            progress(f"epoch {epoch} of {plan.epochs}: loss {sum(losses) / len(losses):.3g}")
        if not plan.last_only or epoch == plan.epochs:
            keep(epoch)

    streams = [Streams(plan.seed).child("expert", number) for number in numbers]
    if not plan.last_only:
        learners.begin(schedule.initial, streams)
        keep(0)
    taking_part = None if curriculum is None else curriculum.taking_part
    fit(learners, dataset.train, schedule, streams, after_epoch=after_epoch, taking_part=taking_part)
    seconds = round((time.perf_counter() - started) / len(numbers), 3)
    for own, member in zip(told, learners.members(), strict=True):
        own |= {"seconds": seconds, "compute": str(learners.compute)}
        if len(dataset.validation):
            right = member.predict(dataset.validation) == dataset.validation.labels.cpu()
            own["validation_accuracy"] = right.double().mean().item()
    return list(zip(kept, told, strict=True))


def _in_words(expert: Expert, plan: ExpertPlan) -> str:
    accuracy = expert.validation_accuracy
    shown = "" if accuracy is None else f", {accuracy:.1%} of the validation images right"
    return f"expert {expert.number + 1} of {plan.count}: {expert.seconds:.0f} s{shown}"


def keep_scores(
    plan: ExpertPlan,
    dataset: ImageDataset,
    out: Path,
    compute: Compute,
    names: Sequence[Score],
    progress: Progress = silent,
) -> dict[str, Tensor]:
    """How hard each training image is for the experts in ``out``, kept beside them; other scores on file stay.

    Raises:
        UserError: the experts do not tell it: forgetting shows over epochs.
    """
    path = out / DIFFICULTY
    scores = read_difficulty(path) if path.exists() else {}
    with cpu_workers(compute.device):
        teacher = _teacher(plan, dataset.to(compute.device), compute, str(out), progress)
        scores |= {name: teacher.score(name).float() for name in names}
    write_difficulty(path, scores)
    return scores


def _teacher(
    plan: ExpertPlan, dataset: ImageDataset, compute: Compute, source: str = "trained", progress: Progress = silent
) -> Teacher:
    return Teacher(
        dataset.train,
        network=plan.network,
        streams=Streams(plan.seed).child("difficulty"),
        compute=compute,
        flips=dataset.flips,
        source=source,
        epochs=DIFFICULTY_EPOCHS,
        progress=progress,
    )


def _curriculum(plan: ExpertPlan, dataset: ImageDataset, out: Path, compute: Compute, progress: Progress) -> Curriculum:
    """The curriculum by the difficulty on file, which is found out first where it is not there yet."""
    path = out / CURRICULUM
    if not path.exists():
        progress(f"training a network of {DIFFICULTY_EPOCHS} epochs by which easy images are told from hard ones")
        teacher = _teacher(plan, dataset, compute, progress=progress)
        write_difficulty(path, {plan.curriculum_by: teacher.score(plan.curriculum_by)})
    return Curriculum(dataset.train, read_difficulty(path)[plan.curriculum_by], plan.epochs)


def _begin(
    plan: ExpertPlan, dataset: ImageDataset, out: Path, network: Network, compute: Compute, *, resume: bool
) -> ExpertsManifest:
    """The record to go on with: a new one in a new folder, or that of the folder if it is of the same plan."""
    channels, height, width = dataset.shape
    fresh = ExpertsManifest(
        plan={name: value for name, value in asdict(plan).items() if value is not None},
        dataset_fingerprint=dataset.fingerprint,
        shape=(channels, height, width),
        classes=dataset.class_count,
        machine=describe_machine(),
        compute={
            "device": str(compute.device),
            "precision": compute.precision,
            "compile": "on" if compute.compile else "off",
        },
        experts=[],
    )
    if resume:
        return _resumed(fresh, out)
    if out.exists():
        raise UserError(f"{out} already exists", "use --resume to go on with it, or another --out")
    out.parent.mkdir(parents=True, exist_ok=True)
    needed, free = plan.bytes_kept(network), shutil.disk_usage(out.parent).free
    if needed > free:
        raise UserError(
            f"these experts take {needed / 1e9:.1f} GB, and {out.parent} has {free / 1e9:.1f} GB free",
            "use fewer --count or --epochs, --last-only, or another --out",
        )
    with staged(out) as unfinished:
        unfinished.mkdir()
        fresh.write(unfinished / ExpertsManifest.FILE)
    return fresh


def _resumed(fresh: ExpertsManifest, out: Path) -> ExpertsManifest:
    theirs, ours = asdict(stored_plan(out)[0]), fresh.plan
    stored = ExpertsManifest.read(out / ExpertsManifest.FILE)
    if stored.dataset_fingerprint != fresh.dataset_fingerprint:
        raise UserError(f"{out} was started with a different dataset", "choose another --out")
    # More experts of the same kind are welcome.
    changed = [name for name in {**theirs, **ours} if name != "count" and theirs.get(name) != ours.get(name)]
    if changed:
        raise UserError(
            f"the experts in {out} were begun with another {', '.join(changed)}",
            "resume them with their own settings, or choose another --out",
        )
    usable = [expert for expert in stored.experts if _is_usable(expert_file(out, expert.number))]
    now = fresh.compute["precision"]
    begun = stored.compute.get("precision", now)
    if begun != now and len(usable) < ours["count"]:
        raise UserError(
            f"the experts in {out} were begun in {begun}, and the others would be trained in {now}",
            f"resume them with --precision {begun}, or choose another --out",
        )
    return replace(stored, plan=ours, experts=usable)


def _is_usable(path: Path) -> bool:
    try:
        WeightsFile(path)
    except UserError:
        return False
    return True
