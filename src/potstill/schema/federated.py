"""``federated.json``: clients that keep their images, and what a server learns from what they send."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any, ClassVar, Literal, Self

from potstill.schema import Record
from potstill.schema.applications import Gain, LearnedDataset
from potstill.schema.fields import Amount, Count, Fields, Fraction, Positive
from potstill.schema.privacy import Privacy
from potstill.schema.recipe import Recipe
from potstill.schema.statistics import confidence_interval, corrected, paired_difference

FEDAVG, ONE_SHOT, CENTRAL = "FedAvg", "one-shot FedAvg", "central training"
"""The ways in which no sets are sent."""
REFINED = "refined "
"""How the name of a way with several rounds of sets begins; the rest is that of the way with one."""

PartitionKind = Literal["dirichlet", "classes", "shards", "iid"]
WayKind = Literal["sets", "refined", "averaging", "central"]


@dataclass(frozen=True, kw_only=True)
class Partition(Record):
    """How the training images are divided among clients.

    Attributes:
        clients: the number of clients.
        kind: ``dirichlet``: the shares of each class are drawn from a symmetric Dirichlet distribution; ``classes``:
            each client has equally many classes; ``shards``: images are sorted by class and cut into shards, of which
            each client gets some, as in McMahan et al. (2017); ``iid``: images are dealt at random.
        alpha: the parameter of the Dirichlet distribution; the smaller, the more the clients differ.
        per_client: the classes or shards of each client.
    """

    clients: Positive = 10
    kind: PartitionKind = "dirichlet"
    alpha: Amount = 0.5
    per_client: Positive = 2


@dataclass(frozen=True, kw_only=True)
class FederatedProtocol(Record):
    """Rounds in which every client sends a set that is made of its own images, and what they are compared with.

    Attributes:
        partition: how the training images are divided among clients.
        images_per_class: images of each class that a client holds; clients take several numbers in turn.
        formation: 1, or f if each image that is sent holds f × f small pictures.
        repeats: how often all is repeated, each time with another partition, other sets and other networks.
        central_epochs: passes over all images in central training; None is the recipe's number for full data.
        iterations: iterations of every distillation; None is the method's number.
        seed: seed of all draws.
        refine: rounds in which clients match networks near the server's weights, and the server trains on; beside the
            one round of sets, which needs no weights. 0 leaves them out.
        radius: how far from the server's weights networks are drawn in these rounds.
    """

    partition: Partition = Partition()
    images_per_class: tuple[Positive, ...] = (1,)
    formation: Positive = 1
    repeats: Positive = 5
    central_epochs: Positive | None = None
    iterations: Count | None = 200
    seed: int = 0
    refine: Count = 0
    radius: Amount = 5.0

    def share(self, client: int) -> int:
        """The images of each class that a client, counted from 0, sends."""
        return self.images_per_class[client % len(self.images_per_class)]


@dataclass(frozen=True, kw_only=True)
class Averaging(Record):
    """Federated averaging: McMahan et al., "Communication-Efficient Learning of Deep Networks from Decentralized Data".

    Clients train by SGD without momentum, weight decay or augmentation, as in the paper (AISTATS 2017).

    Attributes:
        rounds: the number of rounds; 0 leaves both kinds of averaging out.
        fraction: the fraction C of clients that take part in a round, at least one client.
        local_epochs: the passes E of a client over its images in a round.
        local_batch: the images B of each step.
        local_rate: the learning rate, constant.
        one_shot_epochs: the passes of each client if there is a single round.
    """

    rounds: Count = 20
    fraction: Fraction = 1.0
    local_epochs: Positive = 5
    local_batch: Positive = 32
    local_rate: Amount = 0.1
    one_shot_epochs: Positive = 20


@dataclass(frozen=True, kw_only=True)
class Client(Record):
    """The share of one client.

    Attributes:
        class_sizes: the number of its training images of each class of the dataset.
        images_per_class: the images that it sends of each class of which it has enough.
        pictures: the pictures that an image holds, each of which starts from an image of the client.
    """

    class_sizes: list[Count]
    images_per_class: Positive
    pictures: Positive = 1

    @property
    def images(self) -> int:
        """The number of its training images."""
        return sum(self.class_sizes)

    @property
    def classes(self) -> int:
        """The number of classes of which it has images."""
        return sum(size > 0 for size in self.class_sizes)

    @property
    def sent(self) -> list[int]:
        """The labels of the classes of which it sends images."""
        enough = self.images_per_class * self.pictures
        return [label for label, size in enumerate(self.class_sizes) if size >= enough]

    @property
    def sent_images(self) -> int:
        """The number of images that it sends."""
        return self.images_per_class * len(self.sent)

    @property
    def left_out(self) -> int:
        """The images of classes of which it has too few to send any."""
        return self.images - sum(self.class_sizes[label] for label in self.sent)


@dataclass(frozen=True, kw_only=True)
class Way(Record):
    """A way to learn from images that stay with the clients, or that do not.

    Attributes:
        name: the selection or method by which clients make sets, or several for clients that take turns; or a constant
            of this module.
        kind: whether sets are sent once, or in several rounds that refine the server's weights; weights are averaged;
            or all images are in one place.
        images: the images that all clients send, in each repeat and all its rounds.
        bytes: their size with 32-bit pixels, and labels as they are stored, in each repeat.
        bytes_in_8_bits: their size if each value of a pixel and each label were stored in 8 bits, in each repeat.
        seconds: the time to make all sets of all repeats.
        privacy: the weakest guarantee that a client's set gives for the client's images; None if one gives none.
    """

    name: str
    kind: WayKind
    images: list[Count] = field(default_factory=list)
    bytes: list[Count] = field(default_factory=list)
    bytes_in_8_bits: list[Count] = field(default_factory=list)
    seconds: Amount = 0.0
    privacy: Privacy | None = None


@dataclass(frozen=True, kw_only=True)
class Learner(Record):
    """Networks of one architecture that learn in one way.

    Attributes:
        way: the name of the way.
        network: the spec of the network.
        accuracies: at the end, one for each repeat; those of two learners with the same number are a pair.
        rounds: for each repeat the accuracies after each round of averaging or refining; empty for other ways.
        bytes_up: what all clients send, in each repeat; empty if images are not kept by clients at all.
        bytes_down: what the server sends to all clients, in each repeat, without the result.
        seconds: time to train and test, in each repeat.
        failed: the reason if a training failed, otherwise None.
    """

    way: str
    network: str
    accuracies: list[Fraction] = field(default_factory=list)
    rounds: list[list[Fraction]] = field(default_factory=list)
    bytes_up: list[Count] = field(default_factory=list)
    bytes_down: list[Count] = field(default_factory=list)
    seconds: list[Amount] = field(default_factory=list)
    failed: str | None = None

    @property
    def usable(self) -> bool:
        """Whether there is a result."""
        return self.failed is None and bool(self.accuracies)

    @property
    def mean(self) -> float:
        """The mean accuracy at the end."""
        return fmean(self.accuracies)

    @property
    def bytes(self) -> float:
        """The mean of all bytes in both directions."""
        return fmean(self.bytes_up or [0]) + fmean(self.bytes_down or [0])

    @property
    def course(self) -> list[float]:
        """The mean accuracy after each round."""
        return [fmean(each) for each in zip(*self.rounds, strict=True)]

    def to_json(self) -> dict[str, Any]:
        """Its fields, and the mean accuracy with its interval."""
        derived: dict[str, Any] = {}
        if self.usable:
            interval = confidence_interval(self.accuracies)
            derived = {"mean": self.mean, "ci95": None if interval is None else list(interval)}
        return {**super().to_json(), **derived}

    @classmethod
    def from_json(cls, fields: Fields) -> Self:
        """The learner that ``to_json`` wrote.

        Raises:
            UserError: a field is absent or invalid, lists of repeats or rounds differ in length, or the mean is not
                that of the accuracies.
        """
        made = super().from_json(fields)
        for name in ("rounds", "bytes_up", "bytes_down"):
            if getattr(made, name) and len(getattr(made, name)) != len(made.accuracies):
                fields.refuse(name, "a list with an item for each accuracy")
        if len({len(each) for each in made.rounds}) > 1 or [] in made.rounds:
            fields.refuse("rounds", "lists of as many rounds for each repeat")
        if made.usable:
            fields.check_derived("mean", made.mean)
        return made


@dataclass(frozen=True, kw_only=True)
class SetGain(Gain):
    """What a set gains over random images of the same clients.

    Attributes:
        repeats: the number of pairs.
    """

    repeats: Count


@dataclass(frozen=True, kw_only=True)
class Standing(Record):
    """Where a way stands beside the others, with one network.

    Attributes:
        way: the name of the way.
        network: the spec of the network.
        of_central: its accuracy as a share of that of central training, the mean of the repeats; None without it.
        of_central_ci95: Student's 95 % interval of the share.
        gain: over random images, if it sends sets and there are enough pairs for a test.
        fedavg_rounds: the rounds after which the mean accuracy of FedAvg is at least that of this way; None if it never
            is within the rounds on record.
        fedavg_bytes: the bytes in both directions that FedAvg takes until then.
    """

    way: str
    network: str
    of_central: Amount | None = None
    of_central_ci95: tuple[float, float] | None = None
    gain: SetGain | None = None
    fedavg_rounds: Positive | None = None
    fedavg_bytes: Amount | None = None


def standings(learners: Sequence[Learner], sets: Sequence[str]) -> list[Standing]:
    """Where each way stands, for each network with which it has a result.

    Args:
        learners: all ways with all networks.
        sets: the names of the ways in which sets are sent.
    """
    usable = {(each.way, each.network): each for each in learners if each.usable}
    differences = {}
    for (way, network), each in usable.items():
        random = usable.get(("random", network))
        if way in sets and way != "random" and random is not None:
            found = paired_difference(each.accuracies, random.accuracies)
            if found is not None:
                differences[way, network] = found
    after = corrected({key: found.p for key, found in differences.items()})
    gains = {
        key: SetGain(mean=found.mean, ci95=found.interval, p=found.p, p_corrected=after[key], repeats=found.repeats)
        for key, found in differences.items()
    }
    return [_standing(each, usable, gains.get(key)) for key, each in usable.items()]


def _standing(learner: Learner, usable: Mapping[tuple[str, str], Learner], gain: SetGain | None) -> Standing:
    central, fedavg = (usable.get((way, learner.network)) for way in (CENTRAL, FEDAVG))
    shares = [] if central is None else _ratios(learner.accuracies, central.accuracies)
    rounds = None if fedavg is None else rounds_to(fedavg, learner.mean)
    return Standing(
        way=learner.way,
        network=learner.network,
        of_central=fmean(shares) if shares else None,
        of_central_ci95=_interval_of_ratios(shares),
        gain=gain,
        fedavg_rounds=rounds,
        fedavg_bytes=None if fedavg is None or rounds is None else rounds * bytes_a_round(fedavg),
    )


def _ratios(ours: Sequence[float], theirs: Sequence[float]) -> list[float]:
    return [one / other for one, other in zip(ours, theirs, strict=False) if other > 0]


def _interval_of_ratios(shares: Sequence[float]) -> tuple[float, float] | None:
    """Student's interval of the mean; shares may exceed 1 by any amount."""
    return confidence_interval(shares, most=math.inf)


