"""The curve of random images: where it ends, what is drawn for it, and that nothing is computed twice."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from potstill.data import ImageDataset
from potstill.engine.trainer import Trainer
from potstill.evaluation import Recipe, check_exchangeable, evaluate, exchange, find_recipe
from potstill.evaluation.exchanging import curve_numbers
from potstill.runtime.errors import UserError
from potstill.runtime.lock import locked
from potstill.schema.exchange import Exchange
from potstill.selection import random_indices
from potstill.synthetic import SyntheticSet
from potstill.units import Crew
from tests.killed import Killed, killed_after
from tests.small import NETWORK, few, on_cpu, small_digits

RECIPE = Recipe(name="test", summary="a few epochs", epochs=16, full_epochs=3, learning_rate=0.05)
OTHER = "mlp:width=16"
WHOLE = (1, 2, 5)
"""The numbers of images per class of a curve that is not ended by the set."""


@pytest.fixture(scope="module")
def dataset() -> ImageDataset:
    """Five images of each class to draw from."""
    return small_digits(train=5)


def real_set(dataset: ImageDataset, ipc: int = 5) -> SyntheticSet:
    return SyntheticSet.from_indices(dataset.train, random_indices(dataset.train, ipc, torch.Generator()))


def noise(dataset: ImageDataset) -> SyntheticSet:
    """A set that teaches nothing."""
    made = real_set(dataset)
    return replace(made, images=torch.randn(made.images.shape, generator=torch.Generator().manual_seed(0)))


def measured(dataset: ImageDataset, **options: Any) -> Exchange:
    """The exchange rate of a set of all training images, which no number of random ones is better than."""
    session = on_cpu(dataset, **{name: options.pop(name) for name in ("seed", "executor") if name in options})
    given = {"recipe": RECIPE, "networks": [NETWORK], "repeats": 2} | options
    return exchange(given.pop("synthetic", None) or real_set(dataset), session, **given)


def without_times(found: Exchange) -> dict[str, Any]:
    written = json.loads(json.dumps(found.to_json()))
    for entry in written["networks"].values():
        del entry["made_on"]  # says how many threads there were
        for point in entry["points"]:
            del point["seconds"]
    return written


def numbers(found: Exchange, network: str = NETWORK) -> tuple[int, ...]:
    return tuple(point.images_per_class for point in found.networks[network].points)


class Trainings:
    """What trainers are given."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, fails_from: int | None = None) -> None:
        self.images: list[Tensor] = []
        fit = Trainer.fit

        def listening(trainer: Trainer, examples: Any, *rest: Any, **named: Any) -> None:
            if fails_from is not None and len(examples) >= fails_from:
                raise UserError("too hot", "cool it")
            self.images.append(examples.normalised().clone())
            fit(trainer, examples, *rest, **named)

        monkeypatch.setattr(Trainer, "fit", listening)

    @property
    def sizes(self) -> list[int]:
        return [len(images) for images in self.images]


@pytest.fixture(scope="module")
def found(dataset: ImageDataset) -> Exchange:
    return measured(dataset)


@pytest.mark.parametrize(
    ("largest", "own", "expected"),
    [
        (1, 1, (1,)),
        (10, 2, (1, 2, 5, 10)),
        (12, 3, (1, 2, 3, 5, 10, 12)),
        (3, 50, (1, 2, 3)),
        (129, 50, (1, 2, 5, 10, 20, 50, 100, 129)),
    ],
)
def test_a_curve_has_the_sets_own_number_and_ends_with_the_smallest_class(
    largest: int, own: int, expected: tuple[int, ...]
):
    assert curve_numbers(largest, own) == expected


def test_a_set_that_is_not_beaten_has_a_curve_up_to_the_smallest_class(found: Exchange):
    curve = found.networks[NETWORK]
    assert numbers(found) == WHOLE
    assert curve.points[0].mean < curve.points[-1].mean
    assert [len(point.accuracies) for point in curve.points] == [2] * 3
    assert all(point.seconds > 0 for point in curve.points)


def test_the_curve_ends_with_the_first_number_that_is_clearly_better(dataset: ImageDataset):
    curve = measured(dataset, synthetic=noise(dataset), repeats=3).networks[NETWORK]
    above = [point.is_above(curve.accuracies) for point in curve.points]
    assert above == [*[False] * (len(above) - 1), True]
    assert len(above) < len(WHOLE)


def test_results_at_the_sets_own_number_are_those_of_the_evaluation(dataset: ImageDataset, found: Exchange):
    evaluation = evaluate(
        real_set(dataset), on_cpu(dataset), recipe=RECIPE, networks=[NETWORK], repeats=2, baselines=("random",)
    )
    curve = found.networks[NETWORK]
    assert curve.accuracies == evaluation.networks[NETWORK].accuracies
    (own,) = (point for point in curve.points if point.images_per_class == 5)
    assert own.accuracies == evaluation.baselines["random"][NETWORK].accuracies


