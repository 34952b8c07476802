"""``search.json``: an architecture search with a set, finished or in progress."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

from potstill.schema import Record, SetRecord
from potstill.schema.evaluation import NetworkResult
from potstill.schema.fields import Amount, Count, Fields, Fraction, Positive
from potstill.schema.rank_correlation import RankCorrelation, rank_correlation, spearman_difference
from potstill.schema.recipe import Recipe
from potstill.schema.statistics import summary

DISTILLED = "distilled"
"""The proxy that every search has: the set itself."""
TOPS = (5, 10, 20)
"""The best candidates by their accuracy on the full data, over which correlations are stated as well."""


@dataclass(frozen=True, kw_only=True)
class Candidate(Record):
    """The results of one network on a proxy, such as the small set.

    Attributes:
        spec: the spec of the network.
        accuracies: accuracy on the validation split, a fraction for each repeat.
        seconds: time to train and validate all repeats.
        parameters: the number of parameters of the network.
        made_on: the machines, precisions and versions of the trainings, in words.
        failed: the reason if it has no result, otherwise None.
        skipped: whether it was never trained, because the images are too small for it or it is too large.
    """

    spec: str
    accuracies: list[Fraction] = field(default_factory=list)
    seconds: Amount = 0.0
    parameters: Count = 0
    made_on: list[str] = field(default_factory=list)
    failed: str | None = None
    skipped: bool = False

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
class Proxy(Record):
    """What stands for the full data in a search: a small set, or a short training.

    Attributes:
        images: the number of stored images; of early stopping, that of the different images that a training sees.
        bytes: their bytes: of real images as 8-bit pixels, of others as they are stored.
        choosing_seconds: the time to choose the images.
        set_sha256: the SHA-256 of the set of chosen images; empty if new ones are drawn for each repeat.
        candidates: the results of the networks by name, in the order of the space.
    """

    images: Count
    bytes: Count
    choosing_seconds: Amount = 0.0
    set_sha256: str = ""
    candidates: dict[str, Candidate] = field(default_factory=dict)

    @property
    def ranked(self) -> list[str]:
        """The names of the candidates from best to worst; of equally good ones the smaller network comes first."""
        of = self.candidates
        return sorted(of, key=lambda name: (-of[name].mean, of[name].parameters))

    @property
    def accuracies(self) -> dict[str, float]:
        """The mean accuracy of each network that has one."""
        return {name: each.mean for name, each in self.candidates.items() if each.accuracies and not each.failed}

    @property
    def first(self) -> str | None:
        """The network that it chooses; None without any result."""
        return next((name for name in self.ranked if name in self.accuracies), None)

    @property
    def seconds(self) -> float:
        """The time to choose its images and to train all networks."""
        return self.choosing_seconds + sum(candidate.seconds for candidate in self.candidates.values())


@dataclass(frozen=True, kw_only=True)
class SearchResult(SetRecord):
    """A search, finished or in progress.

    Attributes:
        space: the name of the search space, or specs by name.
        recipe: how candidates are trained on the set, and the best of them on the full data.
        seed: seed of all trainings.
        set_sha256: the SHA-256 of the set's tensors.
        dataset_fingerprint: the fingerprint of the dataset that it was made from.
        candidates: the candidates by name, in the order of the space, with their results on the set.
        full: the results on the test split of the candidates that were trained on the full data.
        full_images: the number of training images in a fixed random subset that is the full data of this search; None
            if these are all training images.
        set_images: the number of images in the set; 0 in older records.
        set_bytes: the bytes of the set as it is stored; 0 in older records.
        proxies: what else the candidates were ranked by, by name.
        sample: the candidates that were drawn to be trained on the full data, whatever their rank.
    """

    SCHEMA: ClassVar[int | None] = 1
    FILE: ClassVar[str] = "search.json"

    space: str | Mapping[str, str]
    recipe: Recipe
    seed: int
    candidates: dict[str, Candidate] = field(default_factory=dict)
    full: dict[str, NetworkResult] = field(default_factory=dict)
    full_images: Positive | None = None
    set_images: Count = 0
    set_bytes: Count = 0
    proxies: dict[str, Proxy] = field(default_factory=dict)
    sample: list[str] = field(default_factory=list)

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
            **({} if self.full_images is None else {"full_images": self.full_images}),
        }

    @property
    def ranked(self) -> list[str]:
        """The names of the candidates from best to worst by the set, as for ``Proxy``."""
        return self.all_proxies[DISTILLED].ranked

    @property
    def skipped(self) -> dict[str, str]:
        """The candidates that were never trained, and why."""
        return {name: each.failed or "" for name, each in self.candidates.items() if each.skipped}

    @property
    def seconds(self) -> float:
        """The time to train all candidates on the small set."""
        return sum(candidate.seconds for candidate in self.candidates.values())

    @property
    def full_seconds(self) -> float:
        """The time of all trainings on the full data."""
        return sum(result.seconds for result in self.full.values())

    @property
    def all_proxies(self) -> dict[str, Proxy]:
        """The set first, then all others."""
        return {
            DISTILLED: Proxy(
                images=self.set_images, bytes=self.set_bytes, set_sha256=self.set_sha256, candidates=self.candidates
            ),
            **self.proxies,
        }

    @property
    def full_accuracies(self) -> dict[str, float]:
        """The accuracy on the test split of each candidate that was trained on the full data, from best to worst."""
        usable = {name: result.mean for name, result in self.full.items() if result.usable}
        return dict(sorted(usable.items(), key=lambda entry: -entry[1]))

    @property
    def judged(self) -> list[str]:
        """The proxies that every candidate was trained on, the set first."""
        trained = {name for name, each in self.candidates.items() if not each.skipped}
        return [name for name, proxy in self.all_proxies.items() if trained <= set(proxy.candidates)]

    @property
    def compared(self) -> list[str]:
        """The drawn candidates with a result by all judged proxies and on the full data, best by the latter first."""
        tables = [self.all_proxies[name].accuracies for name in self.judged]
        drawn = set(self.sample)
        return [name for name in self.full_accuracies if name in drawn and all(name in table for table in tables)]

    @property
    def tops(self) -> list[int]:
        """The numbers of best candidates over which correlations are stated: all that are compared, then fewer."""
        return [len(self.compared), *(top for top in TOPS if top < len(self.compared))]

    def correlation(self, proxy: str, top: int | None = None) -> RankCorrelation | None:
        """How well a proxy predicts the accuracies on the full data.

        Args:
            proxy: its name.
            top: over so many of the best candidates, by their accuracy on the full data; None means all.

        Returns:
            The correlation; None for fewer than three candidates, or if all accuracies of either are equal.
        """
        return rank_correlation(*self._values(self.compared[:top], proxy))

    def advantage(self, proxy: str) -> tuple[float, tuple[float, float] | None] | None:
        """How much better the set predicts the ranking on the full data than a proxy does.

        Args:
            proxy: the name of the other proxy.

        Returns:
            The difference of their Spearman correlations over all compared candidates, and its 95 % interval; None
            where either has no correlation.
        """
        ours, truth = self._values(self.compared, DISTILLED)
        return spearman_difference(ours, self._values(self.compared, proxy)[0], truth)

    def regret(self, proxy: str) -> float | None:
        """What the choice of a proxy costs: the best accuracy on the full data, minus that of the proxy's first choice.

        Args:
            proxy: its name.

        Returns:
            The difference, a fraction; None if its first choice has no result on the full data.
        """
        reached = self.full_accuracies
        first = self.all_proxies[proxy].first
        return None if first is None or first not in reached else max(reached.values()) - reached[first]

    def _values(self, names: list[str], proxy: str) -> tuple[list[float], list[float]]:
        ours, full = self.all_proxies[proxy].accuracies, self.full_accuracies
        return [ours[name] for name in names], [full[name] for name in names]

    def to_json(self) -> dict[str, Any]:
        """The contents of ``search.json``."""
        content = {
            **self.protocol,
            "seconds": self.seconds,
            "set_images": self.set_images,
            "set_bytes": self.set_bytes,
            "ranked": self.ranked,
            "candidates": {name: candidate.to_json() for name, candidate in self.candidates.items()},
            "full": {name: result.to_json() for name, result in self.full.items()},
        }
        if self.proxies:
            content["proxies"] = {name: proxy.to_json() for name, proxy in self.proxies.items()}
        if self.sample:
            content["sample"] = self.sample
        return {**content, "prediction": self._prediction()} if self.compared else content

    def _prediction(self) -> dict[str, Any]:
        """What follows from the accuracies, for readers of the file; it is not read back."""
        found: dict[str, Any] = {}
        for name in self.judged:
            correlations = [self.correlation(name, top) for top in self.tops]
            found[name] = {
                "first": self.all_proxies[name].first,
                "regret": self.regret(name),
                "correlations": [each.to_json() for each in correlations if each is not None],
            }
        return found

    @classmethod
    def from_json(cls, fields: Fields) -> Self:
        """The record that ``to_json`` wrote.

        Raises:
            UserError: a field is absent or invalid.
        """
        made = super().from_json(fields)
        if sorted(fields.value("ranked", list[str])) != sorted(made.candidates):
            fields.refuse("ranked", "a list of the candidates")
        if DISTILLED in made.proxies:
            fields.refuse("proxies", f"without {DISTILLED!r}, which is the set itself")
        if not set(made.sample) <= set(made.candidates):
            fields.refuse("sample", "a list of candidates")
        return made
