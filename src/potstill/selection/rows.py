"""Many vectors, gone through a block at a time: in float32 to find what matters, in float64 where it is decided."""

from __future__ import annotations

from functools import cached_property

import torch
from torch import Tensor

BLOCK_VALUES = 2**24
"""The values of a block: 64 MB as float32."""

ROUNDING = 2.0**-24
"""The unit roundoff of float32."""


class Rows:
    """The rows of a matrix of vectors, which may be a file that is mapped into memory.

    Nothing as large as the matrix is made. Sums of products in float32 come with a bound of their error, so that what
    they single out can be compared again exactly.

    Args:
        values: (n, D), of any floating type.
    """

    def __init__(self, values: Tensor) -> None:
        self.values = values
        self.block = max(BLOCK_VALUES // max(values.shape[1], 1), 1)

    def __len__(self) -> int:
        return len(self.values)

    def blocks(self) -> list[slice]:
        """Consecutive rows of some megabytes, all of them together."""
        return [slice(first, min(first + self.block, len(self))) for first in range(0, len(self), self.block)]

    def exact(self, rows: Tensor | slice | int) -> Tensor:
        """Some rows in float64."""
        return self.values[rows].double()

    @cached_property
    def mean(self) -> Tensor:
        """float64 (D,): the mean of all rows."""
        if len(self.blocks()) == 1:
            return self.exact(slice(None)).mean(0)
        return torch.stack([self.exact(block).sum(0) for block in self.blocks()]).sum(0) / len(self)

    @cached_property
    def squares(self) -> Tensor:
        """float64 (n,): the squared length of each row."""
        return torch.cat([self.exact(block).square().sum(1) for block in self.blocks()])

    def products(self, vector: Tensor, rows: Tensor | slice = slice(None)) -> Tensor:
        """float32 (m,): the products of some rows with a vector, in error by at most ``error`` of it.

        Args:
            vector: float64 (D,).
            rows: their indices or a slice; all by default.
        """
        small = vector.float()
        if isinstance(rows, Tensor) or len(self.values[rows]) <= self.block:
            return self.values[rows].float() @ small
        return torch.cat([self.values[block].float() @ small for block in self.blocks()])

    def error(self, lengths: Tensor, vector: Tensor) -> Tensor:
        """A bound of the error of products, with room to spare.

        Args:
            lengths: float64, the lengths of rows.
            vector: the other factor, float64 (D,).
        """
        return 4 * (self.values.shape[1] + 4) * ROUNDING * lengths * vector.norm()
