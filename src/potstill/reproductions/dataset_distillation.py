"""The MNIST results of Wang et al., "Dataset Distillation", 2018."""

from __future__ import annotations

from functools import partial
from typing import Any

from potstill.distillation.settings import Settings
from potstill.methods import METHODS, Method
from potstill.reproductions.base import Published, Reproduction, Row

SOURCE = "Wang, Zhu, Torralba, Efros, 2018, https://arxiv.org/abs/1811.10959"


def _mnist(method: str, ipc: int, **options: Any) -> Settings[Method]:
    return Settings(method=METHODS[method](**options), dataset="mnist", ipc=ipc, network="lenet", validate_every=0)


DD_MNIST = Reproduction(
    name="dd-mnist",
    title="DD on MNIST, LeNet: ten images for one fixed initialisation, a hundred for random ones",
    source=f"{SOURCE}, section 4 and figures 2 and 3",
    recipe="replay",
    rows=(
        Row(
            label="fixed 10 images",
            settings=partial(_mnist, "dd", 1, initial="fixed"),
            published={"lenet": Published(94.0)},
        ),
        Row(
            label="random 100 images",
            settings=partial(_mnist, "dd", 10, initial="random"),
            published={"lenet": Published(79.5, 8.1)},
        ),
    ),
    notes=("The 79.5 ± 8.1 is the result that Zhao et al. (ICLR 2021, table 2) report for DD.",),
)

DD_BASELINES = Reproduction(
    name="dd-baselines",
    title="Baselines of DD on MNIST: real images and means, ten of each class, LeNet",
    source=f"{SOURCE}, table 1",
    recipe="dc-300",
    rows=tuple(
        Row(label=name, settings=partial(_mnist, name, 10), published={"lenet": None})
        for name in ("random", "optimised-random", "k-means", "average")
    ),
    notes=("The paper tunes the training for each baseline; here the recipe is the same for all.",),
)
