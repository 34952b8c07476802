"""Every constant that a paper or its released program gives, with the place that gives it.

What is our own choice is not here. Recipes as a whole are frozen in ``tests/evaluation/test_recipes.py``; here stand
the protocols that they come from.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from potstill.augmentation import SiameseAugmentation, condensation_augmentation, siamese_augmentation
from potstill.data import fit_whitening
from potstill.engine import fit
from potstill.engine.schedule import Schedule
from potstill.evaluation import find_recipe
from potstill.evaluation.robustness import RATES
from potstill.experts import curriculum
from potstill.experts.plan import ExpertPlan
from potstill.methods import (
    ATOM,
    DANCE,
    DATM,
    DC,
    DD,
    DM,
    DSA,
    IDC,
    MTT,
    NCFM,
    PAD,
    RDED,
    TESLA,
    DataDAM,
    FRePo,
    Method,
)
from potstill.methods import gradient as gradient_matching
from potstill.methods.distribution import datadam
from potstill.methods.gradient import dc, distances
from potstill.methods.trajectory import aligned
from potstill.methods.unrolled import dd
from potstill.networks import ImageShape
from potstill.networks.convnet import ConvNet, default_depth
from potstill.reproductions import find_reproduction
from potstill.reproductions.trajectories import CIFAR_EXPERTS, CIFAR_PAD
from potstill.schema.robustness import WEIGHT

DD_PROGRAM = "Wang et al. 2018 and train_distilled_image.py"
DC_PROGRAM = "Zhao et al., ICLR 2021, main.py and utils.py"
DSA_PROGRAM = "Zhao and Bilen, ICML 2021, utils.py"
DM_PROGRAM = "Zhao and Bilen, WACV 2023, main_DM.py"
DATADAM_PAPER = "Sajedi et al., ICCV 2023"
DATADAM_PROGRAM = "main_DataDAM.py"
IDC_PROGRAM = "Kim et al., ICML 2022, misc/reproduce.py, argument.py and train.py"
DANCE_PROGRAM = "Zhang et al., IJCAI 2024, arguments/reproduce_condense.py"
NCFM_PROGRAM = "Wang et al., CVPR 2025, config and NCFM/NCFM.py"
FREPO_PROGRAM = "Zhou et al., NeurIPS 2022, script/distill.py and lib/datadistillation/frepo.py"
MTT_PROGRAM = "Cazenavette et al., CVPR 2022, buffer.py and distill.py"
DATM_PROGRAM = "Guo et al., ICLR 2024, DATM.py and its configurations"
PAD_PROGRAM = "Li et al. 2024, README and configurations"
DD_RANKING = "Li et al. 2025, metrics/hard_label.py and aug_robust.py"
COURSEWORK = "the coursework on DataDAM"

MNIST, CIFAR, TINY, IMAGENET = (ImageShape(*shape) for shape in ((1, 28, 28), (3, 32, 32), (3, 64, 64), (3, 128, 128)))


def default(of: Callable[..., Any], name: str) -> Any:
    return inspect.signature(of).parameters[name].default


CONSTANTS: list[tuple[str, Any, Any, str]] = [
    # DD
    ("dd: decay rates of Adam", dd.BETAS, (0.5, 0.999), DD_PROGRAM),
    ("dd: learning rate", DD().learning_rate, 0.01, DD_PROGRAM),
    ("dd: factor of the decay", dd.DECAY, 0.5, DD_PROGRAM),
    ("dd: first rate of the steps", DD().initial_rate, 0.02, DD_PROGRAM),
    ("dd: real images", DD().batch_real, 1024, DD_PROGRAM),
    ("dd: passes (distill_epochs)", DD().passes, 3, DD_PROGRAM),
    ("dd: one image of each class a step", DD().resolved(10).batches, 10, DD_PROGRAM),
    ("dd: weights are drawn by", DD().scheme, "xavier", DD_PROGRAM),
    ("dd: start", DD().default_start, "noise", DD_PROGRAM),
    # DC and DSA
    ("dc: start", DC().default_start, "noise", DC_PROGRAM),
    ("dsa: start", DSA().default_start, "real", DSA_PROGRAM),
    ("dc: networks", dc.PUBLISHED_NETWORKS, 1000, DC_PROGRAM),
    (
        "dc: outer loops and inner epochs by images per class",
        dc.PUBLISHED_LOOPS,
        {1: (1, 1), 10: (10, 50), 20: (20, 25), 30: (30, 20), 40: (40, 15), 50: (50, 10), 100: (100, 2)},
        f"{DC_PROGRAM}, get_loops; the last is its author's in issue 2",
    ),
    ("dc: real images of each class for batch norm", gradient_matching.STATISTICS_IMAGES, 16, DC_PROGRAM),
    ("dc: added to the product of two lengths", distances.EPSILON, 1e-6, DC_PROGRAM),
    *(
        (f"{method.name}: {name}", getattr(method, name), value, DC_PROGRAM)
        for method in (DC().resolved(10), DSA().resolved(10))
        for name, value in {
            "distance": "layerwise",
            "batch_real": 256,
            "learning_rate": 0.1,
            "momentum": 0.5,
            "network_learning_rate": 0.01,
            "network_batch": 256,
        }.items()
    ),
    # DM and DataDAM
    ("dm: iterations", DM().default_iterations(10), 20_000, DM_PROGRAM),
    ("dm: start", DM().default_start, "real", DM_PROGRAM),
    ("dm: real images of each class", DM().batch_real, 256, DM_PROGRAM),
    ("dm: learning rate", DM().settled_learning_rate, 1.0, DM_PROGRAM),
    ("dm: momentum", DM().momentum, 0.5, DM_PROGRAM),
    ("dm: augmentation", DM().augment, True, DM_PROGRAM),
    ("datadam: iterations", DataDAM().default_iterations(10), 8_000, DATADAM_PAPER),
    ("datadam: power", DataDAM().power, 4.0, DATADAM_PAPER),
    ("datadam: weight of the embedding", DataDAM().mmd_weight, 0.01, DATADAM_PAPER),
    ("datadam: factor of the loss", DataDAM().loss_scale, 100.0, DATADAM_PROGRAM),
    ("datadam: released power", datadam.RELEASED_POWER, 1.0, DATADAM_PROGRAM),
    ("datadam: released factor", datadam.RELEASED_LOSS_SCALE, 100.0, DATADAM_PROGRAM),
    ("datadam: start", DataDAM().default_start, "real", DATADAM_PROGRAM),
    ("datadam: learning rate", DataDAM().settled_learning_rate, 1.0, DATADAM_PROGRAM),
    ("datadam: momentum", DataDAM().momentum, 0.5, DATADAM_PROGRAM),
    ("datadam: steps of the network", DataDAM().network_steps, 0, DATADAM_PROGRAM),
    # Later methods that match distributions or gradients
    ("atom: power of channel attention", ATOM().channel_power, 4.0, "Khaki et al. 2024"),
    ("dance: iterations", DANCE().default_iterations(10), 10_000, DANCE_PROGRAM),
    ("dance: real images of each class", DANCE().batch_real, 128, DANCE_PROGRAM),
    ("dance: step size, of pixels of variance 1/16", DANCE().resolved(10).learning_rate, 0.01 * 10 * 16, DANCE_PROGRAM),
    ("ncfm: iterations", NCFM().default_iterations(10), 20_000, NCFM_PROGRAM),
    ("ncfm: weights of amplitude and phase", (NCFM().amplitude_weight, NCFM().phase_weight), (0.5, 0.5), NCFM_PROGRAM),
    ("ncfm: factor of the loss", NCFM().characteristic_scale, 300.0, NCFM_PROGRAM),
    ("ncfm: frequencies", NCFM().frequencies, 1024, "Wang et al. 2025; the released settings have 4096"),
    ("dance, ncfm: weight of the calibration", (DANCE().calibration, NCFM().calibration), (1.0, 1.0), NCFM_PROGRAM),
    ("idc: iterations", IDC().default_iterations(10), 2_000 * 100, IDC_PROGRAM),
    ("idc: real images of each class", IDC().batch_real, 64, IDC_PROGRAM),
    *(
        (f"idc: real images of training for {name}", IDC().resolved(10, name).network_images, count, IDC_PROGRAM)
        for name, count in {"cifar10": 2_000, "cifar100": 2_000, "mnist": 500, "svhn": 500}.items()
    ),
    ("idc: CutMix of the network's batches", IDC().cutmix, 0.5, IDC_PROGRAM),
    ("idc: momentum of the network", IDC().network_momentum, 0.9, IDC_PROGRAM),
    ("idc: weight decay of the network", IDC().network_weight_decay, 5e-4, IDC_PROGRAM),
    ("idc: step size for CIFAR-10", IDC().resolved(10, "cifar10").learning_rate, 5e-3 * 16, IDC_PROGRAM),
    ("frepo: iterations", FRePo().default_iterations(10), 500_000, FREPO_PROGRAM),
    ("frepo: real images", FRePo().batch_real, 1024, FREPO_PROGRAM),
    ("frepo: networks and their steps", (FRePo().networks, FRePo().most_steps), (10, 100), FREPO_PROGRAM),
    ("frepo: step sizes", (FRePo().settled_learning_rate, FRePo().network_learning_rate), (3e-4, 3e-4), FREPO_PROGRAM),
    ("frepo: ridge", FRePo().ridge, 1e-6, FREPO_PROGRAM),
    ("rded: candidates and crops", (RDED().candidates, RDED().crops), (300, 5), "Sun et al. 2024, released scripts"),
    ("dream: updates between clusterings", DM().clustering_interval, 10, "Liu et al. 2023, released program"),
    # Trajectories
    *(
        (f"{method.name}: momentum of pixels and rate", method.momentum, 0.5, MTT_PROGRAM)
        for method in (MTT(), TESLA(), DATM(), PAD())
    ),
    ("mtt: iterations", MTT().default_iterations(10), 5_000, MTT_PROGRAM),
    ("datm: iterations", DATM().default_iterations(10), 10_000, DATM_PROGRAM),
    ("pad: iterations", PAD().default_iterations(10), 10_000, PAD_PROGRAM),
    ("datm: momentum of labels", aligned.LABEL_MOMENTUM, 0.9, DATM_PROGRAM),
    ("pad: parameters are left out by", PAD().by, "depth", "Li et al. 2024; the released program goes by difference"),
    ("mtt: eps of ZCA", default(fit_whitening, "eps"), 0.1, MTT_PROGRAM),
    # Experts
    *(
        (f"experts: {name}", getattr(CIFAR_EXPERTS, name), value, MTT_PROGRAM)
        for name, value in {
            "count": 100,
            "epochs": 50,
            "batch_size": 256,
            "learning_rate": 0.01,
            "momentum": 0.0,
            "weight_decay": 0.0,
            "gsam_rho": 0.0,
            "zca": True,
        }.items()
    ),
    *(
        (f"experts by default: {name}", getattr(ExpertPlan(), name), value, MTT_PROGRAM)
        for name, value in {"batch_size": 256, "learning_rate": 0.01, "momentum": 0.0, "weight_decay": 0.0}.items()
    ),
    ("experts of pad: epochs", CIFAR_PAD.epochs, 100, DATM_PROGRAM),
    ("experts of pad: rho of GSAM", CIFAR_PAD.gsam_rho, 0.01, DATM_PROGRAM),
    ("experts of pad: curriculum by", CIFAR_PAD.curriculum_by, "grand", PAD_PROGRAM),
    ("gsam: alpha", fit.GSAM_ALPHA, 0.3, DATM_PROGRAM),
    ("curriculum: the easiest that begin", curriculum.EASY_FIRST, 0.75, PAD_PROGRAM),
    ("curriculum: all by epoch 20 of 100", curriculum.ALL_BY, 0.2, PAD_PROGRAM),
    ("curriculum: 20 % go at 60, 10 % at 40", curriculum.DROPPED, ((0.6, 0.2), (0.4, 0.1)), PAD_PROGRAM),
    # Augmentation
    *(
        (f"siamese: {name}", getattr(siamese_augmentation(flips=True), name), value, DSA_PROGRAM)
        for name, value in {
            "operations": ("color", "crop", "cutout", "flip", "scale", "rotate"),
            "sequence": False,
            "brightness": 1.0,
            "saturation": 2.0,
            "contrast": 0.5,
            "crop": 0.125,
            "cutout": 0.5,
            "scale": 1.2,
            "rotation": 15.0,
        }.items()
    ),
    (
        "siamese, digits",
        siamese_augmentation(flips=False).operations,
        (*SiameseAugmentation().operations[:3], "scale", "rotate"),
        DSA_PROGRAM,
    ),
    *(
        (f"condensation: {name}", getattr(condensation_augmentation(), name), value, DC_PROGRAM)
        for name, value in {
            "operations": ("crop", "scale", "rotate"),
            "crop": 4 / 28,
            "scale": 1.2,
            "rotation": 45.0,
        }.items()
    ),
    # Networks
    ("convnet: width", default(ConvNet, "width"), 128, DC_PROGRAM),
    ("convnet: norm", default(ConvNet, "norm"), "instance", DC_PROGRAM),
    ("convnet: activation", default(ConvNet, "activation"), "relu", DC_PROGRAM),
    ("convnet: pooling", default(ConvNet, "pooling"), "avg", DC_PROGRAM),
    *(
        (f"convnet: depth at {shape}", default_depth(shape), depth, place)
        for shape, depth, place in (
            (MNIST, 3, DC_PROGRAM),
            (CIFAR, 3, DC_PROGRAM),
            (TINY, 4, MTT_PROGRAM),
            (IMAGENET, 5, MTT_PROGRAM),
        )
    ),
    # Evaluation
    *(
        (f"{recipe}: {name}", getattr(find_recipe(recipe), name), value, DC_PROGRAM)
        for recipe in ("dc-300", "dc-1000", "dsa-1000", "datadam-1800", "trajectory-1000", "soft-label")
        for name, value in {
            "optimiser": "sgd",
            "learning_rate": 0.01,
            "momentum": 0.9,
            "weight_decay": 5e-4,
            "batch_size": 256,
            "decay": "cut",
        }.items()
    ),
    ("dc-300: epochs", find_recipe("dc-300").epochs, 300, DC_PROGRAM),
    ("dc-1000: epochs", find_recipe("dc-1000").epochs, 1000, DC_PROGRAM),
    ("dc-1000: augmentation", find_recipe("dc-1000").augmentation, "condensation", DC_PROGRAM),
    ("dsa-1000: epochs", find_recipe("dsa-1000").epochs, 1000, DSA_PROGRAM),
    ("dsa-1000: augmentation", find_recipe("dsa-1000").augmentation, "siamese", DSA_PROGRAM),
    ("datadam-1800: epochs", find_recipe("datadam-1800").epochs, 1800, DATADAM_PROGRAM),
    ("trajectory-1000: epochs", find_recipe("trajectory-1000").epochs, 1000, MTT_PROGRAM),
    ("trajectory-1000: the set's own rate", find_recipe("trajectory-1000").learned_rate, True, MTT_PROGRAM),
    ("soft-label: share of the average", find_recipe("soft-label").ema_decay, 0.995, DATM_PROGRAM),
    *(
        (f"{recipe}: {name}", getattr(find_recipe(recipe), name), value, IDC_PROGRAM)
        for recipe in ("idc-1000", "idc-1000-digits")
        for name, value in {
            "epochs": 1000,
            "batch_size": 64,
            "optimiser": "sgd",
            "learning_rate": 0.01,
            "momentum": 0.9,
            "weight_decay": 5e-4,
            "decay": "two-cuts",
        }.items()
    ),
    ("idc-1000: CutMix of batches", find_recipe("idc-1000").cutmix_probability, 0.5, IDC_PROGRAM),
    ("idc-1000-digits: CutMix", find_recipe("idc-1000-digits").cutmix, False, IDC_PROGRAM),
    *(
        (f"ncfm-2000: {name}", getattr(find_recipe("ncfm-2000"), name), value, NCFM_PROGRAM)
        for name, value in {
            "epochs": 2000,
            "batch_size": 128,
            "optimiser": "adamw",
            "learning_rate": 1e-3,
            "weight_decay": 0.01,
            "decay": "halvings",
            "cutmix_probability": 0.5,
        }.items()
    ),
    ("coursework-50: epochs", find_recipe("coursework-50").epochs, 50, COURSEWORK),
    ("cut: epoch of 300", Schedule(epochs=300).cut_epoch, 151, f"{DC_PROGRAM}, Epoch // 2 + 1"),
    ("cut: rate before", Schedule(epochs=300).rate(150), 0.01, DC_PROGRAM),
    ("cut: rate after", Schedule(epochs=300).rate(151), 0.001, DC_PROGRAM),
    # Robustness
    ("dd-ranking: rates that are tried", RATES, (0.001, 0.005, 0.01, 0.05, 0.1), DD_RANKING),
    ("dd-ranking: weight of each half", WEIGHT, 0.5, DD_RANKING),
]


@pytest.mark.parametrize(("ours", "published"), [row[1:3] for row in CONSTANTS], ids=[row[0] for row in CONSTANTS])
def test_constant(ours: Any, published: Any):
    assert type(ours) is type(published)
    assert ours == (pytest.approx(published, rel=1e-12) if isinstance(published, float) else published)


def test_every_constant_has_one_place():
    names = [row[0] for row in CONSTANTS]
    assert len(set(names)) == len(names)
    assert all(row[3] for row in CONSTANTS)


# The hyper-parameters of trajectory matching: N, M, T+, learning rate of pixels, of the rate, first rate, batch.

TRAJECTORY = ("student_steps", "expert_epochs", "latest_start", "learning_rate")
TRAJECTORY_TABLE: dict[tuple[str, int], tuple[float, ...]] = {
    ("cifar10", 1): (50, 2, 2, 100.0, 1e-7, 0.01, 0),
    ("cifar10", 10): (30, 2, 20, 100.0, 1e-5, 0.001, 0),
    ("cifar10", 50): (30, 2, 40, 1000.0, 1e-5, 0.001, 0),
    ("cifar100", 1): (20, 3, 20, 1000.0, 1e-5, 0.01, 0),
    ("cifar100", 10): (20, 2, 20, 1000.0, 1e-5, 0.01, 0),
    ("cifar100", 50): (80, 2, 40, 1000.0, 1e-5, 0.01, 125),
    ("tiny-imagenet", 1): (10, 2, 10, 1e4, 1e-4, 0.01, 0),
    ("tiny-imagenet", 10): (20, 2, 40, 1e4, 1e-4, 0.01, 200),
    ("tiny-imagenet", 50): (20, 2, 40, 1e4, 1e-4, 0.01, 300),
}
"""DC-Bench, methods/tm/readme.md: "provided by the author" of MTT."""

# N, M, learning rate of pixels, of labels, T-, T at first, T+, batch; and the iteration by which T has grown.
ALIGNED = (*TRAJECTORY[:2], "learning_rate", "label_learning_rate", "earliest_start", "first_latest_start")
DATM_TABLE: dict[tuple[str, int], tuple[float, ...]] = {
    ("cifar10", 1): (80, 2, 100.0, 5.0, 0, 4, 4, 0),
    ("cifar10", 10): (80, 2, 100.0, 2.0, 0, 10, 20, 0),
    ("cifar10", 50): (80, 2, 1000.0, 2.0, 0, 20, 40, 0),
    ("cifar10", 500): (40, 2, 50.0, 10.0, 40, 60, 60, 1000),
    ("cifar10", 1000): (100, 2, 50.0, 10.0, 40, 60, 60, 1000),
    ("cifar100", 1): (40, 3, 1000.0, 10.0, 0, 10, 20, 0),
    ("cifar100", 10): (80, 2, 1000.0, 10.0, 0, 30, 50, 0),
    ("cifar100", 50): (80, 2, 1000.0, 10.0, 20, 70, 70, 1000),
    ("cifar100", 100): (80, 2, 50.0, 10.0, 30, 70, 70, 1000),
    ("tiny-imagenet", 1): (40, 2, 1e4, 10.0, 0, 15, 20, 0),
    ("tiny-imagenet", 10): (40, 2, 100.0, 10.0, 10, 50, 50, 500),
    ("tiny-imagenet", 50): (20, 2, 100.0, 10.0, 40, 70, 70, 1000),
}
"""The configurations of DATM's program."""

