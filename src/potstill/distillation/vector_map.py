"""The map of a set of vectors: where they lie among real ones, in two dimensions."""

from __future__ import annotations

import torch
from torch import Tensor

from potstill.data import ImageDataset
from potstill.runtime.streams import Streams
from potstill.schema.vector_map import Place, VectorMap
from potstill.selection.random import random_subset
from potstill.synthetic import SyntheticSet

SHOWN = 2000
"""The most real vectors on a map."""

DIGITS = 4
"""Of the places, after the point: a map is a picture."""


def make_map(synthetic: SyntheticSet, dataset: ImageDataset) -> VectorMap:
    """Place the vectors of a set among real training vectors.

    Args:
        synthetic: a set of vectors.
        dataset: what it was made from.

    Returns:
        The places in the plane of the first two principal components of the real vectors that are shown, which are
        drawn at random, equally many of each class where there are enough.
    """
    real = dataset.train.to("cpu")
    most = max(SHOWN // real.class_count, 1)
    counts = [min(size, most) for size in real.class_sizes]
    chosen = random_subset(real, counts, Streams(0).generator("map"))
    shown = real.normalised(chosen).flatten(1).double()
    centre = shown.mean(0)
    _, spread, components = torch.linalg.svd(shown - centre, full_matrices=False)
    plane = components[:2] * components[:2].abs().max(1, keepdim=True).values.sign()
    variance = spread.square()
    return VectorMap(
        set_sha256=synthetic.fingerprint(),
        dataset_fingerprint=dataset.fingerprint,
        share=float(variance[:2].sum() / variance.sum()) if variance.sum() > 0 else 1.0,
        real=_places((shown - centre) @ plane.T, real.labels[chosen]),
        synthetic=_places((synthetic.images.flatten(1).double() - centre) @ plane.T, synthetic.hard_labels),
    )


def _places(points: Tensor, labels: Tensor) -> tuple[Place, ...]:
    """Points (n, 1 or 2) as places; of vectors with a single feature the second coordinate is 0."""
    rounded = [[round(value, DIGITS) for value in row] for row in points.tolist()]
    rows = zip(rounded, labels.tolist(), strict=True)
    return tuple((row[0], row[1] if len(row) > 1 else 0.0, label) for row, label in rows)
