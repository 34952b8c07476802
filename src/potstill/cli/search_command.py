"""``potstill search RUN|SET``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from potstill import applications, evaluation, report
from potstill.cli.going_on import going_on, same_again
from potstill.cli.options import (
    ChoiceOptions,
    ComputeOptions,
    ExecutorOption,
    MemoryOption,
    names,
    parse,
    within_memory,
)
from potstill.cli.output import Table, say, table_console
from potstill.cli.progress import ProgressLines
from potstill.data import NO_CHOICES
from potstill.runtime.bounds import at_least
from potstill.runtime.compute_choice import AUTOMATIC
from potstill.runtime.executor_choice import AUTO

if TYPE_CHECKING:
    from potstill.applications import SearchResult


SHOWN = 30
"""The most candidates in the table; all are in the record."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """Search for an architecture: rank candidates on a small set, train the best on the full data.

    Attributes:
        target: folder of a run or of an imported set, the file of a set, or hf:OWNER/NAME.
        space: the search space: convnet-22, convnet-720, or a JSON or TOML file of network specs by name.
        candidates: search among this many candidates of the space, drawn to represent it. By default all.
        recipe: how candidates are trained on the set, and the best of them on the full data.
        repeats: trainings of each candidate.
        proxies: what candidates are ranked by, separated by commas: distilled (the set), random, herding, k-means or
            any other selection of as many real images, and early-stopping.
        top: how many of the best by the set are trained on the full data, at least one.
        full_sample: candidates to draw and train on the full data, whatever their rank, to measure how well the
            rankings predict it.
        full_epochs: passes over the full data, instead of the recipe's number.
        full_images: use a random subset of this many training images as the full data throughout.
        dataset: by default the one that the set was distilled from.
        choices: columns and splits to take where its files leave a choice. As before, unless --dataset is given.
        data_root: folder with local copies of catalogue datasets.
        seed: seed of all trainings.
        compute: device, precision and compilation.
        out: the record to write, which a second call continues. By default search.json beside the set.
    """

    target: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RUN|SET")]
    space: str = "convnet-22"
    candidates: int | None = None
    recipe: str = "coursework-50"
    repeats: int = 1
    proxies: str = "distilled"
    top: int = 1
    full_sample: int = 0
    full_epochs: int | None = None
    full_images: int | None = None
    dataset: str | None = None
    choices: ChoiceOptions = NO_CHOICES
    data_root: Path | None = None
    seed: int = 0
    compute: ComputeOptions = AUTOMATIC
    executor: ExecutorOption = AUTO
    memory_limit: MemoryOption = None
    out: Path | None = None


def run(words: list[str]) -> None:
    """Search, and print the ranking."""
    options = parse(Options, words, command="search")
    at_least(options, candidates=1, top=1, full_sample=0, full_epochs=1, full_images=1)
    space = applications.space_named(options.space)
    if options.candidates is not None:
        space = applications.drawn_space(applications.specs_of(space), options.candidates, options.seed)
    target = evaluation.Target.opened(options.target)
    path = options.out or target.beside / applications.SearchResult.FILE
    with (
        within_memory(options.memory_limit),
        going_on(same_again("search", words)),
        ProgressLines("searching") as progress,
    ):
        found = applications.search(
            target.synthetic,
            evaluation.Session(
                target.dataset(options.dataset, options.choices, options.data_root),
                compute=options.compute,
                seed=options.seed,
                executor=options.executor,
                progress=progress,
            ),
            space=space,
            recipe=options.recipe,
            repeats=options.repeats,
            proxies=names(options.proxies),
            full=applications.OnFullData(
                top=options.top,
                sample=options.full_sample,
                epochs=options.full_epochs,
                images=options.full_images,
            ),
            record=path,
        )
    table_console().print(table(found, options.space))
    if len(found.ranked) > SHOWN:
        say(f"and {len(found.ranked) - SHOWN:,} more, which are in {path}")
    if found.proxies or found.sample:
        table_console().print(proxy_table(found))
    if report.correlation_titles(found):
        table_console().print(correlation_table(found))
    for line in summary(found):
        say(line)
    say(f"written to {path}")


def table(found: SearchResult, space: str) -> Table:
    """The best candidates from the first down, as a table."""
    shown = Table(title=f"{space} on the small set, ranked by validation accuracy")
    for column in ("", "network", "validation", "parameters", "seconds", f"{report.short_full_data(found)}, test"):
        shown.add_column(column)
    for place, name in enumerate(found.ranked[:SHOWN], start=1):
        made, full = found.candidates[name], found.full.get(name)
        lacking = "skipped" if made.skipped else "failed"
        accuracy = f"{lacking}: {made.failed}" if made.failed else f"{made.mean:.1%}"
        tested = "" if full is None else f"failed: {full.failed}" if full.failed else f"{full.mean:.2%}"
        shown.add_row(str(place), name, accuracy, f"{made.parameters:,}", f"{made.seconds:.1f}", tested)
    return shown


def proxy_table(found: SearchResult) -> Table:
    """What the candidates were ranked by, and what each chose, as a table."""
    shown = Table(title=f"what stood in for {report.full_data_of(found)}")
    for column in ("proxy", "images", "size", "time", "first choice", "its test accuracy", "regret, points"):
        shown.add_column(column)
    for row in report.proxy_rows(found):
        shown.add_row(row.title, row.images, row.size, row.seconds, row.first, row.reached, row.regret)
    return shown


def correlation_table(found: SearchResult) -> Table:
    """How well each proxy predicts the ranking on the full data, as a table."""
    shown = Table(title="rank correlations with test accuracy: Spearman's rho, Kendall's tau [95 % intervals]")
    for column in ("proxy", *report.correlation_titles(found)):
        shown.add_column(column)
    for row in report.proxy_rows(found):
        shown.add_row(row.title, *(f"{each.spearman}, {each.kendall}" for each in row.correlations))
    return shown


def summary(found: SearchResult) -> list[str]:
    """The time of the search, an estimate for the same search on the full data, and the verdict on the proxies."""
    lines = [f"{len(found.candidates)} candidates in {found.seconds:.0f} s"]
    lines += [report.skipped_candidates(found)] if found.skipped else []
    full = [result for result in found.full.values() if not result.failed]
    if full:
        one = sum(result.seconds / result.repeats for result in full) / len(full)
        trained = len(found.candidates) - len(found.skipped)
        many = one * trained
        lines.append(
            f"one training on {report.full_data_of(found)} took {one:.0f} s: {trained} of them would take "
            f"about {many:.0f} s, {many / found.seconds:.0f} times the search (estimated, not measured)"
        )
    return [*lines, *([report.search_verdict(found)] if found.sample or found.proxies else [])]
