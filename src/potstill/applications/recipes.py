"""Which recipes suit training on several sets at once."""

from __future__ import annotations

from potstill.evaluation import Recipe, find_recipe
from potstill.runtime.errors import UserError


def recipe_for_several_sets(recipe: str | Recipe, together: str) -> Recipe:
    """The recipe, if it needs nothing that only a single set has.

    Args:
        recipe: a name in ``RECIPES``, or a recipe of your own.
        together: what networks are trained on, for messages: ``"a memory of several stages"``.

    Raises:
        UserError: there is no such recipe, or it needs what several sets do not have.
    """
    found = find_recipe(recipe) if isinstance(recipe, str) else recipe
    if found.learning_rate_grid:
        problem = f"tunes learning rates on validation images, of which {together} has none"
    elif found.replay:
        problem = f"replays learned steps, which {together} does not have"
    elif found.learned_rate:
        problem = f"trains at a learned rate, of which {together} has several"
    else:
        return found
    raise UserError(f"recipe {found.name!r} {problem}", "use a recipe such as dsa-1000 or quick")
