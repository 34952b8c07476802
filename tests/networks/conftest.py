from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from potstill.networks import ImageShape, Network, build_network


@pytest.fixture(scope="session")
def build() -> Callable[..., Network]:
    """Build a network for images of (channels, height, width) from the seed of its parameters."""

    def build_seeded(spec: str, shape: tuple[int, int, int] = (1, 28, 28), classes: int = 10, seed: int = 0) -> Network:
        return build_network(spec, ImageShape(*shape), classes, torch.Generator().manual_seed(seed))

    return build_seeded


@pytest.fixture(scope="session")
def draw() -> Callable[..., torch.Tensor]:
    """Images (count, *shape) of standard normal pixels."""

    def draw_seeded(count: int, shape: tuple[int, int, int] = (1, 28, 28), seed: int = 0) -> torch.Tensor:
        return torch.randn(count, *shape, generator=torch.Generator().manual_seed(seed))

    return draw_seeded


@pytest.fixture(scope="session")
def count_parameters() -> Callable[[Network], int]:
    """How many numbers a network learns."""
    return lambda network: sum(parameter.numel() for parameter in network.parameters())
