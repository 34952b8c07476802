"""The names of the files in a run's folder, for writing and reading."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from potstill.runtime.errors import UserError
from potstill.schema.evaluation import Evaluation
from potstill.schema.reproduction import ReproductionRecord
from potstill.schema.robustness import Robustness
from potstill.schema.search import SearchResult


@dataclass(frozen=True)
class RunPaths:
    """The paths of all files of a run.

    Attributes:
        path: the folder of the run.
    """

    path: Path

    @property
    def config(self) -> Path:
        """The settings, with every default filled in."""
        return self.path / "config.toml"

    @property
    def synthetic(self) -> Path:
        """The synthetic set."""
        return self.path / "synthetic.safetensors"

    @property
    def manifest(self) -> Path:
        """The manifest."""
        return self.path / "manifest.json"

    @property
    def metrics(self) -> Path:
        """The events, one per line."""
        return self.path / "metrics.jsonl"

    @property
    def start(self) -> Path:
        """The initial set, before distillation."""
        return self.path / "checkpoint" / "start.safetensors"

    @property
    def checkpoint(self) -> Path:
        """The checkpoint, from which the run can be resumed."""
        return self.path / "checkpoint" / "state.safetensors"

    @property
    def evaluation(self) -> Path:
        """The evaluation of the set."""
        return self.path / Evaluation.FILE

    @property
    def robustness(self) -> Path:
        """The robust scores of the set."""
        return self.path / Robustness.FILE

    @property
    def search(self) -> Path:
        """The architecture search with the set."""
        return self.path / SearchResult.FILE

    @property
    def report(self) -> Path:
        """The page of the run."""
        return self.path / "report.html"

    def figure(self, name: str) -> Path:
        """A figure for slides and papers, by name."""
        return self.path / "figures" / f"{name}.png"


def not_a_run(path: Path) -> UserError:
    """The error for a path without a finished run or an imported set: what it is instead, and what to name."""
    named = "name a folder that potstill distill or import wrote"
    if not path.exists():
        return UserError(f"{path} does not exist", named)
    if RunPaths(path).config.is_file():
        return UserError(f"the run in {path} was not finished", f"continue it: potstill distill --out {path} --resume")
    if (path / ReproductionRecord.FILE).is_file():
        rows = sorted(manifest.parent for manifest in path.glob("*/manifest.json"))
        return UserError(
            f"{path} is the folder of a reproduction, not of a run",
            f"name the run of one of its rows, such as {rows[0]}" if rows else named,
        )
    return UserError(f"{path} is not the folder of a run: it has no synthetic.safetensors", named)
