"""Every registered method keeps every promise of ``potstill.testing``: a test for each promise and method."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest

from potstill.methods import METHODS
from potstill.testing import CHECKS, Case
from tests.small import small_experts

pytestmark = pytest.mark.slow

SMALL = {"batch_real": 16, "learning_rate": 0.1, "teacher_epochs": 2, "tries": 2}
MATCHED = {
    "student_steps": 3,
    "expert_epochs": 2,
    "latest_start": 2,
    "student_batch": 0,
    "learning_rate": 20.0,
    "rate_learning_rate": 1e-5,
    "initial_rate": 0.05,
    "first_latest_start": 1,
    "growth": 2,
    "label_learning_rate": 2.0,
    "loss_threshold": 0.0,
}
"""Settings of what matches experts, of which each takes those that it has."""

CASES = {
    **{name: {} for name in METHODS},
    "psg": {"epsilon": 10.0, "delta": 1e-4, "queries": 40, "batch_loops": 2, "learning_rate": 1.0},
    "dp-dm": {"epsilon": 10.0, "delta": 1e-4, "queries": 6, "group": 60, "learning_rate": 0.1},
    "frepo": {"batch_real": 100, "networks": 2, "most_steps": 5, "optimiser": "adam", "learning_rate": 0.02},
    "idc": {"learning_rate": 0.1, "outer_loops": 3, "network_images": 20, "network_batch": 8},
    "linear-gradient": {"batch_real": 60},
    "linear-gradient with trained heads": {"heads": "trained", "trainings": 2, "head_steps": 6, "batch_real": 60},
    "ld": {"inner_steps": 4},
    "dance": {"learning_rate": 0.3},
    "ncfm": {"learning_rate": 0.05, "frequencies": 64},
    "datadam whose networks are trained": {"network_iterations": 3, "network_steps": 2, "network_learning_rate": 0.1},
    "dc whose networks are trained": {"outer_loops": 3, "inner_epochs": 2, "network_learning_rate": 0.1},
    "dsa whose networks are trained": {"outer_loops": 3, "inner_epochs": 2, "network_learning_rate": 0.1},
    "dm of representative batches": {
        "batches": "representative",
        "clustering_interval": 2,
        "clustering_candidates": 40,
    },
    "dsa of representative batches": {"batches": "representative", "clustering_interval": 2, "outer_loops": 3},
    "dd from one fixed network": {"initial": "fixed", "passes": 2},
}

# Of what some methods are for, a toy shows nothing in 40 iterations: labels of noise take larger steps, and two small
# experts have nothing to teach that a lucky real start does not know.
LEARNS = "it beats its own start"
TOYS: dict[str, dict[str, Any]] = {
    "dd": {"learning_rate": 0.1, "batch_real": 256, "passes": 3},
    "ld": {"learning_rate": 0.2, "batch_real": 256, "inner_steps": 5},
    "psg": {"batch_loops": 1},
    "dm": {"learning_rate": 0.3},
    "idc": {"batch_real": 64, "network_images": 40, "network_batch": 16},
    # Representatives are chosen seldom, for that takes most of the time.
    "dm of representative batches": {"clustering_interval": 5},
    "dsa of representative batches": {"clustering_interval": 10, "outer_loops": 2},
    # As many images as a toy network has features fit any labels: only a ridge leaves something to learn.
    "frepo": {"ridge": 0.1, "networks": 5, "most_steps": 20, "network_learning_rate": 3e-3, "learning_rate": 0.1},
}
VARIED = (
    "one seed gives the same bits",
    "another seed gives another set",
    "another seed moves the same start elsewhere",
    "one worker or two give the same bits",
    "a resumed run equals an uninterrupted one",
    "a step leaves its arguments alone",
    "everything stays finite",
    "double precision is kept until the result",
    "the state is a flat dictionary of tensors",
    LEARNS,
)
"""What other settings of a method that is tested already could break."""
FROM_NOISE = ("ld", "dp-dm", "psg", "mtt", "tesla")
DRAW_NOTHING = ("average", "k-means")


def test_promises_of_variants_are_promises():
    assert set(VARIED) <= set(CHECKS)


def case_of(name: str, promise: str) -> Case:
    """The method of a case, made small."""
    kind = METHODS[name.split()[0]]
    names = {field.name for field in fields(kind)}
    given = {**SMALL, **MATCHED, "experts": small_experts()} if "experts" in names else SMALL
    small = {setting: value for setting, value in given.items() if setting in names} | CASES[name]
    if promise == LEARNS:
        small |= TOYS.get(kind.name, {}) | TOYS.get(name, {})
    return Case(kind, small, noise=kind.name in FROM_NOISE)


@pytest.mark.parametrize(
    ("promise", "name"),
    # The promises of one case come one after another: most of them look at the same run.
    [(promise, name) for name in CASES for promise in CHECKS if name in METHODS or promise in VARIED],
)
def test_keeps_its_promise(promise: str, name: str):
    if promise == "another seed gives another set" and name in DRAW_NOTHING:
        pytest.skip("nothing is drawn at random")
    CHECKS[promise](case_of(name, promise))
