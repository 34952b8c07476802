"""Initial weights: where the parameters of a network come from before it is trained."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, get_args

import torch

from potstill.networks.base import Network, Scheme
from potstill.networks.weights import WeightsFile, install, weight_files
from potstill.runtime.errors import UserError
from potstill.runtime.files import sha256_of_files

HELD_OUT = 5
"""One of this many pre-trained networks is held out: distillation never uses it, and evaluation uses no other."""


@dataclass(frozen=True)
class InitialWeights:
    """The distribution p(theta_0) of Wang et al., "Dataset Distillation" (2018), in its four kinds.

    They are: random; one fixed draw; one of many pre-trained networks (a folder); one pre-trained network (a file).

    Attributes:
        source: ``random``, ``fixed``, or the path of a folder or file of ``potstill experts``.
        seed: the seed of the fixed draw.
        sha256: the SHA-256 that the files must have; None accepts any files.
        scheme: the distribution of random and fixed weights.

    Raises:
        UserError: there is no such scheme.
    """

    source: str = "random"
    seed: int = 0
    sha256: str | None = None
    scheme: Scheme = "kaiming"

    def __post_init__(self) -> None:
        if self.scheme not in get_args(Scheme):
            raise UserError(f"unknown initialisation scheme {self.scheme!r}", f"use {' or '.join(get_args(Scheme))}")

    def different(self, repeats: int) -> int:
        """The number of repeats of an evaluation that start from different weights: pre-trained networks are few."""
        if self.source == "random":
            return repeats
        return 1 if self.source == "fixed" else min(repeats, self._held_out)

    def held_out(self, turn: int) -> InitialWeights:
        """The initial weights of a repeat of an evaluation: of pre-trained networks, the held-out ones in turn.

        Args:
            turn: the number of the repeat, from 0; after the last held-out network the first is used again.
        """
        if self.source in ("random", "fixed"):
            return self
        kept = self._files[-self._held_out :]
        return InitialWeights(str(kept[turn % len(kept)].path))

    def draw(self, network: Network, generator: torch.Generator) -> None:
        """Set the parameters of ``network`` to initial weights, in place.

        Of several pre-trained networks those that are held out are never drawn.

        Args:
            network: on any device, in any floating dtype.
            generator: a CPU generator; fixed weights draw nothing from it.

        Raises:
            UserError: the weights are absent, have another SHA-256, or do not fit the network.
        """
        if self.source == "random":
            network.initialise(generator, self.scheme)
        elif self.source == "fixed":
            network.initialise(torch.Generator().manual_seed(self.seed), self.scheme)
        else:
            files = self._files if len(self._files) == 1 else self._files[: -self._held_out]
            chosen = files[int(torch.randint(len(files), (), generator=generator))]
            install(network, chosen.read(), chosen.path)

    def to_json(self) -> dict[str, Any]:
        """The JSON record; with the SHA-256 of the files, if there are any."""
        if self.source in ("random", "fixed"):
            return {"source": self.source, "seed": self.seed, "scheme": self.scheme}
        return {
            "source": self.source,
            "seed": self.seed,
            "sha256": self.sha256 or sha256_of_files(file.path for file in self._files),
        }

    @property
    def _held_out(self) -> int:
        return max(len(self._files) // HELD_OUT, 1)

    @cached_property
    def _files(self) -> list[WeightsFile]:
        path = Path(self.source)
        files = [WeightsFile(file) for file in (weight_files(path) if path.is_dir() else [path])]
        if not files:
            raise UserError(f"{path} holds no weights", "name a folder of potstill experts")
        if self.sha256 is not None and self.sha256 != sha256_of_files(file.path for file in files):
            raise UserError(f"the weights in {path} are not those that the set was distilled for", "restore the files")
        return files


RANDOM_WEIGHTS = InitialWeights()
