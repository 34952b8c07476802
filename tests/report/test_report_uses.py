"""What else the page tells of a set: its robust scores, and an architecture search with it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from run_folder import FINGERPRINT, SET, change_record, write_record, write_set
from test_report_page import Page

from potstill.evaluation import find_recipe
from potstill.report import read_run
from potstill.report.page import render
from potstill.runtime.errors import UserError
from potstill.schema.evaluation import NetworkResult
from potstill.schema.robustness import Robustness
from potstill.schema.search import Candidate, SearchResult

ROBUSTNESS = Robustness(
    set_sha256=SET,
    dataset_fingerprint=FINGERPRINT,
    seed=0,
    made_on="this machine",
    track="soft",
    recipe="dsa-1000@1",
    network="convnet",
    full_epochs=50,
    full=0.95,
    accuracies={
        "synthetic augmented": [0.9, 0.92],
        "random augmented": [0.7, 0.74],
        "synthetic plain": [0.85, 0.85],
        "random plain": [0.6, 0.62],
        "synthetic hard": [0.8, 0.8],
    },
    rates={
        "synthetic augmented": 0.01,
        "random augmented": 0.05,
        "synthetic plain": 0.005,
        "random plain": 0.1,
        "synthetic hard": 0.01,
    },
)

FOUND = SearchResult(
    space="convnet-22",
    recipe=find_recipe("coursework-50"),
    seed=0,
    set_sha256=SET,
    dataset_fingerprint=FINGERPRINT,
    candidates={
        "Small": Candidate(spec="convnet:depth=1", accuracies=[0.7, 0.8], seconds=3.0, parameters=1_000),
        "Large": Candidate(spec="convnet:depth=3", accuracies=[0.91], seconds=70.0, parameters=300_000),
        "Deep": Candidate(spec="convnet:depth=5", failed="too <small> images"),
    },
    full={"Large": NetworkResult(accuracies=[0.99424], seconds=100.0, epochs=50)},
)


def section(run: Path, name: str) -> Page:
    page = render(read_run(run))
    start = page.index(f'<section id="{name}">')
    return Page(page[start : page.index("</section>", start)])


def damaged(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    record = json.loads(path.read_text())
    change(record)
    path.write_text(json.dumps(record))


def replace_set(run: Path) -> None:
    images = np.zeros((20, 1, 8, 8))
    write_set(run / "synthetic.safetensors", images, np.arange(10).repeat(2), [str(label) for label in range(10)])


def test_a_set_that_went_on_without_its_manifest_is_no_run_to_report(run_path: Path):
    replace_set(run_path)
    with pytest.raises(UserError, match=r"manifest\.json is of another set.*--resume"):
        read_run(run_path)


def test_figures_on_another_dataset_are_left_out_and_that_is_said(run_path: Path):
    write_record(run_path / "robustness.json", ROBUSTNESS.to_json() | {"dataset_fingerprint": "d1" * 32})
    change_record(run_path / "evaluation.json", dataset_fingerprint="d1" * 32)
    run = read_run(run_path)
    assert run.elsewhere == ("evaluation.json", "robustness.json")
    page = render(run)
    assert "measured on another dataset: evaluation.json, robustness.json." in page
    assert "what they are worth has not been measured yet" in page


def test_networks_that_knew_something_before_are_told_of(run_path: Path):
    change_record(run_path / "evaluation.json", initial={"source": "runs/experts", "experts": 3})
    page = render(read_run(run_path))
    assert "they started from the weights in runs/experts" in page


def test_a_seed_may_be_negative_and_memory_untold(run_path: Path):
    change_record(run_path / "manifest.json", seed=-1, peak_memory_bytes=0)
    change_record(run_path / "evaluation.json", seed=-3)
    page = render(read_run(run_path))
    assert "seed -1" in page
    assert "not available" in page


def test_a_run_without_them_says_nothing_of_them(run_path: Path):
    page = render(read_run(run_path))
    assert 'id="search"' not in page
    assert 'id="robustness"' not in page


def test_robust_scores_are_told_with_what_they_are_made_of(run_path: Path):
    write_record(run_path / "robustness.json", ROBUSTNESS.to_json())
    told = section(run_path, "robustness")
    assert f"Label robust score {100 * ROBUSTNESS.label_score:.1f}" in told.text
    assert f"augmentation robust score {100 * ROBUSTNESS.augmentation_score:.1f}, of 100: soft labels" in told.text
    assert "on the full data, after 50 epochs, 95.0\u00a0%" in told.text
    assert "2 repeats of each training; seed 0; measured on this machine." in told.text
    kinds = (("the set, with augmentation", "91.0", "0.01"), ("random images, without augmentation", "61.0", "0.1"))
    for name, mean, rate in kinds:
        row = told.text[told.text.index(name) :].split("\n")[0]
        assert mean in row
        assert row.endswith(rate)


def test_a_search_is_told_from_the_best_down(run_path: Path):
    write_record(run_path / "search.json", FOUND.to_json())
    told = section(run_path, "search")
    assert "3 networks of convnet-22, trained on the set by coursework-50@1 in 1\u00a0min 13\u00a0s" in told.text
    assert "On the full data: Large 99.42\u00a0% after 50 epochs." in told.text
    assert [told.text.index(name) for name in ("1Large", "2Small", "3Deep")] == sorted(
        told.text.index(name) for name in ("1Large", "2Small", "3Deep")
    )
    assert "75.0\u00a0%" in told.text
    assert "failed: too <small> images" in told.text
    assert "<small>" not in told.source, "it is escaped"


def test_a_search_without_full_data_says_so(run_path: Path):
    write_record(run_path / "search.json", replace(FOUND, full={}).to_json())
    assert "none has been trained on the full data yet" in section(run_path, "search").text


def test_figures_of_an_earlier_set_are_left_out_and_that_is_said(run_path: Path):
    write_record(run_path / "robustness.json", ROBUSTNESS.to_json())
    write_record(run_path / "search.json", FOUND.to_json())
    assert read_run(run_path).outdated == ()
    replace_set(run_path)
    change_record(run_path / "manifest.json", tensors_sha256=SET)
    run = read_run(run_path)
    assert run.outdated == ("evaluation.json", "robustness.json", "search.json")
    page = render(run)
    assert "the results of an earlier set in evaluation.json, robustness.json, search.json." in page
    assert "what they are worth has not been measured yet" in page
    assert 'id="search"' not in page
    assert 'id="robustness"' not in page


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("search", lambda r: r.update(schema=2), "schema is not 1"),
        ("search", lambda r: r["ranked"].pop(), "ranked is not a list of the candidates"),
        ("search", lambda r: r["candidates"]["Large"].pop("mean"), r"candidates\.Large\.mean is missing"),
        ("search", lambda r: r.pop("recipe"), "recipe is missing"),
        ("robustness", lambda r: r.update(label_robust_score="high"), "label_robust_score is not a number"),
        ("robustness", lambda r: r["trained_on"]["random plain"].pop("mean"), r"random plain\.mean is missing"),
    ],
)
def test_damage_names_the_file_and_the_field(run_path: Path, name: str, change: Any, message: str):
    write_record(run_path / "robustness.json", ROBUSTNESS.to_json())
    write_record(run_path / "search.json", FOUND.to_json())
    damaged(run_path / f"{name}.json", change)
    with pytest.raises(UserError, match=rf"{name}\.json: .*{message}|{name}\.json: {message}"):
        read_run(run_path)
