"""``potstill export RUN|SET --format ...``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from potstill.cli.options import parse
from potstill.export import export
from potstill.synthetic import SyntheticSet


@dataclass(frozen=True, kw_only=True)
class Options:
    """Write a set in a layout that other programs read.

    Attributes:
        target: a run's folder, or a synthetic.safetensors.
        format: the layout.
        out: the new folder or file; by default beside the set.
        hub_id: OWNER/NAME, for the hub.
    """

    target: Annotated[Path, tyro.conf.Positional]
    format: Literal["imagefolder", "parquet", "npz", "hub"]
    out: Path | None = None
    hub_id: str | None = None


def run(words: list[str]) -> None:
    """Export as ``words`` say."""
    options = parse(Options, words, command="export")
    path = options.target / "synthetic.safetensors" if options.target.is_dir() else options.target
    suffix = ".npz" if options.format == "npz" else ""
    out = options.out or path.with_name(f"{options.format}{suffix}")
    print(f"written to {export(SyntheticSet.load(path), out, options.format, hub_id=options.hub_id)}")
