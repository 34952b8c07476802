"""The page of a selection: the numbers of the record, pictures of the right images, no more than is shown."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from browsing import watched
from PIL import Image

from potstill.applications import Budget, Candidates, Rule, select
from potstill.evaluation import Resources, find_recipe
from potstill.report.subset import render, subset_verdict, write_subset
from potstill.runtime.compute_choice import ComputeChoice
from potstill.schema.evaluation import NetworkResult
from potstill.schema.subset import ChosenAndRandom, Neighbour, Subset, Worth

if TYPE_CHECKING:
    from playwright.sync_api import Browser

HERE = Resources(compute=ComputeChoice(device="cpu", precision="float32", compile="off"))


def worth(chosen: list[float], random: list[float]) -> Worth:
    each = ChosenAndRandom(chosen=NetworkResult(accuracies=chosen), random=NetworkResult(accuracies=random))
    return Worth(recipe=find_recipe("quick"), networks={"convnet": each})


RECORD = Subset(
    source="<b>&",
    fingerprint="ab",
    total=200,
    rule="herding",
    features="pixels",
    budget=Budget(fraction=0.1),
    seed=0,
    class_names=("<i>", "b"),
    class_sizes=(150, 50),
    counts=(15, 5),
    seconds=2.0,
    made_on=["a machine"],
    worth=worth([0.90, 0.91, 0.92], [0.80, 0.81, 0.83]),
)


def test_it_is_called_better_only_if_it_clearly_is():
    assert subset_verdict(RECORD) == [
        "ConvNet: 91.0 % on the choice, 81.3 % on as many random images of each class: the choice is better, "
        "+9.7 points [+6.5, +12.8].",
        "20 images chosen by herding in 2.0\N{NO-BREAK SPACE}s.",
    ]
    others = {
        "the choice is worse": worth([0.8, 0.81, 0.8], [0.9, 0.91, 0.9]),
        "no clear difference": worth([0.8, 0.9, 0.85], [0.9, 0.8, 0.86]),
        "One training each shows no difference": worth([0.9], [0.8]),
        "in every training": worth([0.9, 0.9], [0.8, 0.8]),
    }
    for words, found in others.items():
        assert words in subset_verdict(replace(RECORD, worth=found))[0]
    assert subset_verdict(replace(RECORD, worth=None)) == subset_verdict(RECORD)[1:]


def test_names_are_escaped_and_failures_are_named():
    page = render(RECORD)
    assert "<b>&" not in page
    assert "&lt;b&gt;&amp;" in page
    assert "<i>" not in page
    failed = worth([0.9], [])
    failed.networks["convnet"] = replace(failed.networks["convnet"], random=NetworkResult(failed="it diverged"))
    assert "ConvNet on random images: it diverged." in subset_verdict(replace(RECORD, worth=failed))
    assert "it diverged" in render(replace(RECORD, worth=failed))


@pytest.mark.browser
@pytest.mark.slow
@pytest.mark.parametrize("width", [1280, 390])
def test_the_page_is_sound_in_a_browser(
    width: int, browser: Browser, tmp_path: Path, complaints: list[str], requests: list[str]
):
    found = Candidates.of_dataset("digits", tested=True)
    rule = Rule("ccs", network="convnet:depth=1", teacher_epochs=2)
    record = select(found, rule, Budget(per_class=3), tmp_path, resources=HERE)
    replace(record, worth=RECORD.worth).write(tmp_path / Subset.FILE)
    assert found.dataset is not None
    path = write_subset(tmp_path, found.dataset.train, found.places.tolist())
    page = watched(browser, complaints, requests)
    page.set_viewport_size({"width": width, "height": 900})
    page.goto(path.as_uri())
    assert page.locator("#results tbody tr").count() == 1
    assert page.locator("#chosen img").count() == 30
    assert page.locator("#nearest img").count() == 24
    assert page.locator("#farthest img").count() == page.locator("#hardest img").count() == 12
    first = record.nearest[0]
    assert page.locator("#nearest img").first.get_attribute("alt") == f"{first.dropped}: {first.label}"
    assert complaints == []
    assert requests == [path.as_uri()]
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.close()


NEAR, FAR = Neighbour(dropped=7, chosen=3, label=1, distance=0.125), Neighbour(dropped=5, chosen=3, label=1, distance=9)


def test_of_vectors_the_nearest_and_the_farthest_are_tables():
    vectors = replace(RECORD, vectors=True, nearest=[NEAR], farthest=[FAR], compared=180, worth=None)
    page = " ".join(render(vectors, named=lambda index: f"{index}, f{index}.wav").split())
    for each, distance in ((NEAR, "0.125"), (FAR, "9")):
        cells = (f"{each.dropped}, f{each.dropped}.wav", "3, f3.wav", "b")
        row = "".join(f"<td><bdi>{cell}</bdi></td>" for cell in cells) + f'<td class="n">{distance}</td>'
        assert row in page
    assert "the vectors themselves" in page
    assert "Distances are to the chosen ones of the same class." in page
    assert "<img" not in page
    assert "measured on" not in page
    assert "measured on" in render(RECORD)


def test_without_labels_there_are_no_classes():
    whole = replace(RECORD, class_names=("",), class_sizes=(200,), counts=(20,), nearest=[replace(NEAR, label=0)])
    page = render(whole)
    assert 'id="classes"' not in page
    assert "same class" not in page
    assert 'id="classes"' in render(RECORD)


def test_how_rows_of_features_were_matched_is_said():
    page = render(replace(RECORD, features="e.npz", matched="rows matched to files by their names"))
    assert "e.npz; rows matched to files by their names" in page


def test_pictures_say_how_many_of_the_chosen_they_are(tmp_path: Path):
    found = Candidates.of_dataset("digits", tested=False)
    select(found, Rule("random"), Budget(per_class=13), tmp_path, resources=HERE)
    page = write_subset(tmp_path, found.pictures).read_text()
    assert page.count("12 of 13, evenly spread") == 10
    select(found, Rule("random"), Budget(per_class=12), tmp_path / "all", resources=HERE)
    assert "evenly spread" not in write_subset(tmp_path / "all", found.pictures).read_text()


@pytest.mark.browser
@pytest.mark.slow
@pytest.mark.parametrize("width", [1280, 390])
def test_a_page_of_files_without_labels_is_sound_in_a_browser(
    width: int, browser: Browser, tmp_path: Path, complaints: list[str], requests: list[str]
):
    (tmp_path / "photos").mkdir()
    for number in range(30):
        pixels = np.random.default_rng(number).integers(0, 256, (8 + number, 12, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "photos" / f"{'a-very-long-name-of-a-file-' * 4}{number:02d}.png")
    np.save(tmp_path / "e.npy", np.random.default_rng(0).normal(size=(30, 4)))
    found = Candidates.of_images(tmp_path / "photos", decoded=False)
    rule = Rule("k-center", features=str(tmp_path / "e.npy"))
    record = select(found, rule, Budget(count=14), tmp_path, resources=HERE)
    path = write_subset(tmp_path, found.pictures, found.places.tolist(), found.names, cropped=True)
    page = watched(browser, complaints, requests)
    page.set_viewport_size({"width": width, "height": 900})
    page.goto(path.as_uri())
    assert page.locator("#chosen figcaption").inner_text() == "12 of 14, evenly spread"
    assert page.locator("#chosen img").count() == page.locator("#farthest img").count() == 12
    first = record.nearest[0]
    words = f"{first.dropped}, {Path((found.names or [])[first.dropped]).name}"
    assert page.locator("#nearest img").first.get_attribute("alt") == words
    page.locator("#nearest summary").click()
    assert page.locator("#nearest tbody td").first.inner_text() == words
    assert complaints == []
    assert requests == [path.as_uri()]
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.close()
