"""``potstill compare RUN|SET RUN|SET ...``."""

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
    percent,
    within_memory,
)
from potstill.cli.output import Table, say, table_console
from potstill.cli.progress import ProgressLines
from potstill.data import NO_CHOICES
from potstill.runtime.compute_choice import AUTOMATIC
from potstill.runtime.executor_choice import AUTO

if TYPE_CHECKING:
    from potstill.applications import Comparison


@dataclass(frozen=True, kw_only=True)
class Options:
    """Evaluate several sets by one recipe and test the differences between them.

    Attributes:
        runs: folders of runs or of imported sets, files of sets, or hf:OWNER/NAME; after the first also names of
            selections, such as random or herding.
        recipe: the recipe for all sets. By default that of the first set's evaluation.
        networks: specs, separated by commas. By default those of the first set's evaluation.
        repeats: trainings of each network on each set, including those already recorded.
        full: also train once on the full data.
        dataset: another location of the sets' dataset.
        choices: columns and splits to take where its files leave a choice. As before, unless --dataset is given.
        data_root: folder with local copies of catalogue datasets.
        compute: device, precision and compilation.
        out: folder for comparison.json and comparison.html.
    """

    runs: Annotated[tuple[str, ...], tyro.conf.Positional]
    recipe: str | None = None
    networks: str | None = None
    repeats: int = 5
    full: bool = True
    dataset: str | None = None
    choices: ChoiceOptions = NO_CHOICES
    data_root: Path | None = None
    compute: ComputeOptions = AUTOMATIC
    executor: ExecutorOption = AUTO
    memory_limit: MemoryOption = None
    out: Path = Path("runs/comparison")


def run(words: list[str]) -> None:
    """Compare the sets, and print the table and the path of the page."""
    options = parse(Options, words, command="compare")
    with (
        within_memory(options.memory_limit),
        going_on(same_again("compare", words)),
        ProgressLines("comparing") as progress,
    ):
        record = applications.compare(
            options.runs,
            options.out,
            recipe=options.recipe,
            networks=names(options.networks or ""),
            repeats=options.repeats,
            full=options.full,
            dataset=options.dataset,
            resources=evaluation.Resources(
                compute=options.compute,
                data_root=options.data_root,
                choices=options.choices,
                executor=options.executor,
                progress=progress,
            ),
        )
    console = table_console()
    console.print(table(record))
    for line in shown(record):
        say(line)
    written = options.out / applications.Comparison.FILE
    say(f"written to {written}; the page is {report.write_comparison(options.out)}")


def table(record: Comparison) -> Table:
    """The sets with their accuracies and costs."""
    title = f"{record.dataset.name}, recipe {record.recipe.label}, mean ± std × repeats"
    made = Table(title=title)
    for column in ("set", "per class", "labels", "bytes", "distilled in", *record.networks):
        made.add_column(column)
    for item in record.sets:
        results = [percent(item.networks.get(network)) for network in record.networks]
        seconds = "–" if item.distilled_seconds is None else f"{item.distilled_seconds:.0f} s"
        name = item.name + ("" if item.status in ("complete", None) else f" ({item.status})")
        made.add_row(name, str(item.ipc), item.labels, f"{item.bytes:,}", seconds, *results)
    if record.full:
        results = [percent(record.full.get(network)) for network in record.networks]
        made.add_row("full data", "–", "hard", f"{record.dataset.bytes:,}", "–", *results)
    return made


def shown(record: Comparison) -> list[str]:
    """The significant differences, one line each."""
    total = len(record.differences)
    how = f"paired t test, Holm, {record.significance:.0%}"
    lines = [f"{len(record.shown)} of {total} differences are significant ({how})"] if total else []
    for item in record.shown:
        better, worse = (item.first, item.second)[:: 1 if item.mean > 0 else -1]
        points = f"{100 * abs(item.mean):.1f} points"
        lines.append(f"  {item.network}: {better} above {worse} by {points}, p = {item.p_corrected:.2g}")
    return lines
