"""``search.json``: an architecture search with a set, finished or in progress."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

from potstill.schema import Record, SetRecord
from potstill.schema.evaluation import NetworkResult
from potstill.schema.fields import Amount, Count, Fields, Fraction
from potstill.schema.recipe import Recipe
from potstill.schema.statistics import summary


@dataclass(frozen=True, kw_only=True)
class Candidate(Record):
    """The results of one network on the small set.

    Attributes:
        spec: the spec of the network.
        accuracies: accuracy on the validation split, a fraction for each repeat.
        seconds: time to train and validate all repeats.
        parameters: the number of parameters of the network.
        made_on: the machines, precisions and versions of the trainings, in words.
        failed: the reason if a training failed, otherwise None.
    """

    spec: str
    accuracies: list[Fraction] = field(default_factory=list)
    seconds: Amount = 0.0
    parameters: Count = 0
    made_on: list[str] = field(default_factory=list)
    failed: str | None = None

    @property
    def mean(self) -> float:
        """The mean accuracy; below all others for a network that failed."""
        return sum(self.accuracies) / len(self.accuracies) if self.accuracies else -1.0

    def to_json(self) -> dict[str, Any]:
        """Its fields, and the statistics of its accuracies."""
        return {**super().to_json(), **(summary(self.accuracies) if self.accuracies else {})}

    @classmethod
    def from_json(cls, fields: Fields) -> Self:
        """The entry that ``to_json`` wrote.

        Raises:
            UserError: a field is absent or invalid, or the mean is not that of the accuracies.
        """
        made = super().from_json(fields)
        if made.accuracies:
            fields.check_derived("mean", made.mean)
        return made


@dataclass(frozen=True, kw_only=True)
class SearchResult(SetRecord):
    """A search, finished or in progress.

    Attributes:
        space: the name of the search space, or specs by name.
        recipe: how candidates are trained on the set, and the best of them on the full data.
        seed: seed of all trainings.
        set_sha256: the SHA-256 of the set's tensors.
        dataset_fingerprint: the fingerprint of the dataset that it was made from.
        candidates: the candidates by name, in the order of the space.
        full: the results of the best candidates on the test split after training on the full data.
    """

    SCHEMA: ClassVar[int | None] = 1
    FILE: ClassVar[str] = "search.json"

    space: str | Mapping[str, str]
    recipe: Recipe
    seed: int
    candidates: dict[str, Candidate] = field(default_factory=dict)
    full: dict[str, NetworkResult] = field(default_factory=dict)

    @property
    def protocol(self) -> dict[str, Any]:
        """What two searches must have in common for one to continue the other."""
        return {
            "schema": self.SCHEMA,
            "space": self.space if isinstance(self.space, str) else dict(self.space),
            "recipe": self.recipe.to_json(),
            "seed": self.seed,
            "set_sha256": self.set_sha256,
            "dataset_fingerprint": self.dataset_fingerprint,
        }

    @property
    def ranked(self) -> list[str]:
        """The names of the candidates from best to worst; of equally good ones the smaller network comes first."""
        of = self.candidates
        return sorted(of, key=lambda name: (-of[name].mean, of[name].parameters))

    @property
    def seconds(self) -> float:
        """The time to train all candidates on the small set."""
        return sum(candidate.seconds for candidate in self.candidates.values())

    def to_json(self) -> dict[str, Any]:
        """The contents of ``search.json``."""
        return {
            **self.protocol,
            "seconds": self.seconds,
            "ranked": self.ranked,
            "candidates": {name: candidate.to_json() for name, candidate in self.candidates.items()},
            "full": {name: result.to_json() for name, result in self.full.items()},
        }

    @classmethod
    def from_json(cls, fields: Fields) -> Self:
        """The record that ``to_json`` wrote.

        Raises:
            UserError: a field is absent or invalid.
        """
        made = super().from_json(fields)
        if sorted(fields.value("ranked", list[str])) != sorted(made.candidates):
            fields.refuse("ranked", "a list of the candidates")
        return made
