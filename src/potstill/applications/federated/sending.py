"""What clients send: sets that sources make of their images, beside the baselines, and the union of each repeat."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from potstill.applications.federated.clients import Clients, bytes_in_8_bits, bytes_sent, united
from potstill.applications.set_sources import Need, SetSource, find_source, make_sets
from potstill.evaluation import Session
from potstill.runtime.compute_choice import ComputeChoice
from potstill.runtime.errors import UserError
from potstill.schema.applications import BASELINES
from potstill.schema.federated import REFINED, Way
from potstill.schema.privacy import Privacy
from potstill.synthetic import SyntheticSet


@dataclass(frozen=True)
class SetWay:
    """What clients send: each what one source makes, or several sources in turn."""

    name: str
    sources: tuple[SetSource, ...]

    @classmethod
    def of(cls, name: str, compute: ComputeChoice) -> SetWay:
        """The way of a name, such as ``dm`` or ``dm+k-means``.

        Raises:
            UserError: a part of it is unknown, or is a set that was made before.
        """
        sources = tuple(find_source(part.strip(), compute) for part in name.split("+"))
        for source in sources:
            if source.kind == "set":
                raise UserError(
                    f"{source.name} is a set, not made from a client's images",
                    "name methods, which each client applies",
                )
        return cls(name, sources)

    @property
    def record(self) -> Way:
        """It without any costs."""
        return Way(name=self.name, kind="sets")

    @property
    def refined(self) -> Way:
        """Its several rounds, without any costs."""
        return Way(name=REFINED + self.name, kind="refined")

    def check(self, clients: Clients) -> None:
        """Make sure that its sources can be applied, before anything is computed.

        Raises:
            UserError: one cannot.
        """
        for repeat in range(clients.protocol.repeats):
            for source, need in self.requests(clients, repeat):
                source.check(need)

    def requests(self, clients: Clients, repeat: int) -> list[tuple[SetSource, Need]]:
        """What the clients of a repeat are to make, of those that send anything."""
        needs = [clients.need(repeat, client) for client in range(clients.protocol.partition.clients)]
        return [
            (self.sources[client % len(self.sources)], need) for client, need in enumerate(needs) if need is not None
        ]


@dataclass(frozen=True)
class Sent:
    """A way in which sets are sent, with the union of each repeat."""

    way: Way
    unions: list[SyntheticSet]


def make_sent(ways: Sequence[SetWay], clients: Clients, folder: Path, session: Session) -> list[Sent]:
    """Make, or take from a folder, what the clients of all repeats send in each way.

    Args:
        ways: the ways.
        clients: the clients.
        folder: for the runs of all clients.
        session: its executor makes the sets.

    Raises:
        UserError: a set cannot be made, or the folder has something else in its place.
    """
    repeats = [
        received([way.requests(clients, repeat) for way in ways], clients, folder, session)
        for repeat in range(clients.protocol.repeats)
    ]
    return [_sent(way, [unions[number] for unions in repeats]) for number, way in enumerate(ways)]


@dataclass(frozen=True)
class Received:
    """What all clients of a repeat send at once.

    Attributes:
        synthetic: the union of their sets.
        bytes: the size of all sets, as they are stored.
        bytes_in_8_bits: their size if each value of a pixel and each label took one byte.
        seconds: the time to make them.
        privacy: what they guarantee to each client.
    """

    synthetic: SyntheticSet
    bytes: int
    bytes_in_8_bits: int
    seconds: float
    privacy: Privacy | None


def received(
    asked: Sequence[Sequence[tuple[SetSource, Need]]], clients: Clients, folder: Path, session: Session
) -> list[Received]:
    """Make what clients are to send.

    Args:
        asked: several times what clients are to make. A set that is asked for twice is made once: its source has the
            same name, and the need the same title.
        clients: the clients.
        folder: for the runs of all clients.
        session: its executor makes the sets.

    Returns:
        What is received each time.

    Raises:
        UserError: a set cannot be made, or the folder has something else in its place.
    """
    different = {(source.name, need.title): (source, need) for requests in asked for source, need in requests}
    made = dict(zip(different, make_sets(list(different.values()), folder, session), strict=True))
    found = []
    for requests in asked:
        sets = [made[source.name, need.title] for source, need in requests]
        sent = [each.synthetic for each in sets]
        found.append(
            Received(
                synthetic=united(sent, clients.dataset),
                bytes=sum(map(bytes_sent, sent)),
                bytes_in_8_bits=sum(map(bytes_in_8_bits, sent)),
                seconds=sum(each.seconds for each in sets),
                privacy=_weakest(_guarantee(*each) for each in requests),
            )
        )
    return found


def _sent(way: SetWay, repeats: Sequence[Received]) -> Sent:
    record = replace(with_costs(way.record, [[each] for each in repeats]), privacy=_weakest(r.privacy for r in repeats))
    return Sent(record, [each.synthetic for each in repeats])


def with_costs(way: Way, repeats: Sequence[Sequence[Received]]) -> Way:
    """A way with the images, bytes and seconds of its sets.

    Args:
        way: the way.
        repeats: what is received in each round of each repeat.
    """
    return replace(
        way,
        images=[sum(len(each.synthetic) for each in rounds) for rounds in repeats],
        bytes=[sum(each.bytes for each in rounds) for rounds in repeats],
        bytes_in_8_bits=[sum(each.bytes_in_8_bits for each in rounds) for rounds in repeats],
        seconds=sum(each.seconds for rounds in repeats for each in rounds),
    )


def _guarantee(source: SetSource, need: Need) -> Privacy | None:
    plan = source.plan(need)
    return None if plan is None else plan.privacy


def _weakest(guarantees: Iterable[Privacy | None]) -> Privacy | None:
    """The guarantee that holds if each of several does: the largest epsilon and delta; None if one is missing."""
    given = list(guarantees)
    there = [each for each in given if each is not None]
    if not there or len(there) < len(given):
        return None
    most = max(there, key=lambda each: each.epsilon)
    return replace(most, delta=max(each.delta for each in there))


def find_ways(methods: Sequence[str], compute: ComputeChoice) -> list[SetWay]:
    """The ways of several names, with the baselines at the end if they are not among them.

    Args:
        methods: each a source, or several joined by ``+``, which clients use in turn.
        compute: where methods are run.

    Raises:
        UserError: a name is unknown or given twice, or is a set that was made before.
    """
    if doubled := [name for name in methods if methods.count(name) > 1]:
        raise UserError(f"the method {doubled[0]!r} is named twice", "name each method once")
    return [SetWay.of(name, compute) for name in dict.fromkeys([*methods, *BASELINES])]
