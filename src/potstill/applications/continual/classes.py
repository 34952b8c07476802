"""Class-incremental learning as in GDumb: each step has new classes, and networks learn from the memory alone.

Prabhu et al., "GDumb: A Simple Approach that Questions Our Progress in Continual Learning", ECCV 2020; with distilled
memories as in Zhao and Bilen, "Dataset Condensation with Distribution Matching", WACV 2023 (arXiv:2110.04181).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import torch

from potstill.applications.continual.memories import in_units_of, joined
from potstill.applications.continual.record import check_earlier, with_results
from potstill.applications.on_record import described, recording
from potstill.applications.recipes import networks_for, recipe_for_several_sets
from potstill.applications.set_sources import Made, Need, SetSource, find_sources, make_sets
from potstill.data import ImageDataset, judges_of, with_classes
from potstill.evaluation import NetworkResult, Recipe, Resources, Session
from potstill.evaluation.checks import check_confusions, check_networks, check_test
from potstill.evaluation.procedures import images_in_training
from potstill.evaluation.specs import training_on
from potstill.evaluation.training import TrainAndTest
from potstill.runtime.bounds import at_least
from potstill.runtime.errors import UserError
from potstill.runtime.streams import Streams
from potstill.schema.applications import BASELINES
from potstill.schema.continual import ClassProtocol, Continual, Course, Learner, Memory
from potstill.schema.shapes import kind_of
from potstill.synthetic import SyntheticSet
from potstill.units import Collected, Job, Runner, UnitLog, Workplace

PURPOSE = "continual"
"""The name of the stream of all draws."""

LABEL_BYTES = 8


def learn_classes(
    dataset: ImageDataset,
    out: str | Path,
    *,
    protocol: ClassProtocol = ClassProtocol(),  # noqa: B008 (a frozen value)
    memories: Sequence[str] = ("dm",),
    networks: Sequence[str] | None = None,
    recipe: str | Recipe | None = None,
    resources: Resources = Resources(),  # noqa: B008 (a frozen value)
) -> Continual:
    """Let networks learn the classes of a dataset step by step, with several memories, and write ``continual.json``.

    What is remembered of a class comes from the images of its own step alone. After each step, networks are trained
    from scratch on the memory, and tested on the test images of all classes seen so far. Random images and k-means
    centres in equal number always stand beside the other memories. A second call continues where the first stopped.

    Args:
        dataset: the dataset.
        out: the folder of the record, and of the runs that fill the memory.
        protocol: the steps, the memory, and how many orders of the classes are drawn.
        memories: what fills the memory: selections, methods with their default settings, ``module:Class``, folders of
            runs or files of sets.
        networks: specs; methods match the first of them. None takes ``convnet`` and ``mlp``, for vectors
            ``linear`` and ``mlp``.
        recipe: how networks are trained, a name in ``RECIPES`` or a recipe of your own; None takes ``dsa-1000``, for
            vectors ``probe-1000``.
        resources: device, executor and progress.

    Returns:
        The contents of ``continual.json``.

    Raises:
        UserError: the classes cannot be divided into steps of at least two classes each, the memory has no image for a
            class or more than there are, a memory, network or recipe is unknown or does not fit, or the record on file
            is of something else.
    """
    out, networks = Path(out), networks_for(dataset.shape, networks)
    recipe = recipe_for_several_sets(recipe, "a memory of several stages", dataset.shape)
    _check(dataset, protocol, networks)
    sources = [in_units_of(source, dataset) for source in find_sources(memories, resources.compute, BASELINES)]
    steps = _Steps(dataset, protocol, networks[0])
    for source in sources:
        source.check(replace(steps.need(0, 0), data=dataset))
    asked = Continual(
        protocol=protocol,
        datasets=[described(dataset)],
        stages=[f"step {step + 1}" for step in range(protocol.steps)],
        orders=steps.class_names,
        recipe=recipe,
        matched=networks[0],
        networks=list(networks),
        memories=[Memory(name=source.name, kind=source.kind) for source in sources],
    )
    images = _images(recipe, steps) * len(sources) * len(networks)
    session = Session(dataset, compute=resources.compute, executor=resources.executor, progress=resources.progress)
    path = out / Continual.FILE
    with recording(path, asked, check_earlier):
        found = asked
        filled = _filled(sources, steps, out / "memories", session)
        with session.runner(session.settled(images), UnitLog.beside(path), images=images) as runner:
            learning = _Learning(steps, recipe, filled, networks)
            for learners in learning.results(runner):
                found = with_results(asked, [each.memory for each in filled], learners, learning.collected.made_on)
                found.write(path)
    return found


def memory_of_bytes(dataset: ImageDataset, size: int) -> int:
    """The number of images that fit into a memory of ``size`` bytes, stored in float32 with their labels."""
    return size // (4 * math.prod(dataset.shape) + LABEL_BYTES)


class _Steps:
    """The steps of all orders of the classes.

    Args:
        dataset: the dataset.
        protocol: the protocol.
        matched: the network that methods match.
    """

    def __init__(self, dataset: ImageDataset, protocol: ClassProtocol, matched: str) -> None:
        self.dataset, self.protocol, self.matched = dataset, protocol, matched

    @cached_property
    def orders(self) -> list[list[list[int]]]:
        """For each order the classes of each step."""
        size = self.dataset.class_count // self.protocol.steps
        drawn = (
            torch.randperm(self.dataset.class_count, generator=self._streams.generator("class order", order))
            for order in range(self.protocol.orders)
        )
        return [[part.sort().values.tolist() for part in order.split(size)] for order in drawn]

    @property
    def _streams(self) -> Streams:
        return Streams(self.protocol.seed, (PURPOSE,))

    @property
    def class_names(self) -> list[list[list[str]]]:
        """The same as names."""
        names = self.dataset.class_names
        return [[[names[label] for label in step] for step in order] for order in self.orders]

    def share(self, step: int) -> int:
        """The images of each class in the memory after a step."""
        return self.protocol.share(step, self.dataset.class_count)

    def seen(self, order: int, step: int) -> list[int]:
        """The classes up to a step, in the order of the dataset."""
        return sorted(label for classes in self.orders[order][: step + 1] for label in classes)

    def need(self, order: int, step: int) -> Need:
        """What is to be remembered of a step."""
        return Need(
            title=f"order{order + 1}-step{step + 1}",
            data=with_classes(self.dataset, self.orders[order][step]),
            images_per_class=self.share(step),
            network=self.matched,
            iterations=self.protocol.iterations,
            seed=self._streams.derived_seed("set", order, step),
        )

    def judges(self, order: int, step: int) -> ImageDataset:
        """The images that judge after a step, and no others."""
        return with_classes(judges_of(self.dataset), self.seen(order, step))

    def row(self, order: int, step: int, confusion: Sequence[Sequence[int]]) -> list[float]:
        """The accuracies on each step up to this one, from the confusion matrix of the classes seen."""
        seen, counts = self.seen(order, step), torch.tensor(confusion, dtype=torch.float64)
        places = [[seen.index(label) for label in classes] for classes in self.orders[order][: step + 1]]
        return [(counts.diagonal()[place].sum() / counts[place].sum()).item() for place in places]

    def tested(self, order: int) -> list[int]:
        """The number of test images of each step."""
        sizes = self.dataset.test.class_sizes
        return [sum(sizes[label] for label in classes) for classes in self.orders[order]]


@dataclass(frozen=True)
class _Filled:
    """A memory with what it holds of each order and step."""

    memory: Memory
    kept: list[list[Made]]

    def after(self, steps: _Steps, order: int, step: int) -> SyntheticSet:
        """All that is in the memory after a step."""
        like = with_classes(judges_of(steps.dataset), steps.seen(order, step))
        return joined([each.synthetic for each in self.kept[order][: step + 1]], like, steps.share(step))


def _filled(sources: Sequence[SetSource], steps: _Steps, folder: Path, session: Session) -> list[_Filled]:
    """Make, or take from the folder, what each memory holds of every step of every order."""
    protocol = steps.protocol
    needs = [steps.need(order, step) for order in range(protocol.orders) for step in range(protocol.steps)]
    made = iter(make_sets([(source, need) for source in sources for need in needs], folder, session))
    return [
        _as_memory(source, steps, [[next(made) for _ in range(protocol.steps)] for _ in range(protocol.orders)])
        for source in sources
    ]


def _as_memory(source: SetSource, steps: _Steps, kept: list[list[Made]]) -> _Filled:
    memory = Memory(name=source.name, kind=source.kind)
    held = [_Filled(memory, kept).after(steps, 0, step) for step in range(steps.protocol.steps)]
    memory = replace(
        memory,
        images=[len(each) for each in held],
        bytes=[each.size_bytes for each in held],
        seconds=sum(each.seconds for of_order in kept for each in of_order),
    )
    return _Filled(memory, kept)


@dataclass(frozen=True, order=True)
class _Place:
    """Which training it is: order, step, and the numbers of memory and network."""

    order: int
    step: int
    memory: int
    network: int


class _Learning:
    """All trainings, and the results so far.

    Args:
        steps: the steps of all orders.
        recipe: how networks are trained.
        filled: the memories.
        networks: specs of the networks.
    """

    def __init__(self, steps: _Steps, recipe: Recipe, filled: Sequence[_Filled], networks: Sequence[str]) -> None:
        self.steps, self.recipe, self.filled, self.networks = steps, recipe, filled, networks
        self.collected = Collected[_Place, NetworkResult]()

    def results(self, runner: Runner) -> Iterator[list[Learner]]:
        """Train every network with every memory after each step of each order.

        Yields:
            The learners after every training.
        """
        protocol = self.steps.protocol
        total = protocol.orders * protocol.steps * len(self.filled) * len(self.networks)
        for job, result in runner.results(self._jobs(runner.workplace), total):
            self.collected.take(job.owner, result)
            said = f"{result.accuracies[0]:.1%}" if result.failed is None else f"failed: {result.failed}"
            runner.progress(f"{job.title}: {said}")
            yield self._learners()

    def _jobs(self, workplace: Workplace) -> Iterator[Job[NetworkResult, _Place]]:
        """The trainings; those of all memories after one step share initial weights and all other draws."""
        protocol = self.steps.protocol
        for order in range(protocol.orders):
            for step in range(protocol.steps):
                judges = self.steps.judges(order, step)
                base = training_on(judges, workplace, self.recipe, protocol.seed, purpose=PURPOSE)
                base = replace(base, stream=(*base.stream, "order", order, "step", step))
                sets = [workplace.materials.add(each.after(self.steps, order, step)) for each in self.filled]
                for network, spec in enumerate(self.networks):
                    for memory, images in enumerate(sets):
                        yield self._job(base, images, spec, _Place(order, step, memory, network))

    def _job(self, base: TrainAndTest, images: str, network: str, place: _Place) -> Job[NetworkResult, _Place]:
        of = self.filled[place.memory].memory.name
        title = f"order {place.order + 1}, step {place.step + 1}, {network} on {of}"
        return Job(replace(base, images=images, network=network), title, place)

    def _learners(self) -> list[Learner]:
        return [
            self._learner(memory, network)
            for memory in range(len(self.filled))
            for network in range(len(self.networks))
        ]

    def _learner(self, memory: int, network: int) -> Learner:
        """What is known of a network with a memory: the orders that are complete, without gaps."""
        courses, failed = [], None
        for order in range(self.steps.protocol.orders):
            places = [_Place(order, step, memory, network) for step in range(self.steps.protocol.steps)]
            done, failed = self.collected.without_gaps(places)
            if len(done) < len(places):
                break
            courses.append(self._course(order, done))
        name = self.filled[memory].memory.name
        return Learner(memory=name, network=self.networks[network], courses=courses, failed=failed)

    def _course(self, order: int, done: Sequence[NetworkResult]) -> Course:
        return Course(
            matrix=[self.steps.row(order, step, each.confusion) for step, each in enumerate(done)],
            images=self.steps.tested(order),
            seconds=sum(each.seconds for each in done),
        )


def _check(dataset: ImageDataset, protocol: ClassProtocol, networks: Sequence[str]) -> None:
    """Refuse what cannot be learned in steps, before anything is computed."""
    at_least(protocol, steps=2, memory=1, orders=1, iterations=0)
    check_test(dataset)
    check_confusions(dataset)
    classes, steps, kind = dataset.class_count, protocol.steps, kind_of(dataset.shape)
    possible = [number for number in range(2, classes // 2 + 1) if classes % number == 0]
    if steps not in possible:
        one = "a step would have one class" if steps == classes else f"it has {classes} classes"
        also = " or ".join(map(str, possible[1:]))
        remedy = "use a dataset whose classes can be divided into equal groups of two or more"
        if possible:
            remedy = f"use `steps={possible[0]}`" + (f", or {also}" if also else "")
        raise UserError(f"{dataset.name} cannot be divided into {steps} equal steps: {one}", remedy)
    if not (last := protocol.share(steps - 1, classes)):
        raise UserError(
            f"a memory of {protocol.memory} {kind}s cannot hold one of each of {classes} classes",
            f"use `memory={classes}`",
        )
    fewest = min(dataset.train.class_sizes)
    if (largest := protocol.share(0, classes)) > fewest:
        raise UserError(
            f"the memory holds {largest} {kind}s of each class at first, but a class has only {fewest} training "
            f"{kind}s",
            f"use a smaller `memory`, or `sharing=fixed` with {last} of each",
        )
    if min(dataset.test.class_sizes) == 0:
        raise UserError(f"{dataset.name} has a class without test {kind}s", f"use a dataset with test {kind}s of each")
    check_networks(networks, dataset)


def _images(recipe: Recipe, steps: _Steps) -> int:
    """The images that a network sees in all trainings with one memory."""
    protocol = steps.protocol
    sizes = (steps.share(step) * len(steps.seen(0, step)) for step in range(protocol.steps))
    return protocol.orders * sum(images_in_training(recipe, size, size) for size in sizes)
