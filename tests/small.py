"""Small data and problems that the tests of several parts share: the package's own, and what only tests need."""

from __future__ import annotations

from typing import Any

import torch

from potstill.data import ImageDataset
from potstill.evaluation import Session
from potstill.runtime.compute import CPU, Compute
from potstill.testing.problems import NETWORK, digits, few, problem, small_digits, small_experts

CPU64 = Compute(torch.device("cpu"), "float64")

__all__ = ["CPU64", "NETWORK", "digits", "few", "on_cpu", "problem", "small_digits", "small_experts"]


def on_cpu(dataset: ImageDataset, **options: Any) -> Session:
    """A session on one CPU core in float32, on any machine."""
    return Session(dataset, compute=CPU, **options)
