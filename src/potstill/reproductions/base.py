"""A reproduction: the rows of a published table, each with what makes it and what was published."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from potstill.distillation.settings import Settings
from potstill.experts.manifest import ExpertPlan
from potstill.methods import Method
from potstill.schema.reproduction import Published


@dataclass(frozen=True, kw_only=True)
class Row:
    """A row of a table: one set, and networks that are trained on it.

    Attributes:
        label: what the table calls it.
        settings: what makes the set, at its published length.
        published: by network, what was published; None where nothing was.
        full: whether the networks are trained on the full data instead of the set.
        search: the space of an architecture search with the set, in place of evaluating it; ``published`` then has the
            network that was found, with its accuracy when trained on the full data.
        experts: what the method matches, or what a selection looks at; rows of the same plan share them. None where
            there is nothing to match, and for a selection that trains a network of its own.
    """

    label: str
    settings: Settings[Method]
    published: Mapping[str, Published | None]
    full: bool = False
    search: str | None = None
    experts: ExpertPlan | None = None

    @property
    def folder(self) -> str:
        """A name for the run's folder."""
        return "".join(letter if letter.isalnum() else "-" for letter in self.label.lower()).strip("-")


@dataclass(frozen=True, kw_only=True)
class Reproduction:
    """A published table.

    Attributes:
        name: how it is asked for.
        title: one line for people.
        source: where it was published.
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
