"""Settings of trajectory matching, by dataset and images per class: the published ones, and some that were found here.

Nobody has published any for grey digits: those of MNIST and of scikit-learn's are from our own records.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple


class TrajectoryPreset(NamedTuple):
    """What Cazenavette et al. give for a dataset and a number of images per class (CVPR 2022, appendix).

    Attributes:
        student_steps: N.
        expert_epochs: M.
        latest_start: T+: starts are drawn below it.
        learning_rate: of the pixels.
        rate_learning_rate: of the student's learning rate.
        initial_rate: that learning rate at first.
        student_batch: synthetic images a step; all of them where it is 0.
    """

    student_steps: int
    expert_epochs: int
    latest_start: int
    learning_rate: float
    rate_learning_rate: float
    initial_rate: float
    student_batch: int = 0


class AlignedPreset(NamedTuple):
    """What Guo et al. give for DATM (ICLR 2024): as above, and the range of starts that grows, and labels.

    Attributes:
        earliest_start: T-.
        first_latest_start: T at first.
        latest_start: T+: what it grows to.
        growth: the iteration by which it has grown.
        label_learning_rate: of the labels before their softmax.
        loss_threshold: no step where the loss is above it; 0 for none.
    """

    student_steps: int
    expert_epochs: int
    learning_rate: float
    label_learning_rate: float
    earliest_start: int
    first_latest_start: int
    latest_start: int
    growth: int
    rate_learning_rate: float = 1e-5
    initial_rate: float = 0.01
    student_batch: int = 0
    loss_threshold: float = 0.0


MTT_PRESETS: Mapping[str, Mapping[int, TrajectoryPreset]] = {
    "digits": {
        1: TrajectoryPreset(20, 2, 10, 30.0, 1e-5, 0.01),
        10: TrajectoryPreset(20, 2, 10, 100.0, 1e-5, 0.01),
    },
    "mnist": {
        1: TrajectoryPreset(20, 3, 2, 300.0, 1e-5, 0.02),
        10: TrajectoryPreset(20, 3, 2, 1000.0, 1e-5, 0.02, 25),
    },
    "cifar10": {
        1: TrajectoryPreset(50, 2, 2, 100.0, 1e-7, 0.01),
        10: TrajectoryPreset(30, 2, 20, 100.0, 1e-5, 0.001),
        50: TrajectoryPreset(30, 2, 40, 1000.0, 1e-5, 0.001),
    },
    "cifar100": {
        1: TrajectoryPreset(20, 3, 20, 1000.0, 1e-5, 0.01),
        10: TrajectoryPreset(20, 2, 20, 1000.0, 1e-5, 0.01),
        50: TrajectoryPreset(80, 2, 40, 1000.0, 1e-5, 0.01, 125),
    },
    "tiny-imagenet": {
        1: TrajectoryPreset(10, 2, 10, 1e4, 1e-4, 0.01),
        10: TrajectoryPreset(20, 2, 40, 1e4, 1e-4, 0.01, 200),
        50: TrajectoryPreset(20, 2, 40, 1e4, 1e-4, 0.01, 300),
    },
}

DATM_PRESETS: Mapping[str, Mapping[int, AlignedPreset]] = {
    "digits": {
        1: AlignedPreset(20, 2, 30.0, 2.0, 0, 5, 10, 500),
        10: AlignedPreset(20, 2, 100.0, 2.0, 0, 5, 10, 500),
    },
    "mnist": {
        1: AlignedPreset(20, 3, 300.0, 2.0, 0, 2, 2, 1, initial_rate=0.02),
        10: AlignedPreset(20, 3, 300.0, 2.0, 0, 2, 2, 1, initial_rate=0.02, student_batch=25),
    },
    "cifar10": {
        1: AlignedPreset(80, 2, 100.0, 5.0, 0, 4, 4, 1, 1e-7, loss_threshold=1.1),
        10: AlignedPreset(80, 2, 100.0, 2.0, 0, 10, 20, 1000),
        50: AlignedPreset(80, 2, 1000.0, 2.0, 0, 20, 40, 2000),
        500: AlignedPreset(40, 2, 50.0, 10.0, 40, 60, 60, 1, student_batch=1000),
        1000: AlignedPreset(100, 2, 50.0, 10.0, 40, 60, 60, 1, student_batch=1000),
    },
    "cifar100": {
        1: AlignedPreset(40, 3, 1000.0, 10.0, 0, 10, 20, 1000),
        10: AlignedPreset(80, 2, 1000.0, 10.0, 0, 30, 50, 2000),
        50: AlignedPreset(80, 2, 1000.0, 10.0, 20, 70, 70, 1, student_batch=1000),
        100: AlignedPreset(80, 2, 50.0, 10.0, 30, 70, 70, 1, student_batch=1000),
    },
    "tiny-imagenet": {
        1: AlignedPreset(40, 2, 1e4, 10.0, 0, 15, 20, 2000, 1e-4),
        10: AlignedPreset(40, 2, 100.0, 10.0, 10, 50, 50, 1, student_batch=500),
        50: AlignedPreset(20, 2, 100.0, 10.0, 40, 70, 70, 1, student_batch=1000),
    },
}

PAD_PRESETS: Mapping[str, Mapping[int, AlignedPreset]] = {
    **DATM_PRESETS,
    "cifar10": {
        **DATM_PRESETS["cifar10"],
        50: AlignedPreset(80, 3, 1000.0, 2.0, 0, 20, 40, 2000),
        500: AlignedPreset(40, 2, 50.0, 10.0, 40, 60, 70, 2000, student_batch=1000),
    },
    "cifar100": {
        **DATM_PRESETS["cifar100"],
        1: AlignedPreset(40, 3, 1000.0, 10.0, 0, 20, 30, 1000),
    },
}
"""DATM's, but for what PAD's own configurations have otherwise."""

PAD_RATIOS: Mapping[str, Mapping[int, float]] = {
    "cifar10": {1: 0.0, 10: 0.5, 50: 0.25, 500: 0.5, 1000: 0.5},
    "cifar100": {1: 0.5, 10: 0.5, 50: 0.0, 100: 0.5},
    "tiny-imagenet": {1: 0.5, 10: 0.5, 50: 0.5},
}
"""The share of the parameters, from the shallow end, that PAD leaves out (its README)."""

# For datasets that nobody has published settings for.
MTT_ELSEWHERE = TrajectoryPreset(20, 2, 10, 100.0, 1e-5, 0.01)
DATM_ELSEWHERE = AlignedPreset(20, 2, 100.0, 2.0, 0, 5, 10, 500)
PAD_ELSEWHERE = 0.25


def nearest(presets: Mapping[str, Mapping[int, Any]], dataset: str, images_per_class: int, elsewhere: Any) -> Any:
    """The preset of a dataset for the published number of images per class that is nearest by its ratio."""
    known = presets.get(dataset)
    if known is None:
        return elsewhere
    ratio = {ipc: max(ipc, images_per_class) / min(ipc, images_per_class) for ipc in known}
    return known[min(ratio, key=ratio.__getitem__)]
