"""What a set is worth in random images: cases by hand, and what holds for all curves."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from potstill.runtime.errors import UserError
from potstill.schema.exchange import CurvePoint, Exchange, ExchangeRate, NetworkExchange, exchange_rate
from potstill.schema.fields import Fields
from potstill.schema.recipe import Recipe
from tests.schema.records import accuracies, curves

few = settings(max_examples=60, deadline=None)
values = st.lists(st.integers(0, 1000).map(lambda right: right / 1000), min_size=2, max_size=4)


def curve(*points: tuple[int, list[float]]) -> list[CurvePoint]:
    return [CurvePoint(images_per_class=number, accuracies=found, seconds=1.0) for number, found in points]


def certain(*means: float) -> list[CurvePoint]:
    """A curve at 1, 10, 100, ... images whose points have no spread."""
    return curve(*((10**power, [mean] * 3) for power, mean in enumerate(means)))


def number(rate: ExchangeRate) -> float:
    assert rate.images_per_class is not None
    return rate.images_per_class


def test_between_two_points_the_curve_is_linear_in_the_logarithm():
    points = certain(0.2, 0.4, 0.8)
    assert exchange_rate([0.5] * 3, points).images_per_class == pytest.approx(10**1.25)
    assert exchange_rate([0.4] * 3, points).images_per_class == pytest.approx(10)
    assert exchange_rate([0.2] * 3, points).images_per_class == pytest.approx(1)
    assert exchange_rate([0.8] * 3, points).images_per_class == pytest.approx(100)


def test_without_spread_the_interval_is_the_number():
    rate = exchange_rate([0.5] * 3, certain(0.2, 0.4, 0.8))
    assert rate.interval == pytest.approx((number(rate), number(rate)))


def test_a_decrease_is_levelled_and_points_of_more_repeats_weigh_more():
    points = curve((1, [0.2, 0.2]), (10, [0.6, 0.6]), (100, [0.3] * 6), (1000, [0.9, 0.9]))
    level = (2 * 0.6 + 6 * 0.3) / 8
    assert exchange_rate([level] * 2, points).images_per_class == pytest.approx(10), "the fewest that are as good"
    assert exchange_rate([0.2875] * 2, points).images_per_class == pytest.approx(10**0.5)
    above = exchange_rate([level + 0.002] * 2, points)
    assert 100 < number(above) < 110, "a level stretch ends where the curve rises"


def test_points_are_levelled_no_further_than_their_repeats_require():
    """Of equal weight, the first two would be above the third, and all three level."""
    points = curve((1, [0.5] * 2), (10, [0.45] * 6), (100, [0.47] * 2), (1000, [0.9] * 2))
    assert exchange_rate([0.47] * 2, points).images_per_class == pytest.approx(100)


def test_the_uncertainty_of_a_level_stretch_is_that_of_all_its_points():
    """The first point has no spread of its own, but its place on the curve depends on the second one."""
    points = curve((1, [0.6, 0.6]), (10, [0.3, 0.5]), (100, [0.9, 0.9]))
    half = stats.t.ppf(0.975, 1) * 0.5 * np.std([0.3, 0.5], ddof=1) / np.sqrt(2)
    assert exchange_rate([0.5 - 0.01, 0.5 - 0.01], points).interval == (None, pytest.approx(100, rel=1))
    assert half > 0.5, "so wide that no set is clearly worse"
    points = [points[0], replace(points[1], accuracies=[0.39, 0.41] * 2), points[2]]
    mean, half = (2 * 0.6 + 4 * 0.4) / 6, stats.t.ppf(0.975, 3) * 2 / 3 * np.std([0.39, 0.41] * 2, ddof=1) / 2
    for share, held in ((0.9, True), (1.1, False)):
        high = (exchange_rate([float(mean - share * half)] * 2, points).interval or (None, None))[1]
        assert high is not None
        assert (high > 1.01) == held


def test_the_interval_is_that_of_welchs_test():
    """At both ends, random images and the set are as far from each other as the test allows."""
    on_set, points = [0.50, 0.53, 0.51, 0.55], curve((1, [0.2, 0.26, 0.22]), (100, [0.8, 0.83, 0.87, 0.82, 0.8]))
    low, high = exchange_rate(on_set, points).interval or (None, None)
    assert low is not None
    assert high is not None
    for end in (low, high):
        share = np.log(end) / np.log(100)
        parts = np.array(
            [
                np.var(on_set, ddof=1) / 4,
                (1 - share) ** 2 * np.var(points[0].accuracies, ddof=1) / 3,
                share**2 * np.var(points[1].accuracies, ddof=1) / 5,
            ]
        )
        freedom = parts.sum() ** 2 / (parts**2 / [3, 2, 4]).sum()
        gain = np.mean(on_set) - ((1 - share) * points[0].mean + share * points[1].mean)
        assert abs(gain) / np.sqrt(parts.sum()) == pytest.approx(stats.t.ppf(0.975, freedom), rel=0.02)


def test_at_a_single_point_the_test_is_that_of_scipy():
    point = curve((7, [0.62, 0.66, 0.61]))[0]
    for shift in np.linspace(0, 0.2, 41):
        on_set = [0.50 + shift, 0.55 + shift, 0.51 + shift, 0.53 + shift]
        test: Any = stats.ttest_ind(on_set, point.accuracies, equal_var=False)
        assert point.is_above(on_set) == (test.pvalue < 0.05 and np.mean(on_set) < point.mean)


@pytest.mark.parametrize(
    ("on_set", "expected"),
    [
        ([0.9, 0.91], ("most", (pytest.approx(100), None))),
        ([0.1, 0.11], ("least", (None, pytest.approx(1)))),
    ],
)
def test_a_set_beyond_the_curve_has_an_interval_with_one_end(on_set: list[float], expected: Any):
    rate = exchange_rate(on_set, curve((1, [0.2, 0.21]), (10, [0.4, 0.41]), (100, [0.8, 0.81])))
    assert (rate.beyond, rate.interval) == expected
    assert rate.images_per_class is None


def test_a_set_lies_beyond_the_end_of_the_monotonic_curve():
    """Two points level at 0.55, between which the measured means are."""
    points = curve((1, [0.6, 0.6]), (10, [0.5, 0.5]))
    assert exchange_rate([0.52] * 2, points).beyond == "least"
    assert exchange_rate([0.58] * 2, points).beyond == "most"


def test_ends_that_the_curve_does_not_settle_are_left_open():
    noisy = curve((1, [0.2, 0.4]), (10, [0.5, 0.8]))
    assert exchange_rate([0.3, 0.6], noisy).interval == (None, None)


def test_one_repeat_gives_a_number_without_an_interval():
    for on_set, points in (([0.5], certain(0.2, 0.8)), ([0.5, 0.5], curve((1, [0.2, 0.2]), (10, [0.8])))):
        rate = exchange_rate(on_set, points)
        assert rate.images_per_class == pytest.approx(10**0.5)
        assert rate.interval is None


def test_with_one_repeat_better_is_enough_to_be_above():
    (one,) = curve((5, [0.6]))
    assert one.is_above([0.5])
    assert one.is_above([0.5, 0.59])
    assert not one.is_above([0.6])
    assert not one.is_above([0.5, 0.7])


@few
@given(on_set=accuracies, points=curves())
def test_the_number_lies_in_its_interval(on_set: list[float], points: list[CurvePoint]):
    rate = exchange_rate(on_set, points)
    first, last = points[0].images_per_class, points[-1].images_per_class
    assert (rate.images_per_class is None) == (rate.beyond is not None)
    if rate.images_per_class is not None:
        assert first * (1 - 1e-9) <= rate.images_per_class <= last * (1 + 1e-9)
    if rate.interval is not None:
        low, high = (absent if end is None else end for end, absent in zip(rate.interval, (0, np.inf), strict=True))
        nearest = number(rate) if rate.beyond is None else first if rate.beyond == "least" else last
        assert low <= nearest * (1 + 1e-9)
        assert nearest <= high * (1 + 1e-9)


@few
@given(on_set=values, points=curves(), gain=st.integers(0, 500))
def test_a_better_set_is_worth_as_much_or_more(on_set: list[float], points: list[CurvePoint], gain: int):
    """The spread is the same, so the ends of the interval move with the number."""
    worse, better = exchange_rate(on_set, points), exchange_rate([each + gain / 1000 for each in on_set], points)
    assert _place(worse) <= _place(better) + 1e-9
    if worse.interval is not None and better.interval is not None:
        for index, absent in ((0, 0.0), (1, np.inf)):
            before, after = (rate.interval[index] for rate in (worse, better) if rate.interval is not None)
            assert (before or absent) <= (after or absent) * (1 + 1e-9)


def _place(rate: ExchangeRate) -> float:
    return number(rate) if rate.beyond is None else 0 if rate.beyond == "least" else np.inf


@few
@given(on_set=values, points=curves(), times=st.integers(2, 50))
def test_the_unit_of_images_is_free(on_set: list[float], points: list[CurvePoint], times: int):
    larger = [replace(point, images_per_class=times * point.images_per_class) for point in points]
    one, other = exchange_rate(on_set, points), exchange_rate(on_set, larger)
    assert one.beyond == other.beyond
    for before, after in zip(_numbers(one), _numbers(other), strict=True):
        assert (before is None) == (after is None)
        assert before is None or after == pytest.approx(times * before, rel=0.01), "ends lie on a grid of 2,000 places"


@few
@given(on_set=values, points=curves(), data=st.data())
def test_the_order_of_repeats_and_the_scale_of_accuracies_do_not_matter(
    on_set: list[float], points: list[CurvePoint], data: st.DataObject
):
    def changed(found: list[float]) -> list[float]:
        return [0.1 + each / 2 for each in data.draw(st.permutations(found))]

    one = exchange_rate(on_set, points)
    other = exchange_rate(changed(on_set), [replace(point, accuracies=changed(point.accuracies)) for point in points])
    assert one.beyond == other.beyond
    for before, after in zip(_numbers(one), _numbers(other), strict=True):
        assert (before is None) == (after is None)
        assert before is None or after == pytest.approx(before, rel=0.02)


def _numbers(rate: ExchangeRate) -> tuple[float | None, ...]:
    return rate.images_per_class, *(rate.interval or ())


FILE = Path("exchange.json")
EXCHANGE = Exchange(
    set_sha256="c0",
    dataset_fingerprint="5f",
    recipe=Recipe(name="quick", summary="", epochs=200, full_epochs=20),
    seed=0,
    initial={"source": "random", "seed": 0},
    classes=10,
    image_bytes=64,
    set_bytes=2640,
    networks={
        "convnet": NetworkExchange(
            accuracies=[0.5, 0.52],
            points=curve((1, [0.2, 0.23]), (10, [0.8, 0.82])),
            made_on=["a machine"],
            failed="on 20 random images per class: it diverged",
        ),
        "mlp": NetworkExchange(accuracies=[0.9, 0.91], points=curve((1, [0.2, 0.23]))),
        "lenet": NetworkExchange(accuracies=[0.5], failed="on 1 random images per class: it diverged"),
    },
)


def test_what_a_set_is_worth_is_in_whole_images_of_all_classes():
    worth, rate = EXCHANGE.worth("convnet"), EXCHANGE.networks["convnet"].rate
    assert worth is not None
    assert rate is not None
    assert rate.interval is not None
    assert worth.images_per_class == rate.images_per_class
    assert worth.images == round(10 * number(rate))
    assert worth.interval == tuple(round(10 * end) for end in rate.interval if end is not None)
    assert (worth.least, worth.most, worth.bytes) == (10, 100, 64 * round(10 * number(rate)))
    assert EXCHANGE.worth("lenet") is None


def test_a_record_says_what_the_set_is_worth_and_is_read_back():
    written = json.loads(json.dumps(EXCHANGE.to_json()))
    assert written["networks"]["convnet"]["worth"]["images"] == 31
    assert written["networks"]["mlp"]["worth"] == {
        "images_per_class": None, "images": None, "beyond": "most", "interval": [10, None],
        "least": 10, "most": 10, "bytes": None,
    }  # fmt: skip
    assert "worth" not in written["networks"]["lenet"]
    assert written["networks"]["convnet"]["points"][0]["mean"] == pytest.approx(0.215)
    assert Exchange.from_json(Fields(FILE, written)) == EXCHANGE


@pytest.mark.parametrize(
    ("network", "change", "message"),
    [
        ("convnet", lambda e: e["worth"].update(images_per_class=3.0), "worth.images_per_class is not 3.13"),
        ("mlp", lambda e: e["worth"].update(images_per_class=3.0), "worth.images_per_class is not null"),
        ("convnet", lambda e: e.pop("worth"), "worth is missing"),
        ("convnet", lambda e: e["points"].reverse(), "points is not in ascending order of images_per_class"),
        ("convnet", lambda e: e["points"].append(e["points"][1]), "points is not in ascending order"),
        ("convnet", lambda e: e["points"][0].update(images_per_class=0), "points[0].images_per_class is not a whole"),
        ("convnet", lambda e: e["points"][0].update(mean=0.9), "points[0].mean is not 0.215"),
        ("convnet", lambda e: e["points"][0].update(accuracies=[]), "points[0].accuracies is not a list of at least"),
        ("lenet", lambda e: e.update(accuracies=[]), "accuracies is not a list of at least one fraction"),
    ],
)
def test_a_damaged_record_names_the_field(network: str, change: Any, message: str):
    written = json.loads(json.dumps(EXCHANGE.to_json()))
    change(written["networks"][network])
    with pytest.raises(UserError) as error:
        Exchange.from_json(Fields(FILE, written))
    assert error.value.problem.startswith(f"exchange.json: networks.{network}.{message}")


def test_curves_of_huge_numbers_are_read():
    points = curve((1, [0.2, 0.21]), (10**60, [0.8, 0.81]))
    assert exchange_rate([0.5, 0.51], points).images_per_class == pytest.approx(10**30)
