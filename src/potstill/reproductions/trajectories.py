"""Trajectory matching: the CIFAR-10 results of MTT and PAD, and MTT, DATM and PAD on MNIST, never published."""

from __future__ import annotations

from functools import partial
from typing import Any

from potstill.distillation.settings import Settings
from potstill.experts.plan import ExpertPlan
from potstill.methods import METHODS, Method, Start
from potstill.reproductions.base import Published, Reproduction, Row

SPLIT = "A tenth of the training images is held out for validation; the papers use all of them."
LAST = "The set of the last iteration is evaluated; the papers report the best of many by the test split."

# Large batches make short epochs of 53 steps: twenty steps on one image of each digit can match three such epochs.
MNIST_EXPERTS = ExpertPlan(dataset="mnist", count=3, epochs=6, batch_size=1024)
MNIST_PAD = ExpertPlan(dataset="mnist", count=3, epochs=6, batch_size=1024, curriculum=True)

MNIST_METHODS: tuple[tuple[str, Start | None, ExpertPlan], ...] = (
    ("mtt", "k-means", MNIST_EXPERTS),
    ("datm", None, MNIST_EXPERTS),
    ("pad", None, MNIST_PAD),
)


def _settings(
    method: str, dataset: str, ipc: int, *, start: Start | None = None, zca: bool = False, **options: Any
) -> Settings[Method]:
    return Settings(method=METHODS[method](**options), dataset=dataset, ipc=ipc, start=start, validate_every=0, zca=zca)


TRAJECTORIES_MNIST = Reproduction(
    name="trajectories-mnist",
    title="MTT, DATM and PAD on MNIST, ConvNet, 1 and 10 images per class",
    source="nothing published: the tables of MTT, DATM and PAD start with CIFAR-10",
    recipe="dc-1000",
    rows=tuple(
        Row(
            label=f"{method} ipc {ipc}",
            settings=partial(_settings, method, "mnist", ipc, start=start),
            published={"convnet": None},
            experts=experts,
        )
        for ipc in (1, 10)
        for method, start, experts in MNIST_METHODS
    ),
    notes=(
        SPLIT,
        "Few experts, trained without a search for flat minima, so that two cores train them in half an hour.",
        "The settings are those of our records, chosen by validation accuracy in runs of 60 to 160 iterations.",
    ),
)

CIFAR_EXPERTS = ExpertPlan(dataset="cifar10", count=100, epochs=50, zca=True)
CIFAR_PAD = ExpertPlan(
    dataset="cifar10", count=100, epochs=100, zca=True, gsam_rho=0.01, curriculum=True, curriculum_by="grand"
)

MTT_CIFAR = Reproduction(
    name="mtt-cifar10",
    title="MTT on CIFAR-10, ConvNet, ZCA, 1 and 10 images per class; for one large GPU",
    source="Cazenavette et al., CVPR 2022, https://arxiv.org/abs/2203.11932, table 1",
    recipe="trajectory-1000",
    rows=tuple(
        Row(
            label=f"mtt ipc {ipc}",
            settings=partial(_settings, "mtt", "cifar10", ipc, zca=True, keep="graphs"),
            published={"convnet": accuracy},
            experts=CIFAR_EXPERTS,
        )
        for ipc, accuracy in ((1, Published(46.2, 0.8)), (10, Published(65.4, 0.7)))
    ),
    notes=(SPLIT, LAST),
)

PAD_CIFAR = Reproduction(
    name="pad-cifar10",
    title="PAD on CIFAR-10, ConvNet, ZCA, 1, 10 and 50 images per class; for one large GPU",
    source="Li et al., 2024, https://arxiv.org/abs/2408.03360, table 1",
    recipe="soft-label",
    rows=tuple(
        Row(
            label=f"pad ipc {ipc}",
            settings=partial(_settings, "pad", "cifar10", ipc, zca=True, keep="graphs"),
            published={"convnet": accuracy},
            experts=CIFAR_PAD,
        )
        for ipc, accuracy in ((1, Published(47.2, 0.6)), (10, Published(67.4, 0.3)), (50, Published(77.0, 0.5)))
    ),
    notes=(SPLIT, LAST),
)
