"""What a method is, and what it is given to work with."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable
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
"""What a distillation begins from: random real images, noise, or a selection of ``potstill.selection``."""

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Problem:
    """What is to be distilled, and with what means; the same at every iteration.

    Attributes:
        real: the training images, on the device.
        start: the set to begin from.
        network: the spec of the network that is matched.
        streams: where all randomness comes from.
        compute: device, precision and compilation.
        flips: whether mirrored images keep their class.
        dataset: the dataset's name, by which published settings are found; empty if unknown.
        dataset_fingerprint: of the dataset, by which a method knows what was made of the same one; None if unknown.
        progress: told in words how far a long preparation is.
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
        """Synthetic images of each class."""
        return len(self.start) // self.class_count

    @property
    def start_images(self) -> Tensor:
        """The start's images on the device, in float64 where the networks compute in it and else in float32."""
        images = self.start.images.to(self.compute.device)
        return images.double() if self.compute.precision == "float64" else images

    def build_network(self, generator: torch.Generator) -> Network:
        """A network of the kind that is matched, freshly drawn."""
        return build_network(self.network, ImageShape(*self.real.shape), self.class_count, generator)

    def cached(self, name: Hashable, make: Callable[[], T]) -> T:
        """What ``make`` made the first time it was asked for: for compiled networks and the like.

        Such a tool must carry nothing from one iteration to the next: what does belongs into the state.
        """
        if name not in self._tools:
            self._tools[name] = make()
        return self._tools[name]


@dataclass(frozen=True, kw_only=True)
class Method(ABC):
    """A way to distil: its fields are its hyper-parameters, its docstring names the paper.

    A method owns no loop, file, progress bar or device choice. ``step`` must be a function of its arguments alone,
    all its randomness drawn from ``problem.streams`` at the iteration: so a resumed run repeats an uninterrupted one
    to the bit.
    """

    name: ClassVar[str]
    citation: ClassVar[Citation]
    default_start: ClassVar[Start] = "real"
    only_start: ClassVar[bool] = False
    """Whether it cannot begin otherwise."""

    @abstractmethod
    def default_iterations(self, images_per_class: int) -> int:
        """How many iterations the paper does, or would do, for so many images per class."""

    def resolved(self, images_per_class: int, dataset: str = "") -> Self:
        """The same with nothing left open, for such a set of such a dataset: what is recorded of a run."""
        return self

    def images_per_iteration(self, classes: int, images_per_class: int) -> int:
        """How many images go through networks in an iteration: whether compilation pays depends on it."""
        return 0

    def input_files(self) -> list[Path]:
        """Files beside the dataset that its steps depend on: a resumed run needs the same."""
        return []

    def start(self, problem: Problem) -> SyntheticSet:
        """What it begins with: by default the problem's start."""
        return problem.start

    @property
    def parametrisation(self) -> Parametrisation:
        """What it learns of a set, and how that is represented in the state; by default the images as they are."""
        return PIXELS

    def decoded(self, problem: Problem, state: State) -> Decoded:
        """The images and labels that a state stands for, on the device."""
        return self.parametrisation.decode(state, problem.start)

    @abstractmethod
    def prepare(self, problem: Problem) -> State:
        """The state before the first iteration."""

    @abstractmethod
    def step(self, problem: Problem, state: State, iteration: int) -> tuple[State, float]:
        """One iteration, counted from 0.

        Returns:
            The next state and the loss before this step.
        """

    def result(self, problem: Problem, state: State) -> SyntheticSet:
        """The synthetic set that a state stands for: by default the start with what is learned replaced."""
        return self.parametrisation.result(state, problem.start)
