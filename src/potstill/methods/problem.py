"""The problem that a distillation method is applied to."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import torch
from torch import Tensor

from potstill.data import LabeledImages
from potstill.experts.opened import open_experts
from potstill.networks import ImageShape, Network, build_network
from potstill.networks.weights import WeightsFile
from potstill.runtime.bounds import memory_bytes
from potstill.runtime.compute import CPU, Compute
from potstill.runtime.errors import UserError
from potstill.runtime.parallel import read_ahead
from potstill.runtime.progress import Progress, silent
from potstill.runtime.ranks import ALONE, Ranks
from potstill.runtime.streams import Streams
from potstill.synthetic import SyntheticSet

T = TypeVar("T")

VALUES_AT_ONCE = 2**27
"""The most values of real images, and of gradients to match, that are in memory at once: 512 MB in float32.

In little memory there are fewer: a sixteenth of it, because augmentation makes several copies.
"""

REAL_COPIES, READ_AHEAD = 3.5, 2.0
"""How often real images are in memory: as bytes, normalised and augmented; and more often if others are read meanwhile.

Measured by ``benchmarks.planned_memory``.
"""


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

    def check_several_classes(self, method: str) -> None:
        """Make sure that there are classes to tell apart.

        Args:
            method: the name of the method that needs them.

        Raises:
            UserError: there is a single class.
        """
        if self.class_count < 2:
            raise UserError(f"the dataset has a single class, and {method} needs several", "use more classes")

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

    def classes_at_once(self, batch: int, kept_per_class: int = 0) -> int:
        """Of how many classes real images are in memory at once, at least one.

        Args:
            batch: the number of images of a class.
            kept_per_class: how many other values are kept for each class, such as those of a gradient.
        """
        most = int(min(VALUES_AT_ONCE, memory_bytes() / (16 * self._dtype.itemsize)))
        return max(most // (batch * math.prod(self.real.shape) + kept_per_class), 1)

    def real_bytes(self, batch: int, classes: int, *, together: bool = False, kept_per_class: int = 0) -> float:
        """About what the real images of an iteration take in memory.

        Args:
            batch: the number of images of a class.
            classes: the number of classes of the iteration.
            together: as for ``real_batches``.
            kept_per_class: as for ``real_batches``.
        """
        at_once = classes if together else min(self.classes_at_once(batch, kept_per_class), classes)
        copies = REAL_COPIES + (READ_AHEAD if at_once < classes else 0)
        return self._dtype.itemsize * copies * at_once * batch * math.prod(self.real.shape)

    def real_batches(
        self, indices: Tensor, *, together: bool = False, kept_per_class: int = 0
    ) -> Iterator[tuple[slice, Tensor]]:
        """Normalised batches of real images, of some classes at a time where all of them would take much memory.

        Args:
            indices: int64 (classes, n): the images of each class.
            together: whether the images of all classes are needed at once.
            kept_per_class: how many other values the caller keeps for each class, such as those of a gradient.

        Yields:
            A slice of the classes, and their images (classes of the slice * n, C, H, W), in the dtype of the start.
        """
        at_once = len(indices) if together else self.classes_at_once(indices.shape[1], kept_per_class)
        starts = range(0, len(indices), at_once)
        groups = [slice(first, min(first + at_once, len(indices))) for first in starts]

        def read(group: slice) -> Tensor:
            return self.real.normalised(indices[group].flatten()).to(self._dtype)

        yield from zip(groups, read_ahead(read, groups), strict=True)

    def real_parts(self, indices: Tensor) -> Iterator[tuple[slice, Tensor]]:
        """Normalised real images, some at a time where all of them would take much memory.

        Args:
            indices: int64 (n,), of any classes.

        Yields:
            A slice of the indices, and their images, in the dtype of the start.
        """
        return self.real_batches(indices[:, None])

    @property
    def _dtype(self) -> torch.dtype:
        """Of real images: float64 if the networks compute in float64, otherwise float32."""
        return torch.float64 if self.compute.precision == "float64" else torch.float32

    def build_network(self, generator: torch.Generator) -> Network:
        """A network of the architecture to match, with weights drawn from ``generator``."""
        return build_network(self.network, ImageShape(*self.real.shape), self.class_count, generator)

    def experts(self, folder: str, needed: Sequence[int] | None = None) -> list[WeightsFile]:
        """The stored experts of this network and dataset in a folder.

        Args:
            folder: as for :func:`potstill.experts.opened.open_experts`.
            needed: as there.

        Raises:
            UserError: as there.
        """
        return open_experts(folder, self.network, self.real, self.dataset_fingerprint, needed=needed)

    def cached(self, name: Hashable, make: Callable[[], T]) -> T:
        """The object that ``make`` returned on the first call with this name; for compiled networks and the like.

        A cached object must not carry information from one iteration to the next; that belongs in the state.
        """
        if name not in self._tools:
            self._tools[name] = make()
        return self._tools[name]