PAD_TABLE = {
    **DATM_TABLE,
    ("cifar10", 50): (80, 3, 1000.0, 2.0, 0, 20, 40, 0),
    ("cifar10", 500): (40, 2, 50.0, 10.0, 40, 60, 70, 1000),
    ("cifar100", 1): (40, 3, 1000.0, 10.0, 0, 20, 30, 0),
}
"""The configurations of PAD's program: DATM's, but for three."""

GROWTH = {("cifar10", 10): 1000, ("cifar10", 50): 2000, ("cifar100", 1): 1000, ("cifar100", 10): 2000} | {
    ("tiny-imagenet", 1): 2000
}
"""DATM's ``expansion_end_epoch``, where the range of starts grows."""

PAD_RATIOS = {
    "cifar10": {1: 0.0, 10: 0.5, 50: 0.25, 500: 0.5, 1000: 0.5},
    "cifar100": {1: 0.5, 10: 0.5, 50: 0.0, 100: 0.5},
    "tiny-imagenet": {1: 0.5, 10: 0.5, 50: 0.5},
}
"""PAD, README: the share of the parameters that is left out."""


def settings(method: Method, names: tuple[str, ...], dataset: str, images_per_class: int) -> tuple[Any, ...]:
    resolved = method.resolved(images_per_class, dataset)
    return tuple(getattr(resolved, name) for name in names)


