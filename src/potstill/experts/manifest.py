"""The plan of a folder of experts, the record of them, and whether they are those that are asked for."""

from __future__ import annotations

import math
import shutil
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from potstill.data import ImageDataset, LabeledImages
from potstill.experts.difficulty import Score
from potstill.networks import Network
from potstill.networks.weights import WeightsFile
from potstill.runtime.compute import LONG_RUN_PIXELS, Compute, ComputeChoice
from potstill.runtime.errors import UserError, at_least
from potstill.runtime.files import staged
from potstill.runtime.machine import describe_machine
from potstill.schema.experts import ExpertsManifest


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


def expert_file(folder: Path, number: int) -> Path:
    """The file of the expert of that number."""
    return folder / f"expert-{number:04d}.safetensors"


def new_record(plan: ExpertPlan, dataset: ImageDataset, compute: Compute) -> ExpertsManifest:
    """The record before the first expert is trained."""
    channels, height, width = dataset.shape
    return ExpertsManifest(
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


def create_folder(out: Path, record: ExpertsManifest, plan: ExpertPlan, network: Network) -> None:
    """Make the folder of a new record.

    Args:
        out: the folder.
        record: of ``new_record``.
        plan: what will be trained,
        network: and of which architecture: they tell the disk space that is needed.

    Raises:
        UserError: the folder exists, or the disk has too little room.
    """
    if out.exists():
        raise UserError(f"{out} already exists", "use --resume to continue it, or another --out")
    out.parent.mkdir(parents=True, exist_ok=True)
    needed, free = plan.bytes_kept(network), shutil.disk_usage(out.parent).free
    if needed > free:
        raise UserError(
            f"these experts take {needed / 1e9:.1f} GB, and {out.parent} has {free / 1e9:.1f} GB free",
            "use fewer --count or --epochs, --last-only, or another --out",
        )
    with staged(out) as unfinished:
        unfinished.mkdir()
        record.write(unfinished / ExpertsManifest.FILE)


def stored_plan(folder: Path) -> tuple[ExpertPlan, ComputeChoice]:
    """The plan of the experts in ``folder``, and where they were computed.

    Raises:
        UserError: the folder has no such record, or a damaged one.
    """
    path = folder / ExpertsManifest.FILE
    record = ExpertsManifest.read(path)
    try:
        return ExpertPlan(**record.plan), ComputeChoice(**record.compute)  # type: ignore[arg-type]
    except TypeError as error:
        raise UserError(f"{path} is not a record of experts ({error})", "choose another --out") from error


def resumed_record(out: Path, fresh: ExpertsManifest) -> ExpertsManifest:
    """The record in ``out`` with those experts that are still usable, to be continued by the plan of ``fresh``.

    Args:
        out: the folder.
        fresh: of ``new_record``; its plan may ask for another number of experts.

    Raises:
        UserError: plan, dataset or precision differ: which.
    """
    theirs, ours = asdict(stored_plan(out)[0]), fresh.plan
    stored = ExpertsManifest.read(out / ExpertsManifest.FILE)
    if stored.dataset_fingerprint != fresh.dataset_fingerprint:
        raise UserError(f"{out} was started with a different dataset", "choose another --out")
    # More experts of the same kind are welcome.
    changed = [name for name in {**theirs, **ours} if name != "count" and theirs.get(name) != ours.get(name)]
    if changed:
        raise UserError(
            f"the experts in {out} were started with a different {', '.join(changed)}",
            "resume them with their own settings, or choose another --out",
        )
    usable = [expert for expert in stored.experts if _is_usable(expert_file(out, expert.number))]
    now = fresh.compute["precision"]
    before = stored.compute.get("precision", now)
    if before != now and len(usable) < ours["count"]:
        raise UserError(
            f"the experts in {out} were started in {before}, and the others would be trained in {now}",
            f"resume them with --precision {before}, or choose another --out",
        )
    return replace(stored, plan=ours, experts=usable)


def check_experts(folder: Path, network: str, real: LabeledImages, dataset_fingerprint: str | None) -> None:
    """Make sure that the experts in a folder were trained on such images, and are of such a network.

    Args:
        folder: the experts' folder.
        network: the spec of the network that is asked for.
        real: the images.
        dataset_fingerprint: of the dataset that the images are from; None if unknown.

    Raises:
        UserError: the folder has no record of experts, or network, image shape, whitening or dataset differ: which.
    """
    record = ExpertsManifest.read(folder / ExpertsManifest.FILE)
    fingerprint = record.dataset_fingerprint
    pairs = {
        "network": (record.plan.get("network"), network),
        "image shape": (record.shape, tuple(real.shape)),
        "whitening": (bool(record.plan.get("zca")), real.whitening is not None),
        "dataset": (fingerprint, dataset_fingerprint or fingerprint),
    }
    for what, (theirs, ours) in pairs.items():
        if theirs != ours:
            raise UserError(
                f"the experts in {folder} are of a different {what}: {theirs}, not {ours}",
                "use experts of the same dataset, network and options",
            )


def _is_usable(path: Path) -> bool:
    try:
        WeightsFile(path)
    except UserError:
        return False
    return True
