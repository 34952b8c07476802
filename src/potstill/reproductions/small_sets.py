"""The tables in which papers compare methods with hard labels: 1, 10 and 50 images per class, all by one recipe."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from potstill.distillation.settings import Settings
from potstill.experts.plan import ExpertPlan
from potstill.methods import METHODS, Method
from potstill.reproductions.base import Reproduction, Row
from potstill.reproductions.gradient_matching import TEACHER
from potstill.schema.published_results import PER_CLASS, published_result


@dataclass(frozen=True)
class _Line:
    """A line of the table: a method, its formation, and the plan of the networks that it needs on a dataset."""

    method: str
    formation: int = 1
    experts: Callable[[str], ExpertPlan] | None = None

    @property
    def label(self) -> str:
        """Its name in the table."""
        return self.method if self.formation == 1 else f"{self.method} f {self.formation}"


def _teacher(dataset: str) -> ExpertPlan:
    """The network whose features a selection uses."""
    return replace(TEACHER, dataset=dataset)


def _pool(dataset: str) -> ExpertPlan:
    """The published pool of networks."""
    return ExpertPlan(dataset=dataset, count=20, epochs=60, ends_only=True)


LINES = (
    _Line("random"),
    _Line("herding", experts=_teacher),
    _Line("dc"),
    _Line("dsa"),
    _Line("dm"),
    _Line("dm", formation=2),
    _Line("datadam"),
    _Line("idc"),
    _Line("idc", formation=2),
    _Line("dance", formation=2, experts=_pool),
    _Line("ncfm", formation=2, experts=_pool),
)


def _settings(line: _Line, dataset: str, ipc: int) -> Settings[Method]:
    method = METHODS[line.method]()
    return Settings(method=method, dataset=dataset, ipc=ipc, formation=line.formation, validate_every=0)


def _table(dataset: str, title: str) -> Reproduction:
    return Reproduction(
        name=f"small-sets-{dataset}",
        title=f"Methods with hard labels on {title}, ConvNet, 1, 10 and 50 images per class",
        source="papers and repositories of the methods; for dm and random PAD (CIFAR-10) and DANCE (Fashion-MNIST)",
        recipe="dsa-1000",
        rows=tuple(
            Row(
                label=f"{line.label} ipc {ipc}",
                settings=partial(_settings, line, dataset, ipc),
                published={"convnet": published_result(dataset, line.method, ipc, line.formation)},
                experts=None if line.experts is None else line.experts(dataset),
            )
            for line in LINES
            for ipc in PER_CLASS
        ),
        notes=(
            "A tenth of the training images is held out for validation; the papers use all of them.",
            "All sets are judged by one recipe; published results are by the recipes of their papers, some of which "
            "train longer on a formation, and take the best of several tests.",
            "A formation (f) stores several small pictures in an image, at equal bytes; it gets no extra steps.",
        ),
    )


SMALL_SETS = (
    _table("mnist", "MNIST"),
    _table("fashion-mnist", "Fashion-MNIST"),
    _table("cifar10", "CIFAR-10"),
)
