"""The mean of a class, the means of its clusters, or the images nearest to them."""

from __future__ import annotations

import numpy as np
import torch
from sklearn.cluster import KMeans
from threadpoolctl import threadpool_limits
from torch import Tensor

from potstill.selection.ranking import hardest

STARTS = 4
"""Runs of k-means++, of which the best is taken."""


def nearest_to_mean(features: Tensor, count: int) -> Tensor:
    """int64 (count,): the positions nearest to the mean of features (n, D), nearest first; of equals the first.

    Some programs call this herding, which starts with the same image and then looks at the mean of what is chosen.
    """
    features = features.double()
    return hardest(-(features - features.mean(0)).square().sum(1), count)


def k_means_centres(features: Tensor, count: int, seed: int) -> Tensor:
    """The centres of ``count`` clusters: the best of ``STARTS`` runs of k-means++.

    Args:
        features: (n, D) of one class.
        count: at most n.
        seed: of the runs.

    Returns:
        float32 (count, D).
    """
    clusters = KMeans(n_clusters=count, n_init=STARTS, random_state=seed % 2**32)  # type: ignore[arg-type]
    # On several threads the sums depend on which is done first.
    with threadpool_limits(1):
        centres = clusters.fit(features.numpy().astype(np.float32)).cluster_centers_
    return torch.from_numpy(np.ascontiguousarray(centres, dtype=np.float32))


def k_means_nearest(features: Tensor, count: int, seed: int) -> Tensor:
    """Choose for each of ``count`` clusters the image nearest to its centre that is not chosen yet.

    Args:
        features: (n, D) of one class.
        count: at most n.
        seed: of the clusters.

    Returns:
        int64 (count,): distinct positions.
    """
    features = features.double()
    taken = torch.zeros(len(features), dtype=torch.bool)
    chosen = []
    for centre in k_means_centres(features, count, seed).double():
        place = int((features - centre).square().sum(1).masked_fill(taken, torch.inf).argmin())
        taken[place] = True
        chosen.append(place)
    return torch.tensor(chosen, dtype=torch.int64)
