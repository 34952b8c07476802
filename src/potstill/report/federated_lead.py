"""The outcome of federated learning in sentences, and remarks that limit it; for the page and the command line."""

from __future__ import annotations

from statistics import fmean

from potstill.report import wording
from potstill.report.wording import signed
from potstill.schema.applications import BASELINES, Gain
from potstill.schema.federated import FEDAVG, ONE_SHOT, REFINED, Federated, Learner, Standing, Way

MOST_ROUNDS = 5
"""The most rounds of which each accuracy is said; of more, the first and the last."""


def federated_verdict(record: Federated) -> str:
    """What the first network learns from what the clients send in the first way, and what others take for as much.

    If this way was refined in several rounds, also what these reach and cost.
    """
    way = first_way(record)
    said = _outcome(record, way, record.networks[0])
    further = [_refined(record, each) for each in record.refined if each.name == REFINED + way.name]
    return " ".join([said, *filter(None, further)])


def remarks(record: Federated) -> list[str]:
    """The same for all other networks, what averaging reaches in the end, and what limits the outcome."""
    way = first_way(record)
    repeats = max((len(learner.accuracies) for learner in record.learners), default=0)
    said = [_outcome(record, way, network) for network in record.networks[1:]]
    said += [text for each in record.refined if each.name != REFINED + way.name and (text := _refined(record, each))]
    if record.refined:
        said.append(
            "Refined sets take more bytes than those of one round. Only "
            f"{wording.network_title(record.matched)}, whose weights are sent, is refined."
        )
    said += [better for network in record.networks if (better := _better(record, way, network))]
    said += [averaged for network in record.networks if (averaged := _averaged(record, network))]
    said += [leaks(record.dataset.kind), *_guarantees(record)]
    if lacking := _lacking(record):
        said.append(lacking)
    if repeats == 1:
        said.append("One repeat: no difference can be shown.")
    if len(record.networks) == 1:
        said.append("A single network, the one that methods match: with another one, the order may be different.")
    if len(record.made_on) > 1:
        said.append("Results were measured under different conditions: see the end of the page.")
    return said


def leaks(kind: str) -> str:
    """What is given away by what is sent.

    Args:
        kind: what clients have: ``image`` or ``vector``.
    """
    return (
        f"What is sent reveals something about a client's data. Random {kind}s are the client's own; k-means centres, "
        f"and {kind}s that start from real ones and barely move, still show them; weights can be inverted, too."
    )


def first_way(record: Federated) -> Way:
    """The way that the page is about: the first in which sets are sent that are not a baseline, if there is one."""
    others = [way for way in record.sets if way.name not in BASELINES]
    return (others or record.sets or record.ways)[0]


def _outcome(record: Federated, way: Way, network: str) -> str:
    title, learner = wording.network_title(network), record.learner(way.name, network)
    if learner is None:
        return f"{title} has no result with sets by {way.name}."
    reached = wording.percent(learner.mean)
    sent = f"{wording.images(round(fmean(way.images or [0])), record.dataset.kind)} by {way.name}"
    clients = record.protocol.partition.clients
    by = "one client sends" if clients == 1 else f"{wording.count(clients)} clients send"
    said = f"In one round, {by} {sent} ({wording.size(learner.bytes)}), on which {title} reaches {reached}"
    standing = record.standing(way.name, network)
    if standing is None:
        return f"{said}."
    if standing.of_central is not None:
        said += f", {wording.percent(standing.of_central)} of what it reaches on all {record.dataset.kind}s"
    return f"{said}{_against_random(record, learner, standing.gain)}.{_against_fedavg(record, learner, standing)}"


def _against_random(record: Federated, learner: Learner, gain: Gain | None) -> str:
    random = record.learner("random", learner.network)
    if random is None or learner.way == "random":
        return ""
    mean, many = learner.mean - random.mean, f"as many random {record.dataset.kind}s"
    points, side = f"{wording.points(abs(mean))} points", "above" if mean >= 0 else "below"
    if gain is None:
        return f", {points} {side} {many}, a difference that may be due to chance"
    interval = wording.gain_interval(gain)
    if gain.is_significant:
        return f", {points} {side} {many} ({interval})"
    return f"; the difference from {many} ({signed(mean)} points, {interval}) may be due to chance"


