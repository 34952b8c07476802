"""What a folder of experts says of them, and whether they are those that are asked for."""

from __future__ import annotations

from pathlib import Path

from potstill.data import LabeledImages
from potstill.runtime.errors import UserError
from potstill.schema.experts import ExpertsManifest


def check_experts(folder: Path, network: str, real: LabeledImages, dataset_fingerprint: str | None) -> None:
    """Make sure that the experts in a folder know such images, and are of such a network.

    Args:
        folder: theirs.
        network: a spec.
        real: the images.
        dataset_fingerprint: of the dataset that these are from; None where it is not known.

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
                f"the experts in {folder} are of another {what}: theirs {theirs}, asked for {ours}",
                "use experts of the same dataset, network and options",
            )
