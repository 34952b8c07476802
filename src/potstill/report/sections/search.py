"""An architecture search with the set: its candidates from best to worst, and how far the ranking can be trusted."""

from __future__ import annotations

from dataclasses import dataclass

from potstill.report import wording
from potstill.report.charts.scatter import Scatter, accuracy_scatter
from potstill.report.run import Run, Section
from potstill.report.search import (
    ProxyRow,
    correlation_titles,
    full_data_of,
    proxy_rows,
    search_verdict,
    short_full_data,
    skipped_candidates,
    title_of,
)
from potstill.schema.evaluation import NetworkResult
from potstill.schema.search import Candidate, SearchResult

SHOWN = 50
"""The most candidates in the table; all are in the record."""


@dataclass(frozen=True)
class Row:
    """A candidate in words; ``share`` is its accuracy in percent, for a bar."""

    name: str
    spec: str
    accuracy: str
    share: float
    failed: bool
    repeats: str
    parameters: str
    seconds: str
    full: str


@dataclass(frozen=True)
class View:
    """The result of the search in a few sentences, the tables of proxies and of candidates, and a chart per proxy.

    Attributes:
        summary: the result.
        verdict: how far the ranking can be trusted; empty if the set is the only proxy and no sample was drawn.
        proxies: empty likewise.
        tops: over how many candidates correlations are stated, in words.
        charts: accuracy on the full data against that by each proxy.
        rows: the best candidates.
        left_out: the number of candidates that are not in the table.
        full_data: what the full data are.
        short_full_data: likewise, in two words.
    """

    summary: str
    verdict: str
    proxies: list[ProxyRow]
    tops: list[str]
    charts: list[Scatter]
    rows: list[Row]
    left_out: str
    full_data: str
    short_full_data: str


def view(run: Run) -> View | None:
    """The search with a run's set, if there was one."""
    found = run.record(SearchResult)
    if found is None:
        return None
    is_judged = bool(found.proxies or found.sample)
    left_out = len(found.ranked) - SHOWN
    return View(
        summary=_summary(found),
        verdict=search_verdict(found) if is_judged else "",
        proxies=proxy_rows(found) if is_judged else [],
        tops=correlation_titles(found),
        charts=[_chart(found, name) for name in found.judged] if correlation_titles(found) else [],
        rows=[_row(name, found.candidates[name], found.full.get(name)) for name in found.ranked[:SHOWN]],
        left_out=wording.count(left_out) if left_out > 0 else "",
        full_data=full_data_of(found),
        short_full_data=short_full_data(found),
    )


def _summary(found: SearchResult) -> str:
    space = found.space if isinstance(found.space, str) else "a custom search space"
    networks = wording.images(len(found.candidates), "network")
    searched = f"{networks} of {space}, trained on the set by {found.recipe.label} in {wording.duration(found.seconds)}"
    searched += f", seed {found.seed}"
    if found.skipped:
        searched += f"; {skipped_candidates(found)}"
    firsts = {proxy.first for proxy in found.all_proxies.values()}
    reported = [name for name in found.ranked if name in firsts or not found.sample]
    trained = {name: found.full[name] for name in reported if name in found.full and found.full[name].usable}
    if not trained:
        return f"{searched}; none has been trained on {full_data_of(found)} yet."
    scores = ", ".join(
        f"{name} {_full(result)} after {wording.images(result.epochs, 'epoch')}" for name, result in trained.items()
    )
    several = f" All {len(found.full)} trainings on it took {wording.duration(found.full_seconds)}."
    return f"{searched}. On {full_data_of(found)}: {scores}.{several if len(found.full) > len(trained) else ''}"


def _chart(found: SearchResult, proxy: str) -> Scatter:
    """The accuracy of the drawn candidates on the full data against that by a proxy; its best one is highlighted."""
    by_proxy, full = found.all_proxies[proxy].accuracies, found.full_accuracies
    names = sorted(found.compared, key=lambda name: -by_proxy[name])
    correlation = found.correlation(proxy)
    related = "no rank correlation" if correlation is None else f"Spearman {correlation.spearman:.2f}"
    title = title_of(proxy)
    return accuracy_scatter(
        f"Test accuracy on {short_full_data(found)}: {title}, {related}",
        f"validation accuracy, {title}",
        [(name, by_proxy[name], full[name]) for name in names],
        f"{wording.images(len(names), 'network')}: test accuracy after training on {full_data_of(found)} against "
        f"validation accuracy by {title}; {related}.",
    )


def _row(name: str, candidate: Candidate, full: NetworkResult | None) -> Row:
    failed = candidate.failed is not None
    lacking = f"{'skipped' if candidate.skipped else 'failed'}: {candidate.failed}"
    return Row(
        name=name,
        spec=candidate.spec,
        accuracy=lacking if failed else wording.percent(candidate.mean),
        failed=failed,
        share=0.0 if failed else 100 * candidate.mean,
        repeats=wording.count(len(candidate.accuracies)) if candidate.accuracies else "–",
        parameters=wording.count(candidate.parameters) if candidate.parameters else "–",
        seconds=wording.duration(candidate.seconds) if candidate.seconds else "–",
        full=_full(full),
    )


def _full(result: NetworkResult | None) -> str:
    if result is None:
        return "–"
    return wording.percent(result.mean, digits=2) if result.usable else f"failed: {result.failed}"


SECTION = Section("search", view, SearchResult)
