"""The page of a selection: the numbers of the record, pictures of the right images, no more than is shown."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from browsing import watched

from potstill.applications import Budget, Candidates, Rule, select
from potstill.evaluation import Resources, find_recipe
from potstill.report.subset import render, subset_verdict, write_subset
from potstill.runtime.compute_choice import ComputeChoice
from potstill.schema.evaluation import NetworkResult
from potstill.schema.subset import Comparison, Subset, Worth

if TYPE_CHECKING:
    from playwright.sync_api import Browser

HERE = Resources(compute=ComputeChoice(device="cpu", precision="float32", compile="off"))


def worth(chosen: list[float], random: list[float]) -> Worth:
    each = Comparison(chosen=NetworkResult(accuracies=chosen), random=NetworkResult(accuracies=random))
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
