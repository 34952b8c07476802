"""The page of a re-run table: published results beside ours, and words that claim no more than they show."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from browsing import contrasts, watched
from run_folder import make_run

from potstill.report.charts.pictures import as_rgb, data_uri
from potstill.report.images import read_images
from potstill.report.reproduction import render, reproduced_images, write_reproduction
from potstill.report.reproduction_lead import reproduction_remarks, reproduction_verdict
from potstill.schema.evaluation import Repeats
from potstill.schema.published import Published, PublishedIterations, PublishedSearch
from potstill.schema.reproduction import Outcome, ReproductionRecord, Searched

if TYPE_CHECKING:
    from playwright.sync_api import Browser


def outcome(row: str, *accuracies: float, published: float | None = None, **changes: object) -> Outcome:
    made = Outcome(
        row=row,
        network="convnet",
        method="random" if row == "random real" else "datadam",
        ipc=10,
        folder=row.replace(" ", "-"),
        dataset="mnist",
        dataset_fingerprint="ab",
        published=None if published is None else Published(published, time="<1 s"),
        measured=Repeats(accuracies=list(accuracies)),
        verdict="no spread published",
        iterations=PublishedIterations(done=0, published=0)
        if row == "random real"
        else PublishedIterations(done=50, published=1000),
        seconds=60.0,
        training_seconds=2.5,
        made_on=["a machine"],
    )
    return replace(made, **changes)  # pyright: ignore[reportArgumentType]


RANDOM = outcome("random real", 0.949, 0.951, 0.95)
SEARCH = Searched(
    row="from <b>&",
    published=PublishedSearch(
        space="convnet-22", found="ConvNetW256", accuracy=91.92, time="34 s", full=Published(99.52, time="8 min 4 s")
    ),
    comparable=True,
    candidates=22,
    found="ConvNetD4",
    on_set=Repeats(accuracies=[0.9612]),
    seconds=340.0,
    full=Repeats(accuracies=[0.9913]),
    full_seconds=500.0,
)
FULL = outcome("full data", 0.99, published=99.49, method="", ipc=0, folder="", iterations=None, seconds=None)
RECORD = ReproductionRecord(
    name="table",
    title="A table",
    source="two <reports>",
    recipe="coursework-50",
    notes=["A note."],
    outcomes=[FULL, outcome("from <b>&", 0.969, 0.971, 0.97, published=91.81), RANDOM],
    searches=[SEARCH],
)


def of(*outcomes: Outcome) -> ReproductionRecord:
    return replace(RECORD, outcomes=[*outcomes, RANDOM], searches=[])


def test_a_published_result_below_random_images_is_named():
    assert reproduction_verdict(RECORD) == (
        "Of 1 published result on sets, 1 lies clearly below what random real images of equal number reach here (under "
        "its 95\u00a0% interval). Our sets lie above random real images in 1 of 1 case."
    )
    first, *others = reproduction_remarks(RECORD)
    assert first == (
        "from <b>&, ConvNet: 91.81\u00a0% was published; 10 random real images of each class reach 95.0\u00a0% "
        "(95\u00a0% interval 94.8–95.2), our set 97.0\u00a0%."
    )
    assert others == ["Random real images are a single draw: intervals are over trainings alone."]


@pytest.mark.parametrize("published", [94.9, 95.0, 97.5])
def test_a_published_result_inside_or_above_the_interval_is_not(published: float):
    record = of(outcome("ours", 0.969, 0.971, 0.97, published=published))
    assert "none lie clearly below what random" in reproduction_verdict(record)
    assert len(reproduction_remarks(record)) == 1


def test_one_training_on_random_images_tells_nothing():
    once = replace(RANDOM, measured=Repeats(accuracies=[0.95]))
    record = replace(RECORD, outcomes=[outcome("ours", 0.969, 0.97, published=20.0), once], searches=[])
    assert reproduction_verdict(record) == (
        "Random real images were trained on once, so it is not known whether published results lie below them. "
        "No difference between our sets and random real images can be tested: there are too few trainings."
    )


def test_ours_may_be_below_or_hard_to_tell_apart():
    below, unclear = outcome("a", 0.90, 0.91, 0.9), outcome("b", 0.95, 0.949, 0.9505)
    said = reproduction_verdict(of(below, unclear, outcome("c", 0.969, 0.971, 0.97)))
    assert said == (
        "Our sets lie above random real images in 1 of 3 cases, below in 1 (a, ConvNet), not clearly apart in 1."
    )
    assert reproduction_verdict(of(outcome("one", 0.99))).startswith("No difference between our sets and random")


def test_another_dataset_or_number_of_images_is_not_compared():
    elsewhere = outcome("ours", 0.97, 0.971, 0.972, published=10.0, verdict="another dataset")
    assert "published result" not in reproduction_verdict(of(elsewhere))
    fewer = outcome("ours", 0.97, 0.971, 0.972, published=10.0, ipc=1)
    assert reproduction_verdict(of(fewer)).startswith("Nothing here can be compared")


def test_results_with_a_published_deviation_are_counted():
    made = [outcome(verdict, 0.9, verdict=verdict, ipc=1) for verdict in ("inside", "below", "inside")]
    assert reproduction_verdict(of(*made)) == (
        "Of 3 results published with a deviation, ours: inside it in 2, below it in 1."
    )


def test_scales_and_unfinished_rows_are_said():
    said = reproduction_remarks(of(outcome("ours", 0.9, scale=0.05, status="time limit")))
    assert any(
        each.startswith("At a scale of 5\u00a0%: that share of the published iterations and of the") for each in said
    )
    assert "Not distilled to the end: ours." in said


def test_the_page_shows_published_beside_ours():
    page = render(RECORD)
    for text in ("99.49", "91.81", "97.0 ± 0.1", "&lt;1 s", "50 of 1,000", "ConvNetW256", "ConvNetD4", "8 min 4 s"):
        assert text in page, text
    assert "from &lt;b&gt;&amp;" in page
    assert "from <b>" not in page
    assert "two &lt;reports&gt;" in page
    assert render(RECORD) == page


def test_images_are_those_that_were_measured(tmp_path: Path):
    run = make_run(tmp_path / "ours", per_class=2)
    sha256 = read_images(run / "synthetic.safetensors").tensors_sha256
    made = outcome("ours", 0.9, set_sha256=sha256)
    strips = reproduced_images(of(made), tmp_path)
    assert strips is not None
    assert [strip.name for strip in strips.strips] == ["ours: before", "ours: after", "ours: change"]
    assert all(len(strip.pictures) == 10 for strip in strips.strips)
    before, after, _ = (strip.pictures for strip in strips.strips)
    for shown, file in ((before, run / "checkpoint" / "start.safetensors"), (after, run / "synthetic.safetensors")):
        images = read_images(file)
        first = as_rgb(images.pixels[[members[0] for members in images.members]])
        assert [picture for _, picture in shown] == [data_uri(rgb) for rgb in first]
    assert before != after
    assert "Not shown, because the run was changed or removed: random real." in strips.notes
    chosen = replace(made, iterations=PublishedIterations(done=0, published=0))
    strips = reproduced_images(of(chosen), tmp_path)
    assert strips is not None
    assert [strip.name for strip in strips.strips] == ["ours"]
    assert reproduced_images(of(replace(made, set_sha256="another")), tmp_path) is None


@pytest.mark.slow
@pytest.mark.browser
@pytest.mark.parametrize("width", [390, 1280])
def test_the_page_is_shown_without_complaint(
    tmp_path: Path, browser: Browser, complaints: list[str], requests: list[str], width: int
):
    run = make_run(tmp_path / "ours", per_class=2)
    sha256 = read_images(run / "synthetic.safetensors").tensors_sha256
    record = replace(RECORD, outcomes=[*RECORD.outcomes, outcome("ours", 0.9, set_sha256=sha256)])
    record.write(tmp_path / ReproductionRecord.FILE)
    path = write_reproduction(tmp_path)
    page = watched(browser, complaints, requests)
    page.set_viewport_size({"width": width, "height": 900})
    page.goto(path.as_uri())
    assert page.locator("#results tbody tr").count() == 5, "a line for each result, and one for the network"
    assert page.locator("#found tbody tr").count() == 2
    assert page.locator("#images .strip").count() == 3
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    assert min(ratio for ratio, _ in contrasts(page)) >= 4.5
    assert (complaints, requests) == ([], [path.as_uri()])
