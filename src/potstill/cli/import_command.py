"""``potstill import FILE``."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Literal

import tyro

from potstill import data, distillation, evaluation, synthetic
from potstill.cli.options import ChoiceOptions, MemoryOption, numbers, parse, within_memory
from potstill.cli.output import say
from potstill.cli.progress import ProgressLines
from potstill.data import NO_CHOICES, Choices
from potstill.runtime.errors import UserError
from potstill.synthetic.hub import PREFIX


@dataclass(frozen=True)
class Options:
    """Read a set that another program wrote, as a set that potstill evaluates, compares and exports.

    Attributes:
        file: a .pt or .npz file of a released program, the folder of its run, a folder of images with a folder for
            each class, or parquet files; or hf:OWNER/NAME, a set that potstill push shared, which takes no option but
            --out.
        dataset: the dataset that the set stands for.
        pixels: the units of its pixels, which no .pt file states: normalised, by mean and standard deviation; whitened,
            by ZCA after that; unit, from 0 to 1; or bytes. Vectors are raw, in the units of the dataset, or normalised.
        labels: file of labels, for a file of images, or by-class if they are in the order of the classes, equally many
            of each. By default labels_NAME.pt beside images_NAME.pt.
        experiment: which experiment of a file with several, from 0. By default the first.
        step_size: the learned step size. By default that of lr_NAME.pt, if it is there.
        mean: mean of each channel by which pixels are normalised, separated by commas. By default the dataset's.
        std: standard deviation of each channel, likewise.
        formation: pictures along each side of an image, for sets that store several small ones in each.
        image_size: resize the dataset's images to this height and width, in pixels.
        choices: columns and splits to take where its files leave a choice.
        data_root: folder with local copies of catalogue datasets.
        out: new folder for synthetic.safetensors. By default runs/NAME, after the file, or runs/OWNER--NAME.
    """

    file: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="FILE")]
    dataset: str | None = None
    pixels: Literal["normalised", "whitened", "unit", "bytes", "raw"] | None = None
    labels: Path | None = None
    experiment: int | None = None
    step_size: float | None = None
    mean: str | None = None
    std: str | None = None
    formation: int = 1
    image_size: int | None = None
    choices: ChoiceOptions = NO_CHOICES
    data_root: Path | None = None
    out: Path | None = None
    memory_limit: MemoryOption = None


def run(words: list[str]) -> None:
    """Import a set, say how it was understood, and print its path."""
    options = parse(Options, words, command="import")
    if str(options.file).startswith(PREFIX):
        _import_shared(options)
        return
    synthetic.check_foreign(options.file)
    if options.dataset is None:
        raise UserError("--dataset is not given", "name the dataset that the set stands for")
    out = _new(options.out or Path("runs") / options.file.stem)
    with within_memory(options.memory_limit), ProgressLines("importing the set") as progress:
        dataset = data.load_dataset(
            options.dataset,
            data_root=options.data_root,
            choices=options.choices,
            image_size=options.image_size,
            zca=options.pixels == "whitened",
            progress=progress,
        )
        found = synthetic.import_set(
            options.file,
            dataset,
            pixels=options.pixels,
            labels=options.labels,
            experiment=options.experiment,
            step_size=options.step_size,
            mean=_of_channels(options.mean, "mean"),
            std=_of_channels(options.std, "std"),
            formation=options.formation,
        )
    folder = distillation.RunFolder(out)
    found.synthetic.save(folder.synthetic)
    say(str(found.synthetic), *found.remarks, *(f"warning: {warning}" for warning in found.warnings))
    evaluating = ["potstill", "evaluate", str(out)]
    evaluating += ["--data-root", str(options.data_root)] if options.data_root else []
    say(f"written to {folder.synthetic}; measure it with: {shlex.join(evaluating)}")


def _import_shared(options: Options) -> None:
    """Fetch a set that ``potstill push`` shared; its file says itself what it is.

    Raises:
        UserError: an option says it again, or the set cannot be had.
    """
    given = {**vars(options), **vars(options.choices)}
    for field in (*fields(Options), *fields(Choices)):
        if field.name not in ("file", "out", "choices") and given[field.name] != field.default:
            option = f"--{field.name.replace('_', '-')}"
            raise UserError(f"{option} does not apply to {options.file}, which states this itself", "leave it out")
    if options.out is not None:
        _new(options.out)
    with ProgressLines("fetching the set"):
        target = evaluation.Target.opened(options.file)
    out = _new(options.out or target.place.path)
    folder = distillation.RunFolder(out)
    target.synthetic.save(folder.synthetic)
    evaluating = shlex.join(["potstill", "evaluate", str(out)])
    say(str(target.synthetic), f"written to {folder.synthetic}; measure it with: {evaluating}")


def _new(folder: Path) -> Path:
    """The folder.

    Raises:
        UserError: it exists already.
    """
    if folder.exists():
        raise UserError(f"{folder} already exists", "choose another --out")
    return folder


def _of_channels(text: str | None, option: str) -> tuple[float, ...] | None:
    """A number for each channel.

    Raises:
        UserError: one of them is not a number.
    """
    return None if text is None else numbers(text, option, "a number for each channel", "0.5,0.5,0.5")
