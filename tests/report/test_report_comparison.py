"""The page of a comparison: figures, honest words, and a browser that has nothing to complain of."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from browsing import contrasts, watched
from hypothesis import given
from hypothesis import strategies as st
from run_folder import entry, evaluation, make_run, write_record

from potstill.report.charts.scatter import LABEL_HEIGHT, label_right_of, placed_labels
from potstill.report.comparison import render, write_comparison
from potstill.report.comparison_images import compared_images
from potstill.report.comparison_lead import lead
from potstill.report.strips import Strips
from potstill.runtime.errors import UserError
from potstill.schema.comparison import Comparison
from potstill.schema.evaluation import Repeats
from potstill.schema.fields import Fields
from potstill.schema.manifest import Manifest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

NAMES = ("dm", "<b>&", "random-mnist-ipc10", "herding-mnist-ipc10")

LONG_NAMES = ("dm-with-a-name-that-is-longer-than-a-narrow-chart", "datadam", "dsa", "full data")
NAMES_IN_THE_WAY = """() => [...document.querySelectorAll(".area")].flatMap(area => {
  const chart = area.getBoundingClientRect();
  const names = [...area.querySelectorAll(".label")].map(name => name.getBoundingClientRect());
  const outside = names.filter(name => name.left < chart.left - 1 || name.right > chart.right + 1);
  const covering = names.filter((one, place) => names.slice(place + 1).some(other =>
    one.left < other.right && other.left < one.right && one.top < other.bottom && other.top < one.bottom));
  return [...outside, ...covering];
})"""
"""The boxes of names outside their chart, or upon another name."""


def comparison() -> dict[str, Any]:
    """Four sets, two networks, one of which failed on one set."""
    sets = []
    for place, name in enumerate(NAMES):
        networks: dict[str, Any] = {
            "convnet": {**entry(0.7 + 0.05 * place, seed=place), "seconds": 12.0},
            "mlp:width=64": {**entry(0.6, seed=place), "seconds": 2.0},
        }
        if place == 2:
            networks["mlp:width=64"] = {"failed": "mlp diverged in epoch 3 of its training"}
        sets.append(
            {
                "name": name,
                "method": "dm",
                "status": "time limit" if place == 3 else "complete",
                "ipc": 10 * (place + 1),
                "images": 100 * (place + 1),
                "bytes": 31_360 * (place + 1),
                "labels": "soft" if place == 1 else "hard",
                "distilled_seconds": 10.0**place,
                "peak_memory_bytes": 900_000_000,
                "networks": networks,
            }
        )
    pairs = [("dm", NAMES[1], -0.05, 0.001, 0.003), ("dm", NAMES[2], 0.01, 0.4, 0.8)]
    return {
        "schema": 1,
        "dataset": {"name": "mnist", "fingerprint": "ab", "train": 54_000, "test": 10_000, "bytes": 42_336_000},
        "recipe": evaluation()["recipe"],
        "networks": ["convnet", "mlp:width=64"],
        "seed": 0,
        "initial": {"source": "random", "seed": 0, "scheme": "kaiming"},
        "made_on": ["a machine"],
        "sets": sets,
        "full": {"convnet": entry(0.99, repeats=1)},
        "significance": 0.05,
        "differences": [
            {
                "network": "convnet",
                "first": first,
                "second": second,
                "mean": mean,
                "ci95": [mean - 0.01, mean + 0.01],
                "p": p,
                "p_corrected": corrected,
                "repeats": 5,
            }
            for first, second, mean, p, corrected in pairs
        ],
        "reached": {"convnet": {"accuracy": 0.7, "seconds": dict.fromkeys(NAMES, 3.0)}, "mlp:width=64": {}},
    }


def with_means(*means: float) -> dict[str, Any]:
    """A comparison of as many sets, on each of which a network reaches a mean."""
    record = comparison()
    record["sets"] = record["sets"][: len(means)]
    for item, mean in zip(record["sets"], means, strict=True):
        item["networks"]["convnet"] |= Repeats(accuracies=[mean, mean]).to_json()
    return record


def told(record: dict[str, Any], folder: Path) -> str:
    write_record(folder / "comparison.json", record)
    return lead(Comparison.read(folder / "comparison.json"), "convnet").replace("\u00a0", " ")


def test_of_vectors_no_image_is_mentioned():
    record = comparison()
    record["dataset"]["kind"] = "vector"
    page = render(Comparison.from_json(Fields.of(Path("comparison.json"), record)))
    page = page.partition("<main")[2].partition("</main>")[0]
    assert "54,000 training vectors" in page
    assert "vectors per class" in page
    assert "as 32-bit numbers" in page
    assert "image" not in page
    assert "pixel" not in page


def test_a_tie_has_no_winner(tmp_path: Path):
    assert told(with_means(0.8, 0.8), tmp_path) == (
        "ConvNet reaches the same accuracy with dm and <b>&: 80.0 % on the test set."
    )
    assert told(with_means(0.7, 0.8, 0.8), tmp_path) == (
        "ConvNet reaches the highest accuracy with <b>& and random-mnist-ipc10: 80.0 % on the test set; "
        "the difference from dm (70.0 %) may be due to chance."
    )


def test_sets_that_are_equal_as_printed_share_a_place(tmp_path: Path):
    assert "the same accuracy with <b>& and dm: 80.0 %" in told(with_means(0.8001, 0.8004), tmp_path)


def test_a_difference_that_was_shown_is_called_significant(tmp_path: Path):
    assert told(with_means(0.7, 0.75), tmp_path).endswith(
        "with <b>&: 75.0 % on the test set, significantly above dm (70.0 %)."
    )


def test_one_set_that_could_be_trained_on_is_compared_with_none(tmp_path: Path):
    record = with_means(0.7, 0.75)
    record["sets"][1]["networks"]["convnet"] = {"failed": "memory"}
    assert told(record, tmp_path) == "ConvNet reaches the highest accuracy with dm: 70.0 % on the test set."
    record["sets"][0]["networks"]["convnet"] = {"failed": "memory"}
    assert told(record, tmp_path) == "ConvNet could not be trained on any of the sets."


def test_what_a_set_without_a_run_does_not_record_is_a_dash(tmp_path: Path):
    record = comparison()
    record["sets"][1] |= {"method": None, "status": None, "distilled_seconds": None, "peak_memory_bytes": None}
    write_record(tmp_path / "comparison.json", record)
    page = write_comparison(tmp_path).read_text()
    row = page[page.index("<bdi>&lt;b&gt;&amp;</bdi>") :].partition("</tr>")[0]
    assert re.findall("<td[^>]*>([^<]*)</td>", row) == [
        *("–", "20", "soft", "62.7\u00a0kB", "–", "–", "12.0\u00a0s", "3.0\u00a0s")
    ]
    assert "Not distilled to the end: herding-mnist-ipc10 (time limit)." in page


def with_runs(folder: Path, **run: Any) -> dict[str, Any]:
    """A comparison of two sets whose runs are beside it."""
    record = comparison()
    record["sets"] = record["sets"][:2]
    for item, name in zip(record["sets"], ("first", "second"), strict=True):
        path = make_run(folder / name, **run)
        item |= {"folder": f"../{name}", "set_sha256": Manifest.read(path / "manifest.json").tensors_sha256}
    return record


def images_of(record: dict[str, Any], folder: Path) -> Strips | None:
    write_record(folder / "comparison" / "comparison.json", record)
    return compared_images(Comparison.read(folder / "comparison" / "comparison.json"), folder / "comparison")


def test_the_images_of_the_sets_stand_side_by_side(tmp_path: Path):
    record = with_runs(tmp_path, names=tuple(f"class {index}" for index in range(25)))
    images = images_of(record, tmp_path)
    assert images is not None
    assert [strip.name for strip in images.strips] == ["dm", "<b>&"]
    assert [title for title, _ in images.strips[0].pictures] == [f"class {index}" for index in range(20)]
    assert images.notes == ("The first image of the first 20 of 25 classes in each set.",)
    page = write_comparison(tmp_path / "comparison").read_text()
    assert page.count('<img src="data:image/png') == 40
    assert 'alt="dm, class 3"' in page


def test_a_set_that_changed_or_is_gone_is_not_shown(tmp_path: Path):
    record = with_runs(tmp_path)
    (tmp_path / "first" / "synthetic.safetensors").unlink()
    images = images_of(record, tmp_path)
    assert images is not None
    assert [strip.name for strip in images.strips] == ["<b>&"]
    assert images.notes[-1] == "Not shown, because the set was changed or removed: dm."
    record["sets"][1]["set_sha256"] = "ab" * 32
    assert images_of(record, tmp_path) is None
    assert images_of(comparison(), tmp_path) is None, "older records have no folders"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_record(tmp_path / "comparison.json", comparison())
    return tmp_path


def test_figures_that_were_not_measured_alike_are_said_to_be(tmp_path: Path):
    record = comparison()
    write_record(tmp_path / "comparison.json", record)
    assert "Results were measured under different conditions" not in render(
        Comparison.read(tmp_path / "comparison.json")
    )
    record["made_on"].append("another machine")
    write_record(tmp_path / "comparison.json", record)
    page = render(Comparison.read(tmp_path / "comparison.json"))
    assert "Results were measured under different conditions" in page
    assert page.index("a machine") < page.index("another machine")


def test_a_set_that_was_stopped_is_said_to_be(tmp_path: Path):
    record = comparison()
    write_record(tmp_path / "comparison.json", record)
    page = render(Comparison.read(tmp_path / "comparison.json"))
    assert "Not distilled to the end: herding-mnist-ipc10 (time limit)." in page
    for part in record["sets"]:
        part["status"] = "complete"
    write_record(tmp_path / "comparison.json", record)
    assert "Not distilled" not in render(Comparison.read(tmp_path / "comparison.json"))


def test_the_page_says_what_the_record_says(folder: Path):
    text = write_comparison(folder).read_text().replace("\u00a0", " ")
    ordered = sorted(comparison()["sets"], key=lambda item: -item["networks"]["convnet"]["mean"])
    (best, first), (second, other) = ((item["name"], item["networks"]["convnet"]["mean"]) for item in ordered[:2])
    assert (
        f"ConvNet reaches the highest accuracy with {best}: {100 * first:.1f} % on the test set; "
        f"the difference from {second} ({100 * other:.1f} %) may be due to chance."
    ) in text
    assert "Of 2 differences between two sets, 1 is significant, at 5 % for all together." in text
    assert "failed: mlp diverged in epoch 3 of its training" in text
    assert "Learned labels carry" in text
    assert "<b>&<" not in text
    assert "&lt;b&gt;&amp;" in text


def test_equal_sizes_make_no_chart_of_sizes(folder: Path):
    record = comparison()
    for item in record["sets"]:
        item |= {"ipc": 10, "bytes": 31_360, "labels": "hard"}
    write_record(folder / "comparison.json", record)
    page = render(Comparison.read(folder / "comparison.json"))
    assert "Accuracy of ConvNet by the time it took" in page
    assert "by the size" not in page
    assert "Learned labels carry" not in page


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        ("schema", 2, "schema is not 1"),
        ("sets", {}, "sets is not a list"),
        ("sets", [{}], r"sets\[0\]\.name is missing"),
        ("differences", [{"ci95": [1]}], r"differences\[0\]\.network is missing"),
        ("dataset", {}, r"dataset\.name is missing"),
    ],
)
def test_a_damaged_record_is_named_with_its_field(place: str, value: Any, message: str, folder: Path):
    write_record(folder / "comparison.json", comparison() | {place: value})
    with pytest.raises(UserError, match=rf"comparison\.json: {message}"):
        Comparison.read(folder / "comparison.json")


def test_equal_records_make_equal_pages(folder: Path):
    assert write_comparison(folder).read_bytes() == write_comparison(folder).read_bytes()
    assert json.loads((folder / "comparison.json").read_text()) == json.loads(json.dumps(comparison()))


NAMED_PLACES = st.tuples(st.text("ab", max_size=20), st.floats(0, 100), st.floats(0, 100))


@given(st.lists(NAMED_PLACES, max_size=8), st.lists(NAMED_PLACES, max_size=1))
def test_names_cover_neither_each_other_nor_other_points(
    points: list[tuple[str, float, float]], levels: list[tuple[str, float, float]]
):
    fixed = [label_right_of(*level) for level in levels]
    labels = placed_labels(points, fixed)
    assert all(label.height >= y for label, (_, _, y) in zip(labels, points, strict=True))
    for one, other in combinations([*labels, *fixed], 2):
        beside = one.end <= other.start or other.end <= one.start
        assert beside or abs(one.height - other.height) >= LABEL_HEIGHT - 1e-6
    for index, label in enumerate(labels):
        for place, (_, x, y) in enumerate(points):
            if place != index and label.start < x < label.end:
                assert abs(label.height - y) >= LABEL_HEIGHT - 1e-6


@pytest.fixture
def page(browser: Browser, folder: Path, complaints: list[str], requests: list[str]) -> Iterator[Page]:
    write_comparison(folder)
    page = watched(browser, complaints, requests)
    page.goto((folder / "comparison.html").as_uri())
    yield page
    page.close()


@pytest.mark.browser
def test_only_the_page_is_requested_and_nothing_complains(
    page: Page, folder: Path, complaints: list[str], requests: list[str]
) -> None:
    page.wait_for_load_state("networkidle")
    assert complaints == []
    assert requests == [(folder / "comparison.html").as_uri()]


@pytest.mark.browser
def test_every_set_stands_in_tables_and_charts(page: Page) -> None:
    assert page.locator("#sets tbody tr").count() == 4
    assert page.locator("#pairs tbody tr").count() == 2
    assert page.locator(".point").count() == 12
    assert page.locator(".label").all_inner_texts()[:4] == list(NAMES)
    assert page.locator("#pairs tbody tr").first.inner_text().endswith("yes")


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
def test_nothing_runs_over_the_edge_and_text_stands_out(width: int, scheme: str, page: Page) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert [text for ratio, text in contrasts(page) if ratio < 4.5] == []


@pytest.mark.browser
@pytest.mark.parametrize("width", [360, 1280])
def test_names_in_charts_cover_no_other_name_and_stay_inside(
    width: int, browser: Browser, folder: Path, complaints: list[str], requests: list[str]
) -> None:
    record = comparison()
    for place, (item, name) in enumerate(zip(record["sets"], LONG_NAMES, strict=True)):
        item |= {"name": name, "ipc": 10 + place // 3}
        item["networks"]["convnet"] |= entry(0.7 + 0.004 * place, seed=place)
    write_record(folder / "comparison.json", record | {"differences": []})
    write_comparison(folder)
    page = watched(browser, complaints, requests)
    page.set_viewport_size({"width": width, "height": 800})
    page.goto((folder / "comparison.html").as_uri())
    assert page.locator(".label").count() == 12
    assert page.evaluate(NAMES_IN_THE_WAY) == []
    page.close()
