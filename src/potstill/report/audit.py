"""The page of an audit, from ``audit.json`` alone."""

from __future__ import annotations

import math
from base64 import b64decode
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

import numpy as np
from markupsafe import Markup

from potstill.report import wording
from potstill.report.audit_lead import (
    area,
    attack_title,
    attacked_title,
    audit_remarks,
    audit_verdict,
    bounds_confidence,
    fpr_in_words,
)
from potstill.report.charts import linear_scale, logarithmic_scale
from potstill.report.charts.curves import CurveChart, Series
from potstill.report.charts.pictures import CHANNEL_NOTES, as_rgb, data_uri
from potstill.report.images import class_titles
from potstill.report.page import rendered
from potstill.report.protocol import measured_on, recipe_title
from potstill.report.sections.gallery import choose_reduction, tile_width
from potstill.runtime.files import write_atomic
from potstill.runtime.text import visible
from potstill.schema.audit import RATES, Arm, Attacked, AttackResult, Audit, NearestPair, Neighbours, Rate, median
from potstill.schema.statistics import confidence_interval

ARMS: dict[Arm, str] = {"set": "the sets", "random": "random images"}
KINDS = {"run": "run", "selection": "selection", "method": "method", "set": "set"}
QUANTILES = 50
LEAST_DISTANCE = 1e-9
"""All images are copies if none is further from a training image."""
ROOM = 84
"""The width that a picture of a pair may take, in CSS pixels."""


@dataclass(frozen=True)
class Row:
    """A line of the table: one attack on one network."""

    network: str
    arm: str
    attack: str
    area: str
    interval: str
    accuracy: str
    rates: tuple[str, ...]
    epsilon: str


@dataclass(frozen=True)
class Tile:
    """A synthetic image and the nearest real one, as data URIs, and what they are."""

    image: Markup
    neighbour: Markup
    words: str
    caption: str


@dataclass(frozen=True)
class NeighboursView:
    """The nearest images: numbers, a chart, and the closest pairs."""

    facts: list[tuple[str, str]]
    chart: CurveChart
    tiles: tuple[Tile, ...]
    large: int
    small: int
    aspect: float
    notes: tuple[str, ...]


def write_audit(folder: str | Path) -> Path:
    """Write ``audit.html`` beside the ``audit.json`` in ``folder``, and return its path.

    Raises:
        UserError: the record is missing or damaged, or the page cannot be written.
    """
    folder = Path(folder)
    path = folder / "audit.html"
    write_atomic(path, render(Audit.read(folder / Audit.FILE)))
    return path


def render(record: Audit) -> str:
    """The page as HTML."""
    shown = [each for each in record.attacked if each.usable]
    rates = [fpr for fpr in RATES if any(attack.rate(fpr) for each in shown for attack in each.attacks)]
    return rendered(
        "audit.html.jinja",
        record=record,
        dated="",
        title=f"Audit of {record.source}" + (f" on {record.dataset.name}" if record.kind != "set" else ""),
        facts=_facts(record),
        lead=audit_verdict(record),
        remarks=audit_remarks(record),
        charts=[_roc_chart(each) for each in shown],
        rates=[fpr_in_words(fpr) for fpr in rates],
        rows=[_row(each, attack, rates) for each in shown for attack in each.attacks],
        accuracies=[_accuracy(each) for each in shown if each.accuracies],
        failures=[(_name(each), each.failed) for each in record.attacked if each.failed],
        neighbours=None if record.neighbours is None else _neighbours(record.neighbours),
        bounds_confidence=bounds_confidence(record),
        settings=_settings(record),
    )


def _facts(record: Audit) -> list[str]:
    facts = [f"{wording.images(record.images)} in the set"]
    if record.kind != "set":
        facts += [f"a pool of {wording.images(record.dataset.pool)}", f"{record.protocol.shadows} pipelines"]
    return [*facts, *map(wording.network_title, record.networks)]


def _name(each: Attacked) -> str:
    title = attacked_title(each.network, each.arm)
    return f"{title} on {ARMS[each.arm]}" if each.network else title


