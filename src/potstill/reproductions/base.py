"""A reproduction: the rows of a published table, each with its settings and its published results."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from potstill.distillation.settings import Settings
from potstill.experts.plan import ExpertPlan
from potstill.methods import Method
from potstill.schema.published import Published, PublishedSearch
from potstill.schema.recipe import FEWEST_EPOCHS, Recipe


@dataclass(frozen=True, kw_only=True)
class Row:
    """A row of a table: one set, and the networks that are trained on it.

    Attributes:
        label: the name of the row in the table.
        settings: returns the settings that make the set, with the published number of iterations; tables are listed
            without them, and so without importing methods.
        published: the published accuracy of each network; None if nothing was published.
        full: whether the networks are trained on the full data instead of the set.
        search: the published architecture search with the set; None if there was none.
        experts: the experts that the method matches, or whose features a selection uses; rows with the same plan share
            them. None if the method needs no experts, and for a selection that trains a network of its own.
    """

    label: str
    settings: Callable[[], Settings[Method]]
    published: Mapping[str, Published | None]
    full: bool = False
    search: PublishedSearch | None = None
    experts: ExpertPlan | None = None

    @property
    def folder(self) -> str:
        """The name of the run's folder."""
        return "".join(letter if letter.isalnum() else "-" for letter in self.label.lower()).strip("-")


@dataclass(frozen=True, kw_only=True)
class Reproduction:
    """A published table.

    Attributes:
        name: its name on the command line.
        title: a title of one line.
        source: the publication.
        recipe: the evaluation protocol.
        repeats: trainings of each network.
        rows: in the order of the table.
        notes: what differs from the publication, a sentence each.
    """

    name: str
    title: str
    source: str
    recipe: str
    repeats: int = 5
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = field(default=())


def shortened(recipe: Recipe, scale: float) -> Recipe:
    """A recipe with a fraction of its epochs and a name that says so; itself if ``scale`` is 1.

    Trainings on the full data have at least one epoch, those on sets at least ``FEWEST_EPOCHS``, or as many as the
    recipe has.
    """
    if scale == 1:
        return recipe
    return replace(
        recipe,
        name=f"{recipe.name}-scale-{scale:g}",
        epochs=max(round(recipe.epochs * scale), min(recipe.epochs, FEWEST_EPOCHS)),
        full_epochs=max(round(recipe.full_epochs * scale), 1),
    )
