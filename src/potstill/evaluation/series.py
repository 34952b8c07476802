"""Series of trainings: one network trained several times on one kind of images, and the results joined in order."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from potstill.evaluation.training import TrainAndTest
from potstill.schema.evaluation import NetworkResult
from potstill.units import Job, Runner


@dataclass(frozen=True, kw_only=True)
class TrainingSpec:
    """What networks are trained on, and how often.

    Attributes:
        trained_on: a name for the training images, for messages.
        repeats: the number of trainings of each network.
        each: the training, except for network, repeat and learning rate; its stream is that of the whole series.
        learning_rate_grid: learning rates to choose from on the validation split, once for each network; empty if
            none is tuned.
        choose: from the stream of a training to what it is trained on, as ``TrainAndTest.images`` says it; called when
            the training is due. None leaves it as in ``each``.
        weight: the images that a network sees in one training.
    """

    trained_on: str
    repeats: int
    each: TrainAndTest
    learning_rate_grid: tuple[float, ...] = ()
    choose: Callable[[tuple[str | int, ...]], str] | None = None
    weight: int = 1

    def repeat(self, network: str, number: int, learning_rate: float | None) -> TrainAndTest:
        """One of the trainings of a network, counted from 0."""
        unit = self._at("repeat", number)
        return replace(unit, network=network, repeat=number, learning_rate=learning_rate)

    def trial(self, network: str, learning_rate: float) -> TrainAndTest:
        """The training that a learning rate of the grid is judged by."""
        judged = replace(self._at("tuning"), judged_by="validation", diverging="counts")
        return replace(judged, network=network, learning_rate=learning_rate)

    def _at(self, *path: str | int) -> TrainAndTest:
        stream = (*self.each.stream, *path)
        images = self.each.images if self.choose is None else self.choose(stream)
        return replace(self.each, stream=stream, images=images)


class TrainingSeries:
    """The trainings of one network by one specification, and the result so far.

    Args:
        network: the spec of the network.
        spec: what it is trained on, and how often.
        earlier: repeats of the same specification and seed; they are not done again.
    """

    def __init__(self, network: str, spec: TrainingSpec, earlier: NetworkResult | None = None) -> None:
        self.network, self.spec = network, spec
        self.result = replace(earlier or NetworkResult(), failed=None)
        self._ahead: dict[int, NetworkResult] = {}
        self._judged: dict[float | None, float] = {}

    @property
    def name(self) -> str:
        """What is trained on what, for messages."""
        return f"{self.network} on {self.spec.trained_on}"

    @property
    def is_tuned(self) -> bool:
        """Whether the learning rate is settled, or no repeat is needed."""
        settled = self.result.learning_rate is not None or not self.spec.learning_rate_grid
        return settled or self.result.repeats >= self.spec.repeats

    def trials(self) -> Iterator[TrainAndTest]:
        """The trainings by which the learning rate is tuned."""
        for rate in () if self.is_tuned else dict.fromkeys(self.spec.learning_rate_grid):
            if self.result.failed is None:
                yield self.spec.trial(self.network, rate)

    def repeats(self) -> Iterator[TrainAndTest]:
        """The trainings that are missing, until one of them fails."""
        for number in range(self.result.repeats, self.spec.repeats):
            if self.result.failed is None:
                yield self.spec.repeat(self.network, number, self.result.learning_rate)

    def judge(self, trial: TrainAndTest, latest: NetworkResult) -> bool:
        """Take note of a trial. After the last one, the best learning rate is that of the repeats.

        Of equally good learning rates the earliest in the grid is the best.

        Returns:
            Whether the series has failed by this.
        """
        if latest.failed is not None:
            self.result = replace(self.result, failed=latest.failed)
            return True
        self._judged[trial.learning_rate] = latest.accuracies[0]
        if len(self._judged) == len(set(self.spec.learning_rate_grid)):
            best = max(self.spec.learning_rate_grid, key=self._judged.__getitem__)
            self.result = replace(self.result, learning_rate=best)
        return False

    def take(self, repeat: int, latest: NetworkResult) -> bool:
        """Join the result of a repeat, in order; those of later repeats wait for it.

        Returns:
            Whether the result of the series has changed.
        """
        self._ahead[repeat] = latest
        before = self.result
        while self.result.failed is None and (following := self._ahead.pop(self.result.repeats, None)) is not None:
            failed = following.failed
            self.result = self.result.joined(following) if failed is None else replace(self.result, failed=failed)
        return self.result is not before


def measure(runner: Runner, wanted: Sequence[TrainingSeries]) -> Iterator[TrainingSeries]:
    """Do the trainings of several series of one network.

    Learning rates are tuned first; after that, all repeats of all series are independent of each other.

    Args:
        runner: does the trainings.
        wanted: the series.

    Yields:
        A series whenever its result has changed. If a training fails, its last result says why.

    Raises:
        UserError: a training cannot be done at all.
    """
    yield from _tune(runner, [series for series in wanted if not series.is_tuned])
    missing = sum(max(series.spec.repeats - series.result.repeats, 0) * series.spec.weight for series in wanted)
    jobs = (
        Job(unit, f"{series.name}, {unit.repeat + 1} of {series.spec.repeats}", (series, unit), series.spec.weight)
        for series in wanted
        for unit in series.repeats()
    )
    for job, result in runner.results(jobs, missing):
        series, unit = job.owner
        if result.failed is None:
            runner.progress(f"{job.title}: {result.accuracies[0]:.1%}")
        else:
            runner.progress(f"{series.name} failed: {result.failed}")
        if series.take(unit.repeat, result):
            yield series


def _tune(runner: Runner, untuned: Sequence[TrainingSeries]) -> Iterator[TrainingSeries]:
    """Choose the learning rate of each series, and yield those that failed."""
    jobs = (
        Job(unit, f"{series.name}, learning rate {unit.learning_rate}", (series, unit), series.spec.weight)
        for series in untuned
        for unit in series.trials()
    )
    weight = sum(len(series.spec.learning_rate_grid) * series.spec.weight for series in untuned)
    for job, result in runner.results(jobs, weight):
        series, trial = job.owner
        if result.failed is None:
            runner.progress(f"{job.title}: {result.accuracies[0]:.1%} on the validation split")
        if series.judge(trial, result):
            yield series
