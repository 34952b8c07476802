from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from run_folder import entry, evaluation, make_run, write_record

from potstill.report import read_run
from potstill.report.charts import linear_scale, logarithmic_scale
from potstill.report.charts.curves import MOST_POINTS, thin
from potstill.report.charts.dots import accuracy_chart
from potstill.report.charts.scatter import accuracy_scatter
from potstill.report.sections.accuracy import comparisons
from potstill.report.sections.confusion import make_confusion
from potstill.report.sections.learning import view as curve_charts


@given(st.floats(-1e6, 1e6), st.floats(1e-3, 1e6))
def test_linear_ticks_are_few_in_order_and_inside(low: float, span: float) -> None:
    scale = linear_scale(low, low + span, str)
    positions = [tick.position for tick in scale.ticks]
    assert 2 <= len(positions) <= 9
    assert positions == sorted(positions)
    assert all(0 <= position <= 100 for position in positions)


@given(st.floats(0, 1e6), st.floats(1, 1e6))
def test_ticks_of_whole_numbers_are_whole(low: float, span: float) -> None:
    values = [float(tick.label) for tick in linear_scale(low, low + span, repr, 4, unit=1).ticks]
    assert values
    assert all(value == round(value) for value in values)


@given(st.floats(0, 1), st.floats(0, 1))
def test_one_accuracy_against_another_has_ticks_however_close_they_lie(first: float, apart: float) -> None:
    second = min(1.0, first + apart**6)
    chart = accuracy_scatter("a", "b", [("x", first, second), ("y", second, first)], "a summary")
    for ticks in (chart.x_ticks, chart.y_ticks):
        assert len(ticks) > 1
        assert len({tick.label for tick in ticks}) == len(ticks)


def test_ticks_of_percents_are_whole_percents() -> None:
    for high in (0.1, 0.11, 0.3, 1.0):
        ticks = linear_scale(0.0, high, lambda value: f"{100 * value:.3f}", 4, unit=0.01).ticks
        assert len(ticks) > 1
        assert all(tick.label.endswith(".000") for tick in ticks)


@given(st.floats(1e-6, 1e3), st.floats(10, 1e9))
def test_logarithmic_ticks_stand_where_their_values_do(low: float, factor: float) -> None:
    scale = logarithmic_scale(low, low * factor, repr)
    assert 1 <= len(scale.ticks) <= 7
    for tick in scale.ticks:
        expected = 100 * math.log(float(tick.label) / low) / math.log(factor)
        assert tick.position == pytest.approx(expected, abs=0.01)


def test_values_outside_a_scale_stand_at_its_ends() -> None:
    scale = linear_scale(0, 1, str)
    assert (scale.position(-3), scale.position(0.25), scale.position(3)) == (0, 25, 100)


def test_the_accuracy_chart_has_each_network_beside_its_baselines(run_path: Path) -> None:
    chart = accuracy_chart(comparisons(read_run(run_path)))
    assert [network for network, _ in chart.groups] == ["ConvNet", "AlexNet", "ResNet-18"]
    lines = chart.groups[0][1]
    assert [line.title for line in lines] == [
        "20 images, distilled", "20 random real images", "all 1,437 training images",
    ]  # fmt: skip
    distilled, random, full = (line.mark for line in lines)
    assert distilled is not None
    assert random is not None
    assert full is not None
    assert random.mean < distilled.mean < full.mean
    assert random.interval is not None
    assert random.interval[0] < random.mean < random.interval[1]
    assert len(random.repeats) == 5


def test_a_rate_that_was_chosen_stands_beside_what_was_trained_on(tmp_path: Path) -> None:
    record = evaluation()
    record["networks"]["convnet"]["learning_rate"] = 0.0003
    run = make_run(tmp_path / "run", per_class=2, evaluated=record)
    lines = accuracy_chart(comparisons(read_run(run))).groups[0][1]
    assert [line.title for line in lines][:2] == ["20 images, distilled, learning rate 0.0003", "20 random real images"]


def test_a_failed_network_is_on_the_chart_with_its_reason(run_path: Path) -> None:
    (line,) = accuracy_chart(comparisons(read_run(run_path))).groups[2][1]
    assert line.failed == "the loss stopped being finite in epoch 12"
    assert line.mark is None


