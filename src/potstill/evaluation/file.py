"""Files of evaluations: one protocol in the main file, the others beside it; nothing is measured twice or lost."""

from __future__ import annotations

import json
from pathlib import Path

from potstill.runtime.files import sha256
from potstill.runtime.lock import check_locks
from potstill.schema.evaluation import Evaluation
from potstill.schema.fields import with_old_names


class EvaluationFile:
    """An ``evaluation.json``, which holds the results of one protocol.

    Results of another recipe, seed or set are kept beside it, as in ``evaluation-dsa-1000@1-5f3a9c.json``, until they
    are asked for again.

    Args:
        path: the main file, which need not exist.
        leading: whether saved results go into the main file. Otherwise results of the same set by another protocol
            stay there, and what is saved goes into a file beside it.
    """

    def __init__(self, path: str | Path, *, leading: bool = True) -> None:
        self.path, self._leading = Path(path), leading

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
        for path in (self.path, *self._beside(asked)):
            found = _read(path)
            if found is not None and found.protocol == asked.protocol:
                return found
        return None

    def save(self, evaluation: Evaluation) -> None:
        """Write an evaluation to the main file and move results of another protocol beside it; see ``leading``.

        Raises:
            UserError: a file cannot be written, or the lock on this one was lost.
        """
        check_locks()
        present = self.present()
        if present is not None and present.protocol != evaluation.protocol:
            if present.set_sha256 == evaluation.set_sha256 and not self._leading:
                evaluation.write(self._beside(evaluation)[0])
                return
            self.path.replace(self._beside(present)[0])
        evaluation.write(self.path)
        for path in self._beside(evaluation):
            path.unlink(missing_ok=True)

    def _beside(self, evaluation: Evaluation) -> tuple[Path, Path]:
        """The file beside the main one for results of its protocol, and its name by the settings' old names."""
        protocol = evaluation.protocol
        older = {**protocol, "recipe": with_old_names("recipe", protocol["recipe"])}
        hashes = (sha256(json.dumps(each, sort_keys=True).encode())[:6] for each in (protocol, older))
        names = (f"{self.path.stem}-{evaluation.recipe.label}-{each}{self.path.suffix}" for each in hashes)
        present, old = (self.path.with_name(name) for name in names)
        return present, old


def _read(path: Path) -> Evaluation | None:
    return Evaluation.read(path) if path.exists() else None
