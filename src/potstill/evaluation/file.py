"""Files of measurements: one protocol in the main file, the others beside it; nothing is measured twice or lost."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Generic, TypeVar

from potstill.runtime.files import sha256
from potstill.runtime.lock import check_locks
from potstill.schema.evaluation import Evaluation
from potstill.schema.exchange import Exchange
from potstill.schema.fields import with_old_names
from potstill.schema.label_regimes import LabelRegimes

M = TypeVar("M", Evaluation, Exchange, LabelRegimes)


class MeasuredFile(Generic[M]):
    """A file of measurements of a set by one protocol.

    Those of another recipe, seed or set are kept beside it, as in ``evaluation-dsa-1000@1-5f3a9c.json``, until they are
    asked for again.

    Args:
        kind: the class of the record.
        path: the main file, which need not exist.
        leading: whether saved results go into the main file. Otherwise results of the same set by another protocol
            stay there, and what is saved goes into a file beside it.
    """

    def __init__(self, kind: type[M], path: str | Path, *, leading: bool = True) -> None:
        self.kind, self.path, self._leading = kind, Path(path), leading

    def present(self) -> M | None:
        """The contents of the main file, of any protocol; None if it does not exist.

        Raises:
            UserError: the file is damaged.
        """
        return self._read(self.path)

    def earlier(self, asked: M) -> M | None:
        """The recorded results of the protocol of ``asked``; None if there are no such results.

        Raises:
            UserError: a file is damaged.
        """
        for path in (self.path, *self._beside(asked)):
            found = self._read(path)
            if found is not None and found.protocol == asked.protocol:
                return found
        return None

    def save(self, measured: M) -> None:
        """Write measurements to the main file and move those of another protocol beside it; see ``leading``.

        Raises:
            UserError: a file cannot be written, or the lock on this one was lost.
        """
        check_locks()
        present = self.present()
        if present is not None and present.protocol != measured.protocol:
            if present.set_sha256 == measured.set_sha256 and not self._leading:
                measured.write(self._beside(measured)[0])
                return
            self.path.replace(self._beside(present)[0])
        measured.write(self.path)
        for path in self._beside(measured):
            path.unlink(missing_ok=True)

    def _beside(self, measured: M) -> tuple[Path, Path]:
        """The file beside the main one for results of its protocol, and its name by the settings' old names."""
        protocol = measured.protocol
        older = {**protocol, "recipe": with_old_names("recipe", protocol["recipe"])}
        hashes = (sha256(json.dumps(each, sort_keys=True).encode())[:6] for each in (protocol, older))
        names = (f"{self.path.stem}-{measured.recipe.label}-{each}{self.path.suffix}" for each in hashes)
        present, old = (self.path.with_name(name) for name in names)
        return present, old

    def _read(self, path: Path) -> M | None:
        return self.kind.read(path) if path.exists() else None


class EvaluationFile(MeasuredFile[Evaluation]):
    """An ``evaluation.json``.

    Args:
        path: the main file, which need not exist.
        leading: as for ``MeasuredFile``.
    """

    def __init__(self, path: str | Path, *, leading: bool = True) -> None:
        super().__init__(Evaluation, path, leading=leading)
