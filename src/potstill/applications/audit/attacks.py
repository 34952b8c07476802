"""Membership inference: from the scores of networks on an image to how likely the image is a member.

All attacks see an image's score under the target, and under references that were made in the same way from other random
halves of the same images. The score under a network is the logit of the probability of the true class, in float64.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

import numpy as np
from scipy.special import expit
from torch import Tensor

from potstill.schema.audit import AttackName

MANY_REFERENCES = 64
"""The number of references from which the spread of each example is estimated on its own."""
LEAST_SPREAD = 1e-30

Variance = Literal["global", "per example"]


def confidences(logits: Tensor, labels: Tensor) -> Tensor:
    """The logit of the probability of the true class: log p_y - log sum_{k != y} p_k.

    It is computed from the logits, where neither term can be the logarithm of 0.

    Args:
        logits: (n, classes).
        labels: int64 (n,), the true classes.

    Returns:
        float64 (n,).
    """
    wide = logits.double()
    true = wide.gather(1, labels[:, None])
    others = wide.scatter(1, labels[:, None], -math.inf)
    return true[:, 0] - others.logsumexp(1)


@dataclass(frozen=True, eq=False)
class Evidence:
    """What an attacker has about n examples and z images of the population, which no network was made from.

    Attributes:
        target: float64 (n,), scores of the target.
        references: float64 (m, n), scores of the references.
        members: bool (m, n), which examples each reference was made from.
        population: float64 (z,), scores of the target on the population.
        reference_population: float64 (m, z), those of the references.
    """

    target: np.ndarray
    references: np.ndarray
    members: np.ndarray
    population: np.ndarray
    reference_population: np.ndarray


def threshold(evidence: Evidence) -> np.ndarray:
    """The baseline without references: the higher the score, the likelier a member.

    For networks, this is a threshold on the loss (Yeom et al., 2018), which decreases with the score.

    Returns:
        float64 (n,): the score itself.
    """
    return evidence.target


def lira_online(evidence: Evidence, variance: Variance | None = None) -> np.ndarray:
    """The likelihood ratio of two normal distributions (Carlini et al., 2022): scores as a member and as another one.

    Their means are medians of the references' scores.

    Args:
        evidence: for every example at least one reference with it and one without, two for a variance of its own.
        variance: of each example, or one for all examples; by default the latter for fewer than 64 references. That of
            scores as members and that of other scores are estimated apart. The authors' program takes the former for
            both if there is one for all.

    Returns:
        float64 (n,): log N(score; mean_in, std_in) - log N(score; mean_out, std_out).
    """
    inside = _Normal.of(evidence.references, evidence.members, variance)
    outside = _Normal.of(evidence.references, ~evidence.members, variance)
    return inside.log_density(evidence.target) - outside.log_density(evidence.target)


def lira_offline(evidence: Evidence, variance: Variance | None = None) -> np.ndarray:
    """The same without references that have the example: how unusually high its score is for another one.

    Args:
        evidence: for every example at least one reference without it.
        variance: as for ``lira_online``.

    Returns:
        float64 (n,): the score in standard deviations above the mean, which orders examples as the probability of a
        lower score does.
    """
    outside = _Normal.of(evidence.references, ~evidence.members, variance)
    return (evidence.target - outside.mean) / outside.std


def rmia(evidence: Evidence, a: float | None = None) -> np.ndarray:
    """The share of the population that an example beats in the ratio p / p_mean (Zarifzadeh et al., 2024, offline).

    p_mean is ((1 + a) p_out + 1 - a) / 2, where p_out is the mean probability under references without the example.

    Args:
        evidence: for every example at least one reference without it.
        a: how much of the probability as a member is explained by p_out; by default as the references have it.

    Returns:
        float64 (n,), in [0, 1].
    """
    a = explained_by_outside(evidence.references, evidence.members) if a is None else a

    def mean(outside: np.ndarray) -> np.ndarray:
        return ((1 + a) * outside + 1 - a) / 2

    ratio = expit(evidence.target) / mean(_mean_where(expit(evidence.references), ~evidence.members))
    beaten = np.sort(expit(evidence.population) / mean(expit(evidence.reference_population).mean(0)))
    return np.searchsorted(beaten, ratio, side="left") / len(beaten)


def explained_by_outside(references: np.ndarray, members: np.ndarray) -> float:
    """The ``a`` in p_in = a p_out + 1 - a, fitted to the references alone by least squares; from 0 to 1.

    Args:
        references: float64 (m, n), scores.
        members: bool (m, n).
    """
    both = members.any(0) & ~members.all(0)
    lacking = 1 - expit(references[:, both])
    inside, outside = _mean_where(lacking, members[:, both]), _mean_where(lacking, ~members[:, both])
    total = float(outside @ outside)
    return 1.0 if total == 0 else float(np.clip(inside @ outside / total, 0, 1))


@dataclass(frozen=True)
class Attack:
    """An attack.

    Attributes:
        score: from the evidence to a value for each example that is higher for likelier members.
        references: the references with each example, and as many without it, that it needs.
        summary: in a few words.
    """

    score: Callable[[Evidence], np.ndarray]
    references: int
    summary: str


ATTACKS: Mapping[AttackName, Attack] = MappingProxyType(
    {
        "threshold": Attack(threshold, 0, "a threshold on the score, without references"),
        "rmia": Attack(rmia, 1, "RMIA, offline"),
        "lira-offline": Attack(lira_offline, 2, "LiRA from references without the image"),
        "lira-online": Attack(lira_online, 2, "LiRA from references with and without the image"),
    }
)
"""The attacks by name, from the weakest assumptions to the strongest."""


def feasible(pairs: int, population: int) -> list[AttackName]:
    """The attacks for which there are enough references.

    Args:
        pairs: pairs of a random half and its complement; each example is in one of each. The target's own is no
            reference.
        population: the number of scores of a population.
    """
    possible: list[AttackName] = [name for name, attack in ATTACKS.items() if attack.references <= pairs - 1]
    return [name for name in possible if population or name != "rmia"]


def evidence_of(target: int, scores: np.ndarray, members: np.ndarray, population: np.ndarray) -> Evidence:
    """The evidence about one of several networks, with all others but its complement as references.

    With the complement, how many references have an example would tell whether the target has it.

    Args:
        target: the row of the target. Rows 2k and 2k + 1 are complements.
        scores: float64 (m, n).
        members: bool (m, n).
        population: float64 (m, z).
    """
    others = np.array([row for row in range(len(scores)) if row // 2 != target // 2], dtype=int)
    return Evidence(scores[target], scores[others], members[others], population[target], population[others])


@dataclass(frozen=True, eq=False)
class _Normal:
    """A normal distribution for each example: means (n,), and standard deviations (n,) or one for all."""

    mean: np.ndarray
    std: np.ndarray

    @classmethod
    def of(cls, scores: np.ndarray, chosen: np.ndarray, variance: Variance | None) -> _Normal:
        """The distribution of the chosen scores.

        Args:
            scores: float64 (m, n).
            chosen: bool (m, n), at least one for each example.
            variance: as for ``lira_online``.
        """
        if not chosen.any(0).all():
            raise ValueError("an example has no reference of this kind")
        kept = np.where(chosen, scores, np.nan)
        spread = np.nansum((kept - np.nanmean(kept, 0)) ** 2, 0)
        counts = chosen.sum(0)
        if (variance or ("per example" if len(scores) >= MANY_REFERENCES else "global")) == "global":
            # What differs between examples is in their means, so the spread is that about the mean of each.
            std = np.sqrt(spread.sum() / max(counts.sum() - len(counts), 1))
        else:
            std = np.sqrt(spread / counts)
        return cls(np.nanmedian(kept, 0), std + LEAST_SPREAD)

    def log_density(self, values: np.ndarray) -> np.ndarray:
        return -np.log(self.std) - ((values - self.mean) / self.std) ** 2 / 2 - math.log(2 * math.pi) / 2


def _mean_where(values: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """The mean over rows of the chosen values in each column.

    Raises:
        ValueError: a column has none.
    """
    if not chosen.any(0).all():
        raise ValueError("an example has no reference of this kind")
    return np.where(chosen, values, 0).sum(0) / chosen.sum(0)
