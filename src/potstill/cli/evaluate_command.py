"""``potstill evaluate RUN|SET``."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro
from rich.table import Table

from potstill.cli.options import parse, table_console
from potstill.cli.targets import Target
from potstill.data import ImageDataset
from potstill.evaluation import Evaluation, NetworkResult, Recipe, evaluate, find_recipe, usual_recipe
from potstill.evaluation.robustness import measure_robustness
from potstill.evaluation.statistics import confidence_interval, standard_deviation
from potstill.runtime.compute import Compilation, Precision, resolve_compute
from potstill.runtime.files import write_json


@dataclass(frozen=True, kw_only=True)
class Options:
    """Measure what a set is worth, beside random real images of the same number and the full data.

    Attributes:
        target: a run's folder, or a synthetic.safetensors.
        networks: specs separated by commas; by default the network that was matched.
        recipe: the protocol; see potstill list recipes. By default dsa-1000, or replay for a set with learned steps.
        repeats: trainings of each network.
        baselines: random, full, initial (the networks before training), herding or any other selection, several
            separated by commas, or none.
        full_repeats: trainings on the full data.
        full_epochs: passes over the full data, in place of the recipe's.
        dataset: by default the one that the set was distilled from.
        data_root: a folder with local copies of catalogue datasets.
        initial: what networks begin with: random weights, or a folder or file of potstill experts.
        seed: of the repeats.
        device: where to compute.
        precision: of the networks.
        compile: whether networks are compiled.
        out: where to write for a set without a run; by default evaluation.json beside it.
        robustness: measure the label and augmentation robust scores instead, and write robustness.json.
    """

    target: Annotated[Path, tyro.conf.Positional]
    networks: str | None = None
    recipe: str | None = None
    repeats: int = 5
    baselines: str = "random,full"
    full_repeats: int = 1
    full_epochs: int | None = None
    dataset: str | None = None
    data_root: Path | None = None
    initial: str = "random"
    seed: int = 0
    device: str = "auto"
    precision: Precision = "auto"
    compile: Compilation = "auto"
    out: Path | None = None
    robustness: bool = False


def run(words: list[str]) -> None:
    """Evaluate as ``words`` say, write ``evaluation.json`` and print the table."""
    options = parse(Options, words, command="evaluate")
    target = Target.opened(options.target)
    synthetic = target.synthetic
    recipe = find_recipe(options.recipe or usual_recipe(synthetic))
    networks = (options.networks or synthetic.provenance.get("network", "convnet")).split(",")
    baselines = [] if options.baselines == "none" else options.baselines.split(",")
    dataset = target.dataset(options.dataset, options.data_root)
    automatic = (options.device, options.precision, options.compile) == ("auto", "auto", "auto")
    if options.robustness:
        _robustness(options, target, dataset, recipe, networks[0])
        return
    path = options.out or target.beside / "evaluation.json"
    result = evaluate(
        synthetic,
        dataset,
        recipe=recipe,
        networks=networks,
        repeats=options.repeats,
        baselines=baselines,
        full_repeats=options.full_repeats,
        full_epochs=options.full_epochs,
        initial=options.initial,
        seed=options.seed,
        compute=None if automatic else resolve_compute(options.device, options.precision, options.compile),
        progress=lambda message: print(message, file=sys.stderr) if sys.stderr.isatty() else None,
        record=path,
    )
    table_console().print(table(result, len(synthetic)))
    print(f"written to {path}")


def _robustness(options: Options, target: Target, dataset: ImageDataset, recipe: Recipe, network: str) -> None:
    found = measure_robustness(
        target.synthetic,
        dataset,
        recipe=recipe,
        network=network,
        repeats=options.repeats,
        full_epochs=options.full_epochs,
        seed=options.seed,
        compute=resolve_compute(options.device, options.precision, options.compile, long_run=True),
        progress=lambda message: print(message, file=sys.stderr) if sys.stderr.isatty() else None,
    )
    path = options.out or target.beside / "robustness.json"
    write_json(path, found.to_json())
    print(f"label robust score {100 * found.label_score:.1f}, augmentation robust score", end=" ")
    print(f"{100 * found.augmentation_score:.1f} (of 100; {found.track} labels, {network}, {recipe.label})")
    print(f"written to {path}")


def table(evaluation: Evaluation, images: int) -> Table:
    """The accuracies of an evaluation as a table for a terminal."""
    title = f"test accuracy, recipe {evaluation.recipe.label}, mean ± std [95 % interval] × repeats"
    shown = Table(title=title, title_justify="left")
    shown.add_column("network")
    columns = {"distilled": evaluation.networks, **evaluation.baselines}
    for column in columns:
        shown.add_column({"full": "full data", "initial": "untrained"}.get(column, f"{column} ({images})"))
    for network in evaluation.networks:
        shown.add_row(network, *(_cell(results.get(network)) for results in columns.values()))
    return shown


def _cell(result: NetworkResult | None) -> str:
    if result is None:
        return "-"
    if result.failed is not None:
        return f"failed: {result.failed}"
    std, interval = standard_deviation(result.accuracies), confidence_interval(result.accuracies)
    spread = "" if std is None else f" ± {100 * std:.1f}"
    bounds = "" if interval is None else f" [{100 * interval[0]:.1f}, {100 * interval[1]:.1f}]"
    return f"{result.mean:.1%}{spread}{bounds} × {result.repeats}"
