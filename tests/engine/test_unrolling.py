"""The way back through training: plain autograd's, however little is kept and however many workers there are."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

import pytest
import torch
from torch import Tensor

from potstill.engine import layout
from potstill.engine.unrolling import Keep, Unroller
from potstill.networks import ImageShape, Network, build_network
from potstill.runtime.compute import CPU, Compute
from potstill.runtime.parallel import cpu_workers
from tests.small import CPU64, NETWORK
from tests.twins import unrolling as twin

KEEPS: list[Keep] = list(get_args(Keep))
STEPS = 7


def network(spec: str = NETWORK) -> Network:
    return build_network(spec, ImageShape(1, 8, 8), 3, torch.Generator().manual_seed(0)).double()


def given(
    steps: int = STEPS, count: int = 4, *, soft: bool = False
) -> tuple[list[tuple[Tensor, Tensor]], list[Tensor]]:
    """Batches and rates, all of them leaves."""
    generator = torch.Generator().manual_seed(1)
    batches = []
    for _ in range(steps):
        x = torch.randn(count, 1, 8, 8, generator=generator, dtype=torch.float64, requires_grad=True)
        y = torch.randint(3, (count,), generator=generator)
        if soft:
            y = torch.randn(count, 3, generator=generator, dtype=torch.float64).softmax(1).requires_grad_()
        batches.append((x, y))
    rates = [torch.tensor(0.02 * (1 + s), dtype=torch.float64, requires_grad=True) for s in range(steps)]
    return batches, rates


def loss_of(parameters: list[Tensor]) -> Tensor:
    """Something of the last parameters."""
    return torch.stack([(parameter - 0.1).square().sum() for parameter in parameters]).sum()


def there_and_back(spec: str, keep: Keep, steps: int, soft: bool) -> tuple[list[Tensor], list[Tensor]]:
    """The last parameters, and all gradients in one list."""
    made = network(spec)
    batches, rates = given(steps, soft=soft)
    end, pullback = Unroller(made, CPU64, keep=keep).unroll(list(made.parameters()), batches, rates)
    leaves = [tensor.detach().requires_grad_() for tensor in end]
    found = pullback(torch.autograd.grad(loss_of(leaves), leaves))
    labels = [label for label in found.labels if label is not None]
    return end, [*found.images, *labels, *found.rates.unbind(), *found.start]


def plainly(spec: str, steps: int, soft: bool) -> tuple[list[Tensor], list[Tensor]]:
    made = network(spec)
    batches, rates = given(steps, soft=soft)
    start = [parameter.detach().requires_grad_() for parameter in made.parameters()]
    end = twin.unroll(made, start, batches, rates)
    labels = [y for _, y in batches if soft]
    return end, list(torch.autograd.grad(loss_of(end), [*(x for x, _ in batches), *labels, *rates, *start]))


@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("keep", KEEPS)
@pytest.mark.parametrize("spec", [NETWORK, "lenet", "mlp:width=8", "convnet:depth=2:width=4:norm=batch"])
def test_equals_plain_autograd(spec: str, keep: Keep, soft: bool):
    end, gradients = there_and_back(spec, keep, STEPS, soft)
    expected_end, expected = plainly(spec, STEPS, soft)
    for ours, theirs in zip([*end, *gradients], [*expected_end, *expected], strict=True):
        torch.testing.assert_close(ours, theirs.detach(), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("steps", [1, 2, 3, 4, 9, 10])
def test_roots_of_any_number_of_steps(steps: int):
    end, gradients = there_and_back(NETWORK, "roots", steps, False)
    expected_end, expected = plainly(NETWORK, steps, False)
    for ours, theirs in zip([*end, *gradients], [*expected_end, *expected], strict=True):
        torch.testing.assert_close(ours, theirs.detach(), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("keep", KEEPS)
def test_parts_and_workers_change_nothing(keep: Keep, monkeypatch: pytest.MonkeyPatch):
    whole = there_and_back(NETWORK, keep, STEPS, True)
    monkeypatch.setattr(layout, "CPU_CHUNK_PIXELS", 2 * 8 * 8)  # one image a part
    in_parts = []
    for workers in (1, 2, 3):
        with cpu_workers(CPU.device, workers):
            in_parts.append(there_and_back(NETWORK, keep, STEPS, True))
    for ours, theirs in zip([*in_parts[0][0], *in_parts[0][1]], [*whole[0], *whole[1]], strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-12)
    for other in in_parts[1:]:
        assert all(a.equal(b) for a, b in zip([*in_parts[0][0], *in_parts[0][1]], [*other[0], *other[1]], strict=True))


def test_the_network_given_is_left_alone():
    made = network()
    before = [parameter.clone() for parameter in made.parameters()]
    batches, rates = given(2)
    Unroller(made, CPU64).unroll(list(made.parameters()), batches, rates)
    assert all(p.equal(old) and p.requires_grad for p, old in zip(made.parameters(), before, strict=True))


@pytest.mark.parametrize(("keep", "sets", "graphs"), [("graphs", 100, 100), ("steps", 100, 0), ("roots", 10, 0)])
def test_roots_keep_as_many_parameters_as_the_root_of_the_steps(keep: Keep, sets: int, graphs: int):
    made, (batches, rates) = network(), given(100, 1)
    _, pullback = Unroller(made, CPU64, keep=keep).unroll(list(made.parameters()), batches, rates)
    assert (len(pullback.kept), len(pullback.graphs)) == (sets, graphs)


def test_buffers_are_in_the_precision_of_the_parameters():
    made = build_network("convnet:depth=1:width=4:norm=batch", ImageShape(1, 8, 8), 3, torch.Generator())
    unroller = Unroller(made, CPU64)
    images = torch.randn(6, 1, 8, 8, dtype=torch.float64)
    start = [parameter.detach().double() for parameter in made.parameters()]
    end, _ = unroller.unroll(start, [(images, torch.arange(6) % 3)], torch.tensor([0.1], dtype=torch.float64).unbind())
    assert all(tensor.dtype == torch.float64 for tensor in end)


@pytest.mark.slow
@pytest.mark.usefixtures("traced_only")
@pytest.mark.parametrize(
    ("spec", "keep", "exact", "soft"),
    [
        ("convnet:depth=1:width=4", "steps", False, False),
        ("convnet:depth=1:width=4", "steps", True, True),
        ("convnet:depth=1:width=4:norm=group", "roots", True, False),
        ("convnet:depth=1:width=4:norm=layer", "steps", True, True),
        ("convnet:depth=1:width=4:pooling=max:activation=swish", "steps", True, False),
    ],
)
def test_traced_steps_equal_plain_ones(spec: str, keep: Keep, exact: bool, soft: bool, monkeypatch: pytest.MonkeyPatch):
    if keep == "roots":
        monkeypatch.setattr(layout, "CPU_SHARED_PIXELS", 64)  # parts of three images and of two
    with cpu_workers(CPU.device, 2):
        traced = all_of(spec, replace(CPU64, compile=True), keep, exact, soft)
    torch.testing.assert_close(traced, all_of(spec, CPU64, keep, exact, soft), rtol=1e-9, atol=1e-12)


@pytest.mark.slow
def test_compiled_steps_equal_plain_ones():
    spec = "convnet:depth=1:width=4:norm=group"
    with cpu_workers(CPU.device, 2):
        compiled = all_of(spec, replace(CPU64, compile=True), "steps", True, True)
    torch.testing.assert_close(compiled, all_of(spec, CPU64, "steps", True, True), rtol=1e-9, atol=1e-12)


def all_of(spec: str, compute: Compute, keep: Keep, exact: bool, soft: bool) -> list[Tensor]:
    """The last parameters and all gradients of four steps on five images each."""
    made, (batches, rates) = network(spec), given(4, 5, soft=soft)
    unroller = Unroller(made, compute, keep=keep)
    end, pullback = unroller.unroll(list(made.parameters()), batches, rates)
    back = pullback(end, exact=exact)
    labels = [label for label in back.labels if label is not None]
    return [*end, *back.images, *labels, *back.rates.unbind(), *back.start]
