"""The tables of Zhao et al., "Dataset Condensation with Gradient Matching", ICLR 2021, on MNIST."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import Any

from potstill.distillation.settings import Settings
from potstill.experts.plan import ExpertPlan
from potstill.methods import METHODS, Method
from potstill.reproductions.base import Published, Reproduction, Row

SOURCE = "Zhao, Mopuri, Bilen, ICLR 2021, https://arxiv.org/abs/2006.05929"
SPLIT = "A tenth of the training images is held out for validation; the paper uses all of them."


def _mnist(method: str, ipc: int, **options: Any) -> Settings[Method]:
    return Settings(method=METHODS[method](**options), dataset="mnist", ipc=ipc, validate_every=0)


DC_MNIST = Reproduction(
    name="dc-mnist",
    title="DC on MNIST, ConvNet, 1 and 10 images per class",
    source=f"{SOURCE}, table 1",
    recipe="dc-1000",
    rows=tuple(
        Row(label=f"dc ipc {ipc}", settings=partial(_mnist, "dc", ipc), published={"convnet": accuracy})
        for ipc, accuracy in ((1, Published(91.7, 0.5)), (10, Published(97.4, 0.2)))
    ),
    notes=(SPLIT, "The paper trains 20 networks on each of 5 sets; here, 5 networks are trained on one set."),
)

NETWORKS = ("mlp", "convnet", "lenet", "alexnet", "vgg11", "resnet18")
ABLATION: dict[str, tuple[float, ...]] = {
    "euclidean": (69.3, 92.7, 65.0, 66.2, 57.1, 68.0),
    "cosine": (45.2, 69.2, 61.1, 58.3, 55.0, 68.8),
    "layerwise": (70.5, 91.7, 85.0, 82.7, 81.7, 89.4),
}

DC_DISTANCES = Reproduction(
    name="dc-distances",
    title="Three gradient distances: MNIST, 1 image per class, distilled with ConvNet and tested on six networks",
    source=f"{SOURCE}, table 7",
    recipe="dc-1000",
    rows=tuple(
        Row(
            label=distance,
            settings=partial(_mnist, "dc", 1, distance=distance),
            published={network: Published(mean) for network, mean in zip(NETWORKS, means, strict=True)},
        )
        for distance, means in ABLATION.items()
    ),
    notes=(
        SPLIT,
        "All three distances use the learning rate of the pixels that the paper gives for its own.",
    ),
)

HERDING = ((89.2, 1.6), (93.7, 0.3), (94.8, 0.2))
FORGETTING = ((35.5, 5.6), (68.1, 3.3), (88.2, 1.2))

TEACHER = ExpertPlan(dataset="mnist", count=1, epochs=10, momentum=0.9, weight_decay=5e-4)
"""The network whose features or training the selections use: the same for all of them."""


@dataclass(frozen=True)
class _Selection:
    """A selection, with its published results: mean and deviation in percent for 1, 10 and 50 images per class."""

    method: str
    results: tuple[tuple[float, float], ...]
    experts: ExpertPlan | None = TEACHER
    options: dict[str, str] = field(default_factory=dict)


CORESETS = {
    "random": _Selection("random", ((64.9, 3.5), (95.1, 0.9), (97.9, 0.2)), experts=None),
    "herding": _Selection("herding", HERDING),
    "nearest": _Selection("average-nearest", HERDING),
    "k-center": _Selection("k-center", ((89.3, 1.5), (84.4, 1.7), (97.4, 0.3))),
    "forgetting": _Selection("forgetting", FORGETTING),
    "most forgotten": _Selection("forgetting", FORGETTING, options={"never_learned": "easiest"}),
    "k-means": _Selection("k-means", (), experts=None),
}
"""By label. Two published rows allow two readings: herding as its papers define it or as the images nearest to the
mean; forgetting with images that are never learned counted as never forgotten or as forgotten most.
"""

CORESETS_MNIST = Reproduction(
    name="coresets-mnist",
    title="Selections on MNIST, ConvNet, 1, 10 and 50 images per class",
    source=f"{SOURCE}, table 1",
    recipe="dc-1000",
    rows=tuple(
        Row(
            label=f"{name} ipc {ipc}",
            settings=partial(_mnist, each.method, ipc, **each.options),
            published={"convnet": Published(*each.results[place]) if each.results else None},
            experts=each.experts,
        )
        for name, each in CORESETS.items()
        for place, ipc in enumerate((1, 10, 50))
    ),
    notes=(
        SPLIT,
        "Random images are a single draw, and all selections use the same network; the paper has several of both.",
    ),
)