def test_images_are_drawn_anew_for_each_repeat_and_each_number(dataset: ImageDataset, monkeypatch: pytest.MonkeyPatch):
    trainings = Trainings(monkeypatch)
    measured(dataset)
    assert trainings.sizes == [50, 50, 50, 50, 10, 10, 20, 20], "the set and its own number come first"
    one, other = trainings.images[4:6]
    assert not one.equal(other)
    drawn = {image.numpy().tobytes() for image in one}
    assert drawn <= {image.numpy().tobytes() for image in dataset.train.normalised()}
    two = {image.numpy().tobytes() for image in trainings.images[6]}
    assert not drawn <= two, "points are independent of each other"


@pytest.mark.slow
def test_a_seed_repeats_the_curve_and_another_changes_it(dataset: ImageDataset, found: Exchange):
    assert without_times(measured(dataset)) == without_times(found)
    assert without_times(measured(dataset, seed=1))["networks"] != without_times(found)["networks"]


@pytest.mark.slow
def test_networks_and_repeats_are_added_and_nothing_is_computed_twice(
    dataset: ImageDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    files = {"evaluation": tmp_path / "evaluation.json", "record": tmp_path / "exchange.json"}
    trainings = Trainings(monkeypatch)

    def sizes_of(**options: Any) -> list[int]:
        trainings.images.clear()
        measured(dataset, **files, **options)
        return trainings.sizes

    each = [10, 20, 50, 50]
    assert sorted(sizes_of(repeats=1)) == each
    assert sizes_of(repeats=1) == []
    assert sorted(sizes_of(networks=[OTHER], repeats=1)) == each, "that of another network only"
    kept = Exchange.read(files["record"])
    assert list(kept.networks) == [NETWORK, OTHER]
    assert sorted(sizes_of(repeats=2)) == each, "only the second of each"
    more = Exchange.read(files["record"])
    assert more.networks[OTHER] == kept.networks[OTHER]
    assert more.networks[NETWORK].accuracies[:1] == kept.networks[NETWORK].accuracies
    assert sizes_of(repeats=1) == [], "more repeats than asked for stay"
    assert without_times(Exchange.read(files["record"])) == without_times(more)
    (tmp_path / "exchange.units.jsonl").unlink()
    assert sizes_of(repeats=2) == [], "a record is enough"


def test_another_recipe_is_put_aside_until_it_is_asked_for_again(
    dataset: ImageDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    files = {"evaluation": tmp_path / "evaluation.json", "record": tmp_path / "exchange.json"}
    first = measured(dataset, **files)
    measured(dataset, recipe=replace(RECIPE, name="other", epochs=6), **files)
    assert Exchange.read(files["record"]).recipe.name == "other"
    (aside,) = tmp_path.glob("exchange-test@1-*.json")
    assert Exchange.read(aside) == first
    trainings = Trainings(monkeypatch)
    assert measured(dataset, **files) == first
    assert trainings.images == []
    assert not aside.exists()


@pytest.mark.slow
@pytest.mark.parametrize("after", range(8))
def test_a_killed_measurement_goes_on_where_it_stopped(
    after: int, dataset: ImageDataset, found: Exchange, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    files = {"evaluation": tmp_path / "evaluation.json", "record": tmp_path / "exchange.json"}
    trainings = killed_after(after, monkeypatch)
    with pytest.raises(Killed):
        measured(dataset, **files)
    resumed = measured(dataset, **files)
    assert len(trainings) == 9, "eight trainings, and the one that was cut short"
    assert without_times(resumed) == without_times(found)
    assert Exchange.read(files["record"]) == resumed


@pytest.mark.slow
def test_other_processes_measure_the_same_bits(dataset: ImageDataset, found: Exchange, crew: Crew, tmp_path: Path):
    record = tmp_path / "evaluation.json"
    evaluate(real_set(dataset), on_cpu(dataset), recipe=RECIPE, networks=[NETWORK], repeats=2, record=record)
    made = measured(dataset, executor=crew, evaluation=record)
    assert without_times(made) == without_times(found)


def test_a_training_that_fails_ends_the_curve_and_says_why(
    dataset: ImageDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    files = {"evaluation": tmp_path / "evaluation.json", "record": tmp_path / "exchange.json"}
    one_each = real_set(dataset, 1)
    with monkeypatch.context() as patch:
        Trainings(patch, fails_from=20)
        failed = measured(dataset, synthetic=one_each, **files)
    assert numbers(failed) == (1,)
    assert failed.networks[NETWORK].failed == "on 2 random images per class: too hot"
    assert Exchange.read(files["record"]) == failed
    trainings = Trainings(monkeypatch)
    assert measured(dataset, synthetic=one_each, **files).networks[NETWORK].failed is None
    assert set(trainings.sizes) <= {20, 50}, "it is tried again, and nothing else"
    assert trainings.sizes[:2] == [20, 20]


def test_a_network_that_cannot_be_trained_on_the_set_has_no_curve(
    dataset: ImageDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    Trainings(monkeypatch, fails_from=1)
    failed = measured(dataset, record=tmp_path / "exchange.json")
    assert failed.networks == {}
    assert Exchange.read(tmp_path / "exchange.json") == failed


def test_only_the_networks_that_are_asked_for_are_measured(dataset: ImageDataset, tmp_path: Path):
    evaluate(
        real_set(dataset),
        on_cpu(dataset),
        recipe=RECIPE,
        networks=[NETWORK, OTHER],
        repeats=1,
        baselines=(),
        record=tmp_path / "evaluation.json",
    )
    made = measured(dataset, networks=[OTHER, OTHER], repeats=1, evaluation=tmp_path / "evaluation.json")
    assert list(made.networks) == [OTHER]


@pytest.mark.slow
def test_a_curve_on_record_is_kept_until_the_new_one_has_ended(
    dataset: ImageDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    record = tmp_path / "exchange.json"
    measured(dataset, repeats=1, record=record)
    (tmp_path / "exchange.units.jsonl").unlink()
    fit = Trainer.fit

    def mortal(trainer: Trainer, examples: Any, *rest: Any, **named: Any) -> None:
        if len(examples) == 20:
            raise Killed
        fit(trainer, examples, *rest, **named)

    monkeypatch.setattr(Trainer, "fit", mortal)
    with pytest.raises(Killed):
        measured(dataset, repeats=2, record=record)
    kept = Exchange.read(record).networks[NETWORK]
    assert [len(point.accuracies) for point in kept.points] == [2, 1, 1]


@pytest.mark.slow
def test_learning_rates_are_tuned_at_every_number(dataset: ImageDataset):
    tuned = replace(RECIPE, learning_rate_grid=(1e-6, 0.05))
    points = measured(dataset, recipe=tuned).networks[NETWORK].points
    assert [point.learning_rate for point in points] == [0.05] * len(points)
    assert [point.accuracies for point in points] == [
        point.accuracies for point in measured(dataset).networks[NETWORK].points
    ], "tuning leaves the repeats alone"


def soft_with_step_size(dataset: ImageDataset) -> SyntheticSet:
    made = real_set(dataset)
    soft = torch.nn.functional.one_hot(made.labels, 10).float()
    return replace(made, labels=soft, step_size=torch.tensor(0.04))


def test_random_images_take_the_learned_step_size_of_a_soft_set(dataset: ImageDataset, monkeypatch: pytest.MonkeyPatch):
    rates: list[float] = []
    fit = Trainer.fit

    def listening(trainer: Trainer, examples: Any, schedule: Any, *rest: Any, **named: Any) -> None:
        rates.append(schedule.learning_rate)
        fit(trainer, examples, schedule, *rest, **named)

    monkeypatch.setattr(Trainer, "fit", listening)
    measured(dataset, synthetic=soft_with_step_size(dataset), recipe=replace(RECIPE, learned_rate=True), repeats=1)
    assert len(rates) >= 3, "on the set, and on random images of its number and others"
    assert rates == [pytest.approx(0.04)] * len(rates)


def test_a_formation_is_worth_real_images_of_full_size(dataset: ImageDataset, monkeypatch: pytest.MonkeyPatch):
    trainings = Trainings(monkeypatch)
    made = measured(dataset, synthetic=replace(real_set(dataset, 1), formation=2), repeats=1)
    assert trainings.sizes[:2] == [40, 10], "four pictures of each image, and as many real images as are stored"
    assert made.set_bytes == real_set(dataset, 1).size_bytes
    assert made.image_bytes == 64


def test_a_set_larger_than_the_smallest_class_is_compared_with_what_there_is(dataset: ImageDataset):
    fewer = replace(dataset, train=few(dataset.train, (3, *[5] * 9)))
    made = measured(fewer, synthetic=real_set(dataset), repeats=1)
    assert numbers(made) == (1, 2, 3)


def test_learned_steps_are_not_for_random_images(dataset: ImageDataset, tmp_path: Path):
    with pytest.raises(UserError, match=r"recipe 'replay' replays learned steps.*recipe=dsa-1000"):
        measured(dataset, recipe="replay", record=tmp_path / "exchange.json")
    assert list(tmp_path.iterdir()) == []
    check_exchangeable(find_recipe("dsa-1000"))


@pytest.fixture
def other_process(tmp_path: Path) -> Iterator[Path]:
    with locked(tmp_path / "exchange.json"):
        yield tmp_path / "exchange.json"


def test_a_record_that_is_being_written_is_refused_before_any_training(
    dataset: ImageDataset, other_process: Path, monkeypatch: pytest.MonkeyPatch
):
    trainings = Trainings(monkeypatch)
    with pytest.raises(UserError, match="has been in use by process"):
        measured(dataset, record=other_process)
    assert trainings.images == []
