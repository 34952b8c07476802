"""How networks that were trained on a set withstand attacks, in words; for the page and the command line."""

from __future__ import annotations

from statistics import fmean

from potstill.report.wording import SPACE, count, network_title, percent, signed
from potstill.schema.attacks import ATTACKS, EQUAL, RANDOM, SET, AttackCurves, AttackedNetworks
from potstill.schema.statistics import welch_interval

SOURCES = {SET: "the set", RANDOM: "as many random images", EQUAL: "random images of nearest accuracy"}
"""What networks were trained on, in words."""


def attack_sentences(found: AttackCurves, network: str) -> list[str]:
    """What was found for a network.

    Args:
        found: the record.
        network: the spec of the network.
    """
    title, ours, equal = network_title(network), found.of(network, SET), found.of(network, EQUAL)
    failed = [f"{each.trained_on}: {each.failed}" for each in found.networks[network] if each.failed is not None]
    if failed:
        return [f"{title} could not be trained on {'; '.join(failed)}."]
    if ours is None or equal is None or not ours.accuracies or not equal.accuracies:
        return [f"The measurement of {title} is not complete."]
    classes = round(1 / found.chance)
    clean = (
        f"{title} recognises {percent(ours.at(0).mean)} of {count(found.images)} clean test images after training on "
        f"the set, and {percent(equal.at(0).mean)} after training on {count(equal.images_per_class * classes)} random "
        "real ones, the number at which it comes nearest."
    )
    sentences = [clean]
    for how, over, score in (
        ("Under attack", "attacks and strengths", found.under_attack),
        ("With corruptions", "kinds and severities", found.under_corruption),
    ):
        first, second = score(ours), score(equal)
        if first is not None and second is not None:
            sentences.append(_compared(how, over, first, second))
    gap = welch_interval(ours.values_at(0), equal.values_at(0))
    if gap is not None and not gap[0] <= 0 <= gap[1]:
        sentences.append("Their accuracies on clean images also differ, which may explain part of this.")
    results = (ours, found.of(network, RANDOM), equal)
    sentences.extend(_masked(found, each) for each in results if each is not None and found.masks_gradients(each))
    return sentences


def _compared(how: str, over: str, ours: list[float], equal: list[float]) -> str:
    """Compare both kinds of training.

    Args:
        how: begins the sentence.
        over: what the accuracies are means of.
        ours: the accuracy after each training on the set.
        equal: likewise on random images, with equal clean accuracy.
    """
    first, second = fmean(ours), fmean(equal)
    told = f"{how} the set leaves {percent(first)} and random images leave {percent(second)}, over all {over}"
    ends = welch_interval(ours, equal)
    if ends is None:
        why = "one repeat gives" if min(len(ours), len(equal)) < 2 else "repeats without spread give"
        return f"{told}; {why} no interval."
    low, high = map(signed, ends)
    difference = f"{signed(first - second)} points (95{SPACE}% interval {low} to {high})"
    shown = ", so no difference is shown" if ends[0] <= 0 <= ends[1] else ""
    return f"{told}: a difference of {difference}{shown}."


def _masked(found: AttackCurves, result: AttackedNetworks) -> str:
    """That gradients are masked after training on some kind of images."""
    left = percent(result.at(found.unlimited or 0).mean)
    return (
        f"After training on {SOURCES[result.trained_on]}, PGD without a limit on the change still leaves {left}, more "
        f"than chance ({percent(found.chance)}): gradients are masked there, and the other attacks cannot be trusted."
    )


def attack_title(kind: str) -> str:
    """The name of an attack or corruption."""
    return kind.upper() if kind in ATTACKS else kind
