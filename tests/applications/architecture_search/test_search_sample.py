"""The sample of candidates and the part of the images that stand for all: representative, nested, deterministic."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from potstill.applications.architecture_search.sample import check_sample, drawn_space, grid_levels, sampled
from potstill.applications.architecture_search.spaces import SPACES
from potstill.runtime.errors import UserError

GRID = SPACES["convnet-720"]


def test_a_sample_of_a_grid_holds_every_value_about_equally_often():
    drawn = sampled(GRID, list(GRID), 48, 0)
    assert len(set(drawn)) == 48
    for values in zip(*(GRID[name].split(":")[1:] for name in drawn), strict=True):
        counts = Counter(values)
        assert max(counts.values()) - min(counts.values()) <= 2
        assert len(counts) in (3, 4, 5)


def test_a_larger_sample_holds_every_smaller_one_and_another_seed_draws_others():
    assert sampled(GRID, list(GRID), 48, 0)[:12] == sampled(GRID, list(GRID), 12, 0)
    assert sampled(GRID, list(GRID), 12, 0) == sampled(GRID, list(GRID)[::-1], 12, 0), "it knows no ranking"
    assert sampled(GRID, list(GRID), 12, 0) != sampled(GRID, list(GRID), 12, 1)


def test_what_was_skipped_is_not_drawn():
    usable = [name for name in GRID if not name.startswith("D4")]
    assert not any(name.startswith("D4") for name in sampled(GRID, usable, 30, 0))


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 60), st.integers(0, 5), st.data())
def test_a_sample_of_another_space_is_spread_over_the_ranking(size: int, seed: int, data: st.DataObject):
    space = {f"n{place}": f"mlp:width={place + 1}" for place in range(size)}
    assert grid_levels(space) is None
    count = data.draw(st.integers(0, size))
    drawn = sampled(space, list(space), count, seed)
    assert len(set(drawn)) == count
    places = sorted(list(space).index(name) for name in drawn)
    if count >= 2:
        gaps = [later - earlier for earlier, later in zip([-1, *places], [*places, size], strict=True)]
        assert max(gaps) <= 3 * size / count + 1


def test_which_spaces_are_grids():
    assert grid_levels(GRID) is not None
    assert grid_levels(SPACES["convnet-22"]) is None
    square = {f"{d}{w}": f"convnet:depth={d}:width={w}" for d in (1, 2) for w in (8, 16)}
    assert grid_levels(square) == {f"{d}{w}": (str(d), str(w)) for d in (1, 2) for w in (8, 16)}
    assert grid_levels({**square, "again": "convnet:width=8:depth=1"}) is None
    assert grid_levels({name: spec for name, spec in square.items() if name != "18"}) is None
    assert grid_levels({**square, "38": "mlp:depth=3:width=8"}) is None


def test_more_than_there_are_cannot_be_drawn():
    check_sample(4, 4)
    with pytest.raises(
        UserError, match="5 candidates cannot be drawn from the 4 that fit the images; use `full_sample=4`"
    ):
        check_sample(5, 4)


def test_a_part_of_a_space_is_such_a_sample_in_the_order_of_the_space():
    part, sample = drawn_space(GRID, 48, seed=0), set(sampled(GRID, list(GRID), 48, 0))
    assert list(part) == [name for name in GRID if name in sample]
    assert all(GRID[name] == spec for name, spec in part.items())
    assert drawn_space(GRID, 48, seed=1) != part
    with pytest.raises(UserError, match="721 candidates cannot be drawn from 720"):
        drawn_space(GRID, 721, seed=0)
