from __future__ import annotations

import pytest

CONVOLUTIONS = {1: 6 * 25 + 6, 3: 6 * 75 + 6}
SECOND = 16 * 6 * 25 + 16
LAST_LAYERS = 120 * 84 + 84 + 84 * 10 + 10


@pytest.mark.parametrize(
    ("shape", "features", "parameters"),
    [
        ((1, 28, 28), 16 * 5 * 5, 61_706),
        ((3, 32, 32), 16 * 5 * 5, 62_006),
        ((3, 28, 28), 16 * 5 * 5, 62_006),
        ((1, 8, 8), 16 * 2 * 2, 21_386),
    ],
)
def test_parameter_count(shape, features, parameters, build, count_parameters):
    by_hand = CONVOLUTIONS[shape[0]] + SECOND + features * 120 + 120 + LAST_LAYERS
    assert count_parameters(build("lenet", shape)) == by_hand == parameters


def test_digits_give_the_maps_of_the_paper(build, draw):
    seen = build("lenet").observe(draw(2))
    assert [tuple(maps.shape[1:]) for maps in seen.maps] == [(6, 28, 28), (16, 10, 10)]
    assert seen.embedding.shape == (2, 84)
