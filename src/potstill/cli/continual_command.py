"""``potstill continual``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any, Literal

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
from potstill.runtime.bounds import at_least
from potstill.runtime.compute_choice import AUTOMATIC
from potstill.runtime.errors import UserError
from potstill.runtime.executor_choice import AUTO

if TYPE_CHECKING:
    from potstill.data import ImageDataset
    from potstill.schema.continual import Continual, Learner


@dataclass(frozen=True, kw_only=True)
class Options:
    """Let networks learn in stages, with a small memory of the stages before.

    Attributes:
        protocol: classes: each step adds classes, and networks are trained from scratch on the memory (GDumb); or
            domains: datasets of the same classes, on which networks go on training.
        dataset: for classes, the dataset. By default digits.
        steps: for classes, the number of steps. By default 5.
        memory: for classes, images in the memory, of all classes together. By default 200.
        memory_bytes: for classes, the size of the memory instead, with images as they are stored in 32 bits.
        sharing: for classes, divide the memory by the classes seen so far (the default), or by all classes.
        orders: for classes, orders of the classes, each with its own training of every network. By default 5.
        stages: for domains, the datasets in order, separated by commas.
        images_per_class: for domains, images of each class of each past stage in the memory. By default 10.
        repeats: for domains, trainings of every network, each with its own memories. By default 5.
        knowledge_distillation: for domains, whether networks also learn to answer as before. By default both ways.
        temperature: for domains, the temperature of knowledge distillation. By default 2.
        epochs: for domains, passes over the images of each stage. By default the recipe's for full data.
        memories: what fills the memory, separated by commas: selections, methods, folders of runs, files of sets or
            hf:OWNER/NAME. Random images and k-means centres are always added.
        iterations: iterations of every distillation. By default the method's number.
        networks: specs, separated by commas. Methods match the first. By default convnet,mlp,
            for vectors linear,mlp.
        recipe: how networks are trained; see potstill list recipes. By default dsa-1000, for vectors probe-1000.
        image_size: resize images to this height and width, in pixels.
        choices: columns and splits to take where its files leave a choice.
        data_root: folder with local copies of catalogue datasets.
        seed: seed for all random draws.
        compute: device, precision and compilation.
        out: folder for continual.json, continual.html and the runs that fill the memory.
    """

    protocol: Literal["classes", "domains"] = "classes"
    dataset: str | None = None
    steps: int | None = None
    memory: int | None = None
    memory_bytes: int | None = None
    sharing: Literal["shrinking", "fixed"] | None = None
    orders: int | None = None
    stages: str | None = None
    images_per_class: int | None = None
    repeats: int | None = None
    knowledge_distillation: Literal["both", "with", "without"] | None = None
    temperature: float | None = None
    epochs: int | None = None
    memories: str = "dm"
    iterations: int | None = None
    networks: str | None = None
    recipe: str | None = None
    image_size: int | None = None
    choices: ChoiceOptions = NO_CHOICES
    data_root: Path | None = None
    seed: int = 0
    compute: ComputeOptions = AUTOMATIC
    executor: ExecutorOption = AUTO
    memory_limit: MemoryOption = None
    out: Path = Path("runs/continual")


OF_CLASSES = ("dataset", "steps", "memory", "memory_bytes", "sharing", "orders")
OF_DOMAINS = ("stages", "images_per_class", "repeats", "knowledge_distillation", "temperature", "epochs")
"""The options of each protocol, which the other one does not take."""


def run(words: list[str]) -> None:
    """Let networks learn, and print the table, the verdict and the path of the page."""
    options = parse(Options, words, command="continual")
    others = OF_DOMAINS if options.protocol == "classes" else OF_CLASSES
    for name in others:
        if getattr(options, name) is not None:
            flag = name.replace("_", "-")
            raise UserError(f"--{flag} does not apply to --protocol {options.protocol}", "leave it out")
    at_least(options, memory=1, memory_bytes=1)
    with (
        within_memory(options.memory_limit),
        going_on(same_again("continual", words)),
        ProgressLines("learning") as progress,
    ):
        record = _classes(options, progress) if options.protocol == "classes" else _domains(options, progress)
    table_console().print(table(record))
    say(report.continual_verdict(record))
    written = options.out / applications.Continual.FILE
    say(f"written to {written}; the page is {report.write_continual(options.out)}")


def _classes(options: Options, progress: ProgressLines) -> Continual:
    if options.memory is not None and options.memory_bytes is not None:
        raise UserError("--memory and --memory-bytes are both given", "give only one of them")
    dataset = _loaded(options, options.dataset or "digits", progress)
    settings = given(options, "steps", "memory", "sharing", "orders", "iterations")
    if options.memory_bytes is not None:
        settings["memory"] = applications.memory_of_bytes(dataset, options.memory_bytes)
        if not settings["memory"]:
            raise UserError(f"--memory-bytes {options.memory_bytes} is less than one image", "use more bytes")
    return applications.learn_classes(
        dataset,
        options.out,
        protocol=applications.ClassProtocol(**settings, seed=options.seed),
        **_learning(options, progress),
    )


def _domains(options: Options, progress: ProgressLines) -> Continual:
    if options.stages is None:
        raise UserError("--protocol domains needs datasets", "name them in order: --stages mnist,usps")
    settings = given(options, *OF_DOMAINS[1:], "iterations")
    return applications.learn_domains(
        [_loaded(options, name, progress) for name in names(options.stages)],
        options.out,
        protocol=applications.DomainProtocol(**settings, seed=options.seed),
        **_learning(options, progress),
    )


def _loaded(options: Options, name: str, progress: ProgressLines) -> ImageDataset:
    dataset = data.load_dataset(
        name, data_root=options.data_root, choices=options.choices, image_size=options.image_size
    )
    progress.introduce(dataset)
    return dataset


def _learning(options: Options, progress: ProgressLines) -> dict[str, Any]:
    """What both protocols take."""
    return {
        "memories": names(options.memories),
        "networks": None if options.networks is None else names(options.networks),
        "recipe": options.recipe,
        "resources": evaluation.Resources(
            compute=options.compute, data_root=options.data_root, executor=options.executor, progress=progress
        ),
    }


def table(record: Continual) -> Table:
    """The average accuracy of each network with each memory after every stage."""
    title = f"average accuracy over the stages seen, recipe {record.recipe.label}, mean of the courses"
    made = Table(title=title)
    for column in ("network", "memory", *record.stages, "against random"):
        made.add_column(column)
    for learner in record.learners:
        network = f"{learner.network}, knowledge distilled" if learner.knowledge else learner.network
        made.add_row(network, learner.memory, *_cells(record, learner))
    return made


def _cells(record: Continual, learner: Learner) -> list[str]:
    if not learner.usable:
        return [f"failed: {learner.failed}", *[""] * len(record.stages)]
    gain = record.gain(learner)
    against = "-" if gain is None else f"{100 * gain.mean:+.1f} [{100 * gain.ci95[0]:+.1f}, {100 * gain.ci95[1]:+.1f}]"
    return [*(f"{fmean(learner.averages(stage)):.1%}" for stage in range(learner.stages)), against]
