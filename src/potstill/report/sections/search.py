"""An architecture search with the set: its candidates, from best to worst."""

from __future__ import annotations

from dataclasses import dataclass

from potstill.report import wording
from potstill.report.run import Run, Section
from potstill.schema.evaluation import NetworkResult
from potstill.schema.search import Candidate, SearchResult


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
    """The result of the search in one or two sentences, and the table of candidates."""

    summary: str
    rows: list[Row]


def view(run: Run) -> View | None:
    """The search with a run's set, if there was one."""
    found = run.record(SearchResult)
    if found is None:
        return None
    return View(_summary(found), [_row(name, found.candidates[name], found.full.get(name)) for name in found.ranked])


def _summary(found: SearchResult) -> str:
    space = found.space if isinstance(found.space, str) else "a custom search space"
    networks = wording.images(len(found.candidates), "network")
    searched = f"{networks} of {space}, trained on the set by {found.recipe.label} in {wording.duration(found.seconds)}"
    searched += f", seed {found.seed}"
    trained = {name: found.full[name] for name in found.ranked if name in found.full and found.full[name].usable}
    if not trained:
        return f"{searched}; none has been trained on the full data yet."
    scores = ", ".join(
        f"{name} {_full(result)} after {wording.images(result.epochs, 'epoch')}" for name, result in trained.items()
    )
    return f"{searched}. On the full data: {scores}."


def _row(name: str, candidate: Candidate, full: NetworkResult | None) -> Row:
    failed = candidate.failed is not None
    return Row(
        name=name,
        spec=candidate.spec,
        accuracy=f"failed: {candidate.failed}" if failed else wording.percent(candidate.mean),
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