@pytest.mark.parametrize("method", [MTT(), TESLA()], ids=lambda method: method.name)
@pytest.mark.parametrize(("dataset", "images_per_class"), TRAJECTORY_TABLE)
def test_settings_of_mtt(method: Method, dataset: str, images_per_class: int):
    names = (*TRAJECTORY, "rate_learning_rate", "initial_rate", "student_batch")
    assert settings(method, names, dataset, images_per_class) == TRAJECTORY_TABLE[dataset, images_per_class]


@pytest.mark.parametrize(("method", "table"), [(DATM(), DATM_TABLE), (PAD(), PAD_TABLE)], ids=["datm", "pad"])
@pytest.mark.parametrize(("dataset", "images_per_class"), DATM_TABLE)
def test_settings_of_datm_and_pad(
    method: Method, table: Mapping[tuple[str, int], tuple[float, ...]], dataset: str, images_per_class: int
):
    asked = dataset, images_per_class
    names = (*ALIGNED, "latest_start", "student_batch")
    assert settings(method, names, *asked) == table[asked]
    rate = {("cifar10", 1): 1e-7, ("tiny-imagenet", 1): 1e-4}.get(asked, 1e-5)
    threshold = 1.1 if asked == ("cifar10", 1) else 0.0
    rates = ("rate_learning_rate", "initial_rate", "loss_threshold")
    assert settings(method, rates, *asked) == (rate, 0.01, threshold)
    (first, last, growth) = settings(method, ("first_latest_start", "latest_start", "growth"), *asked)
    if first != last:
        assert growth == (2000 if asked == ("cifar10", 500) else GROWTH[asked])


