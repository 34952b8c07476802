from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from run_folder import change_record, evaluation, make_run

from potstill.report import read_run, wording
from potstill.report.lead import result
from potstill.report.page import render
from potstill.schema.evaluation import NetworkResult


def score(mean: float, half: float | None) -> dict[str, Any]:
    """Repeats whose 95 % interval is ``half`` wide on either side: of two, it is 12.7062 times half their distance."""
    accuracies = [mean] if half is None else [mean - half / 12.7062, mean + half / 12.7062]
    return NetworkResult(accuracies=accuracies).to_json()


def sentences(path: Path, distilled: dict[str, Any], random: dict[str, Any] | None, full: bool = True) -> list[str]:
    record = evaluation()
    record["networks"] = {"convnet": distilled}
    record["baselines"] = {"random": {"convnet": random}} if random else {}
    if full:
        record["baselines"]["full"] = {"convnet": score(0.987, 0.001)}
    return [text.replace(wording.SPACE, " ") for text in result(read_run(make_run(path, evaluated=record)))]


def test_the_result_in_one_sentence(tmp_path: Path) -> None:
    assert sentences(tmp_path, score(0.881, 0.012), score(0.67, 0.03)) == [
        "Trained on 10 images, ConvNet reaches 88.1 % (95 % interval 86.9–89.3) on the test set; "
        "on 10 random real images 67.0 %; on all 1,437 images 98.7 %.",
        "That is 21.1 points above random images (95 % interval of the difference +19.2 to +23.0).",
    ]


def test_an_interval_with_zero_shows_no_difference(tmp_path: Path) -> None:
    assert sentences(tmp_path, score(0.7, 0.1), score(0.67, 0.1))[1] == (
        "That is 3.0 points above random images (95 % interval of the difference −1.8 to +7.8): no difference is shown."
    )


def test_a_difference_is_judged_by_its_own_interval_even_where_those_of_both_sides_overlap(tmp_path: Path) -> None:
    assert sentences(tmp_path, score(0.7, 0.03), score(0.67, 0.03))[1] == (
        "That is 3.0 points above random images (95 % interval of the difference +1.6 to +4.4)."
    )


def test_a_set_worse_than_random_is_called_so(tmp_path: Path) -> None:
    assert "10.0 points below random images" in sentences(tmp_path, score(0.57, 0.01), score(0.67, 0.01))[1]


def test_one_repeat_has_no_interval(tmp_path: Path) -> None:
    first, second = sentences(tmp_path / "a", score(0.881, None), score(0.67, None))
    assert "interval" not in first
    assert "one repeat gives no interval" in second
    assert sentences(tmp_path / "b", score(0.881, None), None)[1] == "One repeat gives no interval."


def test_baselines_that_are_absent_or_failed_are_not_spoken_of(tmp_path: Path) -> None:
    (only,) = sentences(tmp_path / "a", score(0.881, 0.012), {"failed": "memory"}, full=False)
    assert only == "Trained on 10 images, ConvNet reaches 88.1 % (95 % interval 86.9–89.3) on the test set."


def test_a_difference_is_that_of_the_figures_as_printed(tmp_path: Path) -> None:
    assert "21.9 points" in sentences(tmp_path, score(0.88149, 0.001), score(0.66151, 0.001))[1]


def test_no_network_evaluated_gives_the_reason(tmp_path: Path) -> None:
    assert sentences(tmp_path, {"failed": "out of memory"}, None) == ["No network could be evaluated: out of memory."]


def test_a_run_that_was_not_evaluated_says_so(tmp_path: Path) -> None:
    assert result(read_run(make_run(tmp_path))) == [
        "digits was distilled into 10 images; what they are worth has not been measured yet."
    ]


@pytest.mark.parametrize(
    ("status", "words"),
    [
        ("interrupted", "stopped after 120 of 600 iterations"),
        ("time limit", "stopped after 120 of 600 iterations"),
        ("diverged", "stopped being finite after 120 iterations"),
    ],
)
def test_a_run_that_did_not_finish_says_so(run_path: Path, status: str, words: str) -> None:
    change_record(run_path / "manifest.json", status=status, iterations={"done": 120, "asked": 600})
    assert words in result(read_run(run_path))[-1]


def test_a_run_that_was_stopped_before_its_first_iteration_has_a_page(run_path: Path) -> None:
    change_record(run_path / "manifest.json", status="interrupted", iterations={"done": 0, "asked": 600})
    assert "0 iterations" in render(read_run(run_path)).replace(wording.SPACE, " ")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.0123, "12 ms"), (0.42, "0.4 s"), (59.94, "59.9 s"), (59.96, "1 min 0 s"), (812.4, "13 min 32 s"),
     (3599.7, "1 h 0 min"), (7500, "2 h 5 min")],
)  # fmt: skip
def test_durations(seconds: float, text: str) -> None:
    assert wording.duration(seconds) == text.replace(" ", wording.SPACE, 1).replace(" s", wording.SPACE + "s").replace(
        " min", wording.SPACE + "min"
    )


@pytest.mark.parametrize(
    ("number", "text"), [(0, "0 bytes"), (999, "999 bytes"), (31360, "31.4 kB"), (999_700, "1 MB"), (734e6, "734 MB")]
)
def test_sizes(number: float, text: str) -> None:
    assert wording.size(number) == text.replace(" ", wording.SPACE)


@pytest.mark.parametrize(
    ("spec", "title"),
    [("convnet", "ConvNet"), ("resnet18", "ResNet-18"), ("convnet:depth=5:norm=batch", "ConvNet (depth=5, norm=batch)"),
     ("mine", "mine")],
)  # fmt: skip
def test_network_titles(spec: str, title: str) -> None:
    assert wording.network_title(spec) == title
