"""Tensors and text as one safetensors file, of which equal contents make equal bytes."""

from __future__ import annotations

import json
from collections.abc import Mapping

from safetensors.torch import save
from torch import Tensor


def packed(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> bytes:
    """The contents of a safetensors file, its metadata in alphabetical order: safetensors writes them in a random one.

    Args:
        tensors: contiguous, on the CPU, none sharing memory with another.
        metadata: text by name.
    """
    archive = save(dict(tensors), dict(metadata) or None)
    end = 8 + int.from_bytes(archive[:8], "little")
    header = json.loads(archive[8:end])
    if metadata:
        header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)  # so that the tensors stay aligned
    return len(text).to_bytes(8, "little") + text + archive[end:]
