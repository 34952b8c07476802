"""The interface of a distillation method, and the problem that it is applied to."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal, Self, TypeVar

import torch
from torch import Tensor

from potstill.data import LabeledImages
from potstill.methods.citations import Citation
from potstill.methods.state import State
from potstill.networks import ImageShape, Network, build_network
from potstill.runtime.compute import CPU, Compute
from potstill.runtime.progress import Progress, silent
from potstill.runtime.streams import Streams
from potstill.synthetic import PIXELS, Decoded, Parametrisation, SyntheticSet

Start = Literal[
    "real",
    "noise",
    "herding",
    "k-center",
    "k-means",
    "k-means-nearest",
    "average",
    "average-nearest",
    "forgetting",
    "el2n",
    "grand",
    "optimised-random",
]
"""The initial synthetic set: random real images, noise, or a selection of ``potstill.selection``."""

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


@dataclass(frozen=True, kw_only=True)
class Method(ABC):
    """A distillation method: its fields are its hyper-parameters, its docstring cites the paper.

    A method contains no loop over iterations, file access, progress bar or choice of device. ``step`` must depend on
    its arguments alone and draw all random numbers from ``problem.streams`` at its iteration, so that a resumed run is
    bit-identical to an uninterrupted one.
    """

    name: ClassVar[str]
    citation: ClassVar[Citation]
    default_start: ClassVar[Start] = "real"
    only_start: ClassVar[bool] = False
    """Whether the default start is the only one possible."""

    @abstractmethod
    def default_iterations(self, images_per_class: int) -> int:
        """The number of iterations that the paper uses, or would use, for this many images per class."""

    def resolved(self, images_per_class: int, dataset: str = "") -> Self:
        """A copy with every default filled in for this dataset and number of images per class; runs record it."""
        return self

    def images_per_iteration(self, classes: int, images_per_class: int) -> int:
        """Images processed by networks per iteration; used to decide whether compilation pays off."""
        return 0

    def input_files(self) -> list[Path]:
        """Files other than the dataset that the steps depend on; a resumed run needs the same ones."""
        return []

    def start(self, problem: Problem) -> SyntheticSet:
        """The initial set; by default the problem's start."""
        return problem.start

    @property
    def parametrisation(self) -> Parametrisation:
        """Which parts of a set are learned, and their representation in the state; by default the raw images."""
        return PIXELS

    def decoded(self, problem: Problem, state: State) -> Decoded:
        """The images and labels that a state represents, on the device."""
        return self.parametrisation.decode(state, problem.start)

    def pullback(self, problem: Problem, state: State, decoded: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The gradients with respect to the state's tensors, by name.

        Args:
            problem: the distillation problem.
            state: the current state.
            decoded: gradients with respect to the ``images`` and ``labels`` that ``decoded`` returns.
        """
        return self.parametrisation.pullback(state, problem.start, decoded)

    @abstractmethod
    def prepare(self, problem: Problem) -> State:
        """The state before the first iteration."""

    @abstractmethod
    def step(self, problem: Problem, state: State, iteration: int) -> tuple[State, float]:
        """Perform one iteration.

        Args:
            problem: the distillation problem.
            state: the current state; must not be modified.
            iteration: index of this iteration, counted from 0.

        Returns:
            The next state, and the loss before this step.
        """

    def result(self, problem: Problem, state: State) -> SyntheticSet:
        """The synthetic set that a state represents; by default the start with its learned parts replaced."""
        return self.parametrisation.result(state, problem.start)
