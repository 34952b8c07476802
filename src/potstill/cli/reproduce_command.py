"""``potstill reproduce TABLE``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from potstill import evaluation, report, reproductions
from potstill.cli.going_on import go_on_with, going_on, same_again, without
from potstill.cli.options import (
    ChoiceOptions,
    ComputeOptions,
    ExecutorOption,
    MemoryOption,
    duration,
    names,
    parse,
    percent,
    within_memory,
)
from potstill.cli.output import Table, say, table_console
from potstill.cli.progress import ProgressLines
from potstill.data import NO_CHOICES
from potstill.runtime.compute_choice import AUTOMATIC
from potstill.runtime.executor_choice import AUTO

if TYPE_CHECKING:
    from potstill.reproductions import ReproductionRecord


@dataclass(frozen=True, kw_only=True)
class Options:
    """Re-run a published table, and compare measured with published results.

    Attributes:
        name: the table; see potstill list reproductions.
        scale: the fraction of the published iterations to run, and of the recipe's epochs.
        time_limit: time limit for each distillation, in all calls together, such as 30m.
        repeats: trainings of each network, instead of the table's number.
        rows: labels of the rows to run, separated by commas. By default all.
        dataset: another name or location of the dataset, such as mhist:FOLDER.
        choices: columns and splits to take where its files leave a choice.
        data_root: folder with local copies of catalogue datasets.
        compute: device, precision and compilation.
        out: folder of the runs, where a second call continues. By default runs/reproduce-NAME.
    """

    name: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="TABLE")]
    scale: float = 1.0
    time_limit: str | None = None
    repeats: int | None = None
    rows: str | None = None
    dataset: str | None = None
    choices: ChoiceOptions = NO_CHOICES
    data_root: Path | None = None
    compute: ComputeOptions = AUTOMATIC
    executor: ExecutorOption = AUTO
    memory_limit: MemoryOption = None
    out: Path | None = None


def run(words: list[str]) -> None:
    """Re-run the table and print it."""
    options = parse(Options, words, command="reproduce")
    reproduction = reproductions.find_reproduction(options.name)
    out = options.out or Path("runs") / f"reproduce-{reproduction.name}"
    with (
        within_memory(options.memory_limit),
        going_on(same_again("reproduce", words)),
        ProgressLines("estimating how long it will take") as progress,
    ):
        record = reproductions.reproduce(
            reproduction,
            out,
            scale=options.scale,
            time_limit=None if options.time_limit is None else duration(options.time_limit),
            repeats=options.repeats,
            rows=names(options.rows or ""),
            dataset=options.dataset,
            resources=evaluation.Resources(
                compute=options.compute,
                data_root=options.data_root,
                choices=options.choices,
                executor=options.executor,
                progress=progress,
                announce=progress.announce,
            ),
        )
    table_console().print(table(record))
    if record.searches:
        table_console().print(searches(record))
    say(report.reproduction_verdict(record), *report.reproduction_remarks(record))
    for note in (f"Source: {reproduction.source}.", *reproduction.notes):
        say(note)
    page = report.write_reproduction(out)
    say(f"written to {out / reproductions.ReproductionRecord.FILE}; the page is {page}")
    if stopped := record.unfinished:
        again = go_on_with(["reproduce", *without("--time-limit", words)])
        say(f"stopped by the time limit: {', '.join(stopped)}; {again}")


def table(record: ReproductionRecord) -> Table:
    """Published and measured results in one table."""
    shown = Table(title=f"{record.title}; recipe {record.recipe}")
    for column in ("row", "network", "dataset", "published", "measured", "verdict", "iterations", "distilled in", ""):
        shown.add_column(column)
    for outcome in record.outcomes:
        iterations = outcome.distilled
        shown.add_row(
            outcome.row,
            outcome.network,
            outcome.dataset,
            "-" if outcome.published is None else f"{outcome.published}%",
            percent(outcome.measured),
            outcome.verdict,
            f"{iterations.done} of {iterations.published}" if iterations else "-",
            f"{outcome.seconds:.0f} s" if iterations and outcome.seconds is not None else "-",
            outcome.note,
        )
    return shown


def searches(record: ReproductionRecord) -> Table:
    """What was found by searching with the sets, published and here."""
    shown = Table(title="architecture search with the sets")
    for column in ("row", "published", "found here", "on the set, validation", "search took", "on the full data", ""):
        shown.add_column(column)
    for searched in record.searches:
        published = searched.published
        shown.add_row(
            searched.row,
            f"{published.found}, {published.time}, {published.full}% on the full data",
            searched.found or "none",
            percent(searched.on_set),
            f"{searched.seconds / searched.repeats:.0f} s",
            percent(searched.full),
            searched.note,
        )
    return shown
