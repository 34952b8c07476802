"""``auto`` chooses what is recorded as best for a dataset, a number of images per class and a time."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from potstill.data import CATALOGUE
from potstill.distillation.known_settings import LEAST_SECONDS, TABLE, KnownSettings, chosen_settings
from potstill.methods import METHODS
from potstill.runtime.errors import UserError

ROOT = Path(__file__).parents[2]
GREY = (1, 28, 28)


def row(
    dataset: str = "mnist", ipc: int = 1, *, seconds: float = 100, accuracy: float = 90, **more: object
) -> KnownSettings:
    given = {"method": "dm", "iterations": 500, "recipe": "quick", "record": f"records/{dataset}-{seconds}", **more}
    return KnownSettings(
        dataset=dataset,
        ipc=ipc,
        seconds=seconds,
        accuracy=accuracy,
        **given,  # type: ignore[arg-type]
    )


def test_the_longest_within_the_limit_is_chosen_whatever_the_test_images_say():
    table = [row(seconds=50, accuracy=80), row(seconds=500, accuracy=90), row(seconds=400, accuracy=91)]
    for limit, accuracy in ((60, 80), (450, 91), (3600, 90)):
        assert chosen_settings("mnist", GREY, 10, 1, limit, table).known.accuracy == accuracy
    short = chosen_settings("mnist", GREY, 10, 1, 30, table)
    assert short.known.seconds == 50
    assert "of the quickest" in short.why


def test_the_images_per_class_nearest_by_ratio_count():
    table = [row(ipc=1, accuracy=99), row(ipc=10), row(ipc=50, accuracy=99)]
    assert chosen_settings("mnist", GREY, 10, 8, 3600, table).known.ipc == 10
    assert "with 10 instead of 8 images per class" in chosen_settings("mnist", GREY, 10, 8, 3600, table).why
    assert chosen_settings("mnist", GREY, 10, 2, 3600, table).known.ipc == 1


def test_an_unknown_dataset_takes_those_of_the_most_similar_images():
    table = [row("cifar10", accuracy=30), row("mnist")]
    assert chosen_settings("mine", (3, 64, 64), 2, 1, 3600, table).known.dataset == "cifar10"
    assert chosen_settings("mine", (1, 64, 64), 100, 1, 3600, table).known.dataset == "mnist"
    assert "no settings are known for this dataset" in chosen_settings("mine", GREY, 10, 1, 3600, table).why


def test_what_was_chosen_says_why_and_where_the_record_is():
    known = row(settings={"formation": 2}, options={"optimiser": "adam"}, seconds=600, accuracy=93.9)
    why = chosen_settings("mnist", GREY, 10, 1, 3600, [known]).why
    assert why.startswith(
        "dm --formation 2 --optimiser adam: known for mnist: 93.9 % by quick after 10 min on two cores"
    )
    assert why.endswith(f"({known.record})")


def test_iterations_follow_the_time_up_to_the_published_number():
    known = row(seconds=100, iterations=500, options={"learning_rate": 2.0})
    settings = chosen_settings("mnist", GREY, 10, 1, 300, [known]).settings("mnist", 1, 300)
    assert settings.iterations == 1_500
    assert settings.method.learning_rate == 2.0
    assert chosen_settings("mnist", GREY, 10, 1, 10**6, [known]).settings("mnist", 1, 10**6).iterations == 20_000
    assert (settings.dataset, settings.ipc) == ("mnist", 1)


def test_a_limit_that_is_too_short_for_anything_is_refused():
    with pytest.raises(UserError, match="too short for anything"):
        chosen_settings("mnist", GREY, 10, 1, LEAST_SECONDS - 1, [row()])


@pytest.mark.parametrize("known", TABLE, ids=lambda known: known.record)
def test_every_row_repeats_its_record(known: KnownSettings):
    assert known.dataset in CATALOGUE
    assert known.method in METHODS
    folder = ROOT / known.record
    if not folder.exists():
        pytest.skip("records are not part of a package")
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["dataset"]["name"] == known.dataset
    assert manifest["method"]["name"] == known.method
    assert manifest["machine"]["cores"] == 2
    assert manifest["iterations"]["done"] == known.iterations
    assert manifest["seconds"] == pytest.approx(known.seconds, rel=0.01)
    config = (folder / "config.toml").read_text()
    for name, value in {**known.settings, **known.options}.items():
        assert f"{name} = {json.dumps(value)}" in config
    found = [json.loads(file.read_text()) for file in folder.glob("evaluation*.json")]
    means = [
        100 * result["mean"]
        for evaluation in found
        if evaluation["recipe"]["name"] == known.recipe
        for result in evaluation["networks"].values()
        if "mean" in result
    ]
    assert any(mean == pytest.approx(known.accuracy, abs=0.06) for mean in means)
