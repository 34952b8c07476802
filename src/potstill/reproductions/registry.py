"""The published tables by name."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from potstill.reproductions.base import Reproduction
from potstill.reproductions.coursework import DATADAM_MHIST, DATADAM_MNIST
from potstill.reproductions.dataset_distillation import DD_BASELINES, DD_MNIST
from potstill.reproductions.gradient_matching import CORESETS_MNIST, DC_DISTANCES, DC_MNIST
from potstill.reproductions.small_sets import SMALL_SETS
from potstill.reproductions.trajectories import MTT_CIFAR, PAD_CIFAR, TRAJECTORIES_MNIST
from potstill.runtime.errors import unknown

REPRODUCTIONS: Mapping[str, Reproduction] = MappingProxyType(
    {
        made.name: made
        for made in (
            DATADAM_MNIST,
            DATADAM_MHIST,
            DD_MNIST,
            DD_BASELINES,
            DC_MNIST,
            DC_DISTANCES,
            CORESETS_MNIST,
            *SMALL_SETS,
            TRAJECTORIES_MNIST,
            MTT_CIFAR,
            PAD_CIFAR,
        )
    }
)


def find_reproduction(name: str) -> Reproduction:
    """The reproduction called ``name``.

    Raises:
        UserError: no reproduction has this name.
    """
    if name not in REPRODUCTIONS:
        raise unknown("reproduction", name, REPRODUCTIONS, listing="potstill list reproductions")
    return REPRODUCTIONS[name]
