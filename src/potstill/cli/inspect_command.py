"""``potstill inspect DATASET``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from potstill import data, inspection, report
from potstill.cli.options import ChoiceOptions, MemoryOption, parse, within_memory
from potstill.cli.output import Table, say, table_console
from potstill.cli.progress import ProgressLines
from potstill.data import NO_CHOICES

if TYPE_CHECKING:
    from potstill.inspection import Inspection

MOST_CLASSES = 40
"""The most classes in the table on the terminal; the page has all of them."""


@dataclass(frozen=True)
class Options:
    """Show how a dataset is read, its images, and what would make results misleading.

    Attributes:
        dataset: a catalogue name, a folder of images, an ``.npz`` file, ``mhist:FOLDER`` or ``hf:OWNER/NAME``.
        choices: columns and splits to take where its files leave a choice.
        image_size: resize images to this height and width, in pixels.
        data_root: folder with local copies of catalogue datasets.
        out: folder for inspection.json, contact-sheet.png and index.html. By default runs/inspect-DATASET.
    """

    dataset: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="DATASET")]
    choices: ChoiceOptions = NO_CHOICES
    image_size: int | None = None
    data_root: Path | None = None
    memory_limit: MemoryOption = None
    out: Path | None = None


def run(words: list[str]) -> None:
    """Inspect a dataset, print what was found and write the page."""
    options = parse(Options, words, command="inspect")
    out = options.out or Path("runs") / f"inspect-{data.short_name(options.dataset)}"
    report.check_folder(out)
    with within_memory(options.memory_limit), ProgressLines("reading the images") as progress:
        dataset = data.load_dataset(
            options.dataset,
            data_root=options.data_root,
            choices=options.choices,
            image_size=options.image_size,
            progress=progress,
        )
        progress("inspecting the images")
        found = inspection.inspect(dataset)
        page = report.write_inspection(found, dataset, out)
    table_console().print(table(found))
    say(*str(found).splitlines())
    if dataset.train.holds_vectors:
        say(f"written to {page}; vectors have no page")
    else:
        say(f"the page is {page}; the contact sheet is {out / 'contact-sheet.png'}")


def table(found: Inspection) -> Table:
    """The number of images of each class and split."""
    names = found.account.class_names
    hidden = len(names) - MOST_CLASSES
    made = Table(caption=f"{hidden:,} more classes are on the page" if hidden > 0 else None)
    made.add_column("class")
    for split in found.splits:
        made.add_column(split.name, justify="right")
    for label, name in enumerate(names[:MOST_CLASSES]):
        made.add_row(name, *(f"{split.class_sizes[label]:,}" for split in found.splits))
    return made
