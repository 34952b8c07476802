"""Matrices whose rows are computed in chunks."""

from __future__ import annotations

from threading import Lock

from torch import Tensor


class RowBuffer:
    """Matrices whose rows come in chunks.

    A chunk's rows are copied at once. If they were kept as they are, each would lie between the large maps of chunks in
    the heap, where nothing as large would fit any more: images of 224x224 pixels left holes of 26 MB each.

    Args:
        count: the number of rows.
    """

    def __init__(self, count: int) -> None:
        self.parts: tuple[Tensor, ...] = ()
        self._count, self._lock = count, Lock()

    def put(self, start: int, parts: tuple[Tensor, ...]) -> None:
        """Copy the rows that begin with ``start``."""
        with self._lock:
            if not self.parts:
                self.parts = tuple(part.new_empty(self._count, *part.shape[1:]) for part in parts)
        for whole, part in zip(self.parts, parts, strict=True):
            whole[start : start + len(part)] = part
