"""The plan of a folder of experts, its record, and checks that the experts fit a given problem."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

from potstill.data import ImageDataset, LabeledImages
from potstill.experts.plan import ExpertPlan
from potstill.networks import Network
from potstill.networks.weights import WeightsFile
from potstill.runtime.compute import Compute
from potstill.runtime.compute_choice import ComputeChoice
from potstill.runtime.errors import UserError, differing
from potstill.runtime.files import check_space, staged
from potstill.runtime.machine import describe_machine
from potstill.schema.experts import ExpertsManifest


def expert_file(folder: Path, number: int) -> Path:
    """The file of the expert with this number."""
    return folder / f"expert-{number:04d}.safetensors"


def new_record(plan: ExpertPlan, dataset: ImageDataset, compute: Compute) -> ExpertsManifest:
    """The record of a folder of experts before the first one is trained.

    Args:
        plan: what will be trained.
        dataset: the dataset of the plan, loaded.
        compute: device, precision and compilation.

    Returns:
        A record without experts.
    """
    channels, height, width = dataset.shape
    settled = replace(plan, network=plan.trained_network(dataset.shape))
    return ExpertsManifest(
        plan={name: value for name, value in asdict(settled).items() if value is not None},
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
    """Create the folder of a new record.

    Args:
        out: the folder to create.
        record: the record that ``new_record`` returned.
        plan: what will be trained; determines the required disk space.
        network: a network of the plan's architecture; likewise.

    Raises:
        UserError: the folder exists, or there is not enough disk space.
    """
    if out.exists():
        raise UserError(f"{out} already exists", "use `resume=True` to continue it, or another `out`")
    remedy = "use a smaller `count` or `epochs`, `ends_only=True`, or another `out`"
    check_space(out, "these experts need", plan.bytes_kept(network), remedy)
    with staged(out) as unfinished:
        unfinished.mkdir()
        record.write(unfinished / ExpertsManifest.FILE)


def stored_plan(folder: Path) -> tuple[ExpertPlan, ComputeChoice]:
    """The plan of the experts in ``folder``, and the compute settings they were trained with.

    Raises:
        UserError: the folder has no record of experts, or a damaged one.
    """
    return _plan(folder, read_manifest(folder))


def read_manifest(folder: Path) -> ExpertsManifest:
    """The record of the experts in ``folder``.

    Raises:
        UserError: the folder has no record of experts, or a damaged one.
    """
    check_begun(folder)
    return ExpertsManifest.read(folder / ExpertsManifest.FILE)


def check_begun(folder: Path) -> None:
    """Make sure that there are experts in ``folder``, before anything is written there.

    Raises:
        UserError: it has no record of experts.
    """
    if not (folder / ExpertsManifest.FILE).exists():
        raise UserError(f"there are no experts in {folder}", "name a folder that potstill experts wrote")


def _plan(folder: Path, record: ExpertsManifest) -> tuple[ExpertPlan, ComputeChoice]:
    try:
        return ExpertPlan(**record.plan), ComputeChoice(**record.compute)  # type: ignore[arg-type]
    except TypeError as error:
        path = folder / ExpertsManifest.FILE
        raise UserError(f"{path} is not a record of experts ({error})", "choose another `out`") from error


def resumed_record(out: Path, fresh: ExpertsManifest) -> ExpertsManifest:
    """The record in ``out``, restricted to usable experts and with the plan of ``fresh``, ready to be continued.

    Args:
        out: the folder of experts.
        fresh: the record that ``new_record`` returned; its plan may have a different number of experts.

    Raises:
        UserError: plan, dataset or precision differ; the message says which.
    """
    stored = read_manifest(out)
    theirs, ours = asdict(_plan(out, stored)[0]), fresh.plan
    if stored.dataset_fingerprint != fresh.dataset_fingerprint:
        raise UserError(f"the experts in {out} were started with another dataset", "choose another `out`")
    # The number of experts may change.
    both = {name: (theirs.get(name), ours.get(name)) for name in {**theirs, **ours} if name != "count"}
    if changed := {name: values for name, values in both.items() if values[0] != values[1]}:
        raise UserError(
            f"the experts in {out} were started with other settings: {differing(changed)}",
            "resume them with their own settings, or choose another `out`",
        )
    usable = [expert for expert in stored.experts if _is_usable(expert_file(out, expert.number))]
    now = fresh.compute["precision"]
    before = stored.compute.get("precision", now)
    if before != now and len(usable) < ours["count"]:
        raise UserError(
            f"the experts in {out} were started in {before}, but the others would be trained in {now}",
            f"resume them with `precision={before}`, or choose another `out`",
        )
    return replace(stored, plan=ours, experts=usable)


def check_experts(folder: Path, network: str, real: LabeledImages, dataset_fingerprint: str | None) -> None:
    """Check that the experts in a folder fit a network and a dataset.

    Args:
        folder: folder of the experts.
        network: spec of the required network.
        real: the real images.
        dataset_fingerprint: fingerprint of the dataset that the images belong to; None if unknown.

    Raises:
        UserError: the folder has no record of experts, or network, image shape, whitening or dataset differ; the
            message says which.
    """
    record = read_manifest(folder)
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
                f"the experts in {folder} have a different {what}: {theirs}, not {ours}",
                "use experts with the same dataset, network and options",
            )


def _is_usable(path: Path) -> bool:
    try:
        WeightsFile(path)
    except UserError:
        return False
    return True
