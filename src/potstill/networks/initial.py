"""Initial weights: where a network's parameters come from before it is trained."""

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
"""One in so many pre-trained networks is held out: distillation never sees it, evaluation sees no other."""


@dataclass(frozen=True)
class InitialWeights:
    """The distribution p(theta_0) of Wang et al., "Dataset Distillation" (2018), in its four kinds.

    Random; one fixed draw; one of many pre-trained networks (a folder of them); one pre-trained network (a file).

    Attributes:
        source: ``random``, ``fixed``, or the path of a folder or a file that ``potstill experts`` wrote.
        seed: of the fixed draw.
        sha256: of the files, if they must be certain ones.
        scheme: how random and fixed weights are drawn.

    Raises:
        UserError: no such scheme.
    """

    source: str = "random"
    seed: int = 0
    sha256: str | None = None
    scheme: Scheme = "kaiming"

    def __post_init__(self) -> None:
        if self.scheme not in get_args(Scheme):
            raise UserError(f"no scheme {self.scheme!r}", f"use {' or '.join(get_args(Scheme))}")

    def different(self, repeats: int) -> int:
        """How many of so many repeats of an evaluation begin differently: pre-trained networks are few."""
        if self.source == "random":
            return repeats
        return 1 if self.source == "fixed" else min(repeats, self._held_out)

    def held_out(self, turn: int) -> InitialWeights:
        """What a repeat of an evaluation begins with: of pre-trained networks the held-out one whose turn it is.

        Args:
            turn: the number of the repeat, from 0; after the last network the first is taken again.
        """
        if self.source in ("random", "fixed"):
            return self
        kept = self._files[-self._held_out :]
        return InitialWeights(str(kept[turn % len(kept)].path))

    def draw(self, network: Network, generator: torch.Generator) -> None:
        """Give ``network`` initial weights, in place; never a held-out network of several pre-trained ones.

        Args:
            network: on any device, of any floating dtype.
            generator: a CPU generator; a fixed kind draws nothing from it.

        Raises:
            UserError: the weights are absent, are not those that they must be, or do not fit the network.
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
        """What is recorded of it; of files their content too."""
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
            raise UserError(f"{path} holds no weights", "name a folder that potstill experts wrote")
        if self.sha256 is not None and self.sha256 != sha256_of_files(file.path for file in files):
            raise UserError(f"the weights in {path} are not those that the set was distilled for", "restore them")
        return files


RANDOM_WEIGHTS = InitialWeights()
