"""What was not chosen, by its distance to what was: perhaps duplicates, and what the choice does not cover."""

from __future__ import annotations

import heapq

import torch
from torch import Tensor

from potstill.applications.subset.candidates import Candidates
from potstill.experts.feature_source import FeatureSource
from potstill.schema.subset import Neighbour

SHOWN = 12
"""How many are kept of each kind."""
MOST = 20_000
"""Of each class, so many that were not chosen are compared with so many that were, evenly spread, or fewer."""
MOST_VALUES = 2**25  # of distances at a time


def neighbours(
    source: FeatureSource, candidates: Candidates, chosen: Tensor
) -> tuple[list[Neighbour], list[Neighbour]]:
    """Those that were not chosen and are nearest to a chosen one of their class, and those that are farthest from all.

    Args:
        source: the features.
        candidates: what was chosen from.
        chosen: int64, the positions of the chosen among the candidates.

    Returns:
        The nearest, nearest first, and the farthest, farthest first.
    """
    taken = torch.zeros(len(candidates.places), dtype=torch.bool)
    taken[chosen] = True
    found: list[Neighbour] = []
    for label, (members, features) in enumerate(source.features_by_class()):
        kept, dropped = (_spread((taken[members] == wanted).nonzero().flatten()) for wanted in (True, False))
        if not len(kept) or not len(dropped):
            continue
        apart, which = _nearest(features[dropped].float(), features[kept].float())
        few = min(SHOWN, len(apart))
        found += [
            Neighbour(
                dropped=int(candidates.places[members[dropped[place]]]),
                chosen=int(candidates.places[members[kept[which[place]]]]),
                label=label,
                distance=float(apart[place]),
            )
            for place in {*apart.topk(few).indices.tolist(), *apart.topk(few, largest=False).indices.tolist()}
        ]
    return (
        heapq.nsmallest(SHOWN, found, key=lambda each: (each.distance, each.dropped)),
        heapq.nlargest(SHOWN, found, key=lambda each: (each.distance, -each.dropped)),
    )


def _nearest(dropped: Tensor, kept: Tensor) -> tuple[Tensor, Tensor]:
    """For each of some vectors (n, D) the distance to the nearest of others (m, D), and which one that is."""
    parts = [
        torch.cdist(block, kept, compute_mode="use_mm_for_euclid_dist").min(1)
        for block in dropped.split(max(MOST_VALUES // len(kept), 1))
    ]
    which = torch.cat([part.indices for part in parts])
    return (dropped - kept[which]).norm(dim=1), which


def _spread(indices: Tensor) -> Tensor:
    """At most ``MOST`` of some indices, at even distances."""
    if len(indices) <= MOST:
        return indices
    return indices[torch.arange(MOST) * len(indices) // MOST]
