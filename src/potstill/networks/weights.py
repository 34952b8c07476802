"""Parameters of trained networks on file: safetensors, one file a network, any number of epochs in it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from potstill.networks.base import Network
from potstill.runtime.errors import UserError
from potstill.runtime.files import write_atomic
from potstill.runtime.safetensors_io import pack

FORMAT = "potstill.weights/1"

Weights = dict[str, Tensor]
"""Parameters and buffers by name, as ``Network.state_dict`` gives them."""


def snapshot(network: Network) -> Weights:
    """Parameters and buffers as they are now, in float32 on the CPU, sharing no memory with the network."""
    return {name: _kept(tensor) for name, tensor in network.state_dict().items()}


def write_weights(path: Path, epochs: Mapping[int, Weights], about: Mapping[str, Any]) -> None:
    """Write what a network was after some epochs of its training, atomically.

    Args:
        path: the file.
        epochs: by number of epochs; 0 is before training.
        about: JSON values: what was trained on what.

    Raises:
        UserError: the file cannot be written.
    """
    tensors = {f"{epoch}.{name}": tensor for epoch, weights in epochs.items() for name, tensor in weights.items()}
    write_atomic(path, pack(tensors, {"format": FORMAT, "about": json.dumps(about, sort_keys=True)}))


def weight_files(folder: Path) -> list[Path]:
    """The files of ``potstill experts`` in a folder, in their order."""
    return sorted(folder.glob("expert-*.safetensors"))


class WeightsFile:
    """A file of ``write_weights``, of which one epoch is read at a time.

    Args:
        path: the file.

    Raises:
        UserError: the file is absent, truncated, or something else.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            with safe_open(path, framework="pt") as archive:
                metadata = archive.metadata() or {}
                names = list(archive.keys())
        except FileNotFoundError as error:
            raise UserError(f"{path} does not exist", "name a file or folder of potstill experts") from error
        except (SafetensorError, OSError) as error:
            raise _unusable(path, f"it is truncated or not safetensors ({error})") from error
        if metadata.get("format") != FORMAT:
            raise _unusable(path, f"its format is {metadata.get('format', 'not given')!r}, not {FORMAT!r}")
        try:
            self.about: dict[str, Any] = json.loads(metadata["about"])
            self.epochs = sorted({int(name.split(".", 1)[0]) for name in names})
        except (KeyError, ValueError) as error:
            raise _unusable(path, f"it lacks or garbles {error}") from error
        self._names = names

    def read(self, epoch: int | None = None) -> Weights:
        """The weights after ``epoch`` epochs; by default after the last.

        Raises:
            UserError: the file has no such epoch.
        """
        epoch = self.epochs[-1] if epoch is None else epoch
        if epoch not in self.epochs:
            raise UserError(f"{self.path} has no epoch {epoch}", f"it has {self.epochs[0]} to {self.epochs[-1]}")
        prefix = f"{epoch}."
        with safe_open(self.path, framework="pt") as archive:
            return {n.removeprefix(prefix): archive.get_tensor(n) for n in self._names if n.startswith(prefix)}


@torch.no_grad()
def install(network: Network, weights: Weights, source: Path) -> None:
    """Give ``network`` these parameters and buffers, in place.

    Raises:
        UserError: a tensor is missing, too many or of another shape: which one.
    """
    own = network.state_dict()
    for name in [*own, *weights]:
        ours, theirs = (tuple(t[name].shape) if name in t else None for t in (own, weights))
        if ours != theirs:
            raise UserError(
                f"the weights of {source} do not fit: {name} is {_shape(theirs)} there, the network's {_shape(ours)}",
                "use the network, image size and number of classes that they were trained with",
            )
    for name, tensor in own.items():
        tensor.copy_(weights[name])


def _shape(shape: tuple[int, ...] | None) -> str:
    return "absent" if shape is None else str(shape)


def _kept(tensor: Tensor) -> Tensor:
    tensor = tensor.detach()
    if tensor.is_floating_point():
        tensor = tensor.float()
    return tensor.cpu().clone(memory_format=torch.contiguous_format)


def _unusable(path: Path, problem: str) -> UserError:
    return UserError(
        f"{path} holds no usable weights: {problem}",
        "make it again with potstill experts --resume, or remove it: the others stay usable",
    )
