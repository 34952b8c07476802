"""Facility location: images such that every image is near one of them."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from potstill.runtime.progress import Progress, silent
from potstill.selection.greedy import Telling
from potstill.selection.nearest import Nearest
from potstill.selection.rows import CentredRows

EXACT_UP_TO = 8192
"""Up to so many images, all distances are computed, and every image is a candidate at every step."""
CLIENTS = 4096
"""Of more images, how many are drawn at every step to estimate gains by."""
EPSILON = 0.1
"""Of more images, what the expected result may lose against the greedy one, as a share of the best."""
ROWS = 512  # whose distances are computed at once, in float64
CANDIDATES = 64
"""Candidates whose gain is computed at once, where all distances are known."""


def facility_location(features: Tensor, count: int, seed: int, *, progress: Progress = silent) -> Tensor:
    """Repeatedly choose the image that most reduces the sum of the distances of all images to the nearest chosen one.

    The first is the medoid. Counted from any distance that none exceeds, the reduction has diminishing returns, so that
    the greedy choice reaches at least 1 - 1/e of the best possible one (Nemhauser, Wolsey and Fisher, 1978). Gains are
    computed again only where they may matter (Minoux, 1978). Up to ``EXACT_UP_TO`` images this is exact. Of more, each
    step looks at n / count · ln(1 / EPSILON) random candidates (Mirzasoleiman et al., "Lazier Than Lazy Greedy", AAAI
    2015), and their gains are estimated by ``CLIENTS`` random images, other ones at every step. Distances are
    Euclidean.

    Args:
        features: features (n, D) of the images of one class, of any floating type.
        count: number of images to choose, at most n.
        seed: of the random draws.
        progress: told how far it is, now and then.

    Returns:
        int64 (count,): distinct positions, in the order of choice.
    """
    if len(features) <= EXACT_UP_TO:
        centred = CentredRows(features).centred(slice(None))
        return _lazy_greedy(torch.cat([_distances(few, centred).float() for few in centred.split(ROWS)]), count)
    return _stochastic_greedy(features, count, torch.Generator().manual_seed(seed), progress)


def _lazy_greedy(apart: Tensor, count: int) -> Tensor:
    """The greedy choice from all distances float32 (n, n); of equal gains the first."""
    first = int(apart.sum(0, dtype=torch.float64).argmin())
    chosen, nearest = [first], apart[first].clone()
    most = torch.full((len(apart),), torch.inf, dtype=torch.float64)  # no gain is larger than it was before
    most[first] = -torch.inf
    while len(chosen) < count:
        known = torch.zeros(len(apart), dtype=torch.bool)
        while True:
            best = int(most.argmax())
            if known[best]:
                break
            few = most.masked_fill(known, -torch.inf).topk(min(CANDIDATES, len(apart))).indices
            few = few[~known[few] & ~most[few].isneginf()]
            most[few] = (nearest - apart[few]).clamp_(min=0).sum(1, dtype=torch.float64)
            known[few] = True
        chosen.append(best)
        most[best] = -torch.inf
        nearest = torch.minimum(nearest, apart[best])
    return torch.tensor(chosen, dtype=torch.int64)


def _stochastic_greedy(features: Tensor, count: int, generator: torch.Generator, progress: Progress) -> Tensor:
    """The greedy choice among random candidates, by the distances of random clients."""
    rows, telling = CentredRows(features), Telling("facility location", count, progress)
    nearest = Nearest(rows)
    left = torch.arange(len(rows))
    wanted = math.ceil(len(rows) / count * math.log(1 / EPSILON))
    chosen: list[int] = []
    for number in range(1, count + 1):
        candidates = left[_drawn(len(left), wanted, generator)]
        clients = _drawn(len(rows), CLIENTS, generator)
        at, so_far = rows.centred(clients).float(), nearest.squares[clients].sqrt().float()[:, None]
        gains = [_gains(at, so_far, rows.centred(few).float()) for few in candidates.split(4 * CANDIDATES)]
        chosen.append(int(candidates[torch.cat(gains).argmax()]))
        left = left[left != chosen[-1]]
        nearest.add(chosen[-1])
        telling.chosen(number)
    return torch.tensor(chosen, dtype=torch.int64)


def _gains(clients: Tensor, nearest: Tensor, candidates: Tensor) -> Tensor:
    """(m,): by how much each candidate reduces the clients' distances ``nearest`` (c, 1), infinite at first."""
    apart = _distances(clients, candidates)
    return -apart.sum(0) if nearest.isinf().all() else (nearest - apart).clamp_(min=0).sum(0)


def _distances(first: Tensor, second: Tensor) -> Tensor:
    """(n, m): the Euclidean distances between two groups of vectors."""
    return torch.cdist(first, second, compute_mode="use_mm_for_euclid_dist")


def _drawn(count: int, wanted: int, generator: torch.Generator) -> Tensor:
    """int64, ascending: distinct random positions; all if there are no more, a few less where few of many coincide."""
    if wanted * 4 >= count:
        return torch.randperm(count, generator=generator)[:wanted].sort().values
    return torch.randint(count, (wanted,), generator=generator).unique()
