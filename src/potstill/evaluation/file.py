"""Evaluations on file: one protocol at a time, the others beside it, nothing measured twice or lost."""

from __future__ import annotations

import glob
import json
from pathlib import Path

from potstill.runtime.files import sha256
from potstill.schema.evaluation import Evaluation


class EvaluationFile:
    """An ``evaluation.json``, which holds the results of one protocol.

    Those of another recipe, seed or set are kept beside it, as ``evaluation-dsa-1000@1-5f3a9c.json``, until they are
    asked for again.

    Args:
        path: the file, whether or not it exists.
        leading: whether what is saved takes the file's place; otherwise results of the same set by another protocol
            keep it, and what is saved goes beside.
    """

    def __init__(self, path: Path, *, leading: bool = True) -> None:
        self.path, self._leading = path, leading

    def present(self) -> Evaluation | None:
        """What it holds, by whatever protocol; None if it does not exist.

        Raises:
            UserError: it is damaged.
        """
        return _read(self.path)

    def earlier(self, asked: Evaluation) -> Evaluation | None:
        """What has been measured already by the protocol of ``asked``; None if nothing has.

        Raises:
            UserError: a file is damaged.
        """
        for path in (self.path, self._beside(asked)):
            found = _read(path)
            if found is not None and found.protocol == asked.protocol:
                return found
        return None

    def save(self, evaluation: Evaluation) -> None:
        """Write it, and put aside what was found by another protocol, unless that is to lead."""
        present = self.present()
        if present is not None and present.protocol != evaluation.protocol:
            if present.set_sha256 == evaluation.set_sha256 and not self._leading:
                evaluation.write(self._beside(evaluation))
                return
            self.path.replace(self._beside(present))
        evaluation.write(self.path)
        self._beside(evaluation).unlink(missing_ok=True)

    def _beside(self, evaluation: Evaluation) -> Path:
        """Where results of its protocol are put aside; also where an older Potstill hashed the protocol otherwise."""
        for path in sorted(self.path.parent.glob(f"{glob.escape(self.path.stem)}-*-??????{self.path.suffix}")):
            found = _read(path)
            if found is not None and found.protocol == evaluation.protocol:
                return path
        protocol = sha256(json.dumps(evaluation.protocol, sort_keys=True).encode())[:6]
        return self.path.with_name(f"{self.path.stem}-{evaluation.recipe.label}-{protocol}{self.path.suffix}")


def _read(path: Path) -> Evaluation | None:
    return Evaluation.read(path) if path.exists() else None
