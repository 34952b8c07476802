"""The optimisers compute what PyTorch's do, whatever the tensor is called, and leave their arguments alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from potstill.methods.state import LAMB, SGD, Adam, Optimiser, descend

PAIRS: dict[str, tuple[Optimiser, Callable[[list[Tensor]], torch.optim.Optimizer]]] = {
    "sgd": (SGD(0.1), lambda tensors: torch.optim.SGD(tensors, lr=0.1)),
    "momentum": (SGD(0.1, 0.9), lambda tensors: torch.optim.SGD(tensors, lr=0.1, momentum=0.9)),
    "adam": (Adam(0.1), lambda tensors: torch.optim.Adam(tensors, lr=0.1)),
    "adam of other betas": (Adam(0.1, (0.5, 0.9)), lambda tensors: torch.optim.Adam(tensors, lr=0.1, betas=(0.5, 0.9))),
}


@pytest.mark.parametrize("name", PAIRS)
def test_ten_steps_equal_pytorchs(name: str):
    ours, make = PAIRS[name]
    generator = torch.Generator().manual_seed(0)
    start = {"images": torch.randn(5, 3, generator=generator, dtype=torch.float64)}
    start["rate"] = torch.randn((), generator=generator, dtype=torch.float64)
    theirs = {key: tensor.clone().requires_grad_() for key, tensor in start.items()}
    optimizer = make(list(theirs.values()))
    state = ours.init("images", start["images"]) | ours.init("rate", start["rate"])
    for iteration in range(10):
        gradients = {key: torch.randn(t.shape, generator=generator, dtype=t.dtype) for key, t in start.items()}
        for key, tensor in theirs.items():
            tensor.grad = gradients[key].clone()
        optimizer.step()
        state = descend(state, gradients, {"images": ours, "rate": ours}, iteration)
    for key, tensor in theirs.items():
        torch.testing.assert_close(state[key], tensor.detach(), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("name", PAIRS)
def test_a_step_changes_neither_its_state_nor_what_has_no_gradient(name: str):
    optimiser = PAIRS[name][0]
    state = {**optimiser.init("x", torch.ones(3)), "other": torch.ones(2)}
    before: dict[str, Any] = {key: tensor.clone() for key, tensor in state.items()}
    after = descend(state, {"x": torch.ones(3)}, {"x": optimiser}, 0)
    assert after.keys() == state.keys()
    assert all(state[key].equal(tensor) for key, tensor in before.items())
    assert after["other"] is state["other"]
    assert not after["x"].equal(state["x"])


def test_lamb_steps_as_adam_does_but_as_long_as_the_tensor():
    generator = torch.Generator().manual_seed(0)
    start = torch.randn(4, 3, generator=generator, dtype=torch.float64)
    lamb, adam = LAMB(0.1).init("x", start), Adam(1.0).init("x", start)
    for iteration in range(5):
        gradient, before = torch.randn(4, 3, generator=generator, dtype=torch.float64), lamb["x"]
        lamb = LAMB(0.1).step(lamb, "x", gradient, iteration)
        direction = Adam(1.0).step({**adam, "x": before}, "x", gradient, iteration)["x"] - before
        adam = Adam(1.0).step(adam, "x", gradient, iteration)
        moved = lamb["x"] - before
        assert moved.norm().item() == pytest.approx(0.1 * before.norm().item())
        torch.testing.assert_close(moved / moved.norm(), direction / direction.norm())


def test_lamb_moves_a_tensor_of_zeros():
    state = LAMB(0.1).step(LAMB(0.1).init("x", torch.zeros(3)), "x", torch.ones(3), 0)
    torch.testing.assert_close(state["x"], torch.full((3,), -0.1))
