"""Choosing among the images of one class by where their features lie: greedily, by cluster centres, or by a score.

Ties go to the first image, independently of rounding.
"""

from __future__ import annotations

import numpy as np
import torch
from threadpoolctl import threadpool_limits
from torch import Tensor

STARTS = 4
"""Default number of k-means++ runs; the best is used."""

TOLERANCE = 1e-10
"""Distances that differ by less than this share of the largest are equal."""


def herding(features: Tensor, count: int) -> Tensor:
    """Repeatedly choose the image that brings the mean of the chosen images closest to the mean of all.

    Welling, "Herding Dynamical Weights to Learn", ICML 2009; in this form Rebuffi et al., "iCaRL", CVPR 2017,
    algorithm 4. Ties go to the first image.

    Args:
        features: features (n, D) of the images of one class.
        count: number of images to choose, at most n.

    Returns:
        int64 (count,): distinct positions, in the order of choice.
    """
    features = features.double()
    mean, total = features.mean(0), torch.zeros(features.shape[1], dtype=torch.float64)
    squares = features.square().sum(1)
    taken = torch.zeros(len(features), dtype=torch.bool)
    chosen = []
    for number in range(1, count + 1):
        # The part of || mean - (total + f) / number ||² that depends on f, up to a factor.
        wanted = number * mean - total
        apart = (squares - 2 * (features @ wanted)).masked_fill(taken, torch.inf)
        place = _first_smallest(apart, squares.max().item())
        taken[place] = True
        total += features[place]
        chosen.append(place)
    return torch.tensor(chosen, dtype=torch.int64)


def k_center(features: Tensor, count: int) -> Tensor:
    """Choose the image closest to the mean, then repeatedly the one farthest from all chosen images.

    Farthest-first traversal (Gonzalez, 1985) as Sener and Savarese use it, "Active Learning for Convolutional Neural
    Networks: A Core-Set Approach", ICLR 2018: the largest distance is at most twice the smallest possible. Ties go
    to the first image.

    Args:
        features: features (n, D) of the images of one class.
        count: number of images to choose, at most n.

    Returns:
        int64 (count,): distinct positions, in the order of choice.
    """
    features = features.double()
    from_mean = (features - features.mean(0)).square().sum(1)
    scale = from_mean.max().item()
    chosen = [_first_smallest(from_mean, scale)]
    nearest = torch.full((len(features),), torch.inf, dtype=torch.float64)
    while len(chosen) < count:
        nearest = torch.minimum(nearest, (features - features[chosen[-1]]).square().sum(1))
        nearest[chosen[-1]] = -torch.inf  # never choose an image twice, even if images are equal
        chosen.append(_first_smallest(-nearest, scale))
    return torch.tensor(chosen, dtype=torch.int64)


def nearest_to_mean(features: Tensor, count: int) -> Tensor:
    """Choose the images nearest to the class mean, nearest first; ties go to the first image.

    Some programs call this herding. Herding starts with the same image, but then considers the mean of those chosen.

    Args:
        features: features (n, D) of the images of one class.
        count: number of images to choose, at most n.

    Returns:
        int64 (count,): distinct positions.
    """
    features = features.double()
    return hardest(-(features - features.mean(0)).square().sum(1), count)


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
    from sklearn.cluster import KMeans  # takes a second, which only runs with k-means should pay

    clusters = KMeans(n_clusters=count, n_init=starts, random_state=seed % 2**32)  # type: ignore[arg-type]
    # With several threads, the order of summation would vary.
    with threadpool_limits(1):
        centres = clusters.fit(features.numpy().astype(np.float32)).cluster_centers_
    return torch.from_numpy(np.ascontiguousarray(centres, dtype=np.float32))


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
    features = features.double()
    taken = torch.zeros(len(features), dtype=torch.bool)
    chosen = []
    for centre in k_means_centres(features, count, seed, starts=starts).double():
        place = int((features - centre).square().sum(1).masked_fill(taken, torch.inf).argmin())
        taken[place] = True
        chosen.append(place)
    return torch.tensor(chosen, dtype=torch.int64)


def hardest(scores: Tensor, count: int) -> Tensor:
    """int64 (count,): the positions of the highest ``scores`` (n,), in descending order; ties go to the first."""
    return scores.argsort(descending=True, stable=True)[:count]


def _first_smallest(values: Tensor, scale: float) -> int:
    """The first position whose value equals the minimum of ``values`` (n,) to within ``TOLERANCE`` of ``scale``."""
    return int((values <= values.min() + TOLERANCE * scale).nonzero()[0])
