"""The interface of a distillation method."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal, Self

from potstill import synthetic
from potstill.methods.citations import Citation
from potstill.runtime.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor

    from potstill.methods.problem import Problem
    from potstill.methods.state import State
    from potstill.schema.privacy import Privacy
    from potstill.synthetic import Decoded, Parametrisation, SyntheticSet

Start = Literal[
    "real",
    "noise",
    "herding",
    "k-center",
    "facility-location",
    "k-means",
    "k-means-nearest",
    "average",
    "average-nearest",
    "moderate",
    "ccs",
    "aum",
    "forgetting",
    "el2n",
    "grand",
    "optimised-random",
]
"""The initial synthetic set: random real images, noise, or a selection of ``potstill.selection``."""


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
    default_network: ClassVar[str] = ""
    """The network that is matched by default; without one, that of :func:`potstill.networks.default_network`."""
    only_start: ClassVar[bool] = False
    """Whether the default start is the only one possible."""
    checkpoints_every_iteration: ClassVar[bool] = False
    """Whether a state must be stored before the next step uses it; otherwise checkpoints are written now and then."""

    @abstractmethod
    def default_iterations(self, images_per_class: int) -> int:
        """The number of iterations that the paper uses, or would use, for this many images per class."""

    def resolved(self, images_per_class: int, dataset: str = "") -> Self:
        """A copy with every default filled in for this dataset and number of images per class; runs record it."""
        return self

    def images_per_iteration(self, classes: int, images_per_class: int) -> int:
        """Images processed by networks per iteration; used to decide whether compilation pays off."""
        return 0

    def parts_of_iteration(self, classes: int) -> int:
        """Into how many parts an iteration can be divided, among the ranks of ``problem.ranks``; by default 1.

        A method with more parts does those of ``problem.ranks.share(parts)`` in ``step``, and gathers the results with
        ``problem.ranks.gathered``. Its ``start`` and ``prepare`` run on rank 0 alone, and exchange nothing.
        """
        return 1

    def planned_bytes(self, problem: Problem) -> float | None:
        """About how much memory an iteration takes on a CPU, beside what is there before it; None if that is unknown.

        Args:
            problem: the distillation problem.
        """
        return None

    def input_files(self) -> list[Path]:
        """Files other than the dataset that the steps depend on; a resumed run needs the same ones."""
        return []

    def matching_around(self, weights: Path, radius: float) -> Self:
        """A copy that matches networks near given weights instead of new random ones; by default there is none.

        Args:
            weights: a file of weights of the network that is matched, which need not exist yet.
            radius: how far from them networks are drawn.

        Raises:
            UserError: the method, or its settings, does not allow it.
        """
        raise UserError(f"{self.name} does not match networks near given weights", "use a method that does, such as dm")

    def privacy(self, class_sizes: Sequence[int], iterations: int) -> Privacy | None:
        """What the set guarantees for the training images; by default nothing.

        With a guarantee, nothing but the method's own steps may read a real image: plans refuse other starts than
        noise, whitening, networks with batch norms, validation on real images and statistics that are not public.

        Args:
            class_sizes: the number of training images of each class.
            iterations: iterations that will be done.
        """
        return None

    def start(self, problem: Problem) -> SyntheticSet:
        """The initial set; by default the problem's start."""
        return problem.start

    @property
    def parametrisation(self) -> Parametrisation:
        """Which parts of a set are learned, and their representation in the state; by default the raw images."""
        return synthetic.PIXELS

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
    def step(self, problem: Problem, state: State, iteration: int) -> tuple[State, float | Tensor]:
        """Perform one iteration.

        Args:
            problem: the distillation problem.
            state: the current state; must not be modified.
            iteration: index of this iteration, counted from 0.

        Returns:
            The next state, and the loss before this step. A loss that is left on the device as a tensor does not make
            the next step wait for this one.
        """

    def result(self, problem: Problem, state: State) -> SyntheticSet:
        """The synthetic set that a state represents; by default the start with its learned parts replaced."""
        return self.parametrisation.result(state, problem.start)
