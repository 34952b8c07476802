"""Many vectors, gone through a block at a time: in float32 to find what matters, in float64 where it is decided."""

from __future__ import annotations

from functools import cached_property

import torch
from torch import Tensor

BLOCK_VALUES = 2**24
"""The values of a block: 64 MB as float32."""

ROUNDING = 2.0**-24
"""The unit roundoff of float32."""


class CentredRows:
    """The rows of a matrix of vectors, as seen from their mean; the matrix may be a file that is mapped into memory.

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

    @cached_property
    def mean(self) -> Tensor:
        """float64 (D,): the mean of all rows."""
        return torch.stack([self.values[block].double().sum(0) for block in self.blocks()]).sum(0) / len(self)

    def centred(self, rows: Tensor | slice | int) -> Tensor:
        """Some rows less the mean, in float64."""
        return self.values[rows].double() - self.mean

    @cached_property
    def squares(self) -> Tensor:
        """float64 (n,): the squared distance of each row from the mean."""
        return torch.cat([self.centred(block).square().sum(1) for block in self.blocks()])

    def products(self, vector: Tensor, rows: Tensor | slice = slice(None)) -> Tensor:
        """float64 (m,): the products of some centred rows with a vector, in error by at most ``error``.

        Args:
            vector: float64 (D,).
            rows: their indices or a slice; all by default.
        """
        small = vector.float()
        parts = self.blocks() if isinstance(rows, slice) and rows == slice(None) else [rows]
        return torch.cat([(self.values[part].float() @ small).double() for part in parts]) - self.mean @ vector

    def scales(self, squares: Tensor) -> Tensor:
        """The size of what squared distances are computed from: themselves, and coordinates far from the origin."""
        return squares + squares.sqrt() * self.mean.norm()

    def error(self, squares: Tensor, vector: Tensor) -> Tensor:
        """A bound of the error of products with a vector, with room to spare.

        Args:
            squares: float64, the squared distances of rows from the mean.
            vector: the other factor, float64 (D,).
        """
        lengths = squares.sqrt() + self.mean.norm()
        return 4 * (self.values.shape[1] + 4) * ROUNDING * lengths * vector.norm()
