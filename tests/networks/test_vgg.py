from __future__ import annotations

import pytest

LATER_CONVOLUTIONS = (
    (64 * 9 + 1) * 128 + (128 * 9 + 1) * 256 + (256 * 9 + 1) * 256 + (256 * 9 + 1) * 512 + 3 * (512 * 9 + 1) * 512
)
NORMS = 2 * (64 + 128 + 2 * 256 + 4 * 512)


@pytest.mark.parametrize(
    ("spec", "shape", "norms", "parameters"),
    [
        ("vgg11", (3, 32, 32), NORMS, 9_231_114),
        ("vgg11:norm=batch", (3, 32, 32), NORMS, 9_231_114),
        ("vgg11:norm=none", (3, 32, 32), 0, 9_225_610),
        ("vgg11", (1, 28, 28), NORMS, 9_229_962),
    ],
)
def test_parameter_count(spec, shape, norms, parameters, build, count_parameters):
    by_hand = (shape[0] * 9 + 1) * 64 + LATER_CONVOLUTIONS + norms + 512 * 10 + 10
    assert count_parameters(build(spec, shape)) == by_hand == parameters


@pytest.mark.parametrize(
    ("side", "sides", "features"),
    [
        (32, [32, 16, 8, 8, 4, 4, 2, 2], 1),
        (28, [32, 16, 8, 8, 4, 4, 2, 2], 1),
        (8, [8, 4, 2, 2, 2, 2, 2, 2], 1),
        (64, [64, 32, 16, 16, 8, 8, 4, 4], 4),
    ],
)
def test_no_map_of_one_pixel_is_normalised(side, sides, features, build, draw):
    seen = build("vgg11:width=2", (1, side, side)).observe(draw(2, (1, side, side)))
    assert [maps.shape[2] for maps in seen.maps] == sides
    assert [maps.shape[1] for maps in seen.maps] == [2, 4, 8, 8, 16, 16, 16, 16]
    assert seen.embedding.shape == (2, 16 * features)
