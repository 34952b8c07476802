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
    real = dataset.train
    most = max(SHOWN // real.class_count, 1)
    counts = [min(size, most) for size in real.class_sizes]
    chosen = random_subset(real, counts, Streams(0).generator("map"))
    shown = real.normalised(chosen).flatten(1).cpu().double()
    centre = shown.mean(0)
    plane, share = principal_plane(shown - centre)
    return VectorMap(
        set_sha256=synthetic.fingerprint(),
        dataset_fingerprint=dataset.fingerprint,
        share=share,
        real=_places((shown - centre) @ plane.T, real.labels[chosen.to(real.device)]),
        synthetic=_places((synthetic.images.flatten(1).double() - centre) @ plane.T, synthetic.hard_labels),
    )


def principal_plane(centred: Tensor) -> tuple[Tensor, float]:
    """The plane in which vectors vary most.

    Args:
        centred: float64 (N, D), of mean 0.

    Returns:
        Orthonormal directions (1 or 2, D), each with a positive largest component, and the share of the variance.
    """
    wide = centred.shape[1] > centred.shape[0]  # the smaller of the two Gram matrices has the whole spectrum
    variances, vectors = torch.linalg.eigh(centred @ centred.T if wide else centred.T @ centred)
    chosen = vectors[:, -2:].flip(1).T
    plane = torch.nn.functional.normalize(chosen @ centred, dim=1) if wide else chosen
    largest = plane.gather(1, plane.abs().argmax(1, keepdim=True))
    total = float(variances.sum())
    return plane * largest.sign(), float(variances[-2:].sum()) / total if total > 0 else 1.0


def _places(points: Tensor, labels: Tensor) -> tuple[Place, ...]:
    """Points (n, 1 or 2) as places; of vectors with a single feature the second coordinate is 0."""
    rounded = [[round(value, DIGITS) for value in row] for row in points.tolist()]
    rows = zip(rounded, labels.tolist(), strict=True)
    return tuple((row[0], row[1] if len(row) > 1 else 0.0, label) for row, label in rows)