def _against_fedavg(record: Federated, learner: Learner, standing: Standing) -> str:
    fedavg = record.learner(FEDAVG, learner.network)
    if fedavg is None or not fedavg.rounds:
        return ""
    if standing.fedavg_rounds is None or standing.fedavg_bytes is None:
        rounds = _rounds(len(fedavg.course))
        return f" FedAvg does not reach as much in {rounds} and {wording.size(fedavg.bytes)}."
    said = f" FedAvg takes {_rounds(standing.fedavg_rounds)} and {wording.size(standing.fedavg_bytes)} to reach as much"
    ratio = standing.fedavg_bytes / learner.bytes if learner.bytes else 0.0
    return f"{said}, {wording.times(ratio)} the bytes." if ratio else f"{said}."


def _refined(record: Federated, way: Way) -> str:
    """What a network reaches after each round of refined sets, and what these cost."""
    learner = record.learner(way.name, record.matched)
    if learner is None or not learner.rounds:
        return ""
    course = [wording.percent(reached) for reached in learner.course]
    if len(course) == 1:
        reaches = f"{course[0]} after one round"
    elif len(course) <= MOST_ROUNDS:
        reaches = f"{', '.join(course[:-1])} and {course[-1]} after each of {_rounds(len(course))}"
    else:
        reaches = f"{course[0]} after one round and {course[-1]} after {_rounds(len(course))}"
    sets = f"sets by {way.name.removeprefix(REFINED)}, matched near the server's weights"
    up, down = (wording.size(fmean(sent or [0])) for sent in (learner.bytes_up, learner.bytes_down))
    said = f"With {sets}, {wording.network_title(learner.network)} reaches {reaches} ({up} up, {down} down)."
    standing = record.standing(way.name, learner.network)
    return said if standing is None else f"{said}{_against_fedavg(record, learner, standing)}"


def _rounds(number: int) -> str:
    return "one round" if number == 1 else f"{wording.count(number)} rounds"


def _better(record: Federated, way: Way, network: str) -> str:
    """The sets with the highest mean, if they are others; nothing about whether that may be chance."""
    usable = [each for other in record.sets if (each := record.learner(other.name, network))]
    best = max(usable, key=lambda each: each.mean, default=None)
    own = record.learner(way.name, network)
    if best is None or own is None or best.mean <= own.mean:
        return ""
    title = wording.network_title(network)
    sent = "sets sent once" if record.refined else "sets"
    return f"With {title}, {sent} by {best.way} have the highest mean: {wording.percent(best.mean)}."


def _averaged(record: Federated, network: str) -> str:
    """What averaging reaches in the end, and if weights are averaged only once."""
    fedavg, one_shot = record.learner(FEDAVG, network), record.learner(ONE_SHOT, network)
    if fedavg is None or one_shot is None or not fedavg.rounds:
        return ""
    return (
        f"With {wording.network_title(network)}, FedAvg reaches {wording.percent(fedavg.mean)} after "
        f"{_rounds(len(fedavg.course))} and {wording.size(fedavg.bytes)}; weights that are averaged only once reach "
        f"{wording.percent(one_shot.mean)}."
    )


def _guarantees(record: Federated) -> list[str]:
    """What is guaranteed of what is sent."""
    given = [
        f"The set by {way.name} that a client sends is {way.privacy.title} of that client."
        for way in record.sets
        if way.privacy is not None
    ]
    return given or ["There is no privacy guarantee."]


def _lacking(record: Federated) -> str:
    """How many clients have one class, or nothing to send."""
    kind = record.dataset.kind
    clients = [client for repeat in record.clients for client in repeat]
    single = sum(client.classes == 1 for client in clients)
    idle = sum(not client.sent for client in clients)
    some = [f"{_have(single)} {kind}s of a single class"] if single else []
    some += [f"{_have(idle)} too few {kind}s to send any"] if idle else []
    if not some:
        return ""
    repeats = f" in {len(record.clients)} repeats" if len(record.clients) > 1 else ""
    return f"Of {wording.count(len(clients))} clients{repeats}, {' and '.join(some)}."


def _have(number: int) -> str:
    return f"{wording.count(number)} {'has' if number == 1 else 'have'}"
