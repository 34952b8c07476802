from __future__ import annotations

import pytest

LATER_CONVOLUTIONS = (
    (128 * 25 + 1) * 192 + (192 * 9 + 1) * 256 + (256 * 9 + 1) * 192 + (192 * 9 + 1) * 192
)  # fmt: skip


@pytest.mark.parametrize(
    ("shape", "features", "parameters"),
    [
        ((1, 28, 28), 192 * 4 * 4, 1_865_802),
        ((3, 28, 28), 192 * 4 * 4, 1_872_202),
        ((3, 32, 32), 192 * 4 * 4, 1_872_202),
        ((1, 8, 8), 192 * 1 * 1, 1_837_002),
    ],
)
def test_parameter_count(shape, features, parameters, build, count_parameters):
    by_hand = (shape[0] * 25 + 1) * 128 + LATER_CONVOLUTIONS + features * 10 + 10
    assert count_parameters(build("alexnet", shape)) == by_hand == parameters


def test_norm_adds_a_scale_and_a_shift_a_channel(build, count_parameters):
    added = count_parameters(build("alexnet:norm=instance")) - count_parameters(build("alexnet"))
    assert added == 2 * (128 + 192 + 256 + 192 + 192)


def test_pools_after_the_first_the_second_and_the_last_convolution(build, draw):
    seen = build("alexnet").observe(draw(1))
    assert [maps.shape[2] for maps in seen.maps] == [32, 16, 8, 8, 8]
    assert [maps.shape[1] for maps in seen.maps] == [128, 192, 256, 192, 192]
    assert seen.embedding.shape == (1, 192 * 4 * 4)
