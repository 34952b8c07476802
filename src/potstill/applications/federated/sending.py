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
from potstill.schema.federated import BASELINES, Way
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
                    f"{source.name} is a set, made of no client's images", "name methods, which each client applies"
                )
        return cls(name, sources)

    @property
    def record(self) -> Way:
        """It without any costs."""
        return Way(name=self.name, kind="sets")

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
    repeats = [_unions(ways, clients, repeat, folder, session) for repeat in range(clients.protocol.repeats)]
    return [_sent(way, [unions[number] for unions in repeats]) for number, way in enumerate(ways)]


@dataclass(frozen=True)
class _Union:
    """What all clients of a repeat send in one way, the seconds that it took, and what it guarantees to each."""

    synthetic: SyntheticSet
    bytes: int
    bytes_in_8_bits: int
    seconds: float
    privacy: Privacy | None


def _unions(ways: Sequence[SetWay], clients: Clients, repeat: int, folder: Path, session: Session) -> list[_Union]:
    """What the clients of a repeat send in each way; ways may share the set of a client."""
    asked = [way.requests(clients, repeat) for way in ways]
    different = {(source.name, need.title): (source, need) for requests in asked for source, need in requests}
    made = dict(zip(different, make_sets(list(different.values()), folder, session), strict=True))
    found = []
    for requests in asked:
        sets = [made[source.name, need.title] for source, need in requests]
        sent = [each.synthetic for each in sets]
        found.append(
            _Union(
                synthetic=united(sent, clients.dataset),
                bytes=sum(map(bytes_sent, sent)),
                bytes_in_8_bits=sum(map(bytes_in_8_bits, sent)),
                seconds=sum(each.seconds for each in sets),
                privacy=_weakest(_guarantee(*each) for each in requests),
            )
        )
    return found


def _sent(way: SetWay, unions: Sequence[_Union]) -> Sent:
    sets = [each.synthetic for each in unions]
    record = replace(
        way.record,
        images=[len(each) for each in sets],
        bytes=[each.bytes for each in unions],
        bytes_in_8_bits=[each.bytes_in_8_bits for each in unions],
        seconds=sum(each.seconds for each in unions),
        privacy=_weakest(each.privacy for each in unions),
    )
    return Sent(record, sets)


def _guarantee(source: SetSource, need: Need) -> Privacy | None:
    plan = source.plan(need)
    return None if plan is None else plan.privacy


def _weakest(guarantees: Iterable[Privacy | None]) -> Privacy | None:
    """What holds for all of several guarantees: the largest epsilon and delta; None if one of them is."""
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
