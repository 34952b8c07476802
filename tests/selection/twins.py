"""Herding and k-center as their papers write them: every candidate is tried."""

from __future__ import annotations

import torch
from torch import Tensor


def herding(x: Tensor, m: int) -> list[int]:
    """Algorithm 4 of iCaRL: p_k = argmin over x not yet taken of || mu - (x + sum of p_1..p_k-1) / k ||."""
    mu, p = x.mean(0), []
    for k in range(1, m + 1):
        total = sum(x[j] for j in p)
        apart = [float((mu - (x[i] + total) / k).norm()) if i not in p else float("inf") for i in range(len(x))]
        p.append(first_smallest(apart))
    return p


def k_center(x: Tensor, m: int) -> list[int]:
    """s_1 next to the mean; then u = argmax over i of min over j in s of || x_i - x_j ||."""
    s = [first_smallest([float((x[i] - x.mean(0)).norm()) for i in range(len(x))])]
    while len(s) < m:
        near = [-min(float((x[i] - x[j]).norm()) for j in s) if i not in s else 1.0 for i in range(len(x))]
        s.append(first_smallest(near))
    return s


def first_smallest(values: list[float]) -> int:
    """Of values that differ by rounding alone the first."""
    return next(i for i, value in enumerate(values) if value <= min(values) + 1e-9)


def radius(x: Tensor, s: Tensor) -> float:
    """The largest distance of any point to the nearest of the chosen."""
    return float(torch.cdist(x, x[s]).min(1).values.max())