def test_perfect_and_hopeless_scores_stay_on_the_scale(tmp_path: Path) -> None:
    record = evaluation()
    for accuracy in (0.0, 1.0):
        record["networks"] = {"convnet": entry(accuracy, repeats=1, spread=0.0)}
        record["baselines"] = {}
        chart = accuracy_chart(comparisons(read_run(make_run(tmp_path / str(accuracy), evaluated=record))))
        mark = chart.groups[0][1][0].mark
        assert mark is not None
        assert mark.mean == 100 * accuracy


def test_thinning_keeps_the_mean_and_drops_what_is_not_finite() -> None:
    x = [float(index) for index in range(3 * MOST_POINTS)]
    thinned_x, thinned_y = thin(x, x)
    assert len(thinned_x) == MOST_POINTS
    assert thinned_y.mean() == pytest.approx(sum(x) / len(x))
    assert thin([1, 2, 3], [1.0, math.nan, 3.0])[0].tolist() == [1, 3]


def test_there_is_a_chart_for_each_thing_recorded(run_path: Path) -> None:
    charts = curve_charts(read_run(run_path))
    assert charts is not None
    assert [chart.title.split(",")[0] for chart in charts] == [
        "Distillation: loss",
        "Distillation: validation accuracy",
        "Evaluation: training loss on the set",
        "Evaluation: validation accuracy during training",
    ]
    assert charts[1].marker is not None
    assert charts[1].marker.label == "chosen: 480"
    assert charts[1].marker.position == pytest.approx(80)
    assert [series.name for series in charts[2].series] == ["ConvNet", "AlexNet"]
    first, last = charts[0].series[0].points.split()[0], charts[0].series[0].points.split()[-1]
    assert float(first.split(",")[1]) < float(last.split(",")[1])  # SVG counts downwards: the loss falls


def test_a_single_point_is_a_dot_and_nothing_recorded_is_no_chart(run_path: Path) -> None:
    (run_path / "evaluation.json").unlink()
    (run_path / "metrics.jsonl").write_text('{"event": "validation", "iteration": 10, "accuracy": 0.5}\n')
    (chart,) = curve_charts(read_run(run_path)) or []
    first, second = chart.series[0].points.split()
    assert first == second
    (run_path / "metrics.jsonl").write_text("")
    assert curve_charts(read_run(run_path)) is None


def test_a_constant_loss_is_drawn(run_path: Path) -> None:
    (run_path / "metrics.jsonl").write_text('{"event": "step", "iteration": 0, "loss": 0.0}\n' * 2)
    (chart,) = (curve_charts(read_run(run_path)) or [])[:1]
    assert chart.series[0].points


def test_confusion_counts_shares_and_mistakes() -> None:
    confusion = make_confusion("ConvNet", np.array([[8, 2, 0], [0, 5, 5], [0, 0, 0]]), ("a", "b", "c"))
    assert [cell.share for cell in confusion.lines[0].cells] == [0.8, 0.2, 0]
    assert [cell.right for cell in confusion.lines[1].cells] == [False, True, False]
    assert [line.accuracy.split()[0] for line in confusion.lines] == ["80.0", "50.0", "–"]
    assert [(mistake.true, mistake.taken_for, mistake.count) for mistake in confusion.mistakes] == [
        ("b", "c", "5"), ("a", "b", "2"),
    ]  # fmt: skip
    assert confusion.picture is None


def test_a_matrix_of_many_classes_is_a_picture_with_its_worst_mistakes() -> None:
    counts = np.diag(np.full(100, 9))
    counts[3, 4] = 7
    confusion = make_confusion("ConvNet", counts, tuple(f"class {index}" for index in range(100)))
    assert confusion.picture is not None
    assert confusion.lines[0].cells == ()
    assert [(mistake.true, mistake.taken_for) for mistake in confusion.mistakes] == [("class 3", "class 4")]


def test_charts_of_an_empty_evaluation_are_empty(run_path: Path) -> None:
    record = evaluation()
    write_record(run_path / "evaluation.json", record | {"networks": {}, "baselines": {}})
    assert accuracy_chart(comparisons(read_run(run_path))).groups == ()


def test_a_logarithmic_scale_of_any_floats_has_finite_ticks() -> None:
    for low, high in ((0.1, 1.7e308), (5e-324, 1.0), (1e305, 1e307)):
        assert all(np.isfinite(tick.position) for tick in logarithmic_scale(low, high, str).ticks)
