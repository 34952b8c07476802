"""``potstill push RUN OWNER/NAME``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import tyro

from potstill import sharing, synthetic
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
        licence: licence of the set, as the hub names licences, such as cc-by-4.0.
        private: make a new repository private.
        folder: new folder in which the files are kept. By default they are not.
        dry_run: write the files to --folder and upload nothing.
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
    name = synthetic.check_hub_name(options.name)
    if options.dry_run and options.folder is None:
        raise UserError("--dry-run needs --folder FOLDER", "name a new folder")
    with ProgressLines("writing the files") as progress, TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary) / "files"
        sharing.write_repository(options.run, name, folder, licence=options.licence)
        address = ""
        if not options.dry_run:
            progress("uploading")
            address = sharing.push(folder, name, private=options.private)
    if options.folder is not None:
        say(f"written to {folder}; look at {folder / 'README.md'}")
    measured = f"uploaded to {address}; measure it with: potstill evaluate hf:{name}"
    say(measured if address else "nothing was uploaded")
