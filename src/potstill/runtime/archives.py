"""Tensors and text as one safetensors file, of which equal contents make equal bytes."""

from __future__ import annotations

from collections.abc import Mapping

from safetensors.torch import save
from torch import Tensor

from potstill.runtime.archive_headers import with_metadata


def packed(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> bytes:
    """The contents of a safetensors file, its metadata in alphabetical order: safetensors writes them in a random one.

    Args:
        tensors: contiguous, on the CPU, none sharing memory with another.
        metadata: text by name.
    """
    return with_metadata(save(dict(tensors)), metadata)
