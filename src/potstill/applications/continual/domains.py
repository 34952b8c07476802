"""Domain-incremental learning: each stage is another dataset of the same classes, and one network is trained on.

After Zhao, Mopuri and Bilen, "Dataset Condensation with Gradient Matching", ICLR 2021 (arXiv:2006.05929), section on
continual learning, which follows Castro et al., "End-to-End Incremental Learning", ECCV 2018. Their code for it was not
published: there is no balanced fine-tuning here, and knowledge is distilled on every image of a batch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from potstill.applications.continual.domain_course import CourseOutcome, DomainCourse
from potstill.applications.continual.record import check_earlier, with_results
from potstill.applications.on_record import described, recording
from potstill.applications.recipes import networks_for, recipe_for_several_sets
from potstill.applications.set_sources import GivenSet, Made, Need, SetSource, find_sources, make_sets
from potstill.data import ImageDataset, brought_together
from potstill.evaluation import Recipe, Resources, Session
from potstill.evaluation.checks import check_networks, check_test
from potstill.networks import RANDOM_WEIGHTS
from potstill.runtime.bounds import at_least, positive
from potstill.runtime.errors import UserError
from potstill.runtime.streams import Streams
from potstill.schema.applications import BASELINES
from potstill.schema.continual import Continual, DomainProtocol, Learner, Memory
from potstill.schema.shapes import kind_of
from potstill.units import Collected, Job, Runner, UnitLog, Workplace

PURPOSE = "continual"
"""The name of the stream of all draws."""


def learn_domains(
    stages: Sequence[ImageDataset],
    out: str | Path,
    *,
    protocol: DomainProtocol = DomainProtocol(),  # noqa: B008 (a frozen value)
    memories: Sequence[str] = ("dm",),
    networks: Sequence[str] | None = None,
    recipe: str | Recipe | None = None,
    resources: Resources = Resources(),  # noqa: B008 (a frozen value)
) -> Continual:
    """Let networks learn datasets of the same classes, one after the other, and write ``continual.json``.

    A network is trained on the first dataset, then trained on with each further one and with a few images of each class
    of all past ones. Random images and k-means centres in equal number always stand beside the other memories. A second
    call continues where the first stopped.

    Args:
        stages: the datasets in order, at least two; all of one image size and the same classes.
        out: the folder of the record, and of the runs that fill the memory.
        protocol: the memory, the repeats, and knowledge distillation.
        memories: what fills the memory: selections, methods with their default settings, or ``module:Class``.
        networks: specs; methods match the first of them. None takes ``convnet`` and ``mlp``, for vectors
            ``linear`` and ``mlp``.
        recipe: how networks are trained at every stage, a name in ``RECIPES`` or a recipe of your own; None takes
            ``dsa-1000``, for vectors ``probe-1000``.
        resources: device, executor and progress.

    Returns:
        The contents of ``continual.json``.

    Raises:
        UserError: there are fewer than two stages, their classes or sizes differ, a class has too few images, a memory,
            network or recipe is unknown or does not fit, or the record on file is of something else.
    """
    _check(stages, protocol)
    out, networks = Path(out), networks_for(stages[0].shape, networks)
    recipe = recipe_for_several_sets(recipe, "a memory of several stages", stages[0].shape)
    check_networks(networks, stages[0])
    domains = _Domains(brought_together(stages), protocol, networks[0])
    sources = find_sources(memories, resources.compute, BASELINES)
    for source in sources:
        if isinstance(source, GivenSet):
            raise UserError(
                f"{source.name} is a set of one stage", "name methods or selections, which are applied to each stage"
            )
        source.check(domains.need(0, 0))
    asked = Continual(
        protocol=protocol,
        datasets=[described(dataset) for dataset in domains.stages],
        stages=[dataset.name for dataset in domains.stages],
        recipe=recipe,
        matched=networks[0],
        networks=list(networks),
        memories=[Memory(name=source.name, kind=source.kind) for source in sources],
    )
    epochs = protocol.epochs or recipe.full_epochs
    longest = epochs * sum(len(dataset.train) for dataset in domains.stages)
    images = longest * len(sources) * len(networks) * protocol.repeats * len(protocol.ways)
    session = Session(stages[0], compute=resources.compute, executor=resources.executor, progress=resources.progress)
    path = out / Continual.FILE
    with recording(path, asked, check_earlier):
        found = asked
        filled = _filled(sources, domains, out / "memories", session)
        log = UnitLog.beside(path)
        with session.runner(session.settled(images), log, images=images, longest=longest) as runner:
            learning = _Learning(domains, replace(recipe, full_epochs=epochs), filled, networks)
            for learners in learning.results(runner):
                found = with_results(asked, [each.memory for each in filled], learners, learning.collected.made_on)
                found.write(path)
    return found


@dataclass(frozen=True)
class _Domains:
    """The stages, brought together.

    Attributes:
        stages: the datasets.
        protocol: the protocol.
        matched: the network that methods match.
    """

    stages: list[ImageDataset]
    protocol: DomainProtocol
    matched: str

    def need(self, repeat: int, stage: int) -> Need:
        """What is to be remembered of a stage."""
        return Need(
            title=f"stage{stage + 1}-repeat{repeat + 1}",
            data=self.stages[stage],
            images_per_class=self.protocol.images_per_class,
            network=self.matched,
            iterations=self.protocol.iterations,
            seed=Streams(self.protocol.seed, (PURPOSE,)).derived_seed("set", repeat, stage),
        )


@dataclass(frozen=True)
class _Filled:
    """A memory with what it keeps of each stage but the last, for each repeat."""

    memory: Memory
    kept: list[list[Made]]


def _filled(sources: Sequence[SetSource], domains: _Domains, folder: Path, session: Session) -> list[_Filled]:
    """Make, or take from the folder, what each memory holds of every stage but the last, for each repeat."""
    repeats, past = range(domains.protocol.repeats), range(len(domains.stages) - 1)
    needs = [domains.need(repeat, stage) for repeat in repeats for stage in past]
    made = iter(make_sets([(source, need) for source in sources for need in needs], folder, session))
    return [_as_memory(source, [[next(made) for _ in past] for _ in repeats]) for source in sources]


def _as_memory(source: SetSource, kept: list[list[Made]]) -> _Filled:
    sets = [each.synthetic for each in kept[0]]
    memory = Memory(
        name=source.name,
        kind=source.kind,
        images=[sum(map(len, sets[: stage + 1])) for stage in range(len(sets))],
        bytes=[sum(each.size_bytes for each in sets[: stage + 1]) for stage in range(len(sets))],
        seconds=sum(each.seconds for of_repeat in kept for each in of_repeat),
    )
    return _Filled(memory, kept)


@dataclass(frozen=True)
class _Place:
    """Which course it is: the numbers of repeat, network and memory, and whether knowledge is distilled."""

    repeat: int
    network: int
    memory: int
    knowledge: bool


class _Learning:
    """All courses, and the results so far.

    Args:
        domains: the stages.
        recipe: how networks are trained.
        filled: the memories.
        networks: specs of the networks.
    """

    def __init__(self, domains: _Domains, recipe: Recipe, filled: Sequence[_Filled], networks: Sequence[str]) -> None:
        self.domains, self.recipe, self.filled, self.networks = domains, recipe, filled, networks
        self.collected = Collected[_Place, CourseOutcome]()

    def results(self, runner: Runner) -> Iterator[list[Learner]]:
        """Let every network take every course.

        Yields:
            The learners after every course.
        """
        protocol = self.domains.protocol
        total = protocol.repeats * len(self.networks) * len(self.filled) * len(protocol.ways)
        for job, outcome in runner.results(self._jobs(runner.workplace), total):
            self.collected.take(job.owner, outcome)
            said = f"failed: {outcome.failed}"
            if outcome.course is not None:
                said = ", ".join(f"{cell:.1%}" for cell in outcome.course.matrix[-1])
            runner.progress(f"{job.title}: {said}")
            yield self._learners()

    def _jobs(self, workplace: Workplace) -> Iterator[Job[CourseOutcome, _Place]]:
        """The courses; those of one repeat and network share initial weights, all other draws, and the first stage."""
        protocol = self.domains.protocol
        stages = tuple(workplace.materials.add(dataset) for dataset in self.domains.stages)
        for repeat in range(protocol.repeats):
            for network, spec in enumerate(self.networks):
                for memory, filled in enumerate(self.filled):
                    sets = tuple(workplace.materials.add(each.synthetic) for each in filled.kept[repeat])
                    for knowledge in protocol.ways:
                        unit = DomainCourse(
                            stages=stages,
                            memories=sets,
                            network=spec,
                            recipe=self.recipe.unworded,
                            epochs=self.recipe.full_epochs,
                            temperature=protocol.temperature if knowledge else None,
                            initial=RANDOM_WEIGHTS.to_json(),
                            seed=protocol.seed,
                            stream=(PURPOSE, "repeat", repeat),
                        )
                        title = f"repeat {repeat + 1}, {spec} with {filled.memory.name}"
                        title += ", knowledge distilled" if knowledge else ""
                        yield Job(unit, title, _Place(repeat, network, memory, knowledge))

    def _learners(self) -> list[Learner]:
        return [
            self._learner(memory, network, knowledge)
            for memory in range(len(self.filled))
            for network in range(len(self.networks))
            for knowledge in self.domains.protocol.ways
        ]

    def _learner(self, memory: int, network: int, knowledge: bool) -> Learner:
        """What is known of a network with a memory: the repeats that are done, without gaps."""
        repeats = range(self.domains.protocol.repeats)
        done, failed = self.collected.without_gaps(_Place(repeat, network, memory, knowledge) for repeat in repeats)
        courses = [replace(each.course, made_on="") for each in done if each.course is not None]
        name, spec = self.filled[memory].memory.name, self.networks[network]
        return Learner(memory=name, network=spec, knowledge=knowledge, courses=courses, failed=failed)


def _check(stages: Sequence[ImageDataset], protocol: DomainProtocol) -> None:
    """Refuse what cannot be learned in stages, before anything is computed."""
    at_least(protocol, images_per_class=1, repeats=1, epochs=1, iterations=0)
    positive(protocol, "temperature")
    if len(stages) < 2:
        raise UserError("there are fewer than two stages", "name at least two datasets, `stages=mnist,usps`")
    names = [dataset.name for dataset in stages]
    if doubled := [name for name in names if names.count(name) > 1]:
        raise UserError(f"the stage {doubled[0]} is named twice", "name each dataset once")
    for dataset in stages:
        check_test(dataset)
    for dataset in stages[:-1]:
        if (fewest := min(dataset.train.class_sizes)) < protocol.images_per_class:
            raise UserError(
                f"a class of {dataset.name} has {fewest} training {kind_of(dataset.shape)}s, fewer than are to be kept",
                f"use `images_per_class={fewest}` or less",
            )
