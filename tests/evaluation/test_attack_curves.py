"""Robustness curves: the set, as many random images, and so many that networks are as accurate."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from potstill.data import ImageDataset, load_dataset
from potstill.evaluation import Recipe, attack_curves, measure_attacks
from potstill.evaluation.probing import TrainAndProbe
from potstill.runtime.errors import UserError
from potstill.schema.attacks import EQUAL, RANDOM, SET, AttackCurves, Probe
from potstill.selection import random_indices
from potstill.synthetic import SyntheticSet
from potstill.units import Crew
from tests.small import NETWORK, on_cpu, small_digits

pytestmark = pytest.mark.slow

RECIPE = Recipe(name="test", summary="a few epochs", epochs=12, full_epochs=3, learning_rate=0.05)
PROBES = (Probe(kind="clean"), Probe(kind="fgsm", strength=0.1), Probe(kind="blur", strength=2.0))


@pytest.fixture(scope="module")
def dataset() -> ImageDataset:
    return small_digits(train=5)


@pytest.fixture(autouse=True)
def few_probes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attack_curves, "curves", lambda epsilons, steps: PROBES)


def real_set(dataset: ImageDataset, ipc: int = 2) -> SyntheticSet:
    return SyntheticSet.from_indices(dataset.train, random_indices(dataset.train, ipc, torch.Generator()))


def measured(dataset: ImageDataset, **options: Any) -> AttackCurves:
    given = {"recipe": RECIPE, "networks": [NETWORK], "repeats": 2, "attacked_images": 60} | options
    return measure_attacks(given.pop("synthetic", real_set(dataset)), on_cpu(dataset), **given)


def test_the_set_random_images_and_equal_accuracy_stand_side_by_side(dataset: ImageDataset, tmp_path: Path):
    found = measured(dataset, record=tmp_path / "attacks.json")
    assert [each.trained_on for each in found.networks[NETWORK]] == [SET, RANDOM, EQUAL]
    assert all(len(each.accuracies) == 2 for each in found.networks[NETWORK])
    assert AttackCurves.read(tmp_path / "attacks.json") == found
    ours, equal = found.of(NETWORK, SET), found.of(NETWORK, EQUAL)
    assert ours is not None
    assert equal is not None
    assert equal.images_per_class in (1, 2, 5)


def test_the_number_of_equal_accuracy_is_the_one_that_comes_nearest(dataset: ImageDataset):
    noise = replace(real_set(dataset), images=torch.randn(20, 1, 8, 8, generator=torch.Generator().manual_seed(0)))
    whole = real_set(dataset, ipc=5)
    numbers = []
    for synthetic in (noise, whole):
        equal = measured(dataset, synthetic=synthetic, recipe=replace(RECIPE, epochs=60)).of(NETWORK, EQUAL)
        assert equal is not None
        numbers.append(equal.images_per_class)
    assert numbers == [1, 5], "the fewest for a set that teaches nothing, the most for all training images"


def test_what_is_on_record_is_not_done_again(dataset: ImageDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    first = measured(dataset, record=tmp_path / "attacks.json", repeats=1)
    done: list[int] = []
    run = TrainAndProbe.run

    def counted(self: TrainAndProbe, workplace: Any) -> Any:
        done.append(self.repeat)
        return run(self, workplace)

    monkeypatch.setattr(TrainAndProbe, "run", counted)
    assert measured(dataset, record=tmp_path / "attacks.json", repeats=1) == first
    assert done == []
    measured(dataset, record=tmp_path / "attacks.json", repeats=2)
    assert set(done) == {1}, "only the second repeats are new"


def test_other_networks_of_the_same_protocol_stay_on_record(dataset: ImageDataset, tmp_path: Path):
    measured(dataset, record=tmp_path / "attacks.json", repeats=1)
    both = measured(dataset, record=tmp_path / "attacks.json", repeats=1, networks=["mlp:width=8"])
    assert list(both.networks) == [NETWORK, "mlp:width=8"]
    other = measured(dataset, record=tmp_path / "attacks.json", repeats=1, recipe=replace(RECIPE, epochs=3))
    assert list(other.networks) == [NETWORK]


def test_processes_give_the_same_numbers(dataset: ImageDataset, crew: Crew):
    here = measured(dataset)
    session = on_cpu(dataset, executor=crew)
    there = measure_attacks(
        real_set(dataset), session, recipe=RECIPE, networks=[NETWORK], repeats=2, attacked_images=60
    )
    assert [each.accuracies for each in there.networks[NETWORK]] == [each.accuracies for each in here.networks[NETWORK]]


def test_a_network_that_cannot_be_trained_is_told(dataset: ImageDataset):
    found = measured(dataset, recipe=replace(RECIPE, learning_rate=1e12))
    (result,) = found.networks[NETWORK]
    assert "diverged" in (result.failed or "")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epsilons": [0.1, 1.5]}, "`epsilons=0.1,1.5` are not all between 0 and 1"),
        ({"epsilons": []}, "are not all between 0 and 1"),
        ({"recipe": "tuned-300"}, "tunes learning rates"),
        ({"recipe": "replay"}, "replays learned steps"),
        ({"recipe": "trajectory-1000"}, "this set has none"),
        ({"networks": ["convent"]}, "unknown network 'convent'"),
        ({"networks": []}, "no network is named"),
        ({"attacked_images": 0}, "`attacked_images=0` is too small"),
        ({"repeats": 0}, "`repeats=0` is too small"),
    ],
)
def test_what_cannot_be_measured_is_refused(dataset: ImageDataset, options: dict[str, Any], message: str):
    with pytest.raises(UserError, match=message):
        measured(dataset, **options)


def test_whitened_images_are_refused():
    data = load_dataset("digits", zca=True)
    with pytest.raises(UserError, match="whitened images have none"):
        measured(data)
