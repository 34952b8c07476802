"""Stored experts, opened for a method that needs certain epochs of each."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from potstill.data import LabeledImages
from potstill.experts.manifest import check_experts
from potstill.networks.weights import WeightsFile, weight_files
from potstill.runtime.errors import UserError


def open_experts(
    folder: str,
    network: str,
    real: LabeledImages,
    dataset_fingerprint: str | None,
    *,
    needed: Sequence[int] | None = None,
) -> list[WeightsFile]:
    """Open the experts in a folder, and check that they fit a network and a dataset and have all epochs needed.

    Args:
        folder: folder of potstill experts; empty if the user named none.
        network: spec of the required network.
        real: the real images.
        dataset_fingerprint: fingerprint of the dataset that the images belong to; None if unknown.
        needed: the epochs that each must have, ascending from 0; None needs the weights before and after training.

    Returns:
        The experts, in the order of their numbers.

    Raises:
        UserError: there are no experts, they belong to another network or dataset, lack an epoch, or a file is damaged.
    """
    if not folder:
        raise UserError(
            "this method needs experts, but `experts` is not given",
            f"train them with potstill experts --network {network} --out DIR, then use `experts=DIR`",
        )
    check_experts(Path(folder), network, real, dataset_fingerprint)
    files = [WeightsFile(path) for path in weight_files(Path(folder))]
    if not files:
        raise UserError(f"{folder} contains no experts", "train them with potstill experts --resume")
    for file in files:
        if needed is None and (file.epochs[0] != 0 or len(file.epochs) < 2):
            raise UserError(
                f"{file.path} has only the weights after {file.epochs[-1]} epochs, not those before training",
                "use experts with every epoch kept, or with --ends-only",
            )
        if needed is not None and not file.has(needed):
            kept = f"epochs {file.epochs[0]} to {file.epochs[-1]}" if file.is_complete else "not every epoch"
            raise UserError(
                f"{file.path} has {kept}, but 0 to {needed[-1]} are needed",
                "use a smaller `latest_start` or `expert_epochs`, or experts with more epochs",
            )
    return files
