"""``potstill export RUN|SET --format ...``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from potstill import evaluation, synthetic
from potstill.cli.options import parse
from potstill.cli.output import say


@dataclass(frozen=True, kw_only=True)
class Options:
    """Write a set in a format that other programs read.

    Attributes:
        target: folder of a run or of an imported set, the file of a set, or hf:OWNER/NAME.
        format: imagefolder (a folder of PNG files for each class), parquet (as Hugging Face datasets stores images) or
            npz (arrays as in MedMNIST; the only format with exact pixels). To share a set, see potstill push.
        out: the new folder or file. By default FORMAT, or synthetic.npz, beside the set.
    """

    target: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RUN|SET")]
    format: Literal["imagefolder", "parquet", "npz"]
    out: Path | None = None


def run(words: list[str]) -> None:
    """Export the set, and print the path of the result."""
    options = parse(Options, words, command="export")
    target = evaluation.Target.opened(options.target)
    out = options.out or target.beside / ("synthetic.npz" if options.format == "npz" else options.format)
    say(f"written to {synthetic.export_set(target.synthetic, out, options.format)}")
