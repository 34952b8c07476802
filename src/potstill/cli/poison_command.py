"""``potstill poison``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from potstill import applications, data, evaluation, report
from potstill.cli.going_on import going_on, same_again
from potstill.cli.options import (
    ChoiceOptions,
    ComputeOptions,
    ExecutorOption,
    MemoryOption,
    given,
    names,
    parse,
    within_memory,
)
from potstill.cli.output import Table, say, table_console
from potstill.cli.progress import ProgressLines
from potstill.data import NO_CHOICES
from potstill.runtime.compute_choice import AUTOMATIC
from potstill.runtime.errors import UserError
from potstill.runtime.executor_choice import AUTO

if TYPE_CHECKING:
    from potstill.data import ImageDataset
    from potstill.schema.poisoning import Poisoning, Victims


@dataclass(frozen=True, kw_only=True)
class Options:
    """Measure what a poisoned set does to networks that are trained on it.

    Attributes:
        attack: backdoor: a patch in some training images, which are distilled as usual; or step: images that make
            trained networks mistake one class for another by one step of training.
        dataset: the dataset.
        target: name of the class that the patch stands for, or that the attacked one is to be taken for. By default 0
            for a backdoor and 1 for a step.
        share: for a backdoor, the part of the training images that is changed. By default 0.01.
        side: for a backdoor, the patch's height and width in pixels. By default 2.
        repeats: for a backdoor, sets of each kind, each with a training of every network. By default 5.
        sources: for a backdoor, what makes the sets, separated by commas: methods or selections. By default dm. Random
            images and k-means centres are always added.
        recipe: for a backdoor, how networks are trained; see potstill list recipes. By default dsa-1000.
        attacked: for a step, name of the class that is attacked. By default 0.
        experts: for a step, networks that are trained for it, of which a fifth is held out. By default 60.
        epochs: for a step, passes of their training. By default 2.
        images_per_class: images of each class in a set. By default 10 for a backdoor and 1 for a step.
        iterations: iterations of every distillation. By default the method's number.
        networks: specs, separated by commas. By default convnet,mlp for a backdoor; one for a step, by default lenet.
        image_size: resize images to this height and width, in pixels.
        choices: columns and splits to take where its files leave a choice.
        data_root: folder with local copies of catalogue datasets.
        seed: seed for all random draws.
        compute: device, precision and compilation.
        out: folder for poisoning.json, poisoning.html and the runs. By default runs/poison-ATTACK.
    """

    attack: Literal["backdoor", "step"] = "backdoor"
    dataset: str = "digits"
    target: str | None = None
    share: float | None = None
    side: int | None = None
    repeats: int | None = None
    sources: str | None = None
    recipe: str | None = None
    attacked: str | None = None
    experts: int | None = None
    epochs: int | None = None
    images_per_class: int | None = None
    iterations: int | None = None
    networks: str | None = None
    image_size: int | None = None
    choices: ChoiceOptions = NO_CHOICES
    data_root: Path | None = None
    seed: int = 0
    compute: ComputeOptions = AUTOMATIC
    executor: ExecutorOption = AUTO
    memory_limit: MemoryOption = None
    out: Path | None = None


OF_BACKDOOR = ("share", "side", "repeats", "sources", "recipe")
OF_STEP = ("attacked", "experts", "epochs")
"""The options of each attack, which the other one does not take."""


def run(words: list[str]) -> None:
    """Measure an attack, and print the table, the verdict and the path of the page."""
    options = parse(Options, words, command="poison")
    for name in OF_STEP if options.attack == "backdoor" else OF_BACKDOOR:
        if getattr(options, name) is not None:
            raise UserError(f"--{name} does not apply to --attack {options.attack}", "leave it out")
    out = options.out or Path(f"runs/poison-{options.attack}")
    with (
        within_memory(options.memory_limit),
        going_on(same_again("poison", words)),
        ProgressLines("poisoning") as progress,
    ):
        dataset = data.load_dataset(
            options.dataset, data_root=options.data_root, choices=options.choices, image_size=options.image_size
        )
        progress.introduce(dataset)
        attack = _backdoor if options.attack == "backdoor" else _step
        record = attack(options, dataset, out, progress)
    table_console().print(table(record))
    say(report.poisoning_verdict(record))
    say(f"written to {out / applications.Poisoning.FILE}; the page is {report.write_poisoning(out)}")


def _backdoor(options: Options, dataset: ImageDataset, out: Path, progress: ProgressLines) -> Poisoning:
    settings = given(options, "target", "share", "side", "repeats", "images_per_class", "iterations")
    return applications.plant_backdoor(
        dataset,
        out,
        protocol=applications.BackdoorProtocol(**settings, seed=options.seed),
        sources=names(options.sources or "dm"),
        networks=names(options.networks or "convnet,mlp"),
        recipe=options.recipe or "dsa-1000",
        resources=_resources(options, progress),
    )


def _step(options: Options, dataset: ImageDataset, out: Path, progress: ProgressLines) -> Poisoning:
    settings = given(options, "target", "attacked", "experts", "epochs", "images_per_class", "iterations")
    networks = names(options.networks or "lenet")
    if len(networks) != 1:
        raise UserError("a step is learned for one network", "name one with --networks")
    return applications.learn_malicious_step(
        dataset,
        out,
        protocol=applications.StepProtocol(**settings, seed=options.seed),
        network=networks[0],
        resources=_resources(options, progress),
    )


def _resources(options: Options, progress: ProgressLines) -> evaluation.Resources:
    return evaluation.Resources(
        compute=options.compute, data_root=options.data_root, executor=options.executor, progress=progress
    )


def table(record: Poisoning) -> Table:
    """The outcome for each source, case and network."""
    made = Table(
        title=f"{record.protocol.kind} on {record.dataset.name}, recipe {record.recipe.label}, mean in percent"
    )
    for column in ("network", "source", "case", "accuracy", "taken for the target", "recognised"):
        made.add_column(column)
    for victims in record.victims:
        made.add_row(victims.network, victims.source, victims.case, *_cells(victims))
    return made


def _cells(victims: Victims) -> list[str]:
    if not victims.usable:
        return [f"failed: {victims.failed}", "", ""]
    return [f"{victims.mean(name):.1%}" for name in ("accuracy", "success", "recognised")]
