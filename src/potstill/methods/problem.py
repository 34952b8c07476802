"""The problem that a distillation method is applied to."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import torch
from torch import Tensor

from potstill.data import LabeledImages
from potstill.networks import ImageShape, Network, build_network
from potstill.runtime.compute import CPU, Compute
from potstill.runtime.progress import Progress, silent
from potstill.runtime.ranks import ALONE, Ranks
from potstill.runtime.streams import Streams
from potstill.synthetic import SyntheticSet

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Problem:
    """The data to distil, the network to match and the resources to use; constant over a run.

    Attributes:
        real: the training images, on the device.
        start: the initial synthetic set.
        network: spec of the network to match.
        streams: source of all random numbers.
        compute: device, precision and compilation.
        flips: whether a mirrored image keeps its class.
        dataset: name of the dataset, used to look up published settings; empty if unknown.
        dataset_fingerprint: fingerprint of the dataset, used to verify that experts belong to it; None if unknown.
        ranks: the processes that share the work of an iteration.
        progress: callback for progress messages during long preparations.
    """

    real: LabeledImages
    start: SyntheticSet
    network: str = "convnet"
    streams: Streams = field(default_factory=lambda: Streams(0))
    compute: Compute = CPU
    flips: bool = True
    dataset: str = ""
    dataset_fingerprint: str | None = None
    ranks: Ranks = ALONE
    progress: Progress = field(default=silent, repr=False, compare=False)
    _tools: dict[Hashable, Any] = field(default_factory=dict, repr=False, compare=False)

    @property
    def class_count(self) -> int:
        """The number of classes."""
        return self.real.class_count

    @property
    def images_per_class(self) -> int:
        """Synthetic images per class, as they are stored; a formation makes more pictures of them."""
        return len(self.start) // self.class_count

    @property
    def pictures_per_class(self) -> int:
        """Small pictures per class: as many as images without a formation."""
        return self.images_per_class * self.start.formation**2

    @property
    def start_images(self) -> Tensor:
        """The initial images on the device: float64 if the networks compute in float64, otherwise float32."""
        images = self.start.images.to(self.compute.device)
        return images.double() if self.compute.precision == "float64" else images

    def build_network(self, generator: torch.Generator) -> Network:
        """A network of the architecture to match, with weights drawn from ``generator``."""
        return build_network(self.network, ImageShape(*self.real.shape), self.class_count, generator)

    def cached(self, name: Hashable, make: Callable[[], T]) -> T:
        """The object that ``make`` returned on the first call with this name; for compiled networks and the like.

        A cached object must not carry information from one iteration to the next; that belongs in the state.
        """
        if name not in self._tools:
            self._tools[name] = make()
        return self._tools[name]
