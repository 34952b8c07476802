"""Trackio: a database on this machine, or the Space or server that its environment variables name."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar
from uuid import uuid4

import numpy as np

from potstill.tracking.base import PROJECT, Cell, TrackedRun, Tracker, Value, check_reachable


@dataclass(kw_only=True)
class Trackio(Tracker):
    """A run of Trackio. It finds runs by their names, so the name ends with characters that no other run has.

    Attributes:
        project: the project, instead of ``potstill``.
        name: the name of the run, instead of that of its folder; characters are added.
    """

    package: ClassVar[str] = "trackio"
    install: ClassVar[str] = "trackio"

    project: str | None = None
    name: str | None = None
    _run: Any = field(init=False, repr=False, default=None)

    def check(self) -> None:
        """Import Trackio; if it sends what it is told to a server or a Space, reach that."""
        super().check()
        space, server = self.library.utils.resolve_space_id_and_server_url(None, None)
        if space or server:
            remedy = (
                "check the connection, or unset TRACKIO_SERVER_URL and TRACKIO_SPACE_ID to keep runs on this machine"
            )
            check_reachable("trackio", server or "https://huggingface.co", remedy)

    def where(self) -> Mapping[str, str]:
        """This machine, a Space or a server; and the project."""
        space, server = self.library.utils.resolve_space_id_and_server_url(None, None)
        return {"store": server or space or "here", "project": self.project or PROJECT}

    def open(self, run: TrackedRun) -> str:
        """Begin a run, or continue the one of this name."""
        name = run.earlier or f"{self.name or run.name}-{uuid4().hex[:6]}"
        with _on_stderr():
            self._run = self.library.init(
                project=self.project or PROJECT,
                name=name,
                config=dict(run.config),
                resume="never" if run.earlier is None else "allow",
                embed=False,
            )
        return name

    def scalars(self, values: Mapping[str, float], iteration: int) -> None:
        """Points of curves."""
        self._run.log(dict(values), step=iteration)

    def picture(self, name: str, pixels: np.ndarray, iteration: int) -> None:
        """A picture, among the media."""
        self._run.log({name: self.library.Image(pixels)}, step=iteration)

    def table(self, name: str, columns: Sequence[str], rows: Sequence[Sequence[Cell]], iteration: int) -> None:
        """A table."""
        shown = [["-" if cell is None else cell for cell in row] for row in rows]
        self._run.log({name: self.library.Table(columns=list(columns), data=shown)}, step=iteration)

    def outcome(self, values: Mapping[str, Value]) -> None:
        """A table of two columns."""
        self.table(
            "outcome",
            ("of the run", "value"),
            [[key, str(each)] for key, each in values.items()],
            int(values["iterations"]),
        )

    def close(self, *, complete: bool) -> None:
        """Write what is left."""
        with _on_stderr():
            self.library.finish()  # not only the run: what is finished there is not finished again at the end


def _on_stderr() -> contextlib.AbstractContextManager[Any]:
    """Keep Trackio's own messages out of the command's output."""
    return contextlib.redirect_stdout(sys.stderr)
