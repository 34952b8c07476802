"""From the scores of all networks to what each attack finds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from potstill.applications.audit.attacks import ATTACKS, evidence_of, feasible
from potstill.applications.audit.neighbours import closeness
from potstill.applications.audit.roc import Roc, proven_epsilon, sampled_areas
from potstill.applications.audit.scoring import Scored, unpacked
from potstill.data import LabeledImages
from potstill.schema.audit import RATES, AreaDifference, Arm, Attacked, AttackName, AttackResult, Rate, is_resolved
from potstill.schema.statistics import SIGNIFICANCE
from potstill.synthetic import SyntheticSet

CURVE_POINTS = 40
"""The number of false positive rates at which a curve is recorded."""


@dataclass(frozen=True, eq=False)
class BootstrappedAttacks:
    """The results of all attacks on the same kind of networks or sets, and bootstrap samples of the areas.

    Attributes:
        result: for the record.
        samples: float64 (samples,) of each attack; equal samples of two results are of the same images and targets.
    """

    result: Attacked
    samples: dict[AttackName, np.ndarray]


@dataclass(frozen=True, eq=False)
class Question:
    """What attackers know and do not know.

    Attributes:
        members: bool (pipelines, n); rows 2k and 2k + 1 are complements.
        begun: bool (pipelines, n), the members that the set of each pipeline was begun from, or consists of.
        delta: the probability with which a guarantee may fail.
        level: the confidence of each lower bound of epsilon.
        seed: of the bootstrap samples.
    """

    members: np.ndarray
    begun: np.ndarray
    delta: float
    level: float
    seed: int


def level_of_bounds(networks: int, pairs: int, population: int) -> float:
    """The confidence of each lower bound of epsilon with which all of them on the sets hold together (Bonferroni).

    Args:
        networks: the kinds of networks that are attacked; the sets themselves are, too.
        pairs: pairs of pipelines with complementary members.
        population: the number of images that were a member of none.
    """
    return 1 - SIGNIFICANCE / (len(feasible(pairs, 0)) + networks * len(feasible(pairs, population)))


def judged_networks(arm: Arm, network: str, scored: Sequence[Scored], question: Question) -> BootstrappedAttacks:
    """Attack every network in turn, with the others as references.

    Args:
        arm: what the networks were trained on.
        network: their spec.
        scored: their scores, one for each pipeline.
        question: who the members are.
    """
    if failed := next((each.failed for each in scored if each.failed is not None), None):
        return BootstrappedAttacks(Attacked(arm=arm, network=network, failed=failed), {})
    pool, population = (np.stack([unpacked(getattr(each, part)) for each in scored]) for part in ("pool", "population"))
    empty = Attacked(arm=arm, network=network, accuracies=[each.accuracy for each in scored])
    return _judged(empty, pool, population, question)


def judged_sets(arm: Arm, sets: Sequence[SyntheticSet], real: LabeledImages, question: Question) -> BootstrappedAttacks:
    """Attack the images themselves: the score of a real image is how close it is to one of them.

    Args:
        arm: what they are.
        sets: one for each pipeline.
        real: the images of the pool.
        question: who the members are.
    """
    pool = np.stack([closeness(each, real) for each in sets])
    return _judged(Attacked(arm=arm, network=""), pool, np.empty((len(pool), 0)), question)


def _judged(empty: Attacked, pool: np.ndarray, population: np.ndarray, question: Question) -> BootstrappedAttacks:
    members = question.members
    evidence = [evidence_of(target, pool, members, population) for target in range(len(pool))]
    names = feasible(len(members) // 2, population.shape[1])
    found = [np.stack([ATTACKS[name].score(each) for each in evidence]) for name in names]
    samples = dict(zip(names, sampled_areas(found, members, question.seed)[1], strict=True))
    attacks = [_result(name, scores, question, samples[name]) for name, scores in zip(names, found, strict=True)]
    return BootstrappedAttacks(replace(empty, attacks=attacks), samples)


def differences(of_sets: BootstrappedAttacks, of_random: BootstrappedAttacks) -> list[AreaDifference]:
    """What the sets give away beyond random images, for each attack.

    Args:
        of_sets: the results of a network on the sets, or of the sets themselves.
        of_random: the same with random images in their place.
    """
    theirs = {each.attack: each for each in of_random.result.attacks}
    return [
        AreaDifference(
            network=of_sets.result.network,
            attack=ours.attack,
            mean=ours.auc - theirs[ours.attack].auc,
            error=float((of_sets.samples[ours.attack] - of_random.samples[ours.attack]).std(ddof=1)),
        )
        for ours in of_sets.result.attacks
        if ours.attack in theirs
    ]


def _result(name: AttackName, scores: np.ndarray, question: Question, samples: np.ndarray) -> AttackResult:
    members, begun = question.members, question.begun
    targets, roc = len(scores), Roc.of(scores, members)
    places = {fpr: roc.place_at(fpr) for fpr in RATES if is_resolved(fpr, roc.others)}
    called = {fpr: scores >= roc.thresholds[place] for fpr, place in places.items()}

    def rates(among: np.ndarray) -> list[Rate]:
        return [
            Rate(fpr=fpr, found=float((above & among).sum() / targets), members=float(among.sum() / targets))
            for fpr, above in called.items()
        ]

    return AttackResult(
        attack=name,
        aucs=[Roc.of(row, inside).area for row, inside in zip(scores, members, strict=True)],
        auc_error=float(samples.std(ddof=1)),
        balanced_accuracy=roc.balanced_accuracy,
        rates=rates(members),
        begun=rates(begun) if begun.any() else [],
        epsilon=proven_epsilon(scores, members, question.delta, question.level),
        epsilon_level=question.level,
        roc=_curve(roc),
    )


def _curve(roc: Roc) -> list[tuple[float, float]]:
    """The curve at false positive rates that are evenly spaced on a logarithmic scale, from one false positive to 1."""
    wanted = np.geomspace(1 / max(roc.others, 1), 1, CURVE_POINTS)
    places = [roc.place_at(fpr) for fpr in wanted]
    return [(float(fpr), float(roc.tpr[place])) for fpr, place in zip(wanted, places, strict=True)]
