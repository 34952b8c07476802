"""Rounds in which clients match networks near the server's weights, and the server trains on.

Xiong, Wang, Cheng, Yu and Hsieh, "FedDM: Iterative Distribution Matching for Communication-Efficient Federated
Learning", CVPR 2023 (arXiv:2207.09653). In each round the server sends its weights, each client makes a set of its own
images that agrees with them on networks near these weights, and the server trains its network further on the union.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import ClassVar

import torch

from potstill.applications.federated.averaging import bytes_of_weights
from potstill.applications.federated.clients import Clients
from potstill.applications.federated.sending import Received, SetWay, received, with_costs
from potstill.applications.set_sources import Around, Need, SetSource, images_in_making
from potstill.evaluation import Session
from potstill.evaluation.procedures import images_in_training
from potstill.evaluation.specs import training_on
from potstill.evaluation.training import NetworkTraining, accuracy
from potstill.networks import RANDOM_WEIGHTS, ImageShape, InitialWeights, build_network
from potstill.networks.weights import keep_weights, kept_weights, snapshot
from potstill.runtime.compute import Compute
from potstill.runtime.errors import UserError
from potstill.runtime.files import sha256
from potstill.runtime.streams import Streams
from potstill.schema import Record
from potstill.schema.federated import Federated, Learner, Way
from potstill.schema.fields import Amount, Fraction
from potstill.units import Job, Runner, UnitLog, Workplace


@dataclass(frozen=True, kw_only=True)
class Refined(Record):
    """The server's network after a round.

    Attributes:
        accuracy: on the test split.
        weights: the SHA-256 of the file of its weights.
        seconds: time to train and test.
        made_on: the machine, precision and versions, in words.
        failed: the reason if the training failed, otherwise None.
    """

    accuracy: Fraction = 0.0
    weights: str = ""
    seconds: Amount = 0.0
    made_on: str = ""
    failed: str | None = None


@dataclass(frozen=True, kw_only=True)
class RoundOfTraining(NetworkTraining[Refined]):
    """Train the server's network further on the union of a round, test it, and keep its weights in a file.

    Attributes:
        folder: the folder of weights. That and where the initial weights lie decide nothing: these have a SHA-256.
    """

    result: ClassVar[type[Record]] = Refined

    folder: str

    @property
    def key(self) -> str:
        """The SHA-256 of the unit without the folder, so that a record that was moved keeps its results."""
        placeless = replace(self, folder="", initial={**self.initial, "source": ""})
        return super(RoundOfTraining, placeless).key

    def run(self, workplace: Workplace) -> Refined:
        """Train, test and keep the weights. A training that fails is a result too, which says why.

        Raises:
            UserError: the initial weights are absent or have changed, or the new ones cannot be written.
        """
        started = time.perf_counter()
        self.weights(workplace).held_out(self.repeat)  # raises if they have changed
        try:
            trainer, _ = self.trained(workplace)
        except UserError as error:
            return Refined(failed=error.problem)
        weights = trainer.snapshot()
        if not all(tensor.isfinite().all() for tensor in weights.values()):
            return Refined(failed=f"{self.network} diverged in its last epoch")
        return Refined(
            accuracy=accuracy(trainer, workplace.dataset(self.dataset).test),
            weights=keep_weights(Path(self.folder), weights, {"network": self.network}),
            seconds=time.perf_counter() - started,
            made_on=workplace.in_words,
        )

    def is_final(self, result: Refined) -> bool:
        """A training that failed is tried again when it is asked for again."""
        return result.failed is None


@dataclass
class _Course:
    """A way in a repeat: what was received and learned in each round so far.

    Attributes:
        way: its number.
        repeat: counted from 0.
        weights: the SHA-256 of the server's present weights.
        received: what clients sent in each round.
        results: what the server learned from it.
    """

    way: int
    repeat: int
    weights: str
    received: list[Received] = field(default_factory=list)
    results: list[Refined] = field(default_factory=list)

    @property
    def failed(self) -> str | None:
        """The reason if it cannot go on."""
        return self.results[-1].failed if self.results else None


class Refining:
    """All rounds of all repeats, for the network that methods match.

    Args:
        asked: the record without results.
        clients: the clients of all repeats.
        ways: what clients send; without any there is nothing to do.
        folder: of the record; sets are made in ``clients`` and weights kept in ``weights``.
    """

    def __init__(self, asked: Federated, clients: Clients, ways: Sequence[SetWay], folder: Path) -> None:
        self.asked, self.clients, self.ways = asked, clients, ways
        self.sets, self.weights = folder / "clients", folder / "weights"
        self.made_on: dict[str, None] = {}
        self._courses: list[_Course] = []
        self._bytes_of_weights = 0

    def check(self) -> None:
        """Make sure that every method can match networks near weights, before anything is computed.

        Raises:
            UserError: one cannot.
        """
        for number in range(len(self.ways)):
            for source, need in self._requests(_Course(number, 0, ""), 0):
                try:
                    source.check(need)
                except UserError as error:
                    raise UserError(f"{error.problem}, which `refine` requires", error.remedy) from error

    def work(self) -> tuple[int, int]:
        """About as many images as networks see, in all rounds and in the longest piece of work."""
        protocol, recipe, making, training = self.asked.protocol, self.asked.recipe, [0], [0]
        for way in range(len(self.ways)):
            for repeat, clients in enumerate(self.clients.records):
                requests = self._requests(_Course(way, repeat, ""), 0)
                making += [images_in_making(source.plan(need), need) for source, need in requests]
                sent = sum(client.sent_images for client in clients)
                training.append(images_in_training(recipe, sent, sent * protocol.formation**2))
        return protocol.refine * (sum(making) + sum(training)), max(*making, *training)

    def rounds(self, session: Session, compute: Compute, log: UnitLog) -> Iterator[tuple[list[Way], list[Learner]]]:
        """Do all rounds, each of all repeats and ways.

        Args:
            session: its crew makes the sets and trains.
            compute: where the server trains.
            log: the results on record.

        Yields:
            After each round the ways with their costs, and the learners.

        Raises:
            UserError: a set cannot be made, or weights on file are absent or have changed.
        """
        if not self.ways:
            return
        self._begin()
        numbers = range(len(self.ways))
        for number in range(self.asked.protocol.refine):
            lost = {course.way for course in self._courses if course.failed is not None}
            going = [course for course in self._courses if course.way not in lost]
            asked = [self._requests(course, number) for course in going]
            for course, sent in zip(going, received(asked, self.clients, self.sets, session), strict=True):
                course.received.append(sent)
            with session.runner(compute, log) as runner:
                self._train(going, number, runner)
            yield [self._way(way) for way in numbers], [self._learner(way) for way in numbers]

    def _begin(self) -> None:
        """Keep the weights that all other trainings of the network start from, too, in each repeat."""
        dataset, spec = self.clients.dataset, self.asked.matched
        self._courses = []
        for repeat in range(self.asked.protocol.repeats):
            network = build_network(spec, ImageShape(*dataset.shape), dataset.class_count, torch.Generator())
            RANDOM_WEIGHTS.draw(network, self.clients.streams(repeat).generator("network"))
            weights = snapshot(network)
            self._bytes_of_weights = bytes_of_weights(weights)
            key = keep_weights(self.weights, weights, {"network": spec})
            self._courses += [_Course(way, repeat, key) for way in range(len(self.ways))]

    def _requests(self, course: _Course, number: int) -> list[tuple[SetSource, Need]]:
        """What the clients are to make in a round, counted from 0; the title names the weights that it depends on."""
        around = Around(kept_weights(self.weights, course.weights), self.asked.protocol.radius)
        about = sha256(f"{course.weights} {around.radius!r}".encode())[:8]
        return [
            (
                source,
                replace(
                    need,
                    title=f"{need.title}-round{number + 1}-{about}",
                    seed=Streams(need.seed).derived_seed("round", number),
                    around=around,
                ),
            )
            for source, need in self.ways[course.way].requests(self.clients, course.repeat)
        ]

    def _train(self, courses: Sequence[_Course], number: int, runner: Runner) -> None:
        """Train the server's network further in each course."""
        jobs = [self._job(course, number, runner.workplace) for course in courses]
        for job, result in runner.results(jobs, sum(job.weight for job in jobs)):
            job.owner.results.append(result)
            if result.failed is None:
                if not kept_weights(self.weights, result.weights).is_file():
                    raise UserError(f"the weights of {job.title} are gone from {self.weights}", "restore them")
                job.owner.weights = result.weights
                self.made_on[result.made_on] = None
            said = f"{result.accuracy:.1%}" if result.failed is None else f"failed: {result.failed}"
            runner.progress(f"{job.title}: {said}")

    def _job(self, course: _Course, number: int, workplace: Workplace) -> Job[Refined, _Course]:
        protocol, union = self.asked.protocol, course.received[-1].synthetic
        base = training_on(self.clients.dataset, workplace, self.asked.recipe, protocol.seed)
        weights = InitialWeights(str(kept_weights(self.weights, course.weights).absolute()), sha256=course.weights)
        streams = self.clients.streams(course.repeat).child("round", number)
        training = replace(
            base,
            images=workplace.materials.add(union),
            network=self.asked.matched,
            initial=weights.to_json(),
            stream=streams.path,
        )
        unit = training.asking(RoundOfTraining, folder=str(self.weights.absolute()))
        title = f"repeat {course.repeat + 1}, round {number + 1} of {self.ways[course.way].refined.name}"
        return Job(unit, title, course, images_in_training(self.asked.recipe, len(union), union.pictures))

    def _of(self, way: int) -> list[_Course]:
        return [course for course in self._courses if course.way == way]

    def _way(self, way: int) -> Way:
        return with_costs(self.ways[way].refined, [course.received for course in self._of(way)])

    def _learner(self, way: int) -> Learner:
        """What the server has learned in a way; nothing if it failed in a repeat."""
        courses, name = self._of(way), self.ways[way].refined.name
        failed = next((course.failed for course in courses if course.failed is not None), None)
        if failed is not None:
            return Learner(way=name, network=self.asked.matched, failed=failed)
        senders = [sum(bool(client.sent) for client in clients) for clients in self.clients.records]
        return Learner(
            way=name,
            network=self.asked.matched,
            accuracies=[course.results[-1].accuracy for course in courses],
            rounds=[[result.accuracy for result in course.results] for course in courses],
            bytes_up=[sum(each.bytes for each in course.received) for course in courses],
            bytes_down=[len(course.results) * senders[course.repeat] * self._bytes_of_weights for course in courses],
            seconds=[sum(result.seconds for result in course.results) for course in courses],
        )
