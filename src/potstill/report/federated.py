"""The page of federated learning, from ``federated.json`` alone."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from potstill.report import wording
from potstill.report.charts.course import CourseChart, CourseData, course_chart
from potstill.report.federated_lead import federated_verdict, remarks
from potstill.report.page import rendered
from potstill.report.protocol import measured_on, recipe_title
from potstill.runtime.files import write_atomic
from potstill.schema.federated import (
    CENTRAL,
    FEDAVG,
    Averaging,
    Client,
    Federated,
    Learner,
    Partition,
    Standing,
    Way,
    bytes_a_round,
)
from potstill.schema.statistics import confidence_interval

MOST_CLASSES = 20
"""The most classes of which the page shows how many images each client has."""


@dataclass(frozen=True)
class Row:
    """A line of the table of results: one network in one way."""

    network: str
    way: str
    accuracy: str
    interval: str
    of_central: str
    gain: str
    up: str
    down: str
    fedavg: str
    seconds: str


@dataclass(frozen=True)
class ClientRow:
    """A line of the table of clients; ``cells`` has the images of each class, as text and as a share of the most."""

    name: str
    images: str
    classes: str
    sends: str
    left_out: str
    cells: tuple[tuple[str, float], ...]


def write_federated(folder: str | Path) -> Path:
    """Write ``federated.html`` beside the ``federated.json`` in ``folder``, and return its path.

    Raises:
        UserError: the record is missing or damaged, or the page cannot be written.
    """
    folder = Path(folder)
    path = folder / "federated.html"
    write_atomic(path, render(Federated.read(folder / Federated.FILE)))
    return path


def render(record: Federated) -> str:
    """The page as HTML."""
    shown = [learner for learner in record.learners if learner.usable]
    networks = list(dict.fromkeys(learner.network for learner in shown))
    return rendered(
        "federated.html.jinja",
        dated="",
        title=_title(record),
        facts=[f"recipe {record.recipe.label}", *map(wording.network_title, record.networks)],
        lead=federated_verdict(record),
        remarks=remarks(record),
        charts=[chart for network in networks if (chart := _chart(record, network, shown))],
        rows=[_row(record, each) for network in networks for each in shown if each.network == network],
        repeats=max((len(learner.accuracies) for learner in shown), default=0),
        failures=[
            (f"{wording.network_title(each.network)}, {each.way}", each.failed)
            for each in record.learners
            if each.failed
        ],
        refined=bool(record.refined),
        kind=record.dataset.kind,
        ways=[_way_row(way) for way in (*record.sets, *record.refined)],
        class_names=record.class_names if len(record.class_names) <= MOST_CLASSES else [],
        clients=[
            (f"repeat {number}", _client_rows(repeat, len(record.class_names)))
            for number, repeat in enumerate(record.clients, start=1)
        ],
        settings=_settings(record),
    )


def _title(record: Federated) -> str:
    partition = record.protocol.partition
    clients = "one client" if partition.clients == 1 else f"{wording.count(partition.clients)} clients"
    return f"{record.dataset.name} at {clients}: {_kind(partition, record.dataset.kind)}"


def _kind(partition: Partition, held: str) -> str:
    """The partition in a few words.

    Args:
        partition: the partition.
        held: what clients have: ``image`` or ``vector``.
    """
    each = "each" if partition.clients > 1 else "alone"
    one = partition.per_client == 1
    return {
        "dirichlet": f"Dirichlet shares, α = {partition.alpha:g}",
        "classes": f"{partition.per_client} {'class' if one else 'classes'} {each}",
        "shards": f"{partition.per_client} {'shard' if one else 'shards'} {each}",
        "iid": f"{held}s dealt at random",
    }[partition.kind]


def _chart(record: Federated, network: str, learners: Sequence[Learner]) -> CourseChart | None:
    """The accuracy of a network against the bytes that are sent, with rounds as lines.

    Args:
        record: the record.
        network: the spec of the network.
        learners: those with results, of all networks.
    """
    own = {each.way: each for each in learners if each.network == network}
    fedavg, central = own.pop(FEDAVG, None), own.pop(CENTRAL, None)
    averaged = [] if fedavg is None else [fedavg]
    refined = [own[way.name] for way in record.refined if way.name in own]
    return course_chart(
        wording.network_title(network),
        "bytes sent, up and down",
        wording.size,
        CourseData(
            points=[(_without_settings(each.way), each.bytes, each.mean) for each in (*own.values(), *averaged)],
            courses=[_course(each) for each in (*averaged, *refined) if each.course and each.bytes],
            level=None if central is None else (central.way, central.mean),
        ),
    )


def _course(learner: Learner) -> list[tuple[float, float]]:
    """The bytes until each round, and the accuracy after it."""
    a_round = bytes_a_round(learner)
    return [(number * a_round, reached) for number, reached in enumerate(learner.course, start=1)]


def _without_settings(way: str) -> str:
    """The name of a way in a chart: ``dm`` for ``dm:batch_real=64``."""
    return re.sub(r":\w+=[^:+]*", "", way)


def _row(record: Federated, learner: Learner) -> Row:
    standing, bounds = record.standing(learner.way, learner.network), confidence_interval(learner.accuracies)
    return Row(
        network=wording.network_title(learner.network),
        way=learner.way,
        accuracy=wording.percent(learner.mean),
        interval=wording.interval(bounds) if bounds else "–",
        of_central=_of_central(standing),
        gain="–" if standing is None or standing.gain is None else wording.gain(standing.gain),
        up=wording.size(fmean(learner.bytes_up)) if learner.bytes_up else "–",
        down=wording.size(fmean(learner.bytes_down)) if learner.bytes_down else "–",
        fedavg=_fedavg(standing),
        seconds=wording.duration(sum(learner.seconds)),
    )


def _of_central(standing: Standing | None) -> str:
    if standing is None or standing.of_central is None or standing.way == CENTRAL:
        return "–"
    bounds = "" if standing.of_central_ci95 is None else f" ({wording.interval(standing.of_central_ci95)})"
    return f"{wording.percent(standing.of_central)}{bounds}"


def _fedavg(standing: Standing | None) -> str:
    if standing is None or standing.fedavg_rounds is None or standing.fedavg_bytes is None:
        return "–"
    rounds = f"{wording.count(standing.fedavg_rounds)} round{'s' * (standing.fedavg_rounds > 1)}"
    return f"{rounds}, {wording.size(standing.fedavg_bytes)}"


def _way_row(way: Way) -> dict[str, str]:
    return {
        "name": way.name,
        "images": wording.count(round(fmean(way.images))) if way.images else "–",
        "size": wording.size(fmean(way.bytes)) if way.bytes else "–",
        "small": wording.size(fmean(way.bytes_in_8_bits)) if way.bytes_in_8_bits else "–",
        "seconds": wording.duration(way.seconds) if way.images else "–",
    }


def _client_rows(clients: Sequence[Client], classes: int) -> list[ClientRow]:
    most = max((size for client in clients for size in client.class_sizes), default=0) or 1
    shown = classes <= MOST_CLASSES
    return [
        ClientRow(
            name=str(number),
            images=wording.count(client.images),
            classes=wording.count(client.classes),
            sends=wording.count(client.sent_images),
            left_out=wording.count(client.left_out),
            cells=tuple((wording.count(size), round(size / most, 4)) for size in client.class_sizes if shown),
        )
        for number, client in enumerate(clients, start=1)
    ]


def _settings(record: Federated) -> list[tuple[str, str]]:
    """How it was measured, as names and values."""
    protocol, data = record.protocol, record.dataset
    numbers = " and ".join(map(str, protocol.images_per_class))
    turns = ", for clients in turn" if len(protocol.images_per_class) > 1 else ""
    held = "" if protocol.formation == 1 else f", each holding {protocol.formation}² pictures"
    epochs = protocol.central_epochs or record.recipe.full_epochs
    return [
        ("dataset", f"{data.name}: {wording.count(data.train)} training, {wording.count(data.test)} test {data.kind}s"),
        ("normalisation", f"mean and standard deviation of all {data.kind}s, as agreed beforehand"),
        ("partition", _kind(protocol.partition, data.kind)),
        (
            "sets",
            f"{numbers} {data.kind}{'s' * (numbers != '1')} of each class that a client has enough of{turns}{held}",
        ),
        ("iterations of methods", "the method's own" if protocol.iterations is None else str(protocol.iterations)),
        ("methods match", wording.network_title(record.matched)),
        (f"recipe on sets and on all {data.kind}s", recipe_title(record.recipe)),
        ("central training", f"{epochs} epochs on all training {data.kind}s"),
        *_refining(record),
        *_averaging(record.averaging),
        ("repeats", f"{protocol.repeats}, each with a partition, sets and networks of its own"),
        ("seed", str(protocol.seed)),
        *measured_on(record.made_on),
    ]


def _refining(record: Federated) -> list[tuple[str, str]]:
    if not record.refined:
        return []
    rounds = f"{record.protocol.refine} round{'s' * (record.protocol.refine > 1)}"
    near = f"networks matched within {record.protocol.radius:g} of the server's weights"
    return [("refined sets", f"{rounds}, {near}, from which it trains on by the recipe on sets")]


def _averaging(averaging: Averaging) -> list[tuple[str, str]]:
    if not averaging.rounds:
        return []
    epochs, at_once = (wording.images(n, "epoch") for n in (averaging.local_epochs, averaging.one_shot_epochs))
    steps = f"SGD in batches of {averaging.local_batch}, learning rate {averaging.local_rate:g}, no augmentation"
    part = f"{wording.percent(averaging.fraction, 0)} of the clients in each, {epochs}"
    return [
        ("FedAvg", f"{averaging.rounds} rounds, {part} of {steps}"),
        ("one-shot FedAvg", f"one round of all clients, {at_once} of the same"),
    ]
