"""The distance of every vector from the nearest chosen one, updated as more are chosen."""

from __future__ import annotations

import torch
from torch import Tensor

from potstill.selection.rows import ROUNDING, CentredRows

PROJECTED_FROM = 50_000
"""From so many rows on, distances are first bounded from below in few dimensions."""
PROJECTED_TO = 64
SAMPLED = 4096
"""The rows from which the directions of the projection are computed."""
DENSE = 0.25
"""If more than this share of the rows may have come nearer, all are compared."""


class Nearest:
    """The squared distance of every row to the nearest of some rows, to which more are added.

    A new one matters only to the rows that are nearer to it than to all before it. They are found by lower bounds of
    the distance: in many rows first by one in few dimensions. Only their distances are computed, in float64.

    Args:
        rows: the vectors.

    Attributes:
        squares: float64 (n,); infinite as long as there is none.
    """

    def __init__(self, rows: CentredRows) -> None:
        self.squares = torch.full((len(rows),), torch.inf, dtype=torch.float64)
        self._rows = rows
        many = len(rows) >= PROJECTED_FROM and rows.values.shape[1] > 2 * PROJECTED_TO
        self._projected = _Projected(rows) if many else None

    def add(self, row: int) -> None:
        """Take one more of the rows."""
        vector = self._rows.centred(row)
        for block in self._rows.blocks():
            wanted: Tensor | slice = block
            if self._projected is not None:
                open_ = (self._projected.bounds(row, block) < self.squares[block]).nonzero().flatten() + block.start
                if len(open_) <= DENSE * (block.stop - block.start):
                    wanted = open_
            squares = self._rows.squares[wanted]
            apart = squares - 2 * self._rows.products(vector, wanted) + self._rows.squares[row]
            apart -= 2 * self._rows.error(squares, vector) + 4 * ROUNDING * (squares + self._rows.squares[row])
            places = (apart < self.squares[wanted]).nonzero().flatten()
            nearer = wanted[places] if isinstance(wanted, Tensor) else places + block.start
            exact = (self._rows.centred(nearer) - vector).square().sum(1)
            self.squares[nearer] = torch.minimum(self.squares[nearer], exact)


class _Projected:
    """The rows along their principal directions, with the length of the rest as one more coordinate.

    By the triangle inequality for that rest, distances between these short vectors are at most those between the rows.
    """

    def __init__(self, rows: CentredRows) -> None:
        step = max(len(rows) // SAMPLED, 1)
        sample = rows.centred(slice(None, None, step))
        directions = torch.linalg.eigh(sample.T @ sample).eigenvectors[:, -PROJECTED_TO:]
        parts, spread = [], 0.0
        for block in rows.blocks():
            centred = rows.centred(block)
            along = centred @ directions
            squares = centred.square().sum(1)
            rest = (squares - along.square().sum(1)).clamp(min=0).sqrt()
            parts.append(torch.cat([along, rest[:, None]], 1).float())
            spread = max(spread, squares.max().item())
        self._short = torch.cat(parts)
        self._squares = self._short.square().sum(1)
        # What rounding can add to a distance: of the coordinates, and of the sums of their products.
        self._margin = 8 * (PROJECTED_TO + 8) * ROUNDING * spread

    def bounds(self, row: int, block: slice) -> Tensor:
        """float32 (m,): lower bounds of the squared distances of a block of rows to ``row``."""
        apart = self._squares[block] + (self._squares[row] - self._margin)
        return apart.addmv_(self._short[block], self._short[row], alpha=-2)
