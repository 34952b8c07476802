"""Points in space for choices by features."""

from __future__ import annotations

import torch
from hypothesis import strategies as st
from torch import Tensor

some_points = st.tuples(st.integers(1, 12), st.integers(1, 4), st.integers(0, 10_000))


def points(count: int, size: int, seed: int) -> Tensor:
    return torch.randn(count, size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
