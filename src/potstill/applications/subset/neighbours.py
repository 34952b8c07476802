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
WORK = 2e12
"""The most multiplications: of more that were not chosen, evenly spread ones are compared."""
MOST_VALUES = 2**24  # of vectors and distances at a time


def neighbours(
    source: FeatureSource, candidates: Candidates, chosen: Tensor
) -> tuple[list[Neighbour], list[Neighbour], int]:
    """Those that were not chosen and are nearest to a chosen one of their class, and those that are farthest from all.

    Args:
        source: the features.
        candidates: what was chosen from.
        chosen: int64, the positions of the chosen among the candidates.

    Returns:
        The nearest, nearest first, and the farthest, farthest first, of how many that were not chosen.
    """
    taken = torch.zeros(len(candidates.places), dtype=torch.bool)
    taken[chosen] = True
    found: list[Neighbour] = []
    compared = 0
    for label, (members, features) in enumerate(source.features_by_class()):
        kept, dropped = ((taken[members] == wanted).nonzero().flatten() for wanted in (True, False))
        if not len(kept) or not len(dropped):
            continue
        dropped = _spread(dropped, int(WORK / len(taken) * len(members) / len(kept) / features.shape[1]))
        compared += len(dropped)
        apart, which = _nearest(features, dropped, kept)
        shown = min(SHOWN, len(apart))
        found += [
            Neighbour(
                dropped=int(candidates.places[members[dropped[place]]]),
                chosen=int(candidates.places[members[kept[which[place]]]]),
                label=label,
                distance=float(apart[place]),
            )
            for place in {*apart.topk(shown).indices.tolist(), *apart.topk(shown, largest=False).indices.tolist()}
        ]
    return (
        heapq.nsmallest(SHOWN, found, key=lambda each: (each.distance, each.dropped)),
        heapq.nlargest(SHOWN, found, key=lambda each: (each.distance, -each.dropped)),
        compared,
    )


def _nearest(features: Tensor, dropped: Tensor, kept: Tensor) -> tuple[Tensor, Tensor]:
    """For each of some rows the distance to the nearest of others, float64, and which one that is."""
    centre = features[kept].double().mean(0)
    ours = (features[kept].double() - centre).float()
    apart, which = [], []
    for some in dropped.split(max(MOST_VALUES // max(len(kept), features.shape[1]), 1)):
        theirs = features[some].double() - centre
        nearest = torch.cdist(theirs.float(), ours, compute_mode="use_mm_for_euclid_dist").argmin(1)
        apart.append((theirs - (features[kept[nearest]].double() - centre)).norm(dim=1))
        which.append(nearest)
    return torch.cat(apart), torch.cat(which)


def _spread(indices: Tensor, most: int) -> Tensor:
    """At most ``most`` of some indices, but one at least, at even distances."""
    most = max(most, 1)
    return indices if len(indices) <= most else indices[torch.arange(most) * len(indices) // most]
