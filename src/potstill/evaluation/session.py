"""A session: the dataset, device, seed and initial weights that an evaluation's trainings share."""

from __future__ import annotations

import math
from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import KW_ONLY, dataclass, replace
from pathlib import Path

from potstill.data import NO_CHOICES, Choices, ImageDataset
from potstill.runtime.bounds import at_least
from potstill.runtime.compute import Compute, settled
from potstill.runtime.compute_choice import AUTOMATIC, ComputeChoice
from potstill.runtime.errors import UserError
from potstill.runtime.executor_choice import HERE, check_executor
from potstill.runtime.progress import Progress, silent
from potstill.units import Crew, Materials, Runner, UnitLog, Work, Workplace, crew_by, runner_by

LONG_WORK_PIXELS = 100_000_000
"""The number of pixels from which compilation and low precision pay off: about two minutes on two cores."""


@dataclass(frozen=True)
class Session:
    """Where and how sets are evaluated.

    Attributes:
        dataset: the dataset that the sets were distilled from; it provides the images of the baselines, the validation
            split and the test split.
        compute: device, precision and compilation; ``auto`` is resolved by the amount of work.
        seed: seed of all trainings; with the same seed, networks start from the same initial weights.
        initial: what networks start from: ``random`` weights, or a folder or file written by ``potstill experts``.
            The recipe ``replay`` uses the initial weights that a set was distilled for instead.
        executor: who does the trainings. ``here``: this process, one after the other; ``processes:N``: N processes of
            one thread each; ``auto``: what is faster; ``dask:ADDRESS``: the workers of a Dask scheduler;
            ``slurm:PARTITION``: jobs of Slurm; or a ``concurrent.futures.Executor`` of your own, or a crew. It changes
            no result.
        progress: called with a short message after every training, and now and then during long ones.

    Raises:
        UserError: there is no such executor.
    """

    dataset: ImageDataset
    _: KW_ONLY
    compute: Compute | ComputeChoice = AUTOMATIC
    seed: int = 0
    initial: str = "random"
    executor: str | Executor | Crew = HERE
    progress: Progress = silent

    def __post_init__(self) -> None:
        if isinstance(self.executor, str):
            check_executor(self.executor)

    @classmethod
    def of(cls, data: ImageDataset | Session) -> Session:
        """``data`` itself if it is a session, otherwise a session with that dataset and default options.

        Raises:
            UserError: it is neither.
        """
        if isinstance(data, Session):
            return data
        if not isinstance(data, ImageDataset):
            raise UserError(f"{data!r} is not a dataset", "load it first: potstill.load_dataset(...)")
        return cls(data)

    def settled(self, images: int | None = None) -> Compute:
        """The device, precision and compilation that suit an amount of work.

        Args:
            images: the total number of images that the trainings process, counted once per epoch; None for work that is
                long in any case.
        """
        if isinstance(self.compute, Compute):
            return self.compute
        return settled(self.compute, long_run=self._pixels(images) >= LONG_WORK_PIXELS)

    def runner(
        self, compute: Compute, log: UnitLog | None = None, *, images: int | None = None, longest: int = 0
    ) -> AbstractContextManager[Runner]:
        """A runner of trainings, for the time of a ``with`` statement.

        Args:
            compute: device, precision and compilation of all trainings.
            log: the results on record; None keeps results in memory.
            images: as for ``settled``.
            longest: those of the longest training; the executor ``auto`` decides by both.
        """
        workplace = Workplace(Materials(), compute, self.progress)
        return runner_by(self.executor, workplace, log, amount=self._work(images, longest))

    @contextmanager
    def with_crew(self, compute: Compute, *, images: int | None = None, longest: int = 0) -> Iterator[Session]:
        """A copy whose workers are started once, for all its runners within the context.

        Args:
            compute: device, precision and compilation of all trainings.
            images: as for ``settled``.
            longest: as for ``runner``.
        """
        with crew_by(self.executor, compute.device, self._work(images, longest)) as crew:
            yield replace(self, executor=HERE if crew is None else crew)

    def _work(self, images: int | None, longest: int) -> Work:
        return Work(self._pixels(images), longest * math.prod(self.dataset.shape[1:]))

    def _pixels(self, images: int | None) -> float:
        """The pixels of a number of images; of work that is long in any case more than any number."""
        return math.inf if images is None else images * math.prod(self.dataset.shape[1:])


@dataclass(frozen=True, kw_only=True)
class FullTraining:
    """How networks are trained on the full data, as a baseline.

    Attributes:
        repeats: trainings of each network, at least one; each takes much longer than a training on a small set.
        epochs: passes over the full data, at least one. None uses the number of the results on record, or the
            recipe's number.

    Raises:
        UserError: ``repeats`` or ``epochs`` is below one.
    """

    repeats: int = 1
    epochs: int | None = None

    def __post_init__(self) -> None:
        at_least(self, repeats=1, epochs=1)


@dataclass(frozen=True, kw_only=True)
class Resources:
    """The device and the local data that a function may use which loads datasets itself.

    Attributes:
        compute: device, precision and compilation.
        data_root: a folder with local copies of catalogue datasets; None uses ``POTSTILL_DATA``.
        choices: what to take where the files of a named dataset leave a choice.
        executor: who does the trainings, as for ``Session``.
        progress: called with a short message now and then.
        announce: called with what should be seen before the work begins, such as an estimate of its time.

    Raises:
        UserError: there is no such executor.
    """

    compute: ComputeChoice = AUTOMATIC
    data_root: str | Path | None = None
    choices: Choices = NO_CHOICES
    executor: str | Executor | Crew = HERE
    progress: Progress = silent
    announce: Progress = silent

    def __post_init__(self) -> None:
        if isinstance(self.executor, str):
            check_executor(self.executor)
