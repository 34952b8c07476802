"""An architecture search in words: its proxies, and how far each can be trusted; for the page and the command line."""

from __future__ import annotations

from dataclasses import dataclass

from potstill.report.wording import SPACE, count, duration, percent, points, size
from potstill.report.wording import images as counted
from potstill.schema.rank_correlation import FEWEST, RankCorrelation
from potstill.schema.search import DISTILLED, SearchResult
from potstill.schema.words import listed

TITLES = {
    DISTILLED: "the set",
    "random": "random real images",
    "k-means": "k-means centres",
    "early-stopping": "early stopping",
}
"""Titles of proxies whose names do not say what they are."""
REASONS = 3
"""The most reasons for skipping that are listed."""


@dataclass(frozen=True)
class CorrelationCells:
    """One correlation in words: Spearman's and Kendall's, each with its interval."""

    spearman: str
    kendall: str


@dataclass(frozen=True)
class ProxyRow:
    """A proxy in words, with its correlations over all candidates and over fewer."""

    title: str
    images: str
    size: str
    seconds: str
    first: str
    reached: str
    regret: str
    correlations: list[CorrelationCells]


def title_of(proxy: str) -> str:
    """A proxy in words."""
    return TITLES.get(proxy, f"real images by {proxy}")


def full_data_of(found: SearchResult) -> str:
    """The full data, or what a search took for them."""
    if found.full_images is None:
        return "the full data"
    return f"{count(found.full_images)} random training images in place of the full data"


def short_full_data(found: SearchResult) -> str:
    """The same in two words, for titles."""
    return "full data" if found.full_images is None else counted(found.full_images)


def correlation_titles(found: SearchResult) -> list[str]:
    """Over how many candidates correlations are stated, in words; empty if over none."""
    whole, *others = found.tops
    return [f"all {whole}", *(f"top {top}" for top in others)] if whole >= FEWEST else []


def proxy_rows(found: SearchResult) -> list[ProxyRow]:
    """The proxies of a search, the set first."""
    return [_row(found, name) for name in found.all_proxies]


def skipped_candidates(found: SearchResult) -> str:
    """How many candidates were skipped, and why."""
    reasons = [f"{name}: {reason}" for name, reason in found.skipped.items()]
    more = f"; and {count(len(reasons) - REASONS)} more" if len(reasons) > REASONS else ""
    networks = counted(len(found.candidates), "candidate")
    return f"{count(len(reasons))} of {networks} skipped, before any training: {'; '.join(reasons[:REASONS])}{more}"


def search_verdict(found: SearchResult) -> str:
    """In a sentence or three: how well the set predicts the ranking, whether anything else does as well, its choice."""
    ours, whole = found.correlation(DISTILLED), len(found.compared)
    if ours is None:
        return f"{_unknown(whole)} {_choice(found)}".strip()
    over = f"Over {whole} candidates trained on {full_data_of(found)}"
    predicted = f"{over}, Spearman's correlation of the set's ranking with theirs is {_with(ours)}"
    return f"{predicted}{_others(found)}. {_choice(found)}".strip()


def _unknown(whole: int) -> str:
    if whole < FEWEST:
        return "How well the rankings predict that of the full data was not measured: draw a sample with --full-sample."
    return "All candidates have the same accuracy: there is no ranking to predict."


def _with(correlation: RankCorrelation) -> str:
    if correlation.spearman95 is None:
        return _number(correlation.spearman)
    low, high = map(_number, correlation.spearman95)
    return f"{_number(correlation.spearman)} (95{SPACE}% interval {low} to {high})"


def _others(found: SearchResult) -> str:
    """Which proxies predict worse than the set, as well, or better."""
    said: dict[str, list[str]] = {"better than": [], "not clearly better than": [], "worse than": []}
    for name in found.judged[1:]:
        advantage, theirs = found.advantage(name), found.correlation(name)
        if advantage is None or theirs is None:
            continue
        interval = advantage[1]
        surely = interval is not None and (interval[0] > 0 or interval[1] < 0)
        kind = "not clearly better than" if not surely else "better than" if advantage[0] > 0 else "worse than"
        said[kind].append(f"{title_of(name)} ({_number(theirs.spearman)})")
    parts = [f"{kind} that of {listed(names)}" for kind, names in said.items() if names]
    return f", {'; '.join(parts)}" if parts else ""


def _choice(found: SearchResult) -> str:
    """What the choice of the set costs, and which other choices are not worse."""
    regret, first = found.regret(DISTILLED), found.all_proxies[DISTILLED].first
    if regret is None or len(found.full_accuracies) < 2:
        return ""
    others = {name: found.regret(name) for name in found.judged[1:]}
    equal = [title_of(name) for name, other in others.items() if other is not None and other <= regret + 5e-5]
    best = "the best of those that were trained" if regret < 5e-5 else f"{points(regret, 2)} points below the best"
    also = f"; the choice of {listed(equal)} is as good or better" if equal else ""
    return f"Its choice, {first}, is {best}{also}."


def _row(found: SearchResult, name: str) -> ProxyRow:
    proxy, regret = found.all_proxies[name], found.regret(name)
    reached = found.full_accuracies.get(proxy.first or "")
    finished = name in found.judged
    tops = found.tops if correlation_titles(found) else []
    return ProxyRow(
        title=title_of(name),
        images=count(proxy.images) if proxy.images else "–",
        size=size(proxy.bytes) if proxy.bytes else "–",
        seconds=duration(proxy.seconds),
        first=(proxy.first or "–") if finished else "not finished",
        reached="–" if reached is None or not finished else percent(reached, digits=2),
        regret="–" if regret is None or not finished else points(regret, 2),
        correlations=[_cells(found.correlation(name, top) if finished else None) for top in tops],
    )


def _cells(correlation: RankCorrelation | None) -> CorrelationCells:
    if correlation is None:
        return CorrelationCells("–", "–")
    return CorrelationCells(
        _cell(correlation.spearman, correlation.spearman95), _cell(correlation.kendall, correlation.kendall95)
    )


def _cell(value: float, interval: tuple[float, float] | None) -> str:
    if interval is None:
        return _number(value)
    return f"{_number(value)} [{_number(interval[0])}, {_number(interval[1])}]"


def _number(value: float) -> str:
    """A correlation with two digits and a true minus sign."""
    return f"{round(value, 2) + 0.0:.2f}".replace("-", "\N{MINUS SIGN}")
