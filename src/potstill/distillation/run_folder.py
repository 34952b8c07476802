"""The folder of a run: everything about one distillation, with each file either complete or absent."""

from __future__ import annotations

from dataclasses import dataclass

from potstill.runtime.errors import UserError
from potstill.runtime.events import EventLog
from potstill.runtime.files import staged, write_atomic
from potstill.schema.manifest import Manifest
from potstill.schema.run_folder import RunPaths
from potstill.synthetic import SyntheticSet


@dataclass(frozen=True)
class RunFolder(RunPaths):
    """The folder of a run, with methods that write and read its files."""

    def create(self, config: str, start: SyntheticSet) -> None:
        """Create the folder of a new run.

        Args:
            config: the contents of ``config.toml``.
            start: the initial set.

        Raises:
            UserError: the folder is not empty.
        """
        self.check_new()
        with staged(self.path) as unfinished:
            new = RunFolder(unfinished)
            start.save(new.start)
            write_atomic(new.metrics, "")
            write_atomic(new.config, config)

    def check_new(self) -> None:
        """Make sure that a new run can be kept here.

        Raises:
            UserError: the folder is not empty.
        """
        if self.path.exists() and (not self.path.is_dir() or any(self.path.iterdir())):
            raise UserError(f"{self.path} already exists", "use --resume to continue it, or another --out")

    def events(self) -> EventLog:
        """The log of the run's events."""
        return EventLog(self.metrics)

    def read_manifest(self) -> Manifest:
        """The run's manifest.

        Raises:
            UserError: it is absent or damaged.
        """
        return Manifest.read(self.manifest)
