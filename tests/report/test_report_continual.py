"""The page of continual learning: the numbers of the record, and words that claim no more than they show."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from browsing import contrasts, watched
from hypothesis import given, settings
from hypothesis import strategies as st

from potstill.evaluation import find_recipe
from potstill.report.continual import render, write_continual
from potstill.report.continual_lead import continual_verdict, remarks
from potstill.report.wording import signed
from potstill.schema.applications import LearnedDataset
from potstill.schema.continual import (
    ClassProtocol,
    Continual,
    Course,
    DomainProtocol,
    Learner,
    Memory,
    gains_over_random,
)

if TYPE_CHECKING:
    from playwright.sync_api import Browser

NETWORKS = ["convnet", "mlp:width=100"]


def learner(memory: str, network: str, *finals: float) -> Learner:
    """Courses of two steps that end with these average accuracies, of 20 and 40 test images."""
    courses = [Course(matrix=[[0.9], [final - 0.1, final + 0.1]], images=[20, 40], seconds=3.0) for final in finals]
    return Learner(memory=memory, network=network, courses=courses)


def with_learners(*learners: Learner, names: tuple[str, ...] = ("dm", "random", "k-means")) -> Continual:
    return Continual(
        protocol=ClassProtocol(steps=2, memory=30),
        datasets=[LearnedDataset(name="<b>&", fingerprint="ab", train=54_000, test=10_000)],
        stages=["step 1", "step 2"],
        orders=[[["0", "1"], ["2", "3"]]],
        recipe=find_recipe("quick"),
        matched=NETWORKS[0],
        networks=NETWORKS,
        memories=[
            Memory(name=name, kind="method" if name == "dm" else "selection", images=[30, 30], bytes=[9000, 9000])
            for name in names
        ],
        learners=list(learners),
        gains=gains_over_random(learners),
        made_on=["a machine"],
    )


def record() -> Continual:
    return with_learners(
        learner("dm", "convnet", 0.80, 0.81, 0.82),
        learner("random", "convnet", 0.70, 0.72, 0.71),
        learner("k-means", "convnet", 0.75, 0.71, 0.72),
        learner("dm", "mlp:width=100", 0.60, 0.65, 0.61),
        learner("random", "mlp:width=100", 0.62, 0.64, 0.61),
        learner("k-means", "mlp:width=100", 0.62, 0.64, 0.61),
    )


def body(page: str) -> str:
    """What a page says, without its styles and its icon."""
    return page.partition("<main")[2].partition("</main>")[0]


def plain(text: str) -> str:
    return text.replace("\u00a0", " ")


def test_the_verdict_says_by_how_much_and_whether_it_may_be_chance():
    found = record()
    assert plain(continual_verdict(found)) == (
        "After 2 stages, ConvNet with a memory of 30 images by dm reaches 81.0 % on average over the stages, "
        "10.0 points above as many random images (95 % interval +7.5 to +12.5)."
    )
    other, best = remarks(found)
    assert plain(best) == "With MLP (width=100), random has the highest mean: 62.3 %."
    assert plain(other).endswith(
        "reaches 62.0 % on average over the stages; the difference from as many random images "
        "(−0.3 points, 95 % interval −4.1 to +3.5) may be due to chance."
    )


def test_a_memory_that_is_worse_is_said_to_be_worse():
    worse = with_learners(learner("dm", "convnet", 0.5, 0.51, 0.52), learner("random", "convnet", 0.7, 0.72, 0.71))
    assert "20.0 points below as many random images" in plain(continual_verdict(worse))


def test_one_course_shows_no_difference():
    single = with_learners(learner("dm", "convnet", 0.8), learner("random", "convnet", 0.7))
    assert "a difference that may be due to chance" in continual_verdict(single)
    assert "One course each: no difference can be shown." in remarks(single)


def test_what_limits_the_outcome_is_said():
    found = replace(record(), networks=NETWORKS[:1], made_on=["a machine", "another"])
    assert any("A single network" in said for said in remarks(found))
    assert any("different conditions" in said for said in remarks(found))
    given_set = [Memory(name="runs/dm", kind="set", images=[30, 30], bytes=[9, 9]), *found.memories[1:]]
    said = remarks(replace(found, memories=given_set))
    assert "runs/dm was made beforehand, perhaps from the images of all stages at once." in said


def test_without_results_the_page_says_so():
    empty = with_learners(Learner(memory="dm", network="convnet", failed="it <diverged>"))
    page = render(empty)
    assert "ConvNet has no result with a memory of dm." in page
    assert "it &lt;diverged&gt;" in page
    assert "<polyline" not in page


def test_the_page_says_what_the_record_says(tmp_path: Path):
    record().write(tmp_path / Continual.FILE)
    text = plain(write_continual(tmp_path).read_text())
    assert "<b>&" not in text
    assert "&lt;b&gt;&amp; in 2 steps, with a memory of 30 images" in text
    row = text[text.index("<td>ConvNet</td>") :].split("</tr>")[0]
    for cell in ("dm", "81.0 %", "78.5–83.5", "84.3 %", "+19.0", "+10.0 (+7.5 to +12.5)"):
        assert cell in row, cell
    assert text.count("<polyline") == 2 * 3
    assert text.count('<table class="confusion">') == 6
    assert "divided by the classes seen so far, as in GDumb" in text
    assert "method, matched to ConvNet" in text


def domains() -> Continual:
    """Two stages, with and without knowledge distillation."""
    known = [
        replace(each, knowledge=True, courses=[replace(c, matrix=[[0.9, 0.2], [0.8, 0.9]]) for c in each.courses])
        for each in record().learners
    ]
    return replace(
        with_learners(*record().learners, *known),
        protocol=DomainProtocol(epochs=7),
        stages=["mnist", "usps"],
        datasets=[LearnedDataset(name=name, fingerprint="ab", train=100, test=50) for name in ("mnist", "usps")],
        orders=[],
    )


def test_the_page_of_domains_has_both_ways_to_train():
    text = plain(render(domains()))
    assert "mnist, then usps, with 10 images of each class in memory" in text
    assert text.count("<polyline") == 4 * 3
    assert "ConvNet with knowledge distillation: average accuracy" in text
    assert "temperature 2, on every image, with weight 1" in text
    assert "normalised by mean and standard deviation of mnist" in text
    rows = text.split("<tr><td>ConvNet with knowledge distillation</td>")
    assert len(rows) == 1 + 3
    assert "85.0 %" in rows[1].split("</tr>")[0]


def of_vectors(made: Continual) -> Continual:
    return replace(made, datasets=[replace(each, kind="vector") for each in made.datasets])


@pytest.mark.parametrize("made", [record, domains])
def test_of_vectors_no_image_is_mentioned(made: Callable[[], Continual]):
    found = of_vectors(made())
    for said in (continual_verdict(found), *remarks(found), body(render(found))):
        assert "image" not in said.lower()
        assert "pixel" not in said
    assert "random vectors" in continual_verdict(found)
    assert "32-bit numbers" in render(found)


def test_charts_name_their_stages():
    text = render(domains())
    assert text.count(">mnist</b>") == text.count(">usps</b>") == 4
    assert '<b style="left:50.0%">mnist</b><b style="left:100.0%">usps</b>' in text


def test_a_difference_that_rounds_to_nothing_has_no_sign():
    assert [signed(value) for value in (0.0004, -0.0004, 0.0, 0.042, -0.0006)] == ["0.0", "0.0", "0.0", "+4.2", "−0.1"]


def test_knowledge_is_compared_with_knowledge():
    found = domains()
    assert {(gain.network, gain.knowledge) for gain in found.gains} <= {(n, k) for n in NETWORKS for k in (False, True)}
    known = found.learner("dm", "convnet", knowledge=True)
    assert known is not None
    gain = found.gain(known)
    assert gain is not None
    assert gain.mean == 0
    assert any("ConvNet with knowledge distillation and a memory of 30 images by dm" in said for said in remarks(found))


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(*[st.integers(10, 90).map(lambda part: part / 100)] * 2), min_size=1, max_size=4))
def test_the_verdict_never_contradicts_the_numbers(finals: list[tuple[float, float]]):
    ours, theirs = zip(*finals, strict=True)
    found = with_learners(learner("dm", "convnet", *ours), learner("random", "convnet", *theirs))
    said = continual_verdict(found)
    significant = any(gain.is_significant for gain in found.gains)
    assert ("may be due to chance" in said) == (not significant)
    if significant:
        assert ("points above" in said) == (sum(ours) > sum(theirs))


@pytest.mark.browser
@pytest.mark.slow
@pytest.mark.parametrize("width", [1280, 390])
def test_the_page_is_sound_in_a_browser(
    width: int, browser: Browser, tmp_path: Path, complaints: list[str], requests: list[str]
):
    record().write(tmp_path / Continual.FILE)
    path = write_continual(tmp_path)
    page = watched(browser, complaints, requests)
    page.set_viewport_size({"width": width, "height": 900})
    page.goto(path.as_uri())
    assert complaints == []
    assert requests == [path.as_uri()]
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert [found for found in contrasts(page) if found[0] < 4.5] == []
    page.close()
