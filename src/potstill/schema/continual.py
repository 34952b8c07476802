"""``continual.json``: networks that learn in stages, and a small memory of the stages before."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any, ClassVar, Literal, Self

from potstill.schema import Record
from potstill.schema.applications import Gain, LearnedDataset
from potstill.schema.fields import Amount, Count, Fields, Fraction, Positive
from potstill.schema.recipe import Recipe
from potstill.schema.set_file import SetKind
from potstill.schema.statistics import confidence_interval, corrected, paired_difference

Sharing = Literal["shrinking", "fixed"]
Knowledge = Literal["both", "with", "without"]
Matrix = Sequence[Sequence[float]]
"""Row i: the accuracies on the stages after training through stage i, at least on those up to i."""


def average_accuracy(matrix: Matrix, after: int) -> float:
    """The mean accuracy on the stages up to ``after``, counted from 0, after training through it."""
    return fmean(matrix[after][: after + 1])


def forgetting(matrix: Matrix, stage: int) -> float:
    """The accuracy on a stage just after it was learned, minus that after the last stage."""
    return matrix[stage][stage] - matrix[-1][stage]


def stream_forgetting(matrix: Matrix) -> float:
    """The mean forgetting of all stages but the last; 0 for a single stage."""
    return fmean([forgetting(matrix, stage) for stage in range(len(matrix) - 1)] or [0.0])


def backward_transfer(matrix: Matrix) -> float:
    """The mean change of the accuracy on a stage by what was learned after it: the negative of the forgetting."""
    return -stream_forgetting(matrix)


@dataclass(frozen=True, kw_only=True)
class ClassProtocol(Record):
    """Class-incremental learning as in GDumb: each step has new classes, networks are trained on the memory alone.

    Attributes:
        kind: tells the protocols apart in a file.
        steps: the number of steps, each with as many classes.
        memory: the number of images in the memory, of all classes together.
        sharing: ``shrinking`` divides the memory by the classes seen so far, so that the share of a class shrinks, as
            in GDumb; ``fixed`` divides it by all classes from the beginning, as in the program of DM.
        orders: how many orders of the classes are drawn, one training of each network for each.
        iterations: iterations of every distillation; None is the method's number.
        seed: seed of all draws.
    """

    kind: Literal["classes"] = "classes"
    steps: Positive = 5
    memory: Positive = 200
    sharing: Sharing = "shrinking"
    orders: Positive = 5
    iterations: Count | None = None
    seed: int = 0

    def share(self, step: int, classes: int) -> int:
        """The images of each class in the memory after a step, counted from 0; ``classes`` is the number of all."""
        return self.memory // (classes if self.sharing == "fixed" else classes // self.steps * (step + 1))


@dataclass(frozen=True, kw_only=True)
class DomainProtocol(Record):
    """Domain-incremental learning: each stage is another dataset of the same classes, and networks are trained on.

    Attributes:
        kind: tells the protocols apart in a file.
        images_per_class: the images of each class of each past stage in the memory.
        repeats: trainings of each network through all stages, each with memories of its own.
        knowledge_distillation: whether networks also learn to answer as before the stage: ``with``, ``without``, or
            ``both``, one after the other.
        temperature: what logits are divided by in knowledge distillation.
        epochs: passes over the images of each stage; None is the recipe's number for full data.
        iterations: iterations of every distillation; None is the method's number.
        seed: seed of all draws.
    """

    kind: Literal["domains"] = "domains"
    images_per_class: Positive = 10
    repeats: Positive = 5
    knowledge_distillation: Knowledge = "both"
    temperature: Amount = 2.0
    epochs: Positive | None = None
    iterations: Count | None = None
    seed: int = 0

    @property
    def ways(self) -> tuple[bool, ...]:
        """Whether knowledge is distilled, for each way to train."""
        return {"with": (True,), "without": (False,), "both": (False, True)}[self.knowledge_distillation]


PROTOCOLS: Mapping[str, type[ClassProtocol] | type[DomainProtocol]] = {
    "classes": ClassProtocol,
    "domains": DomainProtocol,
}


@dataclass(frozen=True, kw_only=True)
class Memory(Record):
    """A way to fill the memory.

    Attributes:
        name: the selection or method, or the path of a set.
        kind: what it is. A ``set`` was made before, perhaps from all stages at once.
        images: the number of images that it holds after each stage.
        bytes: their size as they are stored, with labels.
        seconds: the time to make all of them.
    """

    name: str
    kind: SetKind
    images: list[Count] = field(default_factory=list)
    bytes: list[Count] = field(default_factory=list)
    seconds: Amount = 0.0


@dataclass(frozen=True, kw_only=True)
class Course(Record):
    """One network's way through all stages.

    Attributes:
        matrix: row i holds the accuracies after training through stage i, on each stage up to i or on all stages.
        images: the number of test images of each stage.
        seconds: time to train and test it at all stages.
        made_on: the machine, precision and versions, in words; empty if the record has them for all courses.
    """

    matrix: list[list[Fraction]]
    images: list[Positive]
    seconds: Amount = 0.0
    made_on: str = ""

    def stream_accuracy(self, after: int) -> float:
        """The accuracy on all test images of the stages up to ``after`` together."""
        images = self.images[: after + 1]
        right = sum(accuracy * count for accuracy, count in zip(self.matrix[after], images, strict=False))
        return right / sum(images)

    @classmethod
    def from_json(cls, fields: Fields) -> Self:
        """The course that ``to_json`` wrote.

        Raises:
            UserError: a field is absent or invalid, or the rows of the matrix are too short.
        """
        made = super().from_json(fields)
        stages = len(made.images)
        if not stages or len(made.matrix) != stages:
            fields.refuse("matrix", "a row for each stage")
        if any(not stage < len(row) <= stages for stage, row in enumerate(made.matrix)):
            fields.refuse("matrix", "rows that reach at least their own stage")
        return made


@dataclass(frozen=True, kw_only=True)
class Learner(Record):
    """Networks of one architecture that learn all stages with one memory.

    Attributes:
        memory: the name of the memory.
        network: the spec of the network.
        knowledge: whether knowledge is distilled.
        courses: one for each order or repeat; those of two learners with the same number are a pair.
        failed: the reason if a training failed, otherwise None.
    """

    memory: str
    network: str
    knowledge: bool = False
    courses: list[Course] = field(default_factory=list)
    failed: str | None = None

    @property
    def way(self) -> tuple[str, bool]:
        """What it has in common with learners with other memories: the network, and whether knowledge is distilled."""
        return self.network, self.knowledge

    @property
    def usable(self) -> bool:
        """Whether there is a result."""
        return self.failed is None and bool(self.courses)

    @property
    def stages(self) -> int:
        """The number of stages of each course."""
        return len(self.courses[0].matrix)

    @property
    def final(self) -> list[float]:
        """The average accuracy of each course after the last stage."""
        return self.averages(self.stages - 1)

    def averages(self, after: int) -> list[float]:
        """The average accuracy of each course after a stage."""
        return [average_accuracy(course.matrix, after) for course in self.courses]

    def mean_matrix(self) -> list[list[float]]:
        """The accuracy matrix, averaged over the courses."""
        rows = zip(*(course.matrix for course in self.courses), strict=True)
        return [[fmean(cells) for cells in zip(*row, strict=True)] for row in rows]

    def to_json(self) -> dict[str, Any]:
        """Its fields, and the metrics of its courses."""
        metrics: dict[str, Any] = {}
        if self.usable:
            stages = range(self.stages)
            metrics["metrics"] = {
                "average_accuracy": [_summary(self.averages(stage)) for stage in stages],
                "stream_accuracy": [_summary([c.stream_accuracy(stage) for c in self.courses]) for stage in stages],
                "forgetting": _summary(self._each(stream_forgetting), least=-1),
                "backward_transfer": _summary(self._each(backward_transfer), least=-1),
            }
        return {**super().to_json(), **metrics}

    @classmethod
    def from_json(cls, fields: Fields) -> Self:
        """The learner that ``to_json`` wrote.

        Raises:
            UserError: a field is absent or invalid, courses differ in their stages, or the average accuracy after the
                last stage is not that of the courses.
        """
        made = super().from_json(fields)
        if len({tuple(map(len, course.matrix)) for course in made.courses}) > 1:
            fields.refuse("courses", "a list of courses through the same stages")
        if made.usable:
            last = fields.part("metrics").value("average_accuracy", list[Any])[-1:]
            for summary in last:
                Fields.of(fields.file, summary, f"{fields.place}metrics.average_accuracy.").check_derived(
                    "mean", fmean(made.final)
                )
        return made

    def _each(self, metric: Callable[[Matrix], float]) -> list[float]:
        return [metric(course.matrix) for course in self.courses]


def _summary(values: list[float], least: float = 0.0) -> dict[str, Any]:
    """The mean of a metric, with its interval for at least two courses.

    Args:
        values: the metric of each course.
        least: its least possible value.
    """
    interval = confidence_interval(values, least=least)
    return {"mean": fmean(values), "ci95": None if interval is None else list(interval)}


@dataclass(frozen=True, kw_only=True)
class MemoryGain(Gain):
    """What a memory gains over random images, in average accuracy after the last stage.

    Attributes:
        memory: the name of the memory.
        network: the spec of the network.
        knowledge: whether knowledge is distilled.
        courses: the number of pairs.
    """

    memory: str
    network: str
    knowledge: bool = False
    courses: Count


def gains_over_random(learners: Sequence[Learner]) -> list[MemoryGain]:
    """The gain of every memory over random images for each network, where there are enough pairs for a test."""
    usable = [learner for learner in learners if learner.usable]
    random = {learner.way: learner for learner in usable if learner.memory == "random"}
    found = {}
    for learner in usable:
        if learner.memory != "random" and learner.way in random:
            difference = paired_difference(learner.final, random[learner.way].final)
            if difference is not None:
                found[learner.memory, *learner.way] = difference
    after = corrected({key: difference.p for key, difference in found.items()})
    return [
        MemoryGain(
            memory=key[0],
            network=key[1],
            knowledge=key[2],
            mean=difference.mean,
            ci95=difference.interval,
            p=difference.p,
            p_corrected=after[key],
            courses=difference.repeats,
        )
        for key, difference in found.items()
    ]


@dataclass(frozen=True, kw_only=True)
class Continual(Record):
    """Networks that learn in stages, with several memories.

    Attributes:
        protocol: how the stages are learned.
        datasets: the dataset; or that of each stage.
        stages: a name for each stage.
        orders: for each course the names of the classes of each stage; empty if stages are datasets.
        recipe: how networks are trained.
        matched: the network that methods match when they fill a memory.
        networks: the specs of the networks.
        memories: the ways to fill the memory.
        learners: each network with each memory.
        gains: of each memory over random images.
        made_on: the machines, precisions and versions of all results; more than one if these differ.
    """

    SCHEMA: ClassVar[int | None] = 1
    FILE: ClassVar[str] = "continual.json"

    protocol: ClassProtocol | DomainProtocol
    datasets: list[LearnedDataset]
    stages: list[str]
    orders: list[list[list[str]]] = field(default_factory=list)
    recipe: Recipe
    matched: str
    networks: list[str]
    memories: list[Memory]
    learners: list[Learner] = field(default_factory=list)
    gains: list[MemoryGain] = field(default_factory=list)
    made_on: list[str] = field(default_factory=list)

    @property
    def kind(self) -> str:
        """What is learned: ``image`` or ``vector``."""
        return self.datasets[0].kind

    def learner(self, memory: str, network: str, *, knowledge: bool = False) -> Learner | None:
        """The result of a network with a memory, if there is one.

        Args:
            memory: the name of the memory.
            network: the spec of the network.
            knowledge: whether knowledge is distilled.
        """
        usable = (each for each in self.learners if each.usable)
        return next((each for each in usable if (each.memory, *each.way) == (memory, network, knowledge)), None)

    def gain(self, learner: Learner) -> MemoryGain | None:
        """The gain of a learner over random images, if there is a test."""
        key = (learner.memory, *learner.way)
        return next((each for each in self.gains if (each.memory, each.network, each.knowledge) == key), None)

    @classmethod
    def from_json(cls, fields: Fields) -> Self:
        """The record that ``to_json`` wrote.

        Raises:
            UserError: a field is absent or invalid.
        """
        protocol = fields.part("protocol")
        kind = protocol.value("kind", str)
        if kind not in PROTOCOLS:
            protocol.refuse("kind", " or ".join(PROTOCOLS))
        return cls(**fields.arguments(cls, without=("protocol",)), protocol=PROTOCOLS[kind].from_json(protocol))