def _roc_chart(each: Attacked) -> CurveChart:
    """The ROC curves of all attacks on one network, both axes logarithmic, and that of guesses."""
    low = min((fpr for attack in each.attacks for fpr, _ in attack.roc if 0 < fpr < 0.1), default=0.1)
    scale = logarithmic_scale(low, 1.0, fpr_in_words)
    lines = {
        attack_title(attack.attack, each.network): [point for point in attack.roc if point[1] > 0]
        for attack in each.attacks
    }
    lines["guesses"] = [(low, low), (1.0, 1.0)]

    def path(points: Sequence[tuple[float, float]]) -> str:
        places = [(scale.position(fpr), 100 - scale.position(tpr)) for fpr, tpr in points if fpr > 0]
        return " ".join(f"{x:.2f},{y:.2f}" for x, y in places)

    areas = "; ".join(f"{attack_title(attack.attack, each.network)} {area(attack.auc)}" for attack in each.attacks)
    return CurveChart(
        title=wording.sentence(_name(each)).rstrip("."),
        x_label="false positives",
        x_ticks=scale.ticks,
        y_ticks=scale.ticks,
        series=tuple(Series(name, path(points)) for name, points in lines.items()),
        summary=f"ROC curves of {_name(each)}; areas under them: {areas}.",
    )


def _row(each: Attacked, attack: AttackResult, rates: Sequence[float]) -> Row:
    low, high = attack.auc_interval()
    return Row(
        network=wording.network_title(each.network) if each.network else "none",
        arm=ARMS[each.arm],
        attack=attack_title(attack.attack, each.network),
        area=area(attack.auc),
        interval=f"{area(low)}–{area(high)}",
        accuracy=wording.percent(attack.balanced_accuracy),
        rates=tuple(_rate(attack.rate(fpr)) for fpr in rates),
        epsilon=f"{attack.epsilon:.2f}",
    )


def _rate(rate: Rate | None) -> str:
    if rate is None:
        return "–"
    low, high = (wording.points(end, 2) for end in rate.interval())
    return f"{wording.points(rate.tpr, 2)} ({low}–{high})"


def _accuracy(each: Attacked) -> tuple[str, str, str]:
    interval = confidence_interval(each.accuracies)
    bounds = f" ({wording.interval(interval)})" if interval else ""
    network = wording.network_title(each.network)
    return network, ARMS[each.arm], f"{wording.percent(fmean(each.accuracies))}{bounds}"


