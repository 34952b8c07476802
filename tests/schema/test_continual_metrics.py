"""The metrics of continual learning, by hand and by their properties."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from potstill.runtime.errors import UserError
from potstill.schema.continual import (
    ClassProtocol,
    Course,
    Learner,
    average_accuracy,
    backward_transfer,
    forgetting,
    gains_over_random,
    stream_forgetting,
)
from potstill.schema.fields import Fields

LOWER = [[0.9], [0.6, 0.8], [0.5, 0.9, 0.7]]
"""Accuracies after each of three stages, on the stages up to it."""


def square(size: int) -> st.SearchStrategy[list[list[float]]]:
    return st.lists(st.lists(st.floats(0, 1), min_size=size, max_size=size), min_size=size, max_size=size)


matrices = st.integers(1, 5).flatmap(square)


def test_metrics_by_hand():
    assert [average_accuracy(LOWER, stage) for stage in range(3)] == pytest.approx([0.9, 0.7, 0.7])
    assert [forgetting(LOWER, stage) for stage in range(3)] == pytest.approx([0.4, -0.1, 0.0])
    assert stream_forgetting(LOWER) == pytest.approx((0.4 - 0.1) / 2)
    assert backward_transfer(LOWER) == pytest.approx(-0.15)


def test_a_single_stage_forgets_nothing():
    assert stream_forgetting([[0.3]]) == backward_transfer([[0.3]]) == 0


def test_stream_accuracy_counts_every_image_once():
    course = Course(matrix=LOWER, images=[10, 20, 10])
    assert course.stream_accuracy(0) == pytest.approx(0.9)
    assert course.stream_accuracy(1) == pytest.approx((0.6 * 10 + 0.8 * 20) / 30)
    assert course.stream_accuracy(2) == pytest.approx((5 + 18 + 7) / 40)


@given(matrices)
def test_what_comes_after_a_stage_has_no_part_in_the_metrics(matrix: list[list[float]]):
    lower = [row[: stage + 1] for stage, row in enumerate(matrix)]
    for metric in (stream_forgetting, backward_transfer):
        assert metric(matrix) == metric(lower)
    assert average_accuracy(matrix, 0) == average_accuracy(lower, 0) == matrix[0][0]


@given(matrices)
def test_metrics_stay_in_their_bounds(matrix: list[list[float]]):
    assert -1 <= stream_forgetting(matrix) <= 1
    assert stream_forgetting(matrix) == -backward_transfer(matrix)
    assert forgetting(matrix, len(matrix) - 1) == 0
    for stage in range(len(matrix)):
        assert 0 <= average_accuracy(matrix, stage) <= 1


@given(matrices, st.integers(1, 50))
def test_stages_of_one_size_have_the_stream_accuracy_of_their_mean(matrix: list[list[float]], images: int):
    course = Course(matrix=matrix, images=[images] * len(matrix))
    for stage in range(len(matrix)):
        assert course.stream_accuracy(stage) == pytest.approx(average_accuracy(matrix, stage))


@given(st.integers(1, 6), st.integers(2, 6), st.integers(1, 2000))
def test_shares_never_exceed_the_memory_and_shrink_to_those_that_are_fixed(size: int, steps: int, memory: int):
    classes = size * steps
    shrinking, fixed = (ClassProtocol(steps=steps, memory=memory, sharing=kind) for kind in ("shrinking", "fixed"))
    shares = [shrinking.share(step, classes) for step in range(steps)]
    assert shares == sorted(shares, reverse=True)
    assert all(share * size * (step + 1) <= memory for step, share in enumerate(shares))
    assert {fixed.share(step, classes) for step in range(steps)} == {shares[-1]} == {memory // classes}


def learner(memory: str, *finals: float, network: str = "mlp") -> Learner:
    return Learner(memory=memory, network=network, courses=[Course(matrix=[[value]], images=[5]) for value in finals])


def test_gains_are_paired_by_course_and_only_for_the_same_network():
    found = gains_over_random(
        [learner("dm", 0.5, 0.7, 0.8), learner("random", 0.4, 0.5, 0.7), learner("dm", 0.1, 0.2, network="convnet")]
    )
    (gain,) = found
    assert (gain.memory, gain.network, gain.courses) == ("dm", "mlp", 3)
    assert gain.mean == pytest.approx((0.1 + 0.2 + 0.1) / 3)
    assert gain.p_corrected == gain.p
    assert gain.is_significant == (gain.p < 0.05)


def test_a_learner_that_failed_gains_nothing():
    failed = Learner(memory="dm", network="mlp", courses=learner("dm", 0.5, 0.6).courses, failed="it diverged")
    assert gains_over_random([failed, learner("random", 0.4, 0.5)]) == []


@pytest.mark.parametrize(
    "change",
    [{"matrix": [[0.9]]}, {"matrix": [[0.9], [0.8]]}, {"matrix": [[0.9, 0.1, 0.3], [0.6, 0.8]]}, {"images": []}],
)
def test_a_matrix_that_does_not_reach_its_own_stage_is_refused(change: dict[str, Any]):
    stored = {"matrix": [[0.9], [0.6, 0.8]], "images": [5, 5], "seconds": 1.0}
    assert Course.from_json(Fields(Path("continual.json"), stored)).images == [5, 5]
    with pytest.raises(UserError, match=r"continual\.json: matrix is not"):
        Course.from_json(Fields(Path("continual.json"), stored | change))


@given(courses=st.lists(st.lists(st.floats(0, 1), min_size=3, max_size=3), min_size=2, max_size=4))
def test_the_intervals_of_transfer_and_of_forgetting_are_each_other_mirrored(courses: list[list[float]]):
    made = [Course(matrix=[[first], [then, other]], images=[1, 1]) for first, then, other in courses]
    metrics = Learner(memory="m", network="n", courses=made).to_json()["metrics"]
    low, high = metrics["forgetting"]["ci95"]
    assert low <= metrics["forgetting"]["mean"] + 1e-12
    assert metrics["forgetting"]["mean"] <= high + 1e-12
    assert metrics["backward_transfer"]["ci95"] == pytest.approx([max(-high, -1), min(-low, 1)])
