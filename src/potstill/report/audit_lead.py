"""What an audit found in a few sentences, and what limits it; for the page and the command line.

No sentence calls anything private: that would need an epsilon, a delta, and what a neighbouring dataset is.
"""

from __future__ import annotations

from potstill.report import wording
from potstill.report.wording import SPACE
from potstill.schema.audit import FEWEST_FALSE, RATES, Arm, Attacked, AttackName, Audit, Rate

TITLES: dict[AttackName, str] = {
    "threshold": "a threshold",
    "rmia": "RMIA",
    "lira-offline": "offline LiRA",
    "lira-online": "online LiRA",
}
"""The attacks in words."""
GUESSES = 0.5
"""The area under the ROC curve of guesses."""
LEAST_EPSILON = 0.005
"""Smaller lower bounds are reported as 0."""
ARMS: tuple[Arm, ...] = ("set", "random")
NEIGHBOURING = "neighbouring datasets differ by one image that is added or removed"


def audit_verdict(record: Audit) -> str:
    """Whether members can be told from other images, by the images of a set alone, and by a network.

    What the images give away comes first if it is anything: with them, no network is needed.
    """
    if record.kind == "set":
        return (
            "A finished set cannot be made again from other images, so nothing was attacked: only the nearest "
            "training images are known."
        )
    first, sets = record.attack_on("set", record.networks[0]), record.attack_on("set", "")
    said = [_outcome(sets)] if sets is not None and sets.finds_members else []
    no_result = f"{wording.network_title(record.networks[0])} has no result."
    return " ".join([*said, no_result if first is None else _outcome(first)])


def audit_remarks(record: Audit) -> list[str]:
    """The same for other networks and for random images, what sets were begun from, and what is not shown."""
    said, sets = list[str](), record.attack_on("set", "")
    if sets is not None and not sets.finds_members:
        said.append(_outcome(sets))
    for network in record.networks:
        found = record.attack_on("set", network)
        if found is not None:
            said += [] if network == record.networks[0] else [_outcome(found)]
            said.append(_against_random(record, found))
    said += [*(_begun(record, arm) for arm in ARMS), *_from_start(record)]
    if record.kind != "set":
        said += [_bound(record), _attacked(record), *_unresolved(record)]
    if len(record.made_on) > 1:
        said.append("Results were measured under different conditions: see the end of the page.")
    return [each for each in said if each]


def attacked_title(network: str, arm: Arm) -> str:
    """What was attacked, in words."""
    if not network:
        return "the sets themselves" if arm == "set" else "random images themselves"
    return wording.network_title(network)


def attack_title(attack: AttackName, network: str) -> str:
    """An attack in words."""
    if attack != "threshold":
        return TITLES[attack]
    return f"{TITLES[attack]} on the {'loss' if network else 'distance'}"


def area(value: float) -> str:
    """An area under a curve with three digits."""
    return f"{value:.3f}"


def share(fraction: float) -> str:
    """A share in percent, with a second digit if it is below 1 %."""
    return wording.percent(fraction, 1 if fraction >= 0.01 or not fraction else 2)


def rate_in_words(rate: Rate) -> str:
    """A true positive rate with its interval."""
    low, high = rate.interval()
    return f"{share(rate.tpr)} (95{SPACE}% interval {share(low)} to {share(high)})"


def fpr_in_words(fpr: float) -> str:
    """A false positive rate: ``0.1 %``."""
    return f"{100 * fpr:g}{SPACE}%"


def bounds_confidence(record: Audit) -> str:
    """With which confidence lower bounds of epsilon hold."""
    attacks = len(record.attacks_on_sets)
    if not record.bounds_hold_together:
        return f"each at 95{SPACE}% confidence"
    return f"at 95{SPACE}% confidence" + (f" for all {attacks} attacks together" if attacks > 1 else "")


def _outcome(found: Attacked) -> str:
    """What the attacks on the same kind of networks or sets find."""
    title = attacked_title(found.network, found.arm)
    gives = f"{title[:1].upper()}{title[1:]} {'gives' if found.network else 'give'} members away"
    lowest, strongest, largest = found.lowest_rate, found.strongest, found.largest
    rate = None if lowest is None else strongest.rate(lowest)
    if rate is not None and found.finds_members and rate.interval()[0] > rate.fpr:
        by = attack_title(strongest.attack, found.network)
        return f"{gives}: at {fpr_in_words(rate.fpr)} false positives, {by} finds {rate_in_words(rate)} of them."
    low, high = largest.auc_interval()
    measured = f"the largest area under a ROC curve is {area(largest.auc)} (guesses: 0.5; 95{SPACE}% interval "
    measured += f"{area(low)} to {area(high)}), by {attack_title(largest.attack, found.network)}"
    if found.finds_members:
        return f"{gives}: {measured}."
    chance = f" Among {found.tests} tests, that may be due to chance." if low > GUESSES else ""
    return f"No attack on {title} distinguishes members from other images: {measured}.{chance}"


