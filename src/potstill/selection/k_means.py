"""K-means: the centres of a class's clusters, or the images nearest to them."""

from __future__ import annotations

import numpy as np
import torch
from sklearn.cluster import KMeans
from threadpoolctl import threadpool_limits
from torch import Tensor

STARTS = 4


def k_means_centres(features: Tensor, count: int, seed: int) -> Tensor:
    """The centres float32 (count, D) of as many clusters of features (n, D): the best of four k-means++ starts."""
    clusters = KMeans(n_clusters=count, n_init=STARTS, random_state=seed % 2**32)  # type: ignore[arg-type]
    # On several threads the sums depend on which is done first.
    with threadpool_limits(1):
        centres = clusters.fit(features.numpy().astype(np.float32)).cluster_centers_
    return torch.from_numpy(np.ascontiguousarray(centres, dtype=np.float32))


def k_means_nearest(features: Tensor, count: int, seed: int) -> Tensor:
    """int64 (count,): for each of ``count`` clusters of features (n, D) the nearest position that is not taken yet."""
    features = features.double()
    taken = torch.zeros(len(features), dtype=torch.bool)
    chosen = []
    for centre in k_means_centres(features, count, seed).double():
        place = int((features - centre).square().sum(1).masked_fill(taken, torch.inf).argmin())
        taken[place] = True
        chosen.append(place)
    return torch.tensor(chosen, dtype=torch.int64)
