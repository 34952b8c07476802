"""The page of a comparison: figures, honest words, and a browser that has nothing to complain of."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from browsing import watched
from hypothesis import given
from hypothesis import strategies as st
from run_folder import entry, evaluation, write_record

from potstill.report.charts.scatter import spread
from potstill.report.comparison import render, write_comparison
from potstill.runtime.errors import UserError
from potstill.schema.comparison import Comparison

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

NAMES = ("dm", "<b>&", "random-mnist-ipc10", "herding-mnist-ipc10")


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
    best = max(comparison()["sets"], key=lambda item: item["networks"]["convnet"]["mean"])
    assert (
        f"ConvNet reaches the highest accuracy with {best['name']}: {100 * best['networks']['convnet']['mean']:.1f} %"
        in text
    )
    assert "Of 2 differences between two sets, 1 are significant" in text
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
    assert "Accuracy by the time it took" in page
    assert "Accuracy by the size" not in page
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


@given(st.lists(st.floats(0, 100), max_size=8), st.floats(1, 20))
def test_names_are_spread_until_none_covers_another(heights: list[float], gap: float):
    placed = spread(heights, gap)
    assert all(after >= before for after, before in zip(placed, heights, strict=True))
    ordered = sorted(placed)
    assert all(higher - lower >= gap - 1e-9 for lower, higher in pairwise(ordered))


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
@pytest.mark.parametrize("width", [360, 1280])
def test_nothing_runs_over_the_edge(width: int, page: Page) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= width
