"""``potstill continual``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Literal

from potstill import applications, data, evaluation, report
from potstill.cli.going_on import going_on, same_again
from potstill.cli.options import ChoiceOptions, ComputeOptions, ExecutorOption, names, parse
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
        protocol: classes: steps of new classes, networks are trained from scratch on the memory (GDumb).
        dataset: the dataset whose classes are learned.
        steps: the number of steps.
        memory: images in the memory, of all classes together. By default 200.
        memory_bytes: the size of the memory instead, with images as they are stored in 32 bits.
        sharing: whether the memory is divided by the classes seen so far, or by all classes from the beginning.
        orders: orders of the classes, each with its own training of every network.
        memories: what fills the memory, separated by commas: selections, methods, folders of runs or files of sets.
            Random images and k-means centres are always added.
        iterations: iterations of every distillation. By default the method's number.
        networks: specs, separated by commas. Methods match the first.
        recipe: how networks are trained; see potstill list recipes.
        image_size: resize images to this height and width, in pixels.
        choices: columns and splits to take where its files leave a choice.
        data_root: folder with local copies of catalogue datasets.
        seed: seed for all random draws.
        compute: device, precision and compilation.
        out: folder for continual.json, continual.html and the runs that fill the memory.
    """

    protocol: Literal["classes"] = "classes"
    dataset: str = "digits"
    steps: int = 5
    memory: int | None = None
    memory_bytes: int | None = None
    sharing: Literal["shrinking", "fixed"] = "shrinking"
    orders: int = 5
    memories: str = "dm"
    iterations: int | None = None
    networks: str = "convnet,mlp"
    recipe: str = "dsa-1000"
    image_size: int | None = None
    choices: ChoiceOptions = NO_CHOICES
    data_root: Path | None = None
    seed: int = 0
    compute: ComputeOptions = AUTOMATIC
    executor: ExecutorOption = AUTO
    out: Path = Path("runs/continual")


def run(words: list[str]) -> None:
    """Let networks learn, and print the table, the verdict and the path of the page."""
    options = parse(Options, words, command="continual")
    at_least(options, memory=1, memory_bytes=1)
    if options.memory is not None and options.memory_bytes is not None:
        raise UserError("--memory and --memory-bytes are both given", "give one of them")
    with going_on(same_again("continual", words)), ProgressLines("learning") as progress:
        dataset = data.load_dataset(
            options.dataset,
            data_root=options.data_root,
            choices=options.choices,
            image_size=options.image_size,
        )
        progress.introduce(dataset)
        record = applications.learn_classes(
            dataset,
            options.out,
            protocol=applications.ClassProtocol(
                steps=options.steps,
                memory=_memory(options, dataset),
                sharing=options.sharing,
                orders=options.orders,
                iterations=options.iterations,
                seed=options.seed,
            ),
            memories=names(options.memories),
            networks=names(options.networks),
            recipe=options.recipe,
            resources=evaluation.Resources(
                compute=options.compute,
                data_root=options.data_root,
                choices=options.choices,
                executor=options.executor,
                progress=progress,
            ),
        )
    table_console().print(table(record))
    say(report.continual_verdict(record))
    written = options.out / applications.Continual.FILE
    say(f"written to {written}; the page is {report.write_continual(options.out)}")


def _memory(options: Options, dataset: ImageDataset) -> int:
    """The number of images in the memory."""
    if options.memory_bytes is None:
        return applications.ClassProtocol.memory if options.memory is None else options.memory
    images = applications.memory_of_bytes(dataset, options.memory_bytes)
    if not images:
        raise UserError(f"--memory-bytes {options.memory_bytes} is less than one image", "use more bytes")
    return images


def table(record: Continual) -> Table:
    """The average accuracy of each network with each memory after every stage."""
    title = f"average accuracy over the stages seen, recipe {record.recipe.label}, mean of the courses"
    made = Table(title=title)
    for column in ("network", "memory", *record.stages, "against random"):
        made.add_column(column)
    for learner in record.learners:
        made.add_row(learner.network, learner.memory, *_cells(record, learner))
    return made


def _cells(record: Continual, learner: Learner) -> list[str]:
    if not learner.usable:
        return [f"failed: {learner.failed}", *[""] * len(record.stages)]
    gain = next((g for g in record.gains if (g.memory, g.network) == (learner.memory, learner.network)), None)
    against = "-" if gain is None else f"{100 * gain.mean:+.1f} [{100 * gain.ci95[0]:+.1f}, {100 * gain.ci95[1]:+.1f}]"
    return [*(f"{fmean(learner.averages(stage)):.1%}" for stage in range(learner.stages)), against]
