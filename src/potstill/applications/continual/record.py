"""The record of continual learning: what it must agree with, and how results on file are taken up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from potstill.applications.on_record import check_same
from potstill.schema.continual import Continual, Learner, Memory, gains_over_random


def check_earlier(path: Path, asked: Continual) -> None:
    """Make sure that a record on file, if there is one, is of the same protocol and data.

    Memories and networks may differ: what is on file of them is kept beside the record, trained and made.

    Raises:
        UserError: something else differs, and what.
    """
    if not path.exists():
        return
    stored = Continual.read(path)
    theirs, ours = ([each.fingerprint for each in record.datasets] for record in (stored, asked))
    check_same(path, (theirs, ours), (_identity(stored), _identity(asked)))


def _identity(record: Continual) -> dict[str, object]:
    """What decides the results of a record, by the names of the options."""
    protocol = {name: value for name, value in vars(record.protocol).items() if name != "kind"}
    return {"protocol": record.protocol.kind, **protocol, "recipe": record.recipe.to_json(), "networks": record.matched}


def with_results(
    record: Continual, memories: Sequence[Memory], learners: Sequence[Learner], made_on: Mapping[str, None]
) -> Continual:
    """The record with the results so far, and what follows from them.

    Args:
        record: the record without results.
        memories: what fills the memory, with its costs.
        learners: the results of each network with each memory.
        made_on: machines, precisions and versions, in the order in which they were first seen.
    """
    return replace(
        record,
        memories=list(memories),
        learners=list(learners),
        gains=gains_over_random(learners),
        made_on=list(made_on),
    )
