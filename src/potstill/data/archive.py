"""Labelled images or vectors as one ``.npz`` archive, which is read as a dataset again."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from potstill.data.labeled_images import LabeledImages
from potstill.data.vectors import Vectors


def archived(members: LabeledImages | Vectors, indices: Sequence[int]) -> bytes:
    """Some images or vectors, their labels and the names of their classes; equal ones give the same bytes.

    Args:
        members: images or vectors; those without labels are archived without any.
        indices: which of them, in their order.

    Returns:
        An archive with ``images``, uint8 (n, H, W) or (n, H, W, C), or ``vectors``, (n, D); ``labels``, int64 (n,); and
        ``class_names``.
    """
    index = torch.tensor(indices, dtype=torch.int64)
    if isinstance(members, Vectors):
        arrays: dict[str, Any] = {"vectors": members.values[index.numpy()]}
    elif members.holds_vectors:
        arrays = {"vectors": members.read(index).cpu().flatten(1).numpy()}
    else:
        images = members.read(index).cpu()
        arrays = {"images": (images[:, 0] if images.shape[1] == 1 else images.permute(0, 2, 3, 1)).numpy()}
    if tuple(members.class_names) != ("",):
        arrays |= {"labels": members.labels.cpu()[index].numpy(), "class_names": np.array(members.class_names)}
    stream = io.BytesIO()
    np.savez_compressed(stream, **arrays)
    return stream.getvalue()
