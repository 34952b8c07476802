"""Where sets come from: methods and selections, applied to a part of a dataset, or sets that were made before."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch

from potstill.data import ImageDataset
from potstill.distillation.plan import Plan, resolve
from potstill.distillation.run_folder import RunFolder
from potstill.distillation.settings import Settings, method_of
from potstill.distillation.unit import Distillation, Distilled, is_complete
from potstill.evaluation import Session, check_fits
from potstill.methods import METHODS, Method
from potstill.runtime.compute_choice import ComputeChoice
from potstill.runtime.errors import UserError, unknown
from potstill.runtime.files import sha256
from potstill.schema.set_file import SetKind
from potstill.schema.shapes import kind_of
from potstill.selection import SELECTIONS
from potstill.synthetic import SyntheticSet
from potstill.synthetic.hub import PREFIX
from potstill.synthetic.place import find_set
from potstill.units import Job, Workplace


@dataclass(frozen=True)
class Around:
    """Weights near which networks are matched.

    Attributes:
        weights: a file of weights of the matched network.
        radius: how far from them networks are drawn.
    """

    weights: Path
    radius: float


@dataclass(frozen=True, kw_only=True)
class Need:
    """A set that is needed.

    Attributes:
        title: what it is for, as a part of the name of a folder, such as ``order1-step2``.
        data: the images that it is made from.
        images_per_class: the number of its images of each class.
        network: the network that methods match.
        iterations: of a distillation; None is the method's number.
        seed: seed of all draws.
        formation: 1, or f if each image holds f × f small pictures.
        around: match networks near given weights; None matches new random ones.
    """

    title: str
    data: ImageDataset
    images_per_class: int
    network: str
    iterations: int | None
    seed: int
    formation: int = 1
    around: Around | None = None


@dataclass(frozen=True)
class Made:
    """A set, and the seconds that it took to make."""

    synthetic: SyntheticSet
    seconds: float


@dataclass(frozen=True)
class SetSource(ABC):
    """Where sets come from.

    Attributes:
        name: as the user writes it.
    """

    name: str

    @property
    @abstractmethod
    def kind(self) -> SetKind:
        """Whether it is a set, a method or a selection."""

    @abstractmethod
    def check(self, need: Need) -> None:
        """Make sure that it can give a set, before anything is computed.

        Raises:
            UserError: it cannot.
        """

    @abstractmethod
    def plan(self, need: Need) -> Plan[Method] | None:
        """The plan of the run that makes a set; None if the set is there already.

        Raises:
            UserError: it cannot be made.
        """

    @abstractmethod
    def made(self, run: RunFolder) -> Made:
        """A set, once its run is complete.

        Args:
            run: the run, if there was something to make.
        """


@dataclass(frozen=True)
class Maker(SetSource):
    """A selection or method, which makes sets.

    Attributes:
        method: the method with its default hyper-parameters.
        compute: where runs are computed.
    """

    method: Method
    compute: ComputeChoice

    @property
    def kind(self) -> SetKind:
        """A method with the name of a selection is one."""
        return "selection" if self.name.partition(":")[0] in SELECTIONS else "method"

    def check(self, need: Need) -> None:
        """The settings resolve."""
        self.plan(need)

    def plan(self, need: Need) -> Plan[Method]:
        """The plan of the run that makes a set."""
        return resolve(self.settings(need), need.data)

    def settings(self, need: Need) -> Settings[Method]:
        """The settings of the run that makes a set.

        Raises:
            UserError: the method cannot match networks near weights, if it is to.
        """
        near = need.around
        return Settings(
            method=self.method if near is None else self.method.matching_around(near.weights, near.radius),
            dataset=need.data.name,
            ipc=need.images_per_class,
            formation=need.formation,
            network=need.network,
            iterations=None if self.kind == "selection" else need.iterations,
            seed=need.seed,
            image_size=need.data.image_size,
            zca=need.data.train.whitening is not None,
            **asdict(self.compute),
            **asdict(need.data.choices),
        )

    def made(self, run: RunFolder) -> Made:
        """The set of a run, and its seconds."""
        return Made(SyntheticSet.load(run.synthetic), run.read_manifest().seconds)


@dataclass(frozen=True)
class GivenSet(SetSource):
    """A set that was made before.

    Attributes:
        synthetic: the set.
    """

    synthetic: SyntheticSet = field(repr=False)

    @property
    def kind(self) -> SetKind:
        """A set."""
        return "set"

    def check(self, need: Need) -> None:
        """It fits the dataset and has enough images."""
        try:
            check_fits(self.synthetic, need.data)
        except UserError as error:
            raise UserError(f"{self.name}: {error.problem}", "name a set of this dataset") from error
        fewest = int(torch.bincount(self.synthetic.hard_labels, minlength=need.data.class_count).min())
        if fewest < need.images_per_class:
            kind = kind_of(need.data.shape)
            raise UserError(
                f"{self.name} has {fewest} {kind}s of a class, fewer than the {need.images_per_class} that are needed",
                f"use fewer {kind}s, or a larger set",
            )

    def plan(self, need: Need) -> None:
        """There is nothing to make."""

    def made(self, run: RunFolder) -> Made:
        """The set as it is: it takes no time."""
        return Made(self.synthetic, 0.0)


def names_set(name: str) -> bool:
    """Whether a name is that of a set that was made before, rather than of a method or selection."""
    path = Path(name)
    if name.startswith(PREFIX):
        return True
    if name.partition(":")[0] in METHODS or (":" in name and not path.exists()):
        return False
    return path.exists() or bool(path.suffix)


def find_source(name: str, compute: ComputeChoice) -> SetSource:
    """The source of a name.

    Args:
        name: a selection, a method or ``module:Class``, perhaps with settings, such as ``dm:batch_real=64``; the folder
            of a run, the file of a set, or ``hf:OWNER/NAME``.
        compute: where methods are run.

    Raises:
        UserError: there is no such thing.
    """
    if names_set(name):
        return GivenSet(name, SyntheticSet.load(find_set(name).file))
    if name.partition(":")[0] in METHODS or ":" in name:
        return Maker(name, method_of(name), compute)
    raise unknown("method", name, METHODS, listing="potstill list methods, or name a run or a set")


def find_sources(names: Sequence[str], compute: ComputeChoice, baselines: Sequence[str] = ()) -> list[SetSource]:
    """The sources of several names.

    Args:
        names: as for ``find_source``.
        compute: likewise.
        baselines: names that are added at the end if they are not among the others.

    Raises:
        UserError: a name is unknown or given twice.
    """
    if doubled := [name for name in names if names.count(name) > 1]:
        raise UserError(f"{doubled[0]!r} is named twice", "name each once")
    return [find_source(name, compute) for name in dict.fromkeys([*names, *baselines])]


def make_sets(requests: Sequence[tuple[SetSource, Need]], folder: Path, session: Session) -> list[Made]:
    """Make sets: each is a run of its own in a folder, and what has been made before is taken from there.

    Args:
        requests: each a source and what is needed of it.
        folder: for the runs.
        session: its executor makes the sets.

    Returns:
        The sets, in the order of the requests. A set that was given took no time.

    Raises:
        UserError: a set cannot be made, or the folder has something else in its place.
    """
    runs = [RunFolder(folder / f"{_as_name(source.name)}-{need.title}") for source, need in requests]
    work = [0, *(images_in_making(source.plan(need), need) for source, need in requests)]
    with session.runner(session.settled(sum(work)), images=sum(work), longest=max(work)) as runner:
        jobs = list(_missing(requests, runs, runner.workplace))
        for job, _ in runner.results(jobs, sum(job.weight for job in jobs)):
            runner.progress(f"{job.title}: made")
    return [source.made(run) for (source, _), run in zip(requests, runs, strict=True)]


def _missing(
    requests: Sequence[tuple[SetSource, Need]], runs: Sequence[RunFolder], workplace: Workplace
) -> Iterator[Job[Distilled, None]]:
    """The distillations that are still to be done."""
    for (source, need), run in zip(requests, runs, strict=True):
        plan = source.plan(need)
        if plan is not None and not is_complete(run, plan, need.data):
            unit = Distillation.of(plan, workplace.materials.add(need.data), run.path)
            yield Job(unit, run.path.name, None, weight=1 + images_in_making(plan, need))


def images_in_making(plan: Plan[Method] | None, need: Need) -> int:
    """The number of images that networks process to make a set, as far as the method tells.

    Args:
        plan: the plan of the run that makes it; None if it is there already.
        need: what is needed.
    """
    if plan is None:
        return 0
    return plan.iterations * plan.method.images_per_iteration(need.data.class_count, plan.pictures_per_class)


def _as_name(name: str) -> str:
    """A name that a folder can have; names that differ stay different."""
    plain = "".join(letter if letter.isalnum() or letter in "-_." else "-" for letter in name)
    return plain if plain == name else f"{plain}-{sha256(name.encode())[:8]}"
