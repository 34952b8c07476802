"""``potstill push RUN OWNER/NAME``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from potstill import sharing
from potstill.cli.options import parse
from potstill.cli.output import say
from potstill.cli.progress import ProgressLines
from potstill.runtime.errors import UserError


@dataclass(frozen=True)
class Options:
    """Share a set on the Hugging Face hub: the exact set, a copy that datasets reads, a card and a picture.

    Attributes:
        run: folder of a run, with its evaluations, or a synthetic.safetensors.
        name: OWNER/NAME on the hub.
        licence: of the set, as the hub names licences, such as cc-by-4.0.
        private: make a new repository private.
        folder: new folder for the files. By default NAME beside the set.
        dry_run: write the files and upload nothing.
    """

    run: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RUN|SET")]
    name: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="OWNER/NAME")]
    licence: str = ""
    private: bool = False
    folder: Path | None = None
    dry_run: bool = False


def run(words: list[str]) -> None:
    """Write the files of a repository and upload them."""
    options = parse(Options, words, command="push")
    if not options.run.exists():
        raise UserError(f"{options.run} does not exist", "check the path")
    beside = options.run if options.run.is_dir() else options.run.parent
    folder = options.folder or beside / options.name.rpartition("/")[2]
    with ProgressLines("writing the files") as progress:
        sharing.write_repository(options.run, options.name, folder, licence=options.licence)
        address = ""
        if not options.dry_run:
            progress("uploading")
            address = sharing.push(folder, options.name, private=options.private)
    say(f"written to {folder}; look at {folder / 'README.md'}")
    measured = f"uploaded to {address}; measure it with: potstill evaluate hf:{options.name}"
    say(measured if address else "nothing was uploaded")
