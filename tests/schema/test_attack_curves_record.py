"""The record of robustness curves: what is derived from it, and what it refuses."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from potstill.evaluation.recipes import find_recipe
from potstill.runtime.errors import UserError
from potstill.schema.attacks import EQUAL, SET, AttackCurves, AttackedNetworks, Probe
from potstill.schema.fields import Fields

PROBES = [
    Probe(kind="clean"),
    Probe(kind="pgd", strength=0.2, steps=5),
    Probe(kind="pgd", strength=0.1, steps=5),
    Probe(kind="blur", strength=1.0),
    Probe(kind="pgd", strength=1.0, steps=10),
]
OURS = AttackedNetworks(
    trained_on=SET, images_per_class=1, accuracies=[[0.9, 0.2, 0.5, 0.8, 0.0], [0.8, 0.1, 0.4, 0.7, 0.0]]
)
FOUND = AttackCurves(
    set_sha256="a",
    dataset_fingerprint="b",
    seed=0,
    recipe=find_recipe("quick"),
    images=100,
    chance=0.1,
    probes=PROBES,
    networks={"convnet": [OURS]},
)


def test_a_curve_begins_with_clean_images_and_leaves_the_check_out():
    assert FOUND.curve("pgd") == [0, 2, 1]
    assert FOUND.curve("blur") == [0, 3]
    assert FOUND.curve("cw") == []
    assert FOUND.unlimited == 4


def test_means_are_over_attacks_or_corruptions_alone():
    assert FOUND.under_attack(OURS) == pytest.approx([0.35, 0.25])
    assert FOUND.under_corruption(OURS) == pytest.approx([0.8, 0.7])
    none = replace(FOUND, probes=PROBES[:1])
    assert none.under_attack(OURS) is None


def test_networks_that_withstand_everything_mask_their_gradients():
    assert not FOUND.masks_gradients(OURS)
    masking = replace(OURS, accuracies=[[0.9, 0.9, 0.9, 0.8, 0.6]])
    assert FOUND.masks_gradients(masking)
    assert not replace(FOUND, probes=PROBES[:4]).masks_gradients(masking), "it was not checked"


def test_results_are_found_by_what_was_trained_on():
    assert FOUND.of("convnet", SET) == OURS
    assert FOUND.of("convnet", EQUAL) is None
    assert FOUND.of("mlp", SET) is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"probes": PROBES[1:]}, "probes is not a list that begins with clean images"),
        ({"probes": []}, "probes is not a list that begins with clean images"),
        ({"networks": {"convnet": [replace(OURS, accuracies=[[0.5]])]}}, "networks is not an accuracy for each probe"),
    ],
)
def test_a_record_that_does_not_hold_together_is_refused(change: dict[str, object], message: str):
    written = json.loads(json.dumps(replace(FOUND, **change).to_json()))  # pyright: ignore[reportArgumentType]
    with pytest.raises(UserError, match=message):
        AttackCurves.from_json(Fields(Path("attacks.json"), written))