def _neighbours(near: Neighbours) -> NeighboursView:
    channels, height, width = near.shape
    reduction = choose_reduction(height, width, 2 * max(len(near.pairs), 1))
    large = tile_width(-(-width // reduction), ROOM)
    return NeighboursView(
        facts=_neighbour_facts(near),
        chart=_distance_chart(near),
        tiles=tuple(_tile(pair, near.shape, reduction) for pair in near.pairs),
        large=large,
        small=tile_width(-(-width // reduction), ROOM // 2),
        aspect=width / height,
        notes=(CHANNEL_NOTES[channels],) if channels in CHANNEL_NOTES else (),
    )


def _neighbour_facts(near: Neighbours) -> list[tuple[str, str]]:
    ratio = f"{near.ratio:.2f}" if math.isfinite(near.ratio) else "not defined: held-out images are in the training set"
    facts = [
        (
            "searched",
            f"{wording.count(near.train)} training images, for {wording.images(len(near.distances))} of the set and "
            f"{wording.count(len(near.held_out))} held-out real ones",
        ),
        (
            "distance to the nearest, median",
            f"{median(near.distances):.3g}; of held-out real images {median(near.held_out):.3g}; ratio {ratio}",
        ),
        ("closer than 99 % of held-out images", f"{wording.percent(near.closer)} of the synthetic images"),
        (
            "SSIM with the nearest, median",
            f"{median(near.similarities):.2f}; of held-out real images {median(near.held_out_similarities):.2f}",
        ),
    ]
    if near.start is not None:
        facts.append(("started from training images", f"{wording.percent(near.start.copied)} of the images"))
        if near.start.copied:
            facts += [
                ("still nearest to that image", f"{wording.percent(near.start.kept)} of them"),
                (
                    "moved since, median",
                    f"{near.start.moved:.2f} of the distance of held-out real images to the nearest",
                ),
            ]
    return facts


def _distance_chart(near: Neighbours) -> CurveChart:
    """The distribution of the distances: the share of images that are closer than each."""
    high = max(*near.distances, *near.held_out)
    x_scale = linear_scale(0.0, high if high > LEAST_DISTANCE else 1.0, lambda value: f"{value:g}", 4)
    y_scale = linear_scale(0.0, 1.0, fpr_in_words, 4)
    shares = np.linspace(0, 1, QUANTILES + 1)

    def path(values: Sequence[float]) -> str:
        places = zip(np.quantile(values, shares), shares, strict=True)
        return " ".join(f"{x_scale.position(x):.2f},{100 - y_scale.position(y):.2f}" for x, y in places)

    return CurveChart(
        title="Share of images with a training image closer than",
        x_label="distance, of pixels from 0 to 1",
        x_ticks=x_scale.ticks,
        y_ticks=y_scale.ticks,
        series=(Series("synthetic images", path(near.distances)), Series("held-out real images", path(near.held_out))),
        summary=f"Median distance to the nearest training image: {median(near.distances):.3g} from synthetic images, "
        f"{median(near.held_out):.3g} from held-out real images.",
    )


def _tile(pair: NearestPair, shape: tuple[int, int, int], reduction: int) -> Tile:
    [label] = class_titles([pair.label])
    distance = f"distance {pair.distance:.2g}, SSIM {pair.similarity:.2f}"
    return Tile(
        image=data_uri(_picture(pair.image, shape), reduction),
        neighbour=data_uri(_picture(pair.neighbour, shape), reduction),
        words=visible(f"{label}: synthetic image {pair.place} and training image {pair.real}, {distance}"),
        caption=visible(f"{label}: {distance}"),
    )


def _picture(text: str, shape: tuple[int, int, int]) -> np.ndarray:
    return as_rgb(np.frombuffer(b64decode(text), np.uint8).reshape(1, *shape) / 255)[0]


def _settings(record: Audit) -> list[tuple[str, str]]:
    """How it was measured, as names and values."""
    if record.kind == "set":
        return [("audited", f"{KINDS[record.kind]} {record.source}"), ("dataset", record.dataset.name)]
    protocol, images = record.protocol, record.dataset
    half = "each with probability 1/2; in pairs, a half and its complement"
    rows = [
        ("audited", f"{KINDS[record.kind]} {record.source}"),
        ("pool", f"{wording.images(images.pool)} of the training split of {images.name}; every class has its share"),
        ("members of a pipeline", half),
        (
            "pipelines",
            f"{protocol.shadows}, each made from scratch from its members; made in {wording.duration(record.seconds)}",
        ),
        ("settings", ", ".join(f"{name} = {value}" for name, value in _plain(record.settings))),
        ("baseline", f"as many random members in as many bytes, {wording.images(record.images)}"),
        ("population of RMIA", f"{wording.images(images.population)} of the test split"),
        ("intervals of areas", "bootstrap over images and pairs of targets; of rates Clopper and Pearson's"),
        ("public", "labels, class sizes, and mean and standard deviation of all training images"),
        ("seed", str(protocol.seed)),
    ]
    if record.recipe is not None:
        rows += [("recipe", recipe_title(record.recipe)), ("training", record.recipe.summary)]
    return [*rows, *measured_on(record.made_on)]


def _plain(settings: object) -> list[tuple[str, str]]:
    """Settings as names and values, those of the method with the method's name in front."""
    if not isinstance(settings, dict):
        return []
    found = []
    for name, value in settings.items():
        if isinstance(value, dict):
            found += [(name if key == "name" else f"{name}.{key}", str(part)) for key, part in value.items()]
        else:
            found.append((str(name), str(value)))
    return found
