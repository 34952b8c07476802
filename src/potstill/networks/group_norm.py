"""Group norm for maps in channels-last order on a CPU, where PyTorch's own is an order of magnitude slower."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


class GroupNorm(nn.GroupNorm):
    """PyTorch's group norm; with one channel per group it is instance norm.

    Uncompiled, in channels-last order on a CPU, where convolutions are fastest, it takes a path of its own, which
    ``benchmarks.norms`` compares with PyTorch's.
    """

    def forward(self, input: Tensor) -> Tensor:
        """From maps (N, C, H, W) to normalised maps, in the same order."""
        # torch.func and the compiler decompose PyTorch's own function.
        others = torch.compiler.is_compiling() or torch._C._are_functorch_transforms_active()
        if others or input.device.type != "cpu" or not _is_channels_last(input):
            return super().forward(input)
        return _ChannelsLast.apply(input, self.weight, self.bias, self.num_groups, self.eps)


def _is_channels_last(maps: Tensor) -> bool:
    """Whether the channels of a pixel are neighbours, and more than one."""
    return maps.dim() == 4 and maps.shape[1] > 1 and maps.stride(1) == 1 and maps.stride(3) == maps.shape[1]


LARGE_MAP = 1024
"""Pixels of a map from which PyTorch's forward pass is as fast as it can be; its backward pass never is."""


class _ChannelsLast(torch.autograd.Function):
    """Sums over the rows of (N, H * W, C), which are contiguous, in at least float32."""

    @staticmethod
    def forward(ctx: Any, maps: Tensor, weight: Tensor, bias: Tensor, groups: int, eps: float) -> Tensor:
        count, channels, height, width = maps.shape
        wide = torch.promote_types(maps.dtype, torch.float32)
        scale, shift = weight.to(wide), bias.to(wide)
        if height * width >= LARGE_MAP:
            found, *moments = torch.native_group_norm(maps, scale, shift, count, channels, height * width, groups, eps)
            mean, inverse = (each[:, None].repeat_interleave(channels // groups, 2) for each in moments)
        else:
            mean, inverse, centred = _moments(_rows(maps), groups, eps)
            found = torch.empty_like(maps)  # not a view, which the activation could not change in place
            torch.addcmul(shift, centred, inverse * scale, out=_pixels(found))
        ctx.save_for_backward(maps, weight, mean, inverse)
        ctx.groups, ctx.eps = groups, eps
        return found

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor | None, Tensor | None, None, None]:
        maps, weight, mean, inverse = ctx.saved_tensors
        rows, gradient = _rows(maps), _rows(gradients[0])
        scale = weight.to(rows.dtype)
        if torch.is_grad_enabled():  # to be differentiated again: the moments depend on the maps
            mean, inverse, _ = _moments(rows, ctx.groups, ctx.eps)
        total = _sums(gradient)
        along = _sums(gradient * rows) - mean * total
        count = rows.shape[1] * rows.shape[2] // ctx.groups
        slope = _in_groups(along * scale, ctx.groups) * inverse.pow(3) / -count
        shift = _in_groups(total * scale, ctx.groups) * inverse / -count - slope * mean
        found = torch.addcmul(shift, rows, slope).addcmul_(gradient, inverse * scale)
        of_weight = (along * inverse).sum((0, 1)).to(weight.dtype) if ctx.needs_input_grad[1] else None
        of_bias = total.sum((0, 1)).to(weight.dtype) if ctx.needs_input_grad[2] else None
        return _maps(found, maps), of_weight, of_bias, None, None


def _rows(maps: Tensor) -> Tensor:
    """Maps (N, C, H, W) as (N, H * W, C), in at least float32."""
    return _pixels(maps).to(torch.promote_types(maps.dtype, torch.float32))


def _pixels(maps: Tensor) -> Tensor:
    """Maps (N, C, H, W) as (N, H * W, C), in the same memory."""
    return maps.permute(0, 2, 3, 1).flatten(1, 2)


def _maps(rows: Tensor, like: Tensor) -> Tensor:
    """The opposite of ``_rows``."""
    _, _, height, width = like.shape
    return rows.to(like.dtype).unflatten(1, (height, width)).permute(0, 3, 1, 2)


def _moments(rows: Tensor, groups: int, eps: float) -> tuple[Tensor, Tensor, Tensor]:
    """Mean and inverse standard deviation of the group of each channel, (N, 1, C); and the rows minus that mean."""
    count = rows.shape[1] * rows.shape[2] // groups
    mean = _in_groups(_sums(rows), groups) / count
    centred = rows - mean
    variance = _in_groups(_sums(centred.square()), groups) / count
    # NaN where the variance has overflowed, as in PyTorch: divergence must not go unnoticed.
    return mean, (variance + eps).rsqrt() + (variance - variance), centred


def _sums(rows: Tensor) -> Tensor:
    """The sum of each channel, (N, 1, C)."""
    return rows.sum(1, keepdim=True)


def _in_groups(channels: Tensor, groups: int) -> Tensor:
    """The sum of the group of each channel, (N, 1, C)."""
    if groups == channels.shape[2]:
        return channels
    inside = channels.unflatten(2, (groups, -1))
    return inside.sum(3, keepdim=True).expand_as(inside).flatten(2)