def _against_random(record: Audit, ours: Attacked) -> str:
    """What a network gives away that was trained on as many random real images, and whether it is more or less."""
    theirs = record.attack_on("random", ours.network)
    if theirs is None:
        return ""
    both = []
    for each in (ours, theirs):
        rate = None if each.lowest_rate is None else each.strongest.rate(each.lowest_rate)
        found = f"an area of {area(each.largest.auc)}"
        both.append(found if rate is None else f"{found} and {share(rate.tpr)} found at {fpr_in_words(rate.fpr)}")
    return (
        f"{wording.network_title(ours.network)} on the sets: {both[0]}; on as many random real images in their place: "
        f"{both[1]}{_difference(record, ours)}."
    )


def _difference(record: Audit, ours: Attacked) -> str:
    """Whether the areas differ, by the attack with the largest area on the set."""
    found = [each for each in record.differences if each.network == ours.network]
    found = [each for each in found if each.attack == ours.largest.attack]
    if not found:
        return ""
    low, high = found[0].interval
    by = attack_title(found[0].attack, ours.network)
    if low <= 0 <= high:
        return f". The difference in area by {by} may be due to chance"
    return f". By {by}, the sets give away {'more' if low > 0 else 'less'}"


def _begun(record: Audit, arm: Arm) -> str:
    """How many of the images that sets were begun from, or consist of, are found, with and without networks."""
    parts, members = [], 0.0
    for network in ("", *record.networks):
        found = record.attack_on(arm, network)
        lowest = None if found is None else found.lowest_rate
        if found is None or lowest is None:
            continue
        rates = [rate for each in found.attacks if (rate := each.begun_rate(lowest)) is not None]
        if rates:
            best = max(rates, key=lambda rate: rate.tpr)
            members = best.members
            source = f"through {wording.network_title(network)}" if network else "in the images themselves"
            parts.append(f"{rate_in_words(best)} {source}")
    if not parts:
        return ""
    which = "that a set started from" if arm == "set" else "that are trained on in place of a set"
    lowest = next(found.lowest_rate for found in record.attacked if found.lowest_rate is not None)
    return (
        f"Of the members {which}, about {wording.count(round(members))} of each target, the best attack finds "
        f"{', and '.join(parts)}, at {fpr_in_words(lowest or 1.0)} false positives."
    )


def _from_start(record: Audit) -> list[str]:
    near = record.neighbours
    if near is None:
        return []
    said = []
    if near.start is not None and near.start.barely:
        said.append(
            f"The set started from real images and has barely moved: {wording.percent(near.start.kept)} of its "
            "images are still nearest to the training image that they started as. Anyone who sees the set sees members."
        )
    if near.closer > 0.05:
        said.append(
            f"{wording.percent(near.closer)} of the synthetic images are closer to a training image than "
            f"99{SPACE}% of held-out real images are."
        )
    return said


def _bound(record: Audit) -> str:
    """The lower bound of epsilon, beside what is promised."""
    if record.epsilon is None:
        return ""
    delta = f"δ = {record.delta:g}"
    promised = record.promised
    if promised is not None:
        proven = f"an ε of at least {record.epsilon:.2f}" if record.epsilon >= LEAST_EPSILON else "no ε above 0"
        sure = f"{delta}, {bounds_confidence(record)}, if outcomes of images are independent"
        said = f"Each set is {promised.title}. The attacks prove {proven} ({sure})"
        if record.epsilon <= promised.epsilon:
            return f"{said}, which is no more than is promised."
        if record.bounds_hold_together:
            return f"{said}, which contradicts the promise."
        attacks = len(record.attacks_on_sets)
        return f"{said}, which is more than is promised, but as the largest of {attacks} bounds may be due to chance."
    if record.epsilon < LEAST_EPSILON:
        return f"The attacks prove no lower bound of ε above 0 ({delta}; {NEIGHBOURING})."
    return (
        f"By these attacks, no guarantee with an ε below {record.epsilon:.2f} can hold ({delta}, "
        f"{bounds_confidence(record)}, if outcomes of images are independent; {NEIGHBOURING})."
    )


def _attacked(record: Audit) -> str:
    protocol, pool = record.protocol, record.dataset.pool
    references = protocol.shadows - 2
    by = f"with {references} others as references" if references else "without references"
    return (
        f"The whole pipeline was attacked: distil, then train. It was run {protocol.shadows} times, each time on a "
        f"random half of {wording.images(pool)}, and each run was a target in turn, {by}. A failed attack is no "
        f"guarantee: a stronger one may succeed. Only a proof of (ε, δ) is a guarantee."
    )


def _unresolved(record: Audit) -> list[str]:
    """The false positive rates about which nothing can be said."""
    first = next((each for each in record.attacked if each.usable), None)
    if first is None:
        return []
    lowest = first.lowest_rate or 1.0
    missing = [fpr for fpr in RATES if fpr < lowest]
    if not missing:
        return []
    asked = record.dataset.pool * record.protocol.shadows // 2
    return [
        f"A false positive rate of {fpr_in_words(max(missing))} or less cannot be resolved: it takes "
        f"{wording.count(round(FEWEST_FALSE / max(missing)))} questions about images that are not members, and there "
        f"are about {wording.count(asked)}."
    ]
