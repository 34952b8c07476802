"""What a set is worth: structure, baselines, repeats and honesty."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from potstill.data import ImageDataset, LabeledImages, Whitening
from potstill.engine.schedule import Schedule
from potstill.engine.trainer import Trainer
from potstill.evaluation import (
    Evaluation,
    FullTraining,
    NetworkResult,
    Recipe,
    check_fits,
    checks,
    evaluate,
    exchange,
    measure_attacks,
    measure_full,
    measure_label_regimes,
    measure_robustness,
    training,
    validation_accuracy,
)
from potstill.evaluation.checks import check_confusions
from potstill.evaluation.training import evenly_spaced
from potstill.networks import NETWORKS
from potstill.runtime import progress as pacing
from potstill.runtime.compute import CPU
from potstill.runtime.errors import UserError
from potstill.runtime.streams import Streams
from potstill.selection import random_indices
from potstill.synthetic import SyntheticSet
from potstill.units import Crew
from tests.killed import Killed, killed_after
from tests.small import NETWORK, digits, few, on_cpu, small_digits

RECIPE = Recipe(name="test", summary="a few epochs", epochs=6, full_epochs=3, learning_rate=0.05)
LONGER = replace(RECIPE, epochs=12)
"""Enough to learn something, and more epochs than a curve has points."""
OTHER = "mlp:width=16"


@pytest.fixture(scope="module")
def dataset() -> ImageDataset:
    return small_digits()


def real_set(dataset: ImageDataset, ipc: int = 2) -> SyntheticSet:
    return SyntheticSet.from_indices(dataset.train, random_indices(dataset.train, ipc, torch.Generator()))


def measure(
    dataset: ImageDataset, *, full_repeats: int = 1, full_epochs: int | None = None, **options: Any
) -> Evaluation:
    session = on_cpu(
        dataset, **{name: options.pop(name) for name in ("seed", "progress", "executor") if name in options}
    )
    given = {"recipe": RECIPE, "networks": [NETWORK], "repeats": 2, "baselines": ()} | options
    full = FullTraining(repeats=full_repeats, epochs=full_epochs)
    return evaluate(real_set(dataset), session, full=full, **given)


@pytest.fixture(scope="module")
def evaluation(dataset: ImageDataset) -> Evaluation:
    return measure(dataset, networks=[NETWORK, OTHER], baselines=("random", "full"), repeats=3, full_repeats=1, seed=4)


def test_json_has_the_promised_structure(evaluation: Evaluation):
    written = json.loads(json.dumps(evaluation.to_json(), allow_nan=False))
    assert written["schema"] == 2
    assert written["recipe"]["name"] == "test"
    assert written["recipe"]["version"] == 1
    assert written["recipe"]["epochs"] == RECIPE.epochs
    assert written["seed"] == 4
    assert written["full_epochs"] == 3
    assert written["dataset_fingerprint"] == small_digits().fingerprint
    assert list(written["networks"]) == [NETWORK, OTHER]
    assert {name: list(entries) for name, entries in written["baselines"].items()} == {
        "random": [NETWORK, OTHER],
        "full": [NETWORK, OTHER],
    }


def test_entries_have_the_promised_structure(evaluation: Evaluation, dataset: ImageDataset):
    written = evaluation.to_json()
    small = [*written["networks"].values(), *written["baselines"]["random"].values()]
    full = [*written["baselines"]["full"].values()]
    for entry, repeats, epochs in [*((e, 3, RECIPE.epochs) for e in small), *((e, 1, 3) for e in full)]:
        assert len(entry["accuracies"]) == repeats
        assert all(0 <= accuracy <= 1 for accuracy in entry["accuracies"])
        assert entry["mean"] == pytest.approx(sum(entry["accuracies"]) / repeats)
        assert entry["seconds"] > 0
        assert entry["epochs"] == epochs
        (made_on,) = entry["made_on"]
        assert made_on.startswith("cpu, float32, not compiled; ")
        assert f"torch {torch.__version__}, potstill " in made_on
        curve = entry["curve"]
        assert curve["epochs"] == sorted(set(curve["epochs"]))
        assert curve["epochs"][-1] == epochs
        assert len(curve["loss"]) == len(curve["accuracy"]) == len(curve["epochs"])
        confusion = torch.tensor(entry["confusion"])
        assert confusion.sum(1).tolist() == [repeats * size for size in dataset.test.class_sizes]
        assert confusion.diagonal().sum().item() / confusion.sum().item() == pytest.approx(entry["mean"])
    assert full[0]["std"] is None
    assert full[0]["ci95"] is None
    assert small[0]["ci95"][0] <= small[0]["mean"] <= small[0]["ci95"][1]


def test_repeats_differ_and_a_seed_repeats_them(dataset: ImageDataset):
    torch.manual_seed(0)
    first = measure(dataset, baselines=("random",)).to_json()
    torch.manual_seed(1)
    again, other = measure(dataset, baselines=("random",)).to_json(), measure(dataset, seed=1).to_json()
    for entry, repeated in (
        (first["networks"][NETWORK], again["networks"][NETWORK]),
        (first["baselines"]["random"][NETWORK], again["baselines"]["random"][NETWORK]),
    ):
        assert entry["curve"] == repeated["curve"]
        assert entry["accuracies"] == repeated["accuracies"]
    assert other["networks"][NETWORK]["curve"]["loss"] != first["networks"][NETWORK]["curve"]["loss"]


class Trainings:
    """Listens to what trainers are given, and what they have learned by the end."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.images: list[Tensor] = []
        self.schedules: list[Schedule] = []
        self.learned: list[Tensor] = []
        fit = Trainer.fit

        def listening(trainer: Trainer, examples: Any, schedule: Schedule, *rest: Any, **named: Any) -> None:
            self.images.append(examples.normalised().clone())
            self.schedules.append(schedule)
            fit(trainer, examples, schedule, *rest, **named)
            self.learned.append(torch.cat([p.detach().flatten() for p in trainer.network.parameters()]))

        monkeypatch.setattr(Trainer, "fit", listening)


