"""A prepared dataset as one file, with which another process continues where this one has it in memory.

The file holds the dataset whole: pixels, labels, normalisation and whitening of the three splits, how they were found
and understood, and how they are loaded again. Of images that are read from disk it holds which ones of which copy.
"""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from torch import Tensor

from potstill.data.choices import Choices
from potstill.data.dataset import ImageDataset
from potstill.data.decoded_copy import read_copy
from potstill.data.images_on_disk import ImagesOnDisk
from potstill.data.labeled_images import LabeledImages
from potstill.data.whitening import Whitening
from potstill.runtime.errors import UserError
from potstill.runtime.files import sha256, write_atomic
from potstill.runtime.safetensors_io import SHA256, UNREADABLE, content_sha256, pack, read_safetensors
from potstill.schema.account import Account
from potstill.schema.fields import Fields

FORMAT = "potstill.dataset/2"
SPLITS = ("train", "validation", "test")


def prepared_sha256(dataset: ImageDataset) -> str:
    """The SHA-256 of a dataset and of how it was prepared: its fingerprint, normalisation and whitening.

    Two datasets with this in common train the same networks.
    """
    whitening = dataset.train.whitening
    tensors = {} if whitening is None else {"matrix": whitening.matrix.cpu(), "mean": whitening.mean.cpu()}
    about = {"fingerprint": dataset.fingerprint, "mean": dataset.mean, "std": dataset.std, "flips": dataset.flips}
    return content_sha256(tensors, {"about": json.dumps(about, sort_keys=True)})


def write_dataset(dataset: ImageDataset, path: Path) -> None:
    """Write a dataset, atomically.

    Raises:
        UserError: the file cannot be written.
    """
    tensors, on_disk = {}, {}
    for name, part in dataset.splits.items():
        tensors[f"{name}.labels"] = part.labels
        if isinstance(part.stored, Tensor):
            tensors[f"{name}.images"] = part.stored
        else:
            tensors[f"{name}.rows"] = part.stored.rows
            on_disk[name] = _reference(part.stored)
    if (whitening := dataset.train.whitening) is not None:
        tensors["whitening.matrix"], tensors["whitening.mean"] = whitening.matrix, whitening.mean
    about = {
        "name": dataset.name,
        "fingerprint": dataset.fingerprint,
        "class_names": dataset.class_names,
        "mean": dataset.mean,
        "std": dataset.std,
        "flips": dataset.flips,
        "spec": dataset.spec,
        "image_size": dataset.image_size,
        "choices": asdict(dataset.choices),
        "account": None if dataset.account is None else dataset.account.to_json(),
        "on_disk": on_disk,
    }
    tensors = {name: tensor.cpu().contiguous() for name, tensor in tensors.items()}
    metadata = {"format": FORMAT, "about": json.dumps(about)}
    write_atomic(path, pack(tensors, metadata | {SHA256: content_sha256(tensors, metadata)}))


def read_dataset(path: Path) -> ImageDataset:
    """Read a dataset that ``write_dataset`` wrote, on the CPU.

    Raises:
        UserError: the file is absent or damaged, or is not a dataset.
    """
    try:
        tensors, metadata = read_safetensors(path)
        if metadata.pop(SHA256, None) != content_sha256(tensors, metadata) or metadata.get("format") != FORMAT:
            raise UserError(f"{path} is not a prepared dataset, or has changed", "start the command again")
        about = Fields.of_metadata(path, metadata, texts=("format",)).part("about")
        whitening = None
        if "whitening.matrix" in tensors:
            whitening = Whitening(tensors["whitening.matrix"], tensors["whitening.mean"])
        on_disk = about.value("on_disk", dict[str, Any])
        parts = {
            name: LabeledImages(
                stored=tensors[f"{name}.images"]
                if name not in on_disk
                else _referred(Fields(path, on_disk[name]), tensors[f"{name}.rows"]),
                labels=tensors[f"{name}.labels"],
                class_names=about.value("class_names", tuple[str, ...]),
                mean=about.value("mean", tuple[float, ...]),
                std=about.value("std", tuple[float, ...]),
                whitening=whitening,
            )
            for name in SPLITS
        }
    except (*UNREADABLE, KeyError) as error:
        raise UserError(f"{path} cannot be read as a prepared dataset: {error}", "start the command again") from error
    return ImageDataset(
        name=about.value("name", str),
        train=parts["train"],
        validation=parts["validation"],
        test=parts["test"],
        flips=about.value("flips", bool),
        fingerprint=about.value("fingerprint", str),
        spec=about.value("spec", str),
        image_size=about.value("image_size", int | None),
        choices=Choices.among(about.value("choices", dict[str, Any])),
        account=about.value("account", Account | None),
    )


def _reference(images: ImagesOnDisk) -> dict[str, Any]:
    """Which images of which copy.

    Raises:
        UserError: no other process can read the copy, because it is not kept.
    """
    stored = images.stored
    if not stored.path.exists():
        raise UserError(
            "these images are read from a decoded copy that is not kept, which other processes cannot read",
            "use `executor=here`, or give it more memory",
        )
    return {
        "copy": str(stored.path.absolute()),
        "split": stored.split,
        "checksums": sha256(stored.checksums.tobytes()),
        "channels": images.channels,
    }


def _referred(reference: Fields, rows: Tensor) -> ImagesOnDisk:
    """The images of a copy that a dataset names.

    Raises:
        UserError: the copy is not there, or has other images.
    """
    path, split = Path(reference.value("copy", str)), reference.value("split", str)
    raw = read_copy(path, in_memory=0)
    images = None if raw is None or split not in raw.splits else raw.splits[split].images
    if not isinstance(images, ImagesOnDisk) or sha256(images.stored.checksums.tobytes()) != reference.value(
        "checksums", str
    ):
        raise UserError(f"the decoded images in {path} are missing or have changed", "start the command again")
    return replace(images, rows=rows, channels=reference.value("channels", int))
