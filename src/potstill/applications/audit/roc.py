"""How well scores separate members from others: ROC curve, area under it, rates at few false alarms, what they prove.

Scores of several networks on the same images are (t, n); which images are members differs from network to network.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from potstill.schema.statistics import clopper_pearson

DRAWS = 200
"""The number of bootstrap samples: the standard error is known to about 5 %."""
_FEW = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2)
THRESHOLDS = (*_FEW, 0.5, *(1 - fpr for fpr in reversed(_FEW)))
"""The shares of others called members from which the threshold of a proof is chosen."""


@dataclass(frozen=True, eq=False)
class Roc:
    """A ROC curve: the counts at every threshold, from none called a member to all.

    Attributes:
        thresholds: float64 (k,), from infinity down; what has this score or a higher one is called a member.
        true_positives: int64 (k,), members called members.
        false_positives: int64 (k,), others called members.
    """

    thresholds: np.ndarray
    true_positives: np.ndarray
    false_positives: np.ndarray

    @classmethod
    def of(cls, scores: np.ndarray, members: np.ndarray) -> Roc:
        """The curve of scores.

        Args:
            scores: float64, of any shape; higher for likelier members. Equal scores are told apart by no threshold.
            members: bool, of the same shape.
        """
        order = np.argsort(-scores, axis=None, kind="stable")
        sorted_scores, is_member = scores.ravel()[order], members.ravel()[order]
        ends = np.append(np.flatnonzero(np.diff(sorted_scores)), len(order) - 1)
        counts = [np.concatenate([[0], np.cumsum(kind)[ends]]) for kind in (is_member, ~is_member)]
        return cls(np.append(np.inf, sorted_scores[ends]), *counts)

    @property
    def members(self) -> int:
        """The number of members."""
        return int(self.true_positives[-1])

    @property
    def others(self) -> int:
        """The number of others."""
        return int(self.false_positives[-1])

    @property
    def tpr(self) -> np.ndarray:
        """The share of members that are called members, at every threshold."""
        return self.true_positives / max(self.members, 1)

    @property
    def fpr(self) -> np.ndarray:
        """The share of others that are called members, at every threshold."""
        return self.false_positives / max(self.others, 1)

    @property
    def area(self) -> float:
        """The probability that a member has a higher score than another image; equal scores count half."""
        return float(np.sum(np.diff(self.fpr) * (self.tpr[1:] + self.tpr[:-1]) / 2))

    @property
    def balanced_accuracy(self) -> float:
        """The mean of the shares of members and of others that are told right, at the best threshold."""
        return float(np.max(1 + self.tpr - self.fpr) / 2)

    def place_at(self, fpr: float) -> int:
        """The threshold that calls most images members, with no more than this share of the others among them."""
        return int(np.searchsorted(self.false_positives, fpr * self.others * (1 + 1e-12), side="right")) - 1


def sampled_areas(scores: Sequence[np.ndarray], members: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """The area under the curve of several attacks, the mean of the networks, and bootstrap samples of it.

    A sample draws images, and pairs of networks with complementary members, with replacement; all attacks see the same
    samples, so their differences can be compared.

    Args:
        scores: float64 (t, n) of each attack.
        members: bool (t, n); rows 2k and 2k + 1 are complements.
        seed: of the samples.

    Returns:
        float64 (attacks,) and (attacks, samples).
    """
    generator = np.random.default_rng(seed)
    networks, images = members.shape
    weights = generator.multinomial(images, np.full(images, 1 / images), DRAWS)
    pairs = generator.integers(networks // 2, size=(DRAWS, networks // 2))
    drawn = np.concatenate([2 * pairs, 2 * pairs + 1], axis=1)
    means, samples = [], []
    for of_attack in scores:
        areas = [_weighted_areas(row, is_member, weights) for row, is_member in zip(of_attack, members, strict=True)]
        whole = [Roc.of(row, is_member).area for row, is_member in zip(of_attack, members, strict=True)]
        means.append(np.mean(whole))
        samples.append(np.take_along_axis(np.stack(areas, 1), drawn, axis=1).mean(1))
    return np.array(means), np.array(samples)


def _weighted_areas(scores: np.ndarray, members: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The area under the curve where each image counts several times.

    Args:
        scores: float64 (n,).
        members: bool (n,).
        weights: int64 (samples, n).

    Returns:
        float64 (samples,).
    """
    order = np.argsort(scores, kind="stable")
    starts = np.concatenate([[0], np.flatnonzero(np.diff(scores[order])) + 1])
    heavy, is_member = weights[:, order].astype(np.float64), members[order]
    inside = np.add.reduceat(heavy * is_member, starts, axis=1)
    outside = np.add.reduceat(heavy * ~is_member, starts, axis=1)
    below = np.cumsum(outside, axis=1) - outside / 2
    return (inside * below).sum(1) / np.maximum(inside.sum(1) * outside.sum(1), 1)


def least_epsilon(found: float, members: float, false: float, others: float, delta: float, level: float) -> float:
    """The epsilon that an attack proves at least, if the outcomes of images are independent.

    An (epsilon, delta)-private mechanism has TPR <= e^epsilon FPR + delta, and the same with the two kinds of error
    exchanged (Kairouz et al., 2015). The rates are bounded by Clopper and Pearson's intervals.

    Args:
        found: members called members, at a threshold that was not chosen by these images.
        members: all members.
        false: others called members.
        others: all others.
        delta: the probability with which the guarantee may fail.
        level: the probability with which the bound holds.
    """
    low = clopper_pearson(found, members, level)[0]
    high = clopper_pearson(false, others, level)[1]
    bounds = [0.0]
    for likely, rare in ((low, high), (1 - high, 1 - low)):
        if likely > delta:
            bounds.append(math.log((likely - delta) / rare))
    return max(bounds)


def proven_epsilon(scores: np.ndarray, members: np.ndarray, delta: float, level: float = 0.95) -> float:
    """The epsilon that scores prove: every other image chooses the threshold, the remaining ones measure.

    The counts are means over the networks, with the number of images of one: those of all are the same images.

    Args:
        scores: float64 (t, n).
        members: bool (t, n).
        delta: the probability with which the guarantee may fail.
        level: the probability with which the bound holds.
    """
    networks, roc = len(scores), Roc.of(scores[:, ::2], members[:, ::2])

    def bound(found: float, inside: float, false: float, outside: float) -> float:
        return least_epsilon(found / networks, inside / networks, false / networks, outside / networks, delta, level)

    def chosen_by(place: int) -> float:
        return bound(roc.true_positives[place], roc.members, roc.false_positives[place], roc.others)

    threshold = roc.thresholds[max((roc.place_at(fpr) for fpr in THRESHOLDS), key=chosen_by)]
    called, inside = scores[:, 1::2] >= threshold, members[:, 1::2]
    return bound((called & inside).sum(), inside.sum(), (called & ~inside).sum(), (~inside).sum())
