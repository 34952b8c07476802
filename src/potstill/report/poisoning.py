"""The page of poisoning, from ``poisoning.json`` alone."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from potstill.report import wording
from potstill.report.page import rendered
from potstill.report.poisoning_lead import poisoning_remarks, poisoning_verdict
from potstill.report.protocol import measured_on, recipe_title
from potstill.runtime.files import write_atomic
from potstill.schema.poisoning import BackdoorProtocol, Case, Poisoning, StepProtocol, Victims

CASES: dict[Case, str] = {
    "poisoned": "tampered images",
    "clean": "images as they were",
    "before": "before the step",
    "after": "after the step",
}


@dataclass(frozen=True)
class Row:
    """A line of the table: one network in one case."""

    network: str
    source: str
    case: str
    accuracy: str
    success: str
    unpatched: str
    recognised: str
    images: str
    size: str
    making: str
    seconds: str


def write_poisoning(folder: str | Path) -> Path:
    """Write ``poisoning.html`` beside the ``poisoning.json`` in ``folder``, and return its path.

    Raises:
        UserError: the record is missing or damaged, or the page cannot be written.
    """
    folder = Path(folder)
    path = folder / "poisoning.html"
    write_atomic(path, render(Poisoning.read(folder / Poisoning.FILE)))
    return path


def render(record: Poisoning) -> str:
    """The page as HTML."""
    backdoor = isinstance(record.protocol, BackdoorProtocol)
    return rendered(
        "poisoning.html.jinja",
        backdoor=backdoor,
        dated="",
        title=_title(record),
        facts=[f"recipe {record.recipe.label}", *map(wording.network_title, record.networks)],
        lead=poisoning_verdict(record),
        remarks=poisoning_remarks(record),
        rows=[_row(each) for each in record.victims if each.usable],
        failures=[(f"{each.network} on {each.source}", each.failed) for each in record.victims if each.failed],
        settings=_settings(record),
    )


def _title(record: Poisoning) -> str:
    protocol = record.protocol
    if isinstance(protocol, BackdoorProtocol):
        return f"A patch in {wording.percent(protocol.share)} of the images of {record.dataset.name}"
    return f"A step after which class {protocol.attacked} of {record.dataset.name} is taken for {protocol.target}"


def _row(victims: Victims) -> Row:
    return Row(
        network=wording.network_title(victims.network),
        source=victims.source,
        case=CASES[victims.case],
        accuracy=_cell(victims, "accuracy"),
        success=_cell(victims, "success"),
        unpatched=_unpatched(victims),
        recognised=_cell(victims, "recognised"),
        images=wording.count(victims.images) if victims.images else "–",
        size=wording.size(victims.bytes) if victims.bytes else "–",
        making=wording.duration(victims.making_seconds) if victims.making_seconds else "–",
        seconds=wording.duration(victims.seconds),
    )


def _cell(victims: Victims, name: str) -> str:
    ends = victims.interval(name)
    return wording.points(victims.mean(name)) + (f" [{wording.interval(ends)}]" if ends else "")


def _unpatched(victims: Victims) -> str:
    return _cell(victims, "unpatched") if victims.shown_unpatched else "–"


def _settings(record: Poisoning) -> list[tuple[str, str]]:
    """How it was measured, as names and values."""
    protocol, dataset = record.protocol, record.dataset
    size = f"{wording.count(dataset.train)} training, {wording.count(dataset.test)} test images"
    return [
        ("dataset", f"{dataset.name}: {size}"),
        *(_of_backdoor(protocol) if isinstance(protocol, BackdoorProtocol) else _of_step(protocol)),
        ("images of each class in a set", str(protocol.images_per_class)),
        ("network that is matched", wording.network_title(record.matched)),
        ("iterations of methods", "the method's own" if protocol.iterations is None else str(protocol.iterations)),
        ("recipe", recipe_title(record.recipe)),
        ("training", record.recipe.summary),
        ("seed", str(protocol.seed)),
        *measured_on(record.made_on),
    ]


def _of_backdoor(protocol: BackdoorProtocol) -> list[tuple[str, str]]:
    changed = f"{wording.percent(protocol.share)} of the training images, of other classes, labelled {protocol.target}"
    return [
        ("patch", f"white, {protocol.side}×{protocol.side} pixels, one pixel from the lower right corner"),
        ("tampered with", changed),
        ("repeats", f"{protocol.repeats}, each with sets of its own"),
    ]


def _of_step(protocol: StepProtocol) -> list[tuple[str, str]]:
    return [
        ("attack", f"class {protocol.attacked} is to be taken for class {protocol.target}"),
        ("experts", f"{protocol.experts}, trained for {wording.images(protocol.epochs, 'epoch')}; a fifth is held out"),
    ]
