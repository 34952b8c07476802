"""What came of a re-run table, in words: published results and ours beside random real images."""

from __future__ import annotations

from collections.abc import Sequence

from potstill.report.wording import SPACE, count, images, interval, network_title, percent
from potstill.schema.published import Published
from potstill.schema.recipe import FEWEST_EPOCHS
from potstill.schema.reproduction import ANOTHER, Outcome, ReproductionRecord
from potstill.schema.statistics import welch_interval

VERDICTS = ("inside", "above", "below")


def reproduction_verdict(record: ReproductionRecord) -> str:
    """How the published results, and ours, stand to random real images or, in a table without them, to each other."""
    said = [_published_and_random(record), _ours_and_random(record), _ours_and_published(record)]
    found = [each for each in said if each]
    return " ".join(found) if found else "Nothing here can be compared: no such result was published or measured."


def reproduction_remarks(record: ReproductionRecord) -> list[str]:
    """Each published result below random images, and what limits the outcome."""
    scales = {each.scale for each in (*record.outcomes, *record.searches)} - {1.0}
    places = dict.fromkeys(place for each in (*record.outcomes, *record.searches) for place in each.made_on)
    stopped = record.unfinished
    return [
        *(_below(outcome, published, random) for outcome, published, random in _below_random(record)),
        *([_scaled(scales)] if scales else []),
        *(["Random real images are a single draw: intervals are over trainings alone."] if _against(record) else []),
        *([f"Not distilled to the end: {', '.join(stopped)}."] if stopped else []),
        *(["Results were measured under different conditions: see the end of the page."] if len(places) > 1 else []),
    ]


def _against(record: ReproductionRecord) -> list[tuple[Outcome, Outcome]]:
    """The outcomes that random images stand beside, and what these reach."""
    pairs = [(outcome, record.random(outcome)) for outcome in record.outcomes if outcome.measured.usable]
    return [(outcome, random) for outcome, random in pairs if random is not None]


def _printed(record: ReproductionRecord) -> list[tuple[Outcome, Published, Outcome]]:
    """The published results of sets that random images stand beside, on the same dataset."""
    return [
        (outcome, outcome.published, random)
        for outcome, random in _against(record)
        if outcome.published is not None and outcome.verdict != ANOTHER
    ]


def _below_random(record: ReproductionRecord) -> list[tuple[Outcome, Published, Outcome]]:
    """The published results of sets that lie below the interval of random images."""
    return [
        (outcome, published, random)
        for outcome, published, random in _printed(record)
        if (ends := random.measured.interval) is not None and published.mean < 100 * ends[0]
    ]


def _published_and_random(record: ReproductionRecord) -> str:
    told = [each for each in _printed(record) if each[2].measured.interval is not None]
    if not told:
        once = "Random real images were trained on once, so it is not known whether published results lie below them."
        return once if _printed(record) else ""
    below = len(_below_random(record))
    lie = "lies" if below == 1 else "lie"
    whole = f"Of {images(len(told), 'published result')} on sets, {count(below) if below else 'none'} {lie} clearly"
    return f"{whole} below what random real images of equal number reach here (under its 95{SPACE}% interval)."


def _ours_and_random(record: ReproductionRecord) -> str:
    pairs = _against(record)
    if not pairs:
        return ""
    apart = [
        (outcome, ends)
        for outcome, random in pairs
        if (ends := welch_interval(outcome.measured.accuracies, random.measured.accuracies)) is not None
    ]
    if not apart:
        return "No difference between our sets and random real images can be tested: there are too few trainings."
    above = [outcome for outcome, ends in apart if ends[0] > 0]
    below = [outcome for outcome, ends in apart if ends[1] < 0]
    unclear = len(pairs) - len(above) - len(below)
    parts = [f"above random real images in {count(len(above))} of {images(len(pairs), 'case')}"]
    if below:
        parts.append(f"below in {count(len(below))} ({_named(below)})")
    if unclear:
        parts.append(f"not clearly apart in {count(unclear)}")
    return f"Our sets lie {', '.join(parts)}."


def _ours_and_published(record: ReproductionRecord) -> str:
    """Where our results lie to those that were published with a spread."""
    judged = [outcome for outcome in record.outcomes if outcome.verdict in VERDICTS]
    if not judged:
        return ""
    numbers = {verdict: sum(each.verdict == verdict for each in judged) for verdict in VERDICTS}
    parts = [f"{verdict} it in {count(number)}" for verdict, number in numbers.items() if number]
    return f"Of {images(len(judged), 'result')} published with a deviation, ours: {', '.join(parts)}."


def _below(outcome: Outcome, published: Published, random: Outcome) -> str:
    ends = random.measured.interval
    interval95 = f" (95{SPACE}% interval {interval(ends)})" if ends else ""
    return (
        f"{outcome.row}, {network_title(outcome.network)}: {published}{SPACE}% was published; "
        f"{images(outcome.ipc, 'random real image')} of each class reach {percent(random.measured.mean)}{interval95}, "
        f"our set {percent(outcome.measured.mean)}."
    )


def _scaled(scales: set[float]) -> str:
    shares = " and ".join(f"{100 * scale:g}{SPACE}%" for scale in sorted(scales))
    return (
        f"At a scale of {shares}: that share of the published iterations and of the recipe's epochs, of which "
        f"trainings on sets keep at least {FEWEST_EPOCHS}, or all if there are fewer."
    )


def _named(outcomes: Sequence[Outcome]) -> str:
    return "; ".join(f"{outcome.row}, {network_title(outcome.network)}" for outcome in outcomes)