@pytest.mark.parametrize(("dataset", "images_per_class"), DATM_TABLE)
def test_ratios_of_pad(dataset: str, images_per_class: int):
    assert settings(PAD(), ("ratio",), dataset, images_per_class) == (PAD_RATIOS[dataset][images_per_class],)


@pytest.mark.parametrize(
    ("dataset", "expected"),
    [
        ("mnist", {"ipc": 10, "iterations": 100 * 10, "batch_real": 256, "learning_rate": 0.1}),
        ("mhist", {"ipc": 50, "iterations": 200 * 10, "batch_real": 128, "learning_rate": 100.0}),
    ],
)
def test_schedule_of_the_coursework(dataset: str, expected: dict[str, float]):
    shared = {"loss_scale": 10_000.0, "mmd_weight": 0.01, "network_iterations": 10, "synthetic_steps": 1}
    training = {"network_steps": 50, "network_learning_rate": 0.01}
    rows = [
        row
        for row in find_reproduction(f"datadam-coursework-{dataset}").rows
        if isinstance(row.settings().method, DataDAM)
    ]
    assert rows
    for row in rows:
        given = {**vars(row.settings().method), "ipc": row.settings().ipc, "iterations": row.settings().iterations}
        wanted = {**shared, **training, **expected}
        assert {name: given[name] for name in wanted} == wanted
