"""The record of continual learning: what it must agree with, and how results on file are taken up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from potstill.applications.on_record import check_same
from potstill.evaluation import find_recipe
from potstill.runtime.errors import UserError
from potstill.schema.continual import Continual, Learner, Memory, gains_over_random
from potstill.schema.recipe import Recipe


def usable_recipe(recipe: str | Recipe) -> Recipe:
    """The recipe, if networks can learn in stages with it.

    Raises:
        UserError: there is no such recipe; or it needs what a memory of several stages does not have.
    """
    found = find_recipe(recipe) if isinstance(recipe, str) else recipe
    remedy = "use a recipe such as dsa-1000 or quick"
    if found.learning_rate_grid:
        problem = "tunes learning rates on validation images of classes that are no longer there"
    elif found.replay:
        problem = "replays learned steps, which a memory of several stages does not have"
    elif found.learned_rate:
        problem = "trains at a learned rate, of which a memory of several stages has several"
    else:
        return found
    raise UserError(f"recipe {found.name!r} {problem}", remedy)


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
