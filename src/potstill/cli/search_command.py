"""``potstill search RUN|SET``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from potstill import applications, evaluation, runtime
from potstill.cli.going_on import going_on, same_again
from potstill.cli.options import ChoiceOptions, ComputeOptions, ExecutorOption, parse
from potstill.cli.output import Table, say, table_console
from potstill.cli.progress import ProgressLines
from potstill.cli.targets import Target
from potstill.data import NO_CHOICES
from potstill.runtime.bounds import at_least
from potstill.runtime.compute_choice import AUTOMATIC
from potstill.runtime.executor_choice import AUTO

if TYPE_CHECKING:
    from potstill.applications import SearchResult


@dataclass(frozen=True, kw_only=True)
class Options:
    """Search for an architecture: rank candidates on a small set, train the best on the full data.

    Attributes:
        target: folder of a run, or a synthetic.safetensors.
        space: the search space: convnet-22.
        recipe: how candidates are trained on the set, and the best of them on the full data.
        repeats: trainings of each candidate.
        top: how many of the best are trained on the full data, at least one.
        full_epochs: passes over the full data, instead of the recipe's number.
        dataset: by default the one that the set was distilled from.
        choices: columns and splits to take where its files leave a choice. Without --dataset, by default as before.
        data_root: folder with local copies of catalogue datasets.
        seed: seed of all trainings.
        compute: device, precision and compilation.
        out: the record to write, which a second call continues. By default search.json beside the set.
    """

    target: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RUN|SET")]
    space: str = "convnet-22"
    recipe: str = "coursework-50"
    repeats: int = 1
    top: int = 1
    full_epochs: int | None = None
    dataset: str | None = None
    choices: ChoiceOptions = NO_CHOICES
    data_root: Path | None = None
    seed: int = 0
    compute: ComputeOptions = AUTOMATIC
    executor: ExecutorOption = AUTO
    out: Path | None = None


def run(words: list[str]) -> None:
    """Search, and print the ranking."""
    options = parse(Options, words, command="search")
    at_least(options, top=1)
    target = Target.opened(options.target)
    path = options.out or target.beside / applications.SearchResult.FILE
    with going_on(same_again("search", words)), ProgressLines("searching") as progress:
        found = applications.search(
            target.synthetic,
            evaluation.Session(
                target.dataset(options.dataset, options.choices, options.data_root),
                compute=runtime.settled(options.compute, long_run=True),
                seed=options.seed,
                executor=options.executor,
                progress=progress,
            ),
            space=options.space,
            recipe=options.recipe,
            repeats=options.repeats,
            top=options.top,
            full_epochs=options.full_epochs,
            record=path,
        )
    table_console().print(table(found, options.space))
    for line in summary(found):
        say(line)
    say(f"written to {path}")


def table(found: SearchResult, space: str) -> Table:
    """The candidates from best to worst, as a table."""
    shown = Table(title=f"{space} on the small set, ranked by validation accuracy")
    for column in ("", "network", "validation", "parameters", "seconds", "full data, test"):
        shown.add_column(column)
    for place, name in enumerate(found.ranked, start=1):
        made, full = found.candidates[name], found.full.get(name)
        accuracy = f"failed: {made.failed}" if made.failed else f"{made.mean:.1%}"
        tested = "" if full is None else f"failed: {full.failed}" if full.failed else f"{full.mean:.2%}"
        shown.add_row(str(place), name, accuracy, f"{made.parameters:,}", f"{made.seconds:.1f}", tested)
    return shown


def summary(found: SearchResult) -> list[str]:
    """The time of the search, and an estimate for the same search on the full data."""
    lines = [f"{len(found.candidates)} candidates in {found.seconds:.0f} s"]
    full = [result for result in found.full.values() if not result.failed]
    if full:
        one = sum(result.seconds / result.repeats for result in full) / len(full)
        many = one * len(found.candidates)
        lines.append(
            f"one training on the full data took {one:.0f} s: {len(found.candidates)} of them would take about "
            f"{many:.0f} s, {many / found.seconds:.0f} times the search (estimated, not measured)"
        )
    return lines
