"""Parameters of trained networks in safetensors files: one file per network, with any number of epochs."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from potstill.networks.base import Network
from potstill.runtime.errors import UserError
from potstill.runtime.files import sha256, write_atomic
from potstill.runtime.safetensors_io import UNREADABLE, pack, read_header, read_safetensors
from potstill.schema.fields import Fields

FORMAT = "potstill.weights/1"

CLASSIFIER = "classifier."
"""How the names of the parameters of every network's classifier begin."""

Weights = dict[str, Tensor]
"""Parameters and buffers by name, as in ``Network.state_dict``."""


def snapshot(network: Network) -> Weights:
    """A copy of the parameters and buffers, in float32 on the CPU."""
    return {name: _kept(tensor) for name, tensor in network.state_dict().items()}


def write_weights(path: Path, epochs: Mapping[int, Weights], about: Mapping[str, Any]) -> None:
    """Write the weights of a network after some epochs of its training, atomically.

    Args:
        path: the file.
        epochs: the weights by number of epochs; 0 is before training.
        about: JSON values that describe the training.

    Raises:
        UserError: the file cannot be written.
    """
    write_atomic(path, _packed(epochs, about))


def keep_weights(folder: Path, weights: Weights, about: Mapping[str, Any]) -> str:
    """Write the weights of a network into a folder, in a file that is named after its contents.

    Args:
        folder: the folder.
        weights: the weights.
        about: JSON values that describe them.

    Returns:
        The SHA-256 of the file, as ``sha256_of_files`` has it: the file is at ``kept_weights(folder, sha256)``.

    Raises:
        UserError: the file cannot be written.
    """
    content = _packed({0: weights}, about)
    key = sha256(sha256(content).encode())
    write_atomic(kept_weights(folder, key), content)
    return key


def kept_weights(folder: Path, key: str) -> Path:
    """The file of weights that :func:`keep_weights` wrote into a folder under a SHA-256."""
    return folder / f"{key}.safetensors"


def _packed(epochs: Mapping[int, Weights], about: Mapping[str, Any]) -> bytes:
    tensors = {f"{epoch}.{name}": tensor for epoch, weights in epochs.items() for name, tensor in weights.items()}
    return pack(tensors, {"format": FORMAT, "about": json.dumps(about, sort_keys=True)})


def weight_files(folder: Path) -> list[Path]:
    """The files of ``potstill experts`` in a folder, in order."""
    return sorted(folder.glob("expert-*.safetensors"))


class WeightsFile:
    """A file of :func:`write_weights`, from which one epoch is read at a time.

    Args:
        path: the file.

    Attributes:
        about: what was written beside the weights.
        epochs: the numbers of epochs whose weights the file has, ascending.

    Raises:
        UserError: the file is absent, truncated or not a file of weights.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            declared, metadata = read_header(path)
        except FileNotFoundError as error:
            raise UserError(f"{path} does not exist", "name a file or folder of potstill experts") from error
        except UNREADABLE as error:
            raise _unusable(path, f"it is truncated or not safetensors ({error})") from error
        if metadata.get("format") != FORMAT:
            raise _unusable(path, f"its format is {metadata.get('format', 'not given')!r}, not {FORMAT!r}")
        self.about = Fields.of_metadata(path, metadata, texts=("format",)).part("about").values
        numbers = [re.match(r"(\d{1,9})\.", name) for name in declared]
        if not numbers or not all(numbers):
            raise _unusable(path, "its tensors are not named after epochs")
        self.epochs = sorted({int(number[1]) for number in numbers if number is not None})

    @property
    def is_complete(self) -> bool:
        """Whether no epoch between the first and the last is missing."""
        return len(self.epochs) == self.epochs[-1] - self.epochs[0] + 1

    def has(self, epochs: Iterable[int]) -> bool:
        """Whether the file has all of these epochs."""
        return set(self.epochs).issuperset(epochs)

    def read(self, epoch: int | None = None) -> Weights:
        """The weights after ``epoch`` epochs; by default after the last one.

        Raises:
            UserError: the file does not have the epoch, or its weights are not finite.
        """
        epoch = self.epochs[-1] if epoch is None else epoch
        if epoch not in self.epochs:
            raise UserError(f"{self.path} has no epoch {epoch}", f"it has {self.epochs[0]} to {self.epochs[-1]}")
        prefix = f"{epoch}."
        try:
            tensors, _ = read_safetensors(self.path, choose=lambda name: name.startswith(prefix))
        except UNREADABLE as error:
            raise _unusable(self.path, f"it cannot be read ({error})") from error
        if not all(tensor.isfinite().all() for tensor in tensors.values()):
            raise _unusable(self.path, f"weights of epoch {epoch} are not finite")
        return {name.removeprefix(prefix): tensor for name, tensor in tensors.items()}


@torch.no_grad()
def install(network: Network, weights: Weights, source: Path) -> None:
    """Set the parameters and buffers of ``network``, in place.

    Args:
        network: on any device, in any floating dtype.
        weights: one tensor for each parameter and buffer.
        source: the file that they were read from, for the error.

    Raises:
        UserError: a tensor is missing, has another shape or kind of number, or does not belong to the network; it is
            named.
    """
    _install(network.state_dict(), weights, source)


@torch.no_grad()
def install_features(network: Network, weights: Weights, source: Path) -> list[str]:
    """Set the parameters and buffers of ``network`` in place, except those of its classifier.

    Args:
        network: on any device, in any floating dtype.
        weights: one tensor for each parameter and buffer; the classifier may be of other classes, or absent.
        source: the file that they were read from, for the error.

    Returns:
        The names of what was set.

    Raises:
        UserError: as for :func:`install`.
    """
    own, given = _without_classifier(network.state_dict()), _without_classifier(weights)
    _install(own, given, source)
    return list(own)


def _install(own: Weights, weights: Weights, source: Path) -> None:
    for name in [*own, *weights]:
        ours, theirs = (_described(t[name]) if name in t else "absent" for t in (own, weights))
        if ours != theirs:
            raise UserError(
                f"the weights in {source} do not fit: {name} is {theirs} there, {ours} in the network",
                "use the network, image size and number of classes that they were trained with",
            )
    for name, tensor in own.items():
        tensor.copy_(weights[name])


def _without_classifier(weights: Weights) -> Weights:
    return {name: tensor for name, tensor in weights.items() if not name.startswith(CLASSIFIER)}


def _described(tensor: Tensor) -> str:
    """The shape, and whether it holds integers; stored weights have another precision than those of a network."""
    return f"{tuple(tensor.shape)}" if tensor.is_floating_point() else f"{tuple(tensor.shape)} of integers"


def _kept(tensor: Tensor) -> Tensor:
    tensor = tensor.detach()
    if tensor.is_floating_point():
        tensor = tensor.float()
    return tensor.cpu().clone(memory_format=torch.contiguous_format)


def _unusable(path: Path, problem: str) -> UserError:
    return UserError(
        f"{path} holds no usable weights: {problem}",
        "write it again with potstill experts --resume, or remove it: the others stay usable",
    )
