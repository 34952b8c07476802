"""A teacher: a trained network that labels images, once or in every step of another network's training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from potstill.data import ImageDataset
from potstill.engine.chunked import ChunkedNetwork
from potstill.networks import ImageShape, build_network
from potstill.networks.weights import WeightsFile, install, weight_files
from potstill.runtime.compute import Compute
from potstill.runtime.errors import UserError
from potstill.runtime.files import sha256_of_files
from potstill.synthetic import SyntheticSet


@dataclass(frozen=True)
class TeacherFile:
    """A file of weights, and the network that they belong to.

    Attributes:
        path: the file.
        network: spec of the network.
        sha256: the SHA-256 that the file must have.
    """

    path: str
    network: str
    sha256: str

    @classmethod
    def found(cls, place: str | Path, dataset: ImageDataset) -> TeacherFile:
        """The teacher in a file, or the first of a folder, of ``potstill experts``.

        Args:
            place: the file or folder.
            dataset: what it must have been trained on.

        Raises:
            UserError: there is no such file, it is damaged, or it was trained on another dataset.
        """
        place = Path(place)
        files = weight_files(place) if place.is_dir() else [place]
        if not files:
            raise UserError(f"{place} contains no experts", "name a folder or file of potstill experts")
        about = WeightsFile(files[0]).about
        network, fingerprint = about.get("network"), about.get("dataset_fingerprint")
        if not isinstance(network, str) or fingerprint != dataset.fingerprint:
            raise UserError(
                f"{files[0]} was not trained on this dataset", "use experts of the dataset that the set was made from"
            )
        return cls(str(files[0].resolve()), network, sha256_of_files(files[:1]))

    def to_json(self) -> dict[str, Any]:
        """The fields."""
        return {"path": self.path, "network": self.network, "sha256": self.sha256}

    def opened(self, dataset: ImageDataset, compute: Compute) -> Teacher:
        """The teacher itself.

        Raises:
            UserError: the file has changed, or does not fit the dataset.
        """
        path = Path(self.path)
        if sha256_of_files([path]) != self.sha256:
            raise UserError(f"{path} has changed since the work began", "start the command again")
        network = build_network(self.network, ImageShape(*dataset.shape), dataset.class_count, torch.Generator())
        install(network, WeightsFile(path).read(), path)
        return Teacher(ChunkedNetwork(network, compute))


class Teacher:
    """Labels images by a trained network.

    Args:
        chunked: the network, on its device.
    """

    def __init__(self, chunked: ChunkedNetwork) -> None:
        self._chunked = chunked

    @property
    def size_bytes(self) -> int:
        """The size of its parameters and buffers in float32."""
        return sum(4 * tensor.numel() for tensor in self._chunked.network.state_dict().values())

    def accuracy(self, dataset: ImageDataset) -> float:
        """The fraction of the test images that it classifies correctly."""
        predicted = self._chunked.predict(dataset.test.normalised, len(dataset.test))
        return (predicted == dataset.test.labels.cpu()).double().mean().item()

    def __call__(self, images: Tensor) -> Tensor:
        """The probabilities (n, classes) of images (n, C, H, W), on the device."""
        return self._chunked.all_logits(lambda some: images[some.to(images.device)], len(images)).softmax(1)

    def labelled(self, pictures: SyntheticSet) -> SyntheticSet:
        """A set with its labels replaced by the teacher's probabilities.

        Args:
            pictures: a set without a formation.
        """
        device = self._chunked.compute.device
        return replace(pictures, labels=self(pictures.images.to(device)).float().cpu())


def teacher_of(values: Mapping[str, Any]) -> TeacherFile:
    """The teacher that ``to_json`` describes."""
    return TeacherFile(str(values["path"]), str(values["network"]), str(values["sha256"]))
