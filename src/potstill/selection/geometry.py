"""Choosing among the images of one class by its mean, by cluster centres, or by a score; ties go to the first image."""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
from threadpoolctl import ThreadpoolController
from torch import Tensor

from potstill.selection.rows import CentredRows

STARTS = 4
"""Default number of k-means++ runs; the best is used."""


def nearest_to_mean(features: Tensor, count: int) -> Tensor:
    """Choose the images nearest to the class mean, nearest first; ties go to the first image.

    Some programs call this herding. Herding starts with the same image, but then considers the mean of those chosen.

    Args:
        features: features (n, D) of the images of one class.
        count: number of images to choose, at most n.

    Returns:
        int64 (count,): distinct positions.
    """
    return hardest(-CentredRows(features).squares, count)


def k_means_centres(features: Tensor, count: int, seed: int, *, starts: int = STARTS) -> Tensor:
    """Cluster centres: the best of some runs of k-means++.

    Args:
        features: features (n, D) of the images of one class.
        count: number of clusters, at most n.
        seed: seed of the runs.
        starts: number of runs.

    Returns:
        float32 (count, D).
    """
    from sklearn.cluster import KMeans  # its import takes a second, and only k-means needs it

    clusters = KMeans(n_clusters=count, n_init=starts, random_state=seed % 2**32)  # type: ignore[arg-type]
    # With several threads, the order of summation would vary.
    with _libraries().limit(limits=1):
        centres = clusters.fit(features.numpy().astype(np.float32)).cluster_centers_
    return torch.from_numpy(np.ascontiguousarray(centres, dtype=np.float32))


@cache
def _libraries() -> ThreadpoolController:
    """The libraries with threads of their own: to look for them takes longer than to cluster a class."""
    return ThreadpoolController()


def k_means_nearest(features: Tensor, count: int, seed: int, *, starts: int = STARTS) -> Tensor:
    """Choose for each cluster the image nearest to its centre among those not chosen yet.

    Args:
        features: features (n, D) of the images of one class.
        count: number of clusters and of images to choose, at most n.
        seed: seed of the clustering.
        starts: number of runs of k-means++, of which the best is used.

    Returns:
        int64 (count,): distinct positions.
    """
    rows = CentredRows(features)
    taken = torch.zeros(len(features), dtype=torch.bool)
    chosen = []
    for centre in k_means_centres(features, count, seed, starts=starts).double() - rows.mean:
        apart = torch.cat([(rows.centred(block) - centre).square().sum(1) for block in rows.blocks()])
        place = int(apart.masked_fill(taken, torch.inf).argmin())
        taken[place] = True
        chosen.append(place)
    return torch.tensor(chosen, dtype=torch.int64)


def hardest(scores: Tensor, count: int) -> Tensor:
    """int64 (count,): the positions of the highest ``scores`` (n,), in descending order; ties go to the first."""
    return scores.argsort(descending=True, stable=True)[:count]
