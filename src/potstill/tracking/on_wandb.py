"""Weights & Biases: a run in a project of an account, or with WANDB_MODE=offline files in the folder of the run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from potstill.runtime.errors import UserError
from potstill.tracking.base import (
    PROJECT,
    Cell,
    TrackedRun,
    Tracker,
    Value,
    check_reachable,
    reason,
    without_secrets,
)

OFFLINE_MODES = ("offline", "dryrun", "disabled")
REMEDY = "or set WANDB_MODE=offline, and send the run later with wandb sync"


@dataclass(kw_only=True)
class WandB(Tracker):
    """A run of Weights & Biases. The environment variables of wandb take effect; its files are in the run's folder.

    The axis of all curves is ``iteration``: wandb's own steps only count what it is told, so it can be told more later.

    Attributes:
        project: the project, instead of ``WANDB_PROJECT`` or ``potstill``.
        name: the name of the run, instead of ``WANDB_NAME`` or the name of its folder.
    """

    package: ClassVar[str] = "wandb"
    install: ClassVar[str] = "'potstill[wandb]'"

    project: str | None = None
    name: str | None = None
    _run: Any = field(init=False, repr=False, default=None)

    def check(self) -> None:
        """Import wandb; unless it is offline, reach its server and log in."""
        super().check()
        settings = self.library.setup().settings
        if settings.mode in OFFLINE_MODES:
            return
        check_reachable("wandb", settings.base_url, f"check the connection, {REMEDY}")
        try:
            self.library.login()
        except Exception as error:
            problem = f"wandb cannot log in to {without_secrets(settings.base_url)} ({reason(error)})"
            raise UserError(problem, f"wandb login, {REMEDY}") from error

    def where(self) -> Mapping[str, str]:
        """The project."""
        return {"project": self._project}

    @property
    def _project(self) -> str:
        return self.project or self.library.setup().settings.project or PROJECT

    def open(self, run: TrackedRun) -> str:
        """Begin a run, or continue the one of this number."""
        given = self.library.setup().settings
        resumed = run.earlier is not None and given.mode not in OFFLINE_MODES
        self._run = self.library.init(
            project=self._project,
            name=self.name or given.run_name or run.name,
            id=run.earlier,
            resume="allow" if resumed else None,
            config=dict(run.config),
            dir=self.library.env.get_dir(str(run.folder)),
            settings=self.library.Settings(console="off", quiet=True),  # a progress bar is not a result
        )
        if run.killed and not resumed:  # the file of the killed session may lack its end: the new one has everything
            self.reached = 0
        self._run.define_metric("iteration")
        self._run.define_metric("*", step_metric="iteration")
        return str(self._run.id)

    def scalars(self, values: Mapping[str, float], iteration: int) -> None:
        """Points of curves."""
        self._run.log({**values, "iteration": iteration})

    def picture(self, name: str, pixels: np.ndarray, iteration: int) -> None:
        """A picture, among the media."""
        self._run.log({name: self.library.Image(pixels), "iteration": iteration})

    def table(self, name: str, columns: Sequence[str], rows: Sequence[Sequence[Cell]], iteration: int) -> None:
        """A table, among the media."""
        made = self.library.Table(columns=list(columns), data=[list(row) for row in rows])
        self._run.log({name: made, "iteration": iteration})

    def outcome(self, values: Mapping[str, Value]) -> None:
        """Values of the summary."""
        self._run.summary.update(dict(values))

    def close(self, *, complete: bool) -> None:
        """Send what is left; an interrupted run is marked as failed until it goes on."""
        self._run.finish(exit_code=0 if complete else 1)
