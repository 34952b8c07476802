"""Which networks, and by which recipe, are trained on several sets at once."""

from __future__ import annotations

from collections.abc import Sequence

from potstill.evaluation import Recipe, find_recipe, plain_recipe
from potstill.networks import default_network
from potstill.runtime.errors import UserError
from potstill.schema.shapes import is_vector, kind_of


def networks_for(shape: tuple[int, int, int], networks: Sequence[str] | None, first: str = "convnet") -> Sequence[str]:
    """The networks that are named; where none are, one that suits the data, and ``mlp``.

    Args:
        shape: (C, H, W) of an image or a vector.
        networks: those that are named; None takes ``first`` and ``mlp``, for vectors ``linear`` and ``mlp``.
        first: the first network for images.
    """
    if networks is not None:
        return networks
    return (default_network(shape) if is_vector(shape) else first, "mlp")


def recipe_for_several_sets(recipe: str | Recipe | None, together: str, shape: tuple[int, int, int]) -> Recipe:
    """The recipe, if it needs nothing that only a single set has.

    Args:
        recipe: a name in ``RECIPES``, or a recipe of your own; None takes ``dsa-1000``, for vectors ``probe-1000``.
        together: what networks are trained on, for messages: ``"a memory of several stages"``.
        shape: (C, H, W) of an image or a vector.

    Raises:
        UserError: there is no such recipe, or it needs what several sets do not have.
    """
    plain = plain_recipe(shape)
    found = recipe if isinstance(recipe, Recipe) else find_recipe(recipe or plain)
    if found.learning_rate_grid:
        problem = f"tunes learning rates on validation {kind_of(shape)}s, of which {together} has none"
    elif found.replay:
        problem = f"replays learned steps, which {together} does not have"
    elif found.learned_rate:
        problem = f"trains at a learned rate, of which {together} has several"
    else:
        return found
    raise UserError(f"recipe {found.name!r} {problem}", f"use a recipe such as {plain} or quick")
