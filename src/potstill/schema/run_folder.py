"""The files of a run's folder by name, for whoever writes or reads them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from potstill.schema.evaluation import Evaluation
from potstill.schema.robustness import Robustness
from potstill.schema.search import SearchResult


@dataclass(frozen=True)
class RunPaths:
    """Where everything about one distillation is.

    Attributes:
        path: the folder.
    """

    path: Path

    @property
    def config(self) -> Path:
        """The settings, resolved."""
        return self.path / "config.toml"

    @property
    def synthetic(self) -> Path:
        """The set."""
        return self.path / "synthetic.safetensors"

    @property
    def manifest(self) -> Path:
        """How the run went."""
        return self.path / "manifest.json"

    @property
    def metrics(self) -> Path:
        """Its events, one a line."""
        return self.path / "metrics.jsonl"

    @property
    def start(self) -> Path:
        """The set before distillation."""
        return self.path / "checkpoint" / "start.safetensors"

    @property
    def checkpoint(self) -> Path:
        """What resuming needs."""
        return self.path / "checkpoint" / "state.safetensors"

    @property
    def evaluation(self) -> Path:
        """What the set is worth."""
        return self.path / Evaluation.FILE

    @property
    def robustness(self) -> Path:
        """Its robust scores."""
        return self.path / Robustness.FILE

    @property
    def search(self) -> Path:
        """An architecture search with it."""
        return self.path / SearchResult.FILE

    @property
    def report(self) -> Path:
        """The page."""
        return self.path / "report.html"

    def figure(self, name: str) -> Path:
        """A picture for slides and papers."""
        return self.path / "figures" / f"{name}.png"