@pytest.mark.slow
@pytest.mark.parametrize("after", range(1, 9))
def test_a_killed_evaluation_goes_on_where_it_stopped(
    after: int, dataset: ImageDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    record = tmp_path / "evaluation.json"
    options: dict[str, Any] = {"networks": [NETWORK, OTHER], "baselines": ("random", "full")}
    uninterrupted = measure(dataset, **options)
    trainings = killed_after(after, monkeypatch)
    with pytest.raises(Killed):
        measure(dataset, record=record, **options)
    resumed = measure(dataset, record=record, **options)
    assert len(trainings) == 11, "ten trainings, and the one that was cut short"
    assert without_times(resumed) == without_times(uninterrupted)
    assert without_times(Evaluation.read(record)) == without_times(resumed)


TUNED = replace(RECIPE, learning_rate_grid=(1e-6, 0.05))


def test_the_validation_split_chooses_a_rate_for_each_network_and_what_it_is_trained_on(
    dataset: ImageDataset, monkeypatch: pytest.MonkeyPatch
):
    trainings = Trainings(monkeypatch)
    told: list[str] = []
    found = measure(dataset, recipe=TUNED, baselines=("random", "full"), full_repeats=1, progress=told.append)
    assert [schedule.learning_rate for schedule in trainings.schedules] == [1e-6, 0.05] * 2 + [0.05] * 5
    assert found.networks[NETWORK].learning_rate == found.baselines["random"][NETWORK].learning_rate == 0.05
    assert found.baselines["full"][NETWORK].learning_rate is None
    assert told[0].startswith(f"{NETWORK} on set, learning rate 1e-06: ")
    plain = measure(dataset, recipe=RECIPE)
    assert found.networks[NETWORK].accuracies == plain.networks[NETWORK].accuracies, "tuning leaves the repeats alone"


def test_a_rate_is_not_chosen_by_the_test_split(dataset: ImageDataset):
    """With these labels the rate that learns nothing does better: whoever chose by them would take it."""
    wrong = replace(dataset.test, labels=(dataset.test.labels + 1) % 10)
    rates = [
        measure(some, recipe=TUNED).networks[NETWORK].learning_rate
        for some in (dataset, replace(dataset, test=wrong), replace(dataset, validation=wrong))
    ]
    assert rates == [0.05, 0.05, 1e-6]


@pytest.mark.parametrize("grid", [(1e-12, 1e-11), (1e-11, 1e-12)])
def test_of_rates_that_do_equally_well_the_first_is_taken(grid: tuple[float, float], dataset: ImageDataset):
    found = measure(dataset, recipe=replace(TUNED, learning_rate_grid=grid), repeats=1)
    assert found.networks[NETWORK].learning_rate == grid[0]


def test_a_chosen_rate_is_kept_for_later_repeats(
    dataset: ImageDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    record = tmp_path / "evaluation.json"
    measure(dataset, recipe=TUNED, record=record, repeats=1)
    assert json.loads(record.read_text())["networks"][NETWORK]["learning_rate"] == 0.05
    trainings = Trainings(monkeypatch)
    more = measure(dataset, recipe=TUNED, record=record, repeats=3)
    assert [schedule.learning_rate for schedule in trainings.schedules] == [0.05, 0.05]
    assert without_times(more) == without_times(measure(dataset, recipe=TUNED, repeats=3))


def test_a_rate_cannot_be_chosen_without_validation_images(dataset: ImageDataset):
    empty = dataset.validation.take(torch.arange(0))
    with pytest.raises(UserError, match="no validation images to choose learning rates by"):
        measure(replace(dataset, validation=empty), recipe=TUNED)


def without_times(evaluation: Evaluation) -> dict[str, Any]:
    def plain(results: dict[str, NetworkResult]) -> dict[str, NetworkResult]:
        return {name: replace(result, seconds=0) for name, result in results.items()}

    baselines = {name: plain(results) for name, results in evaluation.baselines.items()}
    return {**evaluation.protocol, "networks": plain(evaluation.networks), "baselines": baselines}


def test_more_repeats_add_to_those_on_file(dataset: ImageDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    trainings = Trainings(monkeypatch)
    first = measure(dataset, record=tmp_path / "evaluation.json")
    more = measure(dataset, record=tmp_path / "evaluation.json", repeats=3)
    assert len(trainings.images) == 3
    assert more.networks[NETWORK].accuracies[:2] == first.networks[NETWORK].accuracies
    assert without_times(more) == without_times(measure(dataset, repeats=3))


def test_a_network_that_failed_is_tried_again(dataset: ImageDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def fail(*_: Any, **__: Any) -> None:
        raise UserError("too hot", "cool it")

    fit = Trainer.fit
    monkeypatch.setattr(Trainer, "fit", fail)
    assert measure(dataset, record=tmp_path / "evaluation.json").networks[NETWORK].failed == "too hot"
    monkeypatch.setattr(Trainer, "fit", fit)
    assert measure(dataset, record=tmp_path / "evaluation.json").networks[NETWORK].repeats == 2


def test_a_later_repeat_that_fails_leaves_the_others_on_file(
    dataset: ImageDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    first = measure(dataset, record=tmp_path / "evaluation.json")
    fit, calls = Trainer.fit, []

    def fail(*given: Any, **named: Any) -> None:
        calls.append(given)
        raise UserError("too hot", "cool it")

    monkeypatch.setattr(Trainer, "fit", fail)
    for _ in range(2):
        failed = measure(dataset, record=tmp_path / "evaluation.json", repeats=4).networks[NETWORK]
        assert failed.failed == "too hot"
        assert failed.accuracies == first.networks[NETWORK].accuracies
    assert len(calls) == 2, "the third training, in each call"
    monkeypatch.setattr(Trainer, "fit", fit)
    resumed = measure(dataset, record=tmp_path / "evaluation.json", repeats=4)
    assert without_times(resumed) == without_times(measure(dataset, repeats=4))


def test_figures_of_the_full_data_stay_until_there_are_new_ones(
    dataset: ImageDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    path, full = tmp_path / "evaluation.json", {"baselines": ("full",), "repeats": 1}
    measure(dataset, record=path, **full)
    before = path.read_bytes()

    def killed(*given: Any, **named: Any) -> None:
        raise Killed

    monkeypatch.setattr(Trainer, "fit", killed)
    with pytest.raises(Killed):
        measure(dataset, record=path, full_epochs=5, **full)
    assert path.read_bytes() == before


def test_a_small_class_gives_as_many_random_images_as_the_others(
    dataset: ImageDataset, monkeypatch: pytest.MonkeyPatch
):
    sizes = [3, *[20] * 9]
    fewer = replace(dataset, train=few(dataset.train, tuple(sizes)))
    trainings = Trainings(monkeypatch)
    noise = replace(real_set(dataset), images=torch.randn(50, 1, 8, 8), labels=torch.arange(10).repeat_interleave(5))
    given = {"recipe": RECIPE, "networks": [NETWORK], "repeats": 1, "baselines": ("random",)}
    evaluate(noise, on_cpu(fewer), **given)
    drawn = trainings.images[1]
    assert len(drawn) == 50
    assert len({image.numpy().tobytes() for image in drawn[:5]}) == 3
    assert len({image.numpy().tobytes() for image in drawn[5:]}) == 45


def test_there_must_be_something_to_test_on(dataset: ImageDataset, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(Trainer, "fit", lambda *given, **named: pytest.fail("trained"))
    untested = replace(dataset, test=dataset.test.take(torch.arange(0)))
    with pytest.raises(UserError, match="digits has no test images"):
        measure(untested)
    with pytest.raises(UserError, match="digits has no test images"):
        measure_full(on_cpu(untested), NETWORK, recipe=RECIPE)


def test_what_is_trained_on(dataset: ImageDataset, monkeypatch: pytest.MonkeyPatch):
    trainings = Trainings(monkeypatch)
    measure(dataset, baselines=("random", "full"), repeats=3, full_repeats=2)
    on_set, on_random, on_full = trainings.images[:3], trainings.images[3:6], trainings.images[6:]
    assert all(images.equal(real_set(dataset).images) for images in on_set)
    assert [len(images) for images in on_random] == [20, 20, 20]
    assert not any(on_random[one].equal(on_random[other]) for one, other in [(0, 1), (0, 2), (1, 2)])
    assert len(on_full) == 2
    assert all(images.equal(dataset.train.normalised()) for images in on_full)
    assert len({tuple(learned[:5].tolist()) for learned in trainings.learned}) == 8


def test_random_images_are_balanced_though_a_class_is_small(dataset: ImageDataset, monkeypatch: pytest.MonkeyPatch):
    smaller = replace(dataset, train=dataset.train.take(torch.cat([i[: 3 + 2 * c] for c, i in _classes(dataset)])))
    heard: list[list[int]] = []
    fit = Trainer.fit

    def listening(trainer: Trainer, examples: Any, *rest: Any, **named: Any) -> None:
        heard.append(examples.labels.bincount().tolist())
        fit(trainer, examples, *rest, **named)

    monkeypatch.setattr(Trainer, "fit", listening)
    evaluate(
        real_set(dataset, ipc=4),
        on_cpu(smaller),
        recipe=replace(RECIPE, epochs=1),
        networks=[OTHER],
        repeats=1,
        baselines=("random",),
    )
    assert heard == [[4] * 10] * 2


def _classes(dataset: ImageDataset) -> list[tuple[int, Tensor]]:
    return list(enumerate(dataset.train.class_index))


def test_the_test_split_plays_no_part_in_training(dataset: ImageDataset, monkeypatch: pytest.MonkeyPatch):
    """Poison it: what is learned stays the same to the bit."""
    test = dataset.test
    poisoned = replace(dataset, test=replace(test, stored=255 - test.images, labels=(test.labels + 1) % 10))
    trainings = Trainings(monkeypatch)
    honest, misled = (measure(some, baselines=("random", "full")) for some in (dataset, poisoned))
    assert len(trainings.learned) == 10
    assert all(trainings.learned[run].equal(trainings.learned[5 + run]) for run in range(5))
    assert honest.networks[NETWORK].curve_loss == misled.networks[NETWORK].curve_loss
    assert honest.networks[NETWORK].curve_accuracy == misled.networks[NETWORK].curve_accuracy
    assert honest.networks[NETWORK].accuracies != misled.networks[NETWORK].accuracies


def test_the_test_split_is_read_once_after_each_training(dataset: ImageDataset, monkeypatch: pytest.MonkeyPatch):
    order: list[str] = []
    normalised, fit = LabeledImages.normalised, Trainer.fit

    def watched(images: LabeledImages, *rest: Any, **named: Any) -> Tensor:
        if images.images.data_ptr() == dataset.test.images.data_ptr():
            order.append("test")
        return normalised(images, *rest, **named)

    def fitted(trainer: Trainer, *rest: Any, **named: Any) -> None:
        order.append("fit")
        fit(trainer, *rest, **named)
        order.append("fitted")

    monkeypatch.setattr(LabeledImages, "normalised", watched)
    monkeypatch.setattr(Trainer, "fit", fitted)
    measure(dataset)
    steps = [step for number, step in enumerate(order) if number == 0 or step != order[number - 1]]
    assert steps == ["fit", "fitted", "test"] * 2


def test_validation_accuracy_never_reads_the_test_split(dataset: ImageDataset):
    no_test = replace(dataset, test=dataset.test.take(torch.tensor([], dtype=torch.int64)))
    figures = [
        validation_accuracy(real_set(d), d, recipe=LONGER, network=NETWORK, streams=Streams(0), compute=CPU)
        for d in (dataset, no_test)
    ]
    assert figures[0] == figures[1]
    assert 0.1 < figures[0] <= 1


def test_without_validation_images_curves_have_no_accuracy(dataset: ImageDataset):
    none = replace(dataset, validation=dataset.validation.take(torch.tensor([], dtype=torch.int64)))
    curve = measure(none, recipe=LONGER).to_json()["networks"][NETWORK]["curve"]
    assert curve["accuracy"] == []
    assert len(curve["loss"]) == 10


def test_a_network_that_fails_is_recorded_and_the_others_are_measured(dataset: ImageDataset):
    explosive = replace(RECIPE, learning_rate=1e30, augmentation="none")
    messages: list[str] = []
    result = measure(dataset, recipe=explosive, networks=[NETWORK, OTHER], progress=messages.append)
    written = json.loads(json.dumps(result.to_json(), allow_nan=False))
    for name in (NETWORK, OTHER):
        assert list(written["networks"][name]) == ["failed"]
        assert written["networks"][name]["failed"].startswith(f"{name} diverged in epoch ")
        assert any(message.startswith(f"{name} on set failed: ") for message in messages)
    with pytest.raises(UserError, match="has no accuracy"):
        _ = result.networks[NETWORK].mean


def test_a_single_class_is_measured_though_networks_may_take_it_for_none():
    one = replace(digits(), **{name: few(images, (5,)) for name, images in digits().splits.items()})
    made = SyntheticSet.from_indices(one.train, torch.tensor([0]))
    found = evaluate(made, on_cpu(one), recipe=RECIPE, networks=[NETWORK], repeats=3, baselines=["initial"])
    assert min(found.baselines["initial"][NETWORK].accuracies) < 1
    assert found.baselines["initial"][NETWORK].confusion == []


def test_progress_names_network_set_repeat_and_accuracy(dataset: ImageDataset):
    messages: list[str] = []
    result = measure(dataset, baselines=("random",), progress=messages.append)
    accuracy = result.networks[NETWORK].accuracies[1]
    assert messages[1] == f"{NETWORK} on set, 2 of 2: {accuracy:.1%}"
    assert messages[2].startswith(f"{NETWORK} on random, 1 of 2: ")


def test_a_long_training_says_how_far_it_is(dataset: ImageDataset, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(pacing, "QUIET_SECONDS", 0)
    messages: list[str] = []
    measure(dataset, repeats=1, progress=messages.append)
    assert len(messages) == RECIPE.epochs
    assert messages[3].startswith(f"{NETWORK} on set, 1 of 1: epoch 4 of 6, loss ")


@pytest.mark.slow
def test_full_data_beats_random_images_which_beat_chance():
    recipe = replace(RECIPE, epochs=30, full_epochs=10)
    result = measure(digits(), recipe=recipe, baselines=("random", "full"))
    random, full = (result.baselines[name][NETWORK].mean for name in ("random", "full"))
    assert 0.25 < random < full
    assert full > 0.75


def test_soft_labels_can_be_evaluated(dataset: ImageDataset):
    hard = real_set(dataset)
    soft = replace(hard, labels=torch.nn.functional.one_hot(hard.labels, 10).float())
    results = [
        evaluate(some, on_cpu(dataset), recipe=RECIPE, networks=[NETWORK], repeats=1, baselines=())
        for some in (hard, soft)
    ]
    losses = [result.networks[NETWORK].curve_loss for result in results]
    assert losses[1] == pytest.approx(losses[0], rel=1e-4)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"images": torch.zeros(20, 1, 9, 8)}, r"image shape is \(1, 9, 8\), the dataset's \(1, 8, 8\)"),
        ({"class_names": tuple("abcdefghij")}, r"its class 0 is 'a', the dataset's '0'"),
        ({"class_names": tuple("abc")}, "its number of classes is 3, the dataset's 10"),
        ({"mean": (0.5,)}, r"its mean is \(0\.5,\)"),
        ({"std": (0.5,)}, r"its std is \(0\.5,\)"),
        ({"whitening": Whitening(torch.eye(64), torch.zeros(64))}, r"its whitening is True, the dataset's False"),
    ],
    ids=["shape", "classes", "number", "mean", "std", "whitening"],
)
def test_a_set_of_another_dataset_is_refused(dataset: ImageDataset, changes: dict[str, Any], message: str):
    check_fits(real_set(dataset), dataset)
    with pytest.raises(UserError, match=message):
        check_fits(replace(real_set(dataset), **changes), dataset)


def test_a_rounded_mean_still_fits(dataset: ImageDataset):
    given = real_set(dataset)
    check_fits(replace(given, mean=tuple(value + 1e-9 for value in given.mean)), dataset)


@pytest.mark.parametrize("options", [{"repeats": 0}, {"full_repeats": 0}])
def test_no_repeats_are_refused(dataset: ImageDataset, options: dict[str, int]):
    with pytest.raises(UserError, match="`repeats=0` is too small"):
        measure(dataset, **options)


def test_a_misspelt_network_is_refused_before_anything_is_trained(
    dataset: ImageDataset, monkeypatch: pytest.MonkeyPatch
):
    trainings = Trainings(monkeypatch)
    with pytest.raises(UserError, match="unknown network 'convnt'; did you mean 'convnet'"):
        measure(dataset, networks=[NETWORK, "convnt"])
    assert trainings.images == []
    assert "convnt" not in NETWORKS


def test_a_misspelt_baseline_is_refused(dataset: ImageDataset):
    with pytest.raises(UserError, match="unknown baseline 'herdin'; did you mean 'herding'"):
        measure(dataset, baselines=["herdin"])


@pytest.mark.slow
def test_any_selection_may_be_a_baseline(dataset: ImageDataset, monkeypatch: pytest.MonkeyPatch):
    trainings = Trainings(monkeypatch)
    result = measure(dataset, baselines=["k-center", "average"], repeats=2)
    assert list(result.baselines) == ["k-center", "average"]
    on_center, on_average = trainings.images[-4:-2], trainings.images[-2:]
    assert on_center[0].equal(on_center[1]), "chosen once"
    real = {image.numpy().tobytes() for image in dataset.train.normalised()}
    assert {image.numpy().tobytes() for image in on_center[0]} <= real
    assert len(on_average[0].flatten(1).unique(dim=0)) == 10


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"data": "digits"}, "'digits' is not a dataset"),
        ({"synthetic": "runs/demo"}, "'runs/demo' is not a synthetic set"),
        ({"networks": "mlp"}, "not a sequence of names"),
        ({"networks": [torch.nn.Linear(2, 2)]}, "not a sequence of names"),
        ({"baselines": "random"}, "not a sequence of names"),
        ({"repeats": "3"}, "is not a number"),
    ],
)
def test_what_is_of_another_kind_is_refused(options: dict[str, Any], message: str, dataset: ImageDataset):
    given = {"synthetic": real_set(dataset), "data": dataset, "recipe": RECIPE, "networks": (NETWORK,), **options}
    with pytest.raises(UserError, match=message):
        evaluate(given.pop("synthetic"), given.pop("data"), **given)


