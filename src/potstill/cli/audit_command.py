"""``potstill audit RUN``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from potstill import applications, data, evaluation, report
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
from potstill.runtime.compute_choice import AUTOMATIC
from potstill.runtime.executor_choice import AUTO

if TYPE_CHECKING:
    from potstill.data import ImageDataset
    from potstill.schema.audit import Attacked, AttackResult, Audit


@dataclass(frozen=True, kw_only=True)
class Options:
    """Attack a run: can the images that it was made from be told apart from others?

    Attributes:
        source: the folder of a run, whose settings are run again on random halves of a pool; the name of a method or
            selection; or the file of a set or hf:OWNER/NAME, for which only the nearest real images are found.
        pool: the maximum number of training images that are asked about.
        shadows: pipelines, each made from a random half of the pool; an even number. Each is a target in turn.
        images_per_class: images of each class in every set. By default those of the run, or 10.
        iterations: iterations of every distillation. By default those of the run, or the method's number.
        networks: specs, separated by commas. By default the network that the run matches.
        recipe: how networks are trained. By default that of the run's evaluation, or dsa-1000.
        delta: the probability with which a guarantee may fail, for the lower bound of epsilon.
        dataset: the dataset of a method, by default digits; or another location of the run's.
        image_size: resize images to this height and width, in pixels; only for a method.
        choices: columns and splits to take where its files leave a choice. As before, unless --dataset is given.
        data_root: folder with local copies of catalogue datasets.
        seed: seed for all random draws.
        compute: device, precision and compilation.
        out: folder for audit.json, audit.html and the sets. By default the folder of the run, or runs/audit.
    """

    source: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="RUN|METHOD|SET")]
    pool: int = 10_000
    shadows: int = 8
    images_per_class: int | None = None
    iterations: int | None = None
    networks: str = ""
    recipe: str | None = None
    delta: float = 1e-5
    dataset: str | None = None
    image_size: int | None = None
    choices: ChoiceOptions = NO_CHOICES
    data_root: Path | None = None
    seed: int = 0
    compute: ComputeOptions = AUTOMATIC
    executor: ExecutorOption = AUTO
    memory_limit: MemoryOption = None
    out: Path | None = None


def run(words: list[str]) -> None:
    """Audit, and print the table, the verdict and the path of the page."""
    options = parse(Options, words, command="audit")
    with (
        within_memory(options.memory_limit),
        going_on(same_again("audit", words)),
        ProgressLines("auditing") as progress,
    ):
        dataset, beside = _dataset(options)
        progress.introduce(dataset)
        out = options.out or beside
        record = applications.audit_pipeline(
            options.source,
            dataset,
            out,
            protocol=applications.AuditProtocol(**_protocol(options)),
            networks=names(options.networks),
            recipe=options.recipe,
            resources=evaluation.Resources(
                compute=options.compute, data_root=options.data_root, executor=options.executor, progress=progress
            ),
        )
    if record.attacked:
        table_console().print(table(record))
    say(report.audit_verdict(record), *report.audit_remarks(record))
    written = out / applications.Audit.FILE
    say(f"written to {written}; the page is {report.write_audit(out)}")


def _dataset(options: Options) -> tuple[ImageDataset, Path]:
    """The dataset to audit on, and the folder for the record."""
    if applications.names_set(options.source):
        target = evaluation.Target.opened(options.source)
        return target.dataset(options.dataset, options.choices, options.data_root), target.beside
    name = options.dataset or "digits"
    dataset = data.load_dataset(
        name, data_root=options.data_root, choices=options.choices, image_size=options.image_size
    )
    return dataset, Path("runs/audit")


def _protocol(options: Options) -> dict[str, Any]:
    fields = ("pool", "shadows", "images_per_class", "iterations", "delta", "seed")
    return {name: getattr(options, name) for name in fields}


def table(record: Audit) -> Table:
    """Each attack on each network, on the sets and on random images."""
    shown = [each for each in record.attacked if each.usable]
    rates = sorted({rate.fpr for each in shown for attack in each.attacks for rate in attack.rates}, reverse=True)
    title = f"attacks on {record.protocol.shadows} pipelines from a pool of {record.dataset.pool:,} images"
    made = Table(title=title)
    for column in ("network", "trained on", "attack", "area under ROC", "accuracy"):
        made.add_column(column)
    for rate in rates:
        made.add_column(f"found at {100 * rate:g}%")
    made.add_column("epsilon at least")
    for each in record.attacked:
        on, network = "the sets" if each.arm == "set" else "random images", each.network or "-"
        if each.failed is not None:
            made.add_row(network, on, f"failed: {each.failed}")
        for attack in each.attacks:
            made.add_row(network, on, attack.attack, *_cells(each, attack, rates))
    return made


def _cells(each: Attacked, attack: AttackResult, rates: list[float]) -> list[str]:
    low, high = attack.auc_interval()
    found = [attack.rate(fpr) for fpr in rates]
    accuracy = f"{sum(each.accuracies) / len(each.accuracies):.1%}" if each.accuracies else "-"
    return [
        f"{attack.auc:.3f} [{low:.3f}, {high:.3f}]",
        accuracy,
        *("-" if rate is None else f"{rate.tpr:.2%}" for rate in found),
        f"{attack.epsilon:.2f}",
    ]
