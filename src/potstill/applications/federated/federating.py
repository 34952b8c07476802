"""Rounds in which clients send distilled sets, beside averaged weights, real images and training on all images."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from potstill.applications.federated.averaging import AveragingResult, FederatedAveraging
from potstill.applications.federated.clients import Clients
from potstill.applications.federated.record import check_earlier, with_results
from potstill.applications.federated.refining import Refining
from potstill.applications.federated.sending import Sent, SetWay, find_ways, make_sent
from potstill.applications.on_record import described, recording
from potstill.applications.recipes import networks_for, recipe_for_several_sets
from potstill.data import ImageDataset
from potstill.evaluation import NetworkResult, Recipe, Resources, Session
from potstill.evaluation.checks import check_networks, check_test
from potstill.evaluation.procedures import images_in_training
from potstill.evaluation.specs import training_on
from potstill.evaluation.training import FULL, TrainAndTest
from potstill.networks import RANDOM_WEIGHTS
from potstill.runtime.bounds import at_least, check_least, positive
from potstill.runtime.errors import UserError
from potstill.schema.federated import (
    CENTRAL,
    FEDAVG,
    ONE_SHOT,
    Averaging,
    Federated,
    FederatedProtocol,
    Learner,
    Way,
)
from potstill.schema.shapes import kind_of
from potstill.synthetic import SyntheticSet
from potstill.units import Collected, Job, Runner, UnitLog, Workplace

NETWORK = "convnet:depth=2:width=32"
"""The network for images that methods match where none is named."""


def federate(
    dataset: ImageDataset,
    out: str | Path,
    *,
    protocol: FederatedProtocol = FederatedProtocol(),  # noqa: B008 (a frozen value)
    averaging: Averaging = Averaging(),  # noqa: B008 (a frozen value)
    methods: Sequence[str] = ("dm",),
    networks: Sequence[str] | None = None,
    recipe: str | Recipe | None = None,
    resources: Resources = Resources(),  # noqa: B008 (a frozen value)
) -> Federated:
    """Let clients who keep their images send sets that are made of them, and write ``federated.json``.

    The training images are divided among clients. Each makes a set of its own images alone and sends it once; a server
    trains networks from scratch on the union. Beside it stand random images and k-means centres of each client in equal
    number, federated averaging in several rounds and in one, and training on all images. With ``protocol.refine``, sets
    are also sent in several rounds, in each of which clients match networks near the server's weights and the server
    trains on, as in FedDM. A second call continues where the first stopped.

    Args:
        dataset: the dataset, whose mean and standard deviation all clients know beforehand.
        out: the folder of the record, and of the runs of all clients.
        protocol: the clients, what they send, and the repeats.
        averaging: how weights are averaged.
        methods: what clients send: selections, methods with their default settings, or ``module:Class``. Several joined
            by ``+`` are used by clients in turn.
        networks: specs; methods match the first of them. None takes ``convnet:depth=2:width=32`` and ``mlp``, for
            vectors ``linear`` and ``mlp``.
        recipe: how networks are trained on sets and on all images, a name in ``RECIPES`` or a recipe of your own; None
            takes ``dsa-1000``, for vectors ``probe-1000``.
        resources: device, executor and progress.

    Returns:
        The contents of ``federated.json``.

    Raises:
        UserError: there are more clients than images, no client has enough images of a class, a method, network or
            recipe is unknown or does not fit, a method cannot match networks near weights and should, or the record on
            file is of something else.
    """
    out, networks = Path(out), networks_for(dataset.shape, networks, first=NETWORK)
    recipe = recipe_for_several_sets(recipe, "a union of several sets", dataset.shape)
    _check(dataset, protocol, averaging, networks)
    clients = Clients(dataset, protocol, networks[0])
    _check_sent(clients)
    set_ways = find_ways(methods, resources.compute)
    for way in set_ways:
        way.check(clients)
    refinable = set_ways[: len(methods)] if protocol.refine else []
    asked = Federated(
        protocol=protocol,
        averaging=averaging,
        dataset=described(dataset),
        class_names=list(dataset.class_names),
        recipe=recipe,
        matched=networks[0],
        networks=list(networks),
        clients=clients.records,
        ways=_ways(set_ways, refinable, averaging),
    )
    refining = Refining(asked, clients, refinable, out)
    refining.check()
    (images, longest), (more, longest_of_more) = _work(asked), refining.work()
    session = Session(dataset, compute=resources.compute, executor=resources.executor, progress=resources.progress)
    path = out / Federated.FILE
    with recording(path, asked, check_earlier):
        found = asked
        sent = make_sent(set_ways, clients, out / "clients", session)
        log, compute, ways, learners = UnitLog.beside(path), session.settled(images), [each.way for each in sent], []
        learning = _Learning(asked, clients, sent)
        with session.with_crew(compute, images=images + more, longest=max(longest, longest_of_more)) as session:
            with session.runner(compute, log) as runner:
                for learners in learning.results(runner):
                    found = with_results(asked, ways, learners, learning.collected.made_on)
                    found.write(path)
            for refined, further in refining.rounds(session, compute, log):
                made_on = learning.collected.made_on | refining.made_on
                found = with_results(asked, [*ways, *refined], [*learners, *further], made_on)
                found.write(path)
    return found


def _ways(set_ways: Sequence[SetWay], refinable: Sequence[SetWay], averaging: Averaging) -> list[Way]:
    """All ways to learn from the clients, in the order of the record."""
    averages = [FEDAVG, ONE_SHOT] if averaging.rounds else []
    return [
        *(way.record for way in set_ways),
        *(way.refined for way in refinable),
        *(Way(name=name, kind="averaging") for name in averages),
        Way(name=CENTRAL, kind="central"),
    ]


@dataclass(frozen=True)
class _Place:
    """Which training it is: the repeat, and the numbers of way and network."""

    repeat: int
    way: int
    network: int


class _Learning:
    """All trainings, and the results so far.

    Args:
        asked: the record without results.
        clients: the clients of all repeats.
        sent: what they send, for the first of the ways.
    """

    def __init__(self, asked: Federated, clients: Clients, sent: Sequence[Sent]) -> None:
        self.asked, self.clients, self.sent = asked, clients, sent
        self.collected = Collected[_Place, NetworkResult | AveragingResult]()

    def results(self, runner: Runner) -> Iterator[list[Learner]]:
        """Train every network in every way.

        Yields:
            The learners after every training.
        """
        jobs = list(self._jobs(runner.workplace))
        for job, result in runner.results(jobs, sum(job.weight for job in jobs)):
            self.collected.take(job.owner, result)
            said = f"{result.accuracies[-1]:.1%}" if result.failed is None else f"failed: {result.failed}"
            runner.progress(f"{job.title}: {said}")
            yield self._learners()

    def _jobs(self, workplace: Workplace) -> Iterator[Job[Any, _Place]]:
        """The trainings; those of one repeat and network share initial weights, and those on sets all other draws."""
        protocol = self.asked.protocol
        base = training_on(self.clients.dataset, workplace, self.asked.recipe, protocol.seed)
        for repeat in range(protocol.repeats):
            here = replace(base, stream=self.clients.streams(repeat).path)
            for network, spec in enumerate(self.asked.networks):
                for number, way in enumerate(self.asked.ways):
                    if way.kind == "refined":
                        continue  # its rounds alternate with the making of sets
                    if way.kind == "averaging":
                        unit, weight = self._averaging(way, here.dataset, spec, repeat)
                    elif way.kind == "central":
                        unit, weight = self._central(here, spec)
                    else:
                        unit, weight = self._on_union(self.sent[number].unions[repeat], here, spec, workplace)
                    title = f"repeat {repeat + 1}, {spec} by {way.name}"
                    yield Job(unit, title, _Place(repeat, number, network), weight)

    def _central(self, base: TrainAndTest, network: str) -> tuple[TrainAndTest, int]:
        """A training on all images, and how many the network sees."""
        epochs = self.asked.protocol.central_epochs or self.asked.recipe.full_epochs
        return replace(base, images=FULL, network=network, epochs=epochs), epochs * len(self.clients.dataset.train)

    def _on_union(
        self, union: SyntheticSet, base: TrainAndTest, network: str, workplace: Workplace
    ) -> tuple[TrainAndTest, int]:
        """A training on all that clients sent, and how many images the network sees."""
        unit = replace(base, images=workplace.materials.add(union), network=network)
        return unit, images_in_training(self.asked.recipe, len(union), union.pictures)

    def _averaging(self, way: Way, dataset: str, network: str, repeat: int) -> tuple[FederatedAveraging, float]:
        """The averaging of a repeat, in several rounds or in one, and the images that clients see."""
        protocol, averaging = self.asked.protocol, self.asked.averaging
        if way.name == ONE_SHOT:
            averaging = replace(averaging, rounds=1, fraction=1.0, local_epochs=averaging.one_shot_epochs)
        unit = FederatedAveraging(
            dataset=dataset,
            partition=protocol.partition,
            partition_seed=self.clients.partition_seed(repeat),
            averaging=replace(averaging, one_shot_epochs=1),  # without effect here, so it must not change the key
            network=network,
            initial=RANDOM_WEIGHTS.to_json(),
            seed=protocol.seed,
            stream=self.clients.streams(repeat).path,
        )
        return unit, averaging.rounds * averaging.fraction * averaging.local_epochs * self.asked.dataset.train

    def _learners(self) -> list[Learner]:
        return [
            self._learner(way, network)
            for way, about in enumerate(self.asked.ways)
            if about.kind != "refined"
            for network in range(len(self.asked.networks))
        ]

    def _learner(self, way: int, network: int) -> Learner:
        """What is known of a network in a way: the repeats that are done, without gaps."""
        about, repeats = self.asked.ways[way], range(self.asked.protocol.repeats)
        done, failed = self.collected.without_gaps(_Place(repeat, way, network) for repeat in repeats)
        up, down = list[int](), list[int]()
        averaged = [each for each in done if isinstance(each, AveragingResult)]
        if about.kind == "averaging":
            up = [each.sent * each.weights_bytes for each in averaged]
            down = up
        elif about.kind == "sets":
            up = self.sent[way].way.bytes[: len(done)]
            down = [0] * len(done)
        return Learner(
            way=about.name,
            network=self.asked.networks[network],
            accuracies=[each.accuracies[-1] for each in done],
            rounds=[each.accuracies for each in averaged],
            bytes_up=up,
            bytes_down=down,
            seconds=[each.seconds for each in done],
            failed=failed,
        )


def _work(asked: Federated) -> tuple[int, int]:
    """About as many images as networks see, in all trainings and in the longest."""
    protocol, averaging, train = asked.protocol, asked.averaging, asked.dataset.train
    sent = max(sum(client.sent_images for client in clients) for clients in asked.clients)
    on_sets = images_in_training(asked.recipe, sent, sent * protocol.formation**2)
    central = (protocol.central_epochs or asked.recipe.full_epochs) * train
    averaged = (averaging.rounds * averaging.local_epochs * train, averaging.one_shot_epochs * train)
    rest = (*averaged, central) if averaging.rounds else (central,)
    each = len(asked.networks) * protocol.repeats
    return each * (len(asked.sets) * on_sets + sum(rest)), max(on_sets, *rest)


def _check_sent(clients: Clients) -> None:
    """Make sure that in every repeat some client sends something.

    Raises:
        UserError: in one, no client has enough images of any class.
    """
    for repeat in clients.records:
        if not any(client.sent for client in repeat):
            fits = max(size // client.pictures for client in repeat for size in client.class_sizes)
            smaller = f", or `ipc={fits}` or less" if fits else ""
            kind = kind_of(clients.dataset.shape)
            raise UserError(f"no client has enough {kind}s of any class to send", f"use fewer clients{smaller}")


def _check(dataset: ImageDataset, protocol: FederatedProtocol, averaging: Averaging, networks: Sequence[str]) -> None:
    """Refuse what cannot be done, before anything is computed."""
    at_least(protocol, formation=1, repeats=1, central_epochs=1, iterations=0, refine=0, radius=0)
    at_least(averaging, rounds=0, local_epochs=1, local_batch=1, one_shot_epochs=1)
    positive(averaging, "local_rate", "fraction")
    if averaging.fraction > 1:
        raise UserError(f"`fraction={averaging.fraction}` is more than all clients", "use 1 or less")
    if not protocol.images_per_class:
        raise UserError("`ipc` names no number", "use `ipc=1`, for example")
    for images in protocol.images_per_class:
        check_least("ipc", images, 1)
    check_test(dataset)
    check_networks(networks, dataset)
