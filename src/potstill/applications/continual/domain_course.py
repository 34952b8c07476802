"""One network's way through stages that are datasets: the unit of work of domain-incremental learning."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from potstill.data import Examples, ImageDataset
from potstill.engine.pupil import Pupil
from potstill.evaluation.schedules import training_schedule
from potstill.evaluation.training import accuracy
from potstill.networks import ImageShape, InitialWeights, build_network
from potstill.runtime.errors import UserError
from potstill.runtime.machine import machine_in_words
from potstill.runtime.progress import Pace, Progress
from potstill.runtime.streams import Streams
from potstill.schema import Record
from potstill.schema.continual import Course
from potstill.schema.fields import Amount, Positive
from potstill.schema.recipe import Recipe
from potstill.synthetic import SyntheticSet
from potstill.units import Unit, Workplace


@dataclass(frozen=True, kw_only=True)
class CourseOutcome(Record):
    """A course, or the reason why there is none."""

    course: Course | None = None
    failed: str | None = None

    @property
    def made_on(self) -> str:
        """The machine, precision and versions, in words; empty without a course."""
        return "" if self.course is None else self.course.made_on


@dataclass(frozen=True, kw_only=True)
class DomainCourse(Unit[CourseOutcome]):
    """Train a network on one stage after the other, and test it on all of them after each.

    Attributes:
        stages: the SHA-256 of the dataset of each stage.
        memories: the SHA-256 of the set that is kept of each stage but the last.
        network: the spec of the network.
        recipe: how it is trained at every stage.
        epochs: passes over the images of a stage and the memory.
        temperature: that of knowledge distillation; None trains without.
        initial: the initial weights, as ``InitialWeights`` records them.
        seed: seed of all random draws.
        stream: the stream of the draws.
    """

    result: ClassVar[type[Record]] = CourseOutcome
    version: ClassVar[int] = 2

    stages: tuple[str, ...]
    memories: tuple[str, ...]
    network: str
    recipe: Recipe
    epochs: Positive
    temperature: Amount | None = None
    initial: Mapping[str, Any]
    seed: int
    stream: tuple[str | int, ...]

    def run(self, workplace: Workplace) -> CourseOutcome:
        """Train and test. A training that fails is a result too, which says why."""
        try:
            return CourseOutcome(course=self._course(workplace))
        except UserError as error:
            return CourseOutcome(failed=error.problem)

    def is_final(self, result: CourseOutcome) -> bool:
        """A course that failed is tried again when it is asked for again."""
        return result.failed is None

    def _course(self, workplace: Workplace) -> Course:
        datasets = [workplace.materials.dataset(key).to(workplace.compute.device) for key in self.stages]
        kept = [workplace.synthetic(key) for key in self.memories]
        pupil = workplace.tool("pupil", (self.network, self.stages), lambda: self._pupil(datasets[0], workplace))
        # The first stage has no memory and no knowledge: it is the same for all of them.
        first = (self.stages, self.network, self.recipe, self.epochs, self.seed, self.stream)
        weights, row, seconds = workplace.tool("first stage", first, lambda: self._first(pupil, datasets, workplace))
        started, matrix = time.perf_counter(), [row]
        pupil.restore(weights)
        for stage in range(1, len(datasets)):
            examples = Together(datasets[stage], kept[:stage])
            self._learn(pupil, examples, stage, datasets, workplace.progress)
            matrix.append([accuracy(pupil, dataset.test) for dataset in datasets])
        return Course(
            matrix=matrix,
            images=[len(dataset.test) for dataset in datasets],
            seconds=seconds + time.perf_counter() - started,
            made_on=f"{workplace.compute}; {machine_in_words()}",
        )

    def _pupil(self, like: ImageDataset, workplace: Workplace) -> Pupil:
        built = build_network(self.network, ImageShape(*like.shape), like.class_count, torch.Generator())
        return Pupil(built, workplace.compute)

    def _first(
        self, pupil: Pupil, datasets: Sequence[ImageDataset], workplace: Workplace
    ) -> tuple[dict[str, Tensor], list[float], float]:
        """The weights after the first stage, the accuracies on all stages, and the seconds that they took."""
        started = time.perf_counter()
        pupil.begin(InitialWeights(**self.initial), [Streams(self.seed, self.stream)])
        self._learn(pupil, datasets[0].train, 0, datasets, workplace.progress)
        row = [accuracy(pupil, dataset.test) for dataset in datasets]
        return pupil.state(), row, time.perf_counter() - started

    def _learn(
        self, pupil: Pupil, examples: Examples, stage: int, datasets: Sequence[ImageDataset], progress: Progress
    ) -> None:
        flips = all(dataset.flips for dataset in datasets)
        schedule = training_schedule(self.recipe, flips=flips, full=True, epochs=self.epochs)
        pupil.learn_on(
            examples,
            schedule,
            Streams(self.seed, (*self.stream, "stage", stage)),
            temperature=self.temperature if stage else None,
            after_epoch=self._after_epoch(stage, progress),
        )

    def _after_epoch(self, stage: int, progress: Progress) -> Callable[[int, float], None]:
        pace = Pace()

        def after_epoch(epoch: int, loss: float) -> None:
            if not math.isfinite(loss):
                raise UserError(f"{self.network} diverged at stage {stage + 1}", "use another recipe")
            if pace.due():
                progress(f"stage {stage + 1}, epoch {epoch} of {self.epochs}, loss {loss:.3g}")

        return after_epoch


class Together:
    """The training images of a stage and the memory of earlier ones, as one set of examples.

    Args:
        dataset: the stage.
        kept: what is kept of earlier stages.
    """

    def __init__(self, dataset: ImageDataset, kept: Sequence[SyntheticSet]) -> None:
        pictures = [each.decoded() for each in kept]
        device = dataset.train.device
        self._real = dataset.train
        self._kept = torch.cat([each.images for each in pictures]).to(device)
        labels = [dataset.train.labels, *(each.labels.to(device) for each in pictures)]
        if any(each.is_floating_point() for each in labels):
            classes = dataset.class_count
            labels = [each if each.dim() == 2 else _probabilities(each, classes) for each in labels]
        self._labels = torch.cat(labels)

    @property
    def labels(self) -> Tensor:
        """int64 (N,) classes, or float (N, classes) probabilities if a memory has them."""
        return self._labels

    def __len__(self) -> int:
        return len(self._labels)

    def normalised(self, indices: Tensor | slice | None = None) -> Tensor:
        """float32 (n, C, H, W): the normalised images at ``indices``; all by default."""
        everything = torch.arange(len(self))
        if isinstance(indices, Tensor):
            chosen = indices.reshape(-1).cpu()
        else:
            chosen = everything if indices is None else everything[indices]
        is_real = chosen < len(self._real)
        images = torch.empty(len(chosen), *self._kept.shape[1:], device=self._kept.device)
        images[is_real] = self._real.normalised(chosen[is_real])
        images[~is_real] = self._kept[(chosen[~is_real] - len(self._real)).to(self._kept.device)]
        return images


def _probabilities(labels: Tensor, classes: int) -> Tensor:
    return torch.nn.functional.one_hot(labels, classes).float()
