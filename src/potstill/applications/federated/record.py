"""The record of federated learning: what it must agree with, and what follows from the results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from potstill.applications.on_record import check_same
from potstill.schema.federated import Federated, Learner, Way, standings


def check_earlier(path: Path, asked: Federated) -> None:
    """Make sure that a record on file, if there is one, is of the same clients and sets.

    Methods, networks, averaging, refining and the number of repeats may differ: what is on file of them is kept beside
    the record, trained and made.

    Raises:
        UserError: something else differs, and what.
    """
    if not path.exists():
        return
    stored = Federated.read(path)
    check_same(
        path,
        ([stored.dataset.fingerprint], [asked.dataset.fingerprint]),
        (_identity(stored), _identity(asked)),
    )


def _identity(record: Federated) -> dict[str, object]:
    """What decides the results of a record, by the names of the options."""
    protocol, partition = record.protocol, record.protocol.partition
    return {
        "clients": partition.clients,
        "partition": partition.kind,
        "alpha": partition.alpha,
        "per_client": partition.per_client,
        "ipc": "+".join(map(str, protocol.images_per_class)),
        "formation": protocol.formation,
        "iterations": protocol.iterations,
        "seed": protocol.seed,
        "recipe": record.recipe.to_json(),
        "networks": record.matched,
    }


def with_results(
    record: Federated, ways: Sequence[Way], learners: Sequence[Learner], made_on: Mapping[str, None]
) -> Federated:
    """The record with the results so far, and what follows from them.

    Args:
        record: the record without results.
        ways: those of its ways whose costs are known, with them.
        learners: the results of each network in each way, in any order of the ways.
        made_on: machines, precisions and versions, in the order in which they were first seen.
    """
    sets, costs = [way.name for way in record.sets], {way.name: way for way in ways}
    order = [way.name for way in record.ways]
    ordered = sorted(learners, key=lambda learner: order.index(learner.way))
    return replace(
        record,
        ways=[costs.get(way.name, way) for way in record.ways],
        learners=ordered,
        standings=standings(ordered, sets),
        made_on=list(made_on),
    )
