"""Files of evaluations: one protocol in the main file, the others beside it; nothing is measured twice or lost."""

from __future__ import annotations

import glob
import json
from pathlib import Path

from potstill.runtime.files import sha256
from potstill.schema.evaluation import Evaluation


class EvaluationFile:
    """An ``evaluation.json``, which holds the results of one protocol.

    Results of another recipe, seed or set are kept beside it, as in ``evaluation-dsa-1000@1-5f3a9c.json``, until they
    are asked for again.

    Args:
        path: the main file, which need not exist.
        leading: whether saved results go into the main file. Otherwise results of the same set by another protocol
            stay there, and what is saved goes into a file beside it.
    """

    def __init__(self, path: Path, *, leading: bool = True) -> None:
        self.path, self._leading = path, leading

    def present(self) -> Evaluation | None:
        """The contents of the main file, of any protocol; None if it does not exist.

        Raises:
            UserError: the file is damaged.
        """
        return _read(self.path)

    def earlier(self, asked: Evaluation) -> Evaluation | None:
        """The recorded results of the protocol of ``asked``; None if there are no such results.

        Raises:
            UserError: a file is damaged.
        """
        for path in (self.path, self._beside(asked)):
            found = _read(path)
            if found is not None and found.protocol == asked.protocol:
                return found
        return None

    def save(self, evaluation: Evaluation) -> None:
        """Write an evaluation to the main file and move results of another protocol beside it; see ``leading``."""
        present = self.present()
        if present is not None and present.protocol != evaluation.protocol:
            if present.set_sha256 == evaluation.set_sha256 and not self._leading:
                evaluation.write(self._beside(evaluation))
                return
            self.path.replace(self._beside(present))
        evaluation.write(self.path)
        self._beside(evaluation).unlink(missing_ok=True)

    def _beside(self, evaluation: Evaluation) -> Path:
        """The file beside the main one for results of its protocol, also if an older Potstill hashed it differently."""
        for path in sorted(self.path.parent.glob(f"{glob.escape(self.path.stem)}-*-??????{self.path.suffix}")):
            found = _read(path)
            if found is not None and found.protocol == evaluation.protocol:
                return path
        protocol = sha256(json.dumps(evaluation.protocol, sort_keys=True).encode())[:6]
        return self.path.with_name(f"{self.path.stem}-{evaluation.recipe.label}-{protocol}{self.path.suffix}")


def _read(path: Path) -> Evaluation | None:
    return Evaluation.read(path) if path.exists() else None
