"""DC: gradient matching."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from potstill.methods.base import Start
from potstill.methods.citations import GRADIENT_MATCHING, Citation
from potstill.methods.gradient.alternating import AlternatingMatching, Loops

PUBLISHED_NETWORKS = 1000
"""Number of networks drawn in a published run."""

PUBLISHED_LOOPS: Mapping[int, Loops] = {
    1: Loops(1, 1),
    10: Loops(10, 50),
    20: Loops(20, 25),
    30: Loops(30, 20),
    40: Loops(40, 15),
    50: Loops(50, 10),
    100: Loops(100, 2),
}
"""The published loop lengths by images per class."""


@dataclass(frozen=True, kw_only=True)
class DC(AlternatingMatching):
    """Gradient matching: match network gradients of real and synthetic images, class by class.

    Bo Zhao, Konda Reddy Mopuri and Hakan Bilen, "Dataset Condensation with Gradient Matching", ICLR 2021
    (arXiv:2006.05929). Each iteration is one gradient step of the pixels on L = sum_c D(g^R_c, g^S_c), the distance
    between the gradients, with respect to a network's parameters, of the mean cross-entropy on real and on synthetic
    images of class c. Between these updates the network is trained on the synthetic images; after the last update on a
    network, a new one is drawn.
    """

    name: ClassVar[str] = "dc"
    citation: ClassVar[Citation] = GRADIENT_MATCHING
    default_start: ClassVar[Start] = "noise"
    published_networks: ClassVar[int] = PUBLISHED_NETWORKS
    published_loops: ClassVar[Mapping[int, Loops]] = PUBLISHED_LOOPS