def rounds_to(fedavg: Learner, accuracy: float) -> int | None:
    """The first round after which the mean accuracy of averaging is at least ``accuracy``; None if none is."""
    return next((number for number, reached in enumerate(fedavg.course, start=1) if reached >= accuracy), None)


def bytes_a_round(learner: Learner) -> float:
    """The bytes in both directions of a round of averaging or refining; every round takes as many."""
    return learner.bytes / len(learner.course)


@dataclass(frozen=True, kw_only=True)
class Federated(Record):
    """A server that learns from clients who keep their images.

    Attributes:
        protocol: the clients, what they send, and the repeats.
        averaging: how weights are averaged, for comparison.
        dataset: the dataset; mean and standard deviation of its pixels are known to all beforehand.
        class_names: the names of its classes.
        recipe: how networks are trained on sets, and on all images.
        matched: the network that methods match.
        networks: the specs of the networks.
        clients: the clients of each repeat.
        ways: the ways to learn.
        learners: each network in each way.
        standings: where each way stands beside the others.
        made_on: the machines, precisions and versions of all results; more than one if these differ.
    """

    SCHEMA: ClassVar[int | None] = 1
    FILE: ClassVar[str] = "federated.json"

    protocol: FederatedProtocol
    averaging: Averaging
    dataset: LearnedDataset
    class_names: list[str]
    recipe: Recipe
    matched: str
    networks: list[str]
    clients: list[list[Client]]
    ways: list[Way]
    learners: list[Learner] = field(default_factory=list)
    standings: list[Standing] = field(default_factory=list)
    made_on: list[str] = field(default_factory=list)

    def learner(self, way: str, network: str) -> Learner | None:
        """The result of a network in a way, if there is one."""
        return next(
            (each for each in self.learners if each.usable and (each.way, each.network) == (way, network)), None
        )

    def standing(self, way: str, network: str) -> Standing | None:
        """Where a way stands with a network, if it has a result."""
        return next((each for each in self.standings if (each.way, each.network) == (way, network)), None)

    @property
    def sets(self) -> list[Way]:
        """The ways in which sets are sent once."""
        return [way for way in self.ways if way.kind == "sets"]

    @property
    def refined(self) -> list[Way]:
        """The ways in which sets are sent in several rounds."""
        return [way for way in self.ways if way.kind == "refined"]

    @classmethod
    def from_json(cls, fields: Fields) -> Self:
        """The record that ``to_json`` wrote.

        Raises:
            UserError: a field is absent or invalid, or it has no way, network or client.
        """
        made = super().from_json(fields)
        for name in ("ways", "networks", "clients"):
            if not getattr(made, name):
                fields.refuse(name, "a list of at least one")
        if not made.protocol.images_per_class:
            fields.part("protocol").refuse("images_per_class", "a list of at least one")
        return made