@pytest.mark.parametrize(
    "measure",
    [exchange, measure_attacks, measure_robustness, partial(measure_label_regimes, teacher="experts")],
    ids=["exchange", "attacks", "robustness", "labels"],
)
def test_whatever_is_measured_is_a_set(measure: Callable[..., Any], dataset: ImageDataset):
    with pytest.raises(UserError, match="'runs/demo' is not a synthetic set"):
        measure("runs/demo", dataset)


def test_a_selection_with_too_few_images_to_choose_from_is_refused(dataset: ImageDataset):
    few = real_set(dataset)
    times = min(dataset.train.class_sizes)
    many = replace(few, images=few.images.repeat(times, 1, 1, 1), labels=few.labels.repeat(times))
    with pytest.raises(UserError, match="training image") as refused:
        evaluate(many, dataset, recipe=RECIPE, networks=(NETWORK,), baselines=("herding",))
    assert refused.value.remedy == "leave herding out of `baselines`"


def test_of_too_many_classes_no_confusions_are_counted_and_what_needs_them_is_refused(
    dataset: ImageDataset, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(training, "MOST_CONFUSED", 9)
    found = evaluate(real_set(dataset), dataset, recipe=RECIPE, networks=(NETWORK,), repeats=2, baselines=())
    assert found.networks[NETWORK].confusion == []
    assert found.networks[NETWORK].repeats == 2
    monkeypatch.setattr(checks, "MOST_CONFUSED", 9)
    with pytest.raises(UserError, match="has 10 classes, and confusions are counted for at most 9"):
        check_confusions(dataset)


def test_a_misspelt_recipe_is_refused(dataset: ImageDataset):
    with pytest.raises(UserError, match="unknown recipe"):
        measure(dataset, recipe="dsa-999")


def test_what_was_put_aside_comes_back_when_it_is_asked_for(dataset: ImageDataset, tmp_path: Path):
    path = tmp_path / "evaluation.json"
    first = measure(dataset, record=path)
    measure(dataset, record=path, seed=1)
    assert json.loads(path.read_text())["seed"] == 1
    assert measure(dataset, record=path) == first
    assert json.loads(path.read_text()) == first.to_json()


def test_later_networks_see_the_full_data_as_often_as_those_on_file(dataset: ImageDataset, tmp_path: Path):
    path, full = tmp_path / "evaluation.json", {"baselines": ("full",), "repeats": 1}
    first = measure(dataset, record=path, full_epochs=5, **full)
    both = measure(dataset, record=path, networks=[NETWORK, OTHER], **full)
    assert both.full_epochs == 5
    assert [both.baselines["full"][network].epochs for network in (NETWORK, OTHER)] == [5, 5]
    assert both.networks[NETWORK] == first.networks[NETWORK], "not measured again"
    assert measure(dataset, record=path, full_epochs=2, repeats=1).baselines == both.baselines, "not asked for"
    other = measure(dataset, record=path, full_epochs=2, **full)
    assert {network: result.epochs for network, result in other.baselines["full"].items()} == {NETWORK: 2}
    assert other.networks == both.networks


@pytest.mark.parametrize("epochs", [0, -3])
def test_no_pass_over_the_full_data_is_refused(epochs: int, dataset: ImageDataset):
    with pytest.raises(UserError, match=f"`epochs={epochs}` is too small"):
        measure(dataset, full_epochs=epochs)


def test_the_curves_images_are_spread_over_the_split(dataset: ImageDataset):
    few = evenly_spaced(dataset.train, 150)
    assert few is not None
    assert len(few) == 150
    assert few.labels.bincount(minlength=10).tolist() == [15] * 10
    assert evenly_spaced(dataset.train, 10**6) is not None


@pytest.mark.slow
def test_other_processes_measure_the_same_and_go_on_with_what_is_on_record(
    dataset: ImageDataset, crew: Crew, tmp_path: Path
):
    given = {"recipe": TUNED, "baselines": ("random", "herding", "full", "initial"), "networks": [NETWORK, OTHER]}
    here = measure(dataset, **given)
    record = tmp_path / "evaluation.json"
    measure(dataset, **given | {"repeats": 1}, record=record, executor=crew)
    there = measure(dataset, **given, record=record, executor=crew)
    assert without_place(there.to_json()) == without_place(here.to_json())
    assert there.made_on == [f"{here.made_on[0]}; 1 thread"]
    assert Evaluation.read(record).to_json() == there.to_json()


@pytest.mark.slow
def test_a_selection_that_trains_a_network_chooses_the_same_anywhere(dataset: ImageDataset, crew: Crew):
    given = {"networks": [NETWORK], "repeats": 1, "baselines": ("el2n",)}
    here, there = (measure(dataset, **given, executor=executor) for executor in ("here", crew))
    assert without_place(there.to_json()) == without_place(here.to_json())


def without_place(record: Any) -> Any:
    """A record without what differs from place to place: seconds, and where a training was done."""
    if isinstance(record, dict):
        return {name: without_place(value) for name, value in record.items() if name not in ("seconds", "made_on")}
    return record
