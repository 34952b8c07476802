"""Group norm in channels-last order: the same values and derivatives as PyTorch's own."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck
from torch.func import grad, vmap

from potstill.networks import group_norm
from potstill.networks.group_norm import GroupNorm

SHAPES = [(6, 6, 3), (2, 6, 3), (1, 6, 3), (4, 4, 1), (8, 8, 32), (2, 8, 33)]
"""Groups, channels and sides: maps below and above the size from which the forward pass is PyTorch's."""


def maps(channels: int, side: int, dtype: torch.dtype = torch.float64, seed: int = 0) -> Tensor:
    drawn = torch.randn(2, channels, side, side, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return (drawn + 0.5).to(dtype).contiguous(memory_format=torch.channels_last)


def made(groups: int, channels: int, dtype: torch.dtype = torch.float64) -> GroupNorm:
    norm = GroupNorm(groups, channels).to(dtype)
    generator = torch.Generator().manual_seed(1)
    for parameter in norm.parameters():
        parameter.data.normal_(generator=generator)
    return norm


@pytest.mark.parametrize(("groups", "channels", "side"), SHAPES)
@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-4), (torch.bfloat16, 6e-2)]
)
def test_values_and_gradients_are_those_of_pytorch(
    groups: int, channels: int, side: int, dtype: torch.dtype, tolerance: float
):
    """PyTorch's are computed in float64 from the same numbers."""
    norm, given, gradient = made(groups, channels, dtype), maps(channels, side, dtype), maps(channels, side, dtype, 1)
    exact = [part.detach().double().requires_grad_() for part in (given, norm.weight, norm.bias)]
    expected = F.group_norm(exact[0], groups, exact[1], exact[2])
    given.requires_grad_()
    found = norm(given)
    assert found.dtype == dtype
    assert found.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(found.double(), expected, atol=tolerance, rtol=tolerance)
    theirs = torch.autograd.grad(expected, exact, gradient.double())
    ours = torch.autograd.grad(found, [given, norm.weight, norm.bias], gradient)
    for own, other in zip(ours, theirs, strict=True):
        assert own.dtype == dtype
        # A sum over all pixels is as exact as its largest terms.
        torch.testing.assert_close(own.double(), other, atol=tolerance * max(1.0, float(other.abs().max())), rtol=0)


@pytest.mark.parametrize(("groups", "channels"), [(4, 4), (2, 4)])
@pytest.mark.parametrize("large_map", [1, 1024], ids=["its own forward pass", "ours"])
def test_derivatives_of_first_and_second_order(
    groups: int, channels: int, large_map: int, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(group_norm, "LARGE_MAP", large_map)
    norm = made(groups, channels)
    given = [maps(channels, 3).requires_grad_(), norm.weight, norm.bias]

    def normalised(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        found = group_norm._ChannelsLast.apply(x, weight, bias, groups, norm.eps)
        assert isinstance(found, Tensor)
        return found

    assert gradcheck(normalised, given)
    assert gradgradcheck(normalised, given)


@pytest.mark.parametrize("side", [3, 32])
def test_what_follows_may_change_the_maps_in_place(side: int):
    norm, given = made(4, 4), maps(4, side).requires_grad_()
    (gradient,) = torch.autograd.grad(norm(given).relu_().square().sum(), given)
    plain = F.group_norm(given, 4, norm.weight, norm.bias)
    (expected,) = torch.autograd.grad(plain.relu().square().sum(), given)
    torch.testing.assert_close(gradient, expected)


@pytest.mark.parametrize("side", [3, 32])
def test_what_overflows_is_not_finite(side: int):
    norm = GroupNorm(4, 4)
    assert not norm(maps(4, side, torch.float32) * 1e30).isfinite().any()


def test_only_what_is_differentiated_is_computed():
    norm = made(4, 4).requires_grad_(False)
    given = maps(4, 3).requires_grad_()
    (gradient,) = torch.autograd.grad(norm(given).square().sum(), given)
    assert gradient.shape == given.shape


def test_its_own_path_is_for_channels_last_maps_alone(monkeypatch: pytest.MonkeyPatch):
    paths: list[str] = []
    apply = group_norm._ChannelsLast.apply
    monkeypatch.setattr(group_norm._ChannelsLast, "apply", lambda *given: paths.append("ours") or apply(*given))
    norm, given = made(4, 4), maps(4, 3)
    norm(given)
    assert paths == ["ours"]
    norm(given.contiguous())
    norm(given[:, :, 0])
    vmap(norm, in_dims=0)(given.contiguous()[:, None])
    grad(lambda maps: norm(maps).square().sum())(given)
    made(1, 1)(maps(1, 3))
    assert paths == ["ours"]
