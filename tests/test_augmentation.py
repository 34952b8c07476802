"""Siamese augmentation against its plain twin, and what it promises besides."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from potstill.augmentation import (
    NO_AUGMENTATION,
    OPERATIONS,
    Draw,
    SiameseAugmentation,
    cutmix,
    siamese_augmentation,
)
from potstill.runtime.errors import UserError
from tests.twins.augmentation import augment

LARGEST = 1 - 2**-24  # the float32 before 1
shapes = st.tuples(st.integers(1, 4), st.integers(1, 7), st.integers(1, 7)).filter(
    lambda shape: shape[1:] != (1, 1)
)  # no vectors
uniform = st.sampled_from([0.0, 0.5, LARGEST]) | st.floats(0, LARGEST, width=32)
strengths = st.builds(
    SiameseAugmentation,
    brightness=st.floats(0, 2),
    saturation=st.floats(0, 3),
    contrast=st.floats(0, 1),
    crop=st.floats(0, 0.5),
    cutout=st.floats(0, 1),
    scale=st.floats(1, 2),
    rotation=st.floats(0, 180),
)
published = st.just(SiameseAugmentation())


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def random_images(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(shape, generator=generator(seed), dtype=dtype)


def only(name: str, *uniforms: float, count: int = 1) -> tuple[SiameseAugmentation, Draw]:
    """One operation and its draw: every uniform the given ones, in the order of the columns."""
    values = torch.tensor(uniforms).expand(count, 11)
    return SiameseAugmentation(operations=(name,)), Draw(torch.zeros(count, dtype=torch.int64), values)


def assert_agrees(augmentation: SiameseAugmentation, images: Tensor, draw: Draw) -> None:
    torch.testing.assert_close(augmentation.apply(images, draw), augment(images, draw, augmentation), rtol=0, atol=1e-9)


@pytest.mark.parametrize("name", OPERATIONS)
@settings(max_examples=40, deadline=None)
@given(shape=shapes, uniforms=st.lists(uniform, min_size=11, max_size=11), strength=published | strengths)
def test_each_operation_agrees_with_its_twin(
    name: str, shape: tuple[int, int, int], uniforms: list[float], strength: SiameseAugmentation
):
    draw = Draw(torch.zeros(1, dtype=torch.int64), torch.tensor([uniforms]))
    assert_agrees(replace(strength, operations=(name,)), random_images(1, *shape), draw)


@settings(max_examples=25, deadline=None)
@given(
    shape=shapes, sets=st.integers(1, 5), share=st.integers(1, 3), seed=st.integers(0, 2**32), all_in_one=st.booleans()
)
def test_each_image_gets_the_operation_and_parameters_of_its_set(
    shape: tuple[int, int, int], sets: int, share: int, seed: int, all_in_one: bool
):
    augmentation = SiameseAugmentation(sequence=all_in_one)
    draw = augmentation.draw(generator(seed), sets)
    assert_agrees(augmentation, random_images(sets * share, *shape), draw)


def test_a_sequence_keeps_the_order_given():
    images = random_images(2, 3, 6, 5)
    one_way = SiameseAugmentation(operations=("rotate", "cutout", "color"), sequence=True)
    other_way = replace(one_way, operations=("color", "cutout", "rotate"))
    draw = one_way.draw(generator(), 2)
    assert_agrees(one_way, images, draw)
    assert_agrees(other_way, images, draw)
    assert not torch.allclose(one_way.apply(images, draw), other_way.apply(images, draw))


@pytest.mark.parametrize("sequence", [False, True])
def test_real_and_synthetic_images_of_a_class_are_augmented_alike(sequence: bool):
    classes, real_per_class, synthetic_per_class = 8, 6, 2
    prototypes = random_images(classes, 3, 8, 6)
    augmentation = SiameseAugmentation(sequence=sequence)
    draw = augmentation.draw(generator(), classes)
    real = augmentation.apply(prototypes.repeat_interleave(real_per_class, 0), draw)
    synthetic = augmentation.apply(prototypes.repeat_interleave(synthetic_per_class, 0), draw)
    for c in range(classes):
        of_class = real[c * real_per_class : (c + 1) * real_per_class]
        twins = synthetic[c * synthetic_per_class : (c + 1) * synthetic_per_class]
        assert torch.equal(of_class, of_class[:1].expand_as(of_class))
        torch.testing.assert_close(twins, of_class[:synthetic_per_class], rtol=0, atol=1e-12)


def test_sets_of_one_draw_differ():
    draw = SiameseAugmentation().draw(generator(), 50)
    assert draw.uniforms.shape == (50, 11)
    assert draw.uniforms.unique().numel() > 540
    assert set(draw.operations.tolist()) == set(range(len(OPERATIONS)))


def test_one_operation_is_shared_but_not_its_parameters():
    augmentation = SiameseAugmentation()
    seen = set()
    for seed in range(60):
        draw = augmentation.draw(generator(seed), 4, one_operation=True)
        assert draw.operations.shape == (4,)
        assert draw.operations.unique().numel() == 1
        assert len(draw.uniforms.unique(dim=0)) == 4
        seen.add(int(draw.operations[0]))
    assert seen == set(range(len(OPERATIONS)))


@pytest.mark.parametrize("one_operation", [False, True])
def test_a_draw_is_a_function_of_its_generator(one_operation: bool):
    augmentation = SiameseAugmentation()
    first, again, other = (augmentation.draw(generator(s), 5, one_operation=one_operation) for s in (1, 1, 2))
    assert torch.equal(first.uniforms, again.uniforms)
    assert torch.equal(first.operations, again.operations)
    assert not torch.equal(first.uniforms, other.uniforms)


def test_operations_are_drawn_equally_often():
    counts = SiameseAugmentation().draw(generator(), 6000).operations.bincount()
    assert counts.shape == (6,)
    assert counts.sub(1000).abs().max() < 150  # five standard deviations


def test_no_global_generator_is_read_or_moved():
    images = random_images(6, 3, 5, 5)
    results = []
    for seed in (0, 1):
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            before = torch.get_rng_state(), random.getstate()
            augmentation = SiameseAugmentation()
            for one_operation in (False, True):
                draw = augmentation.draw(generator(4), 6, one_operation=one_operation)
                results.append(augmentation.apply(images, draw))
            assert torch.equal(torch.get_rng_state(), before[0])
            assert random.getstate() == before[1]
    assert torch.equal(results[0], results[2])
    assert torch.equal(results[1], results[3])


@pytest.mark.parametrize("name", OPERATIONS)
def test_gradients_of_each_operation(name: str):
    augmentation = SiameseAugmentation(operations=(name,))
    draw = augmentation.draw(generator(2), 2)
    images = random_images(4, 2, 4, 3).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: augmentation.apply(x, draw), [images])


@pytest.mark.parametrize("sequence", [False, True])
def test_gradients_of_mixed_operations(sequence: bool):
    augmentation = SiameseAugmentation(sequence=sequence)
    draw = augmentation.draw(generator(1), 4)
    assert draw.operations.unique().numel() > 1
    images = random_images(4, 2, 3, 4).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: augmentation.apply(x, draw), [images])


@pytest.mark.parametrize("name", OPERATIONS)
def test_images_are_left_as_they_were(name: str):
    augmentation = SiameseAugmentation(operations=(name,))
    images = random_images(3, 3, 6, 6)
    before = images.clone()
    result = augmentation.apply(images, augmentation.draw(generator(), 3))
    assert torch.equal(images, before)
    assert result.shape == images.shape


@pytest.mark.parametrize("name", OPERATIONS)
@pytest.mark.parametrize("uniform", [0.0, LARGEST])
def test_float32_stays_float32_to_the_ends_of_the_range(name: str, uniform: float):
    augmentation, draw = only(name, uniform)
    images = random_images(1, 3, 9, 28, dtype=torch.float32)
    result = augmentation.apply(images, draw)
    assert result.dtype == torch.float32
    expected = augment(images.double(), draw, augmentation)
    torch.testing.assert_close(result.double(), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ["crop", "cutout"])
def test_low_precision_that_rounds_a_draw_up_to_one_stays_in_range(name: str):
    augmentation, draw = only(name, LARGEST)
    images = torch.ones(1, 1, 8, 8, dtype=torch.bfloat16)
    result = augmentation.apply(images, draw)
    assert result.dtype == torch.bfloat16
    assert torch.equal(result.double(), augment(images.double(), draw, augmentation))


@pytest.mark.parametrize(("uniform", "quarter_turns"), [(0.0, 1), (0.5, 0), (LARGEST, -1)])
def test_a_rotation_by_a_right_angle_moves_whole_pixels(uniform: float, quarter_turns: int):
    augmentation, draw = only("rotate", uniform)
    images = random_images(1, 2, 5, 5)
    turned = replace(augmentation, rotation=90.0).apply(images, draw)
    torch.testing.assert_close(turned, images.rot90(-quarter_turns, (2, 3)), rtol=0, atol=1e-5)


@pytest.mark.parametrize(("name", "uniform"), [("crop", 0.0), ("rotate", 0.0), ("scale", LARGEST)])
def test_what_enters_at_the_border_is_the_mean_colour(name: str, uniform: float):
    augmentation, draw = only(name, uniform)
    result = augmentation.apply(torch.ones(1, 1, 8, 8), draw)
    assert result[0, 0, 0, 0] < 0.5
    assert result[0, 0, 4, 4] == pytest.approx(1)


def test_a_mean_colour_image_of_zeros_changes_by_colour_alone():
    zeros = torch.zeros(1, 3, 6, 4)
    for name in OPERATIONS:
        augmentation, draw = only(name, 0.25)
        assert bool(augmentation.apply(zeros, draw).any()) is (name == "color")


def test_the_strengths_are_the_published_ones():
    assert SiameseAugmentation() == SiameseAugmentation(
        operations=("color", "crop", "cutout", "flip", "scale", "rotate"),
        sequence=False,
        brightness=1.0,
        saturation=2.0,
        contrast=0.5,
        crop=0.125,
        cutout=0.5,
        scale=1.2,
        rotation=15.0,
    )


@pytest.mark.parametrize("sequence", [False, True])
def test_digits_are_not_mirrored(sequence: bool):
    assert siamese_augmentation(flips=True, sequence=sequence) == SiameseAugmentation(sequence=sequence)
    digits = siamese_augmentation(flips=False, sequence=sequence)
    assert digits == SiameseAugmentation(operations=("color", "crop", "cutout", "scale", "rotate"), sequence=sequence)
    draw = digits.draw(generator(), 100)
    assert set(draw.operations.tolist()) == set(range(5))
    assert_agrees(digits, random_images(100, 1, 3, 3), draw)


def test_no_augmentation_does_nothing():
    images = random_images(5, 3, 4, 4)
    assert NO_AUGMENTATION.apply(images, NO_AUGMENTATION.draw(generator(), 2)) is images


def test_images_that_cannot_share_evenly_are_refused():
    augmentation = SiameseAugmentation()
    with pytest.raises(ValueError, match="5 images cannot be divided evenly among 2 sets"):
        augmentation.apply(random_images(5, 1, 4, 4), augmentation.draw(generator(), 2))


def test_fewer_images_than_sets_are_refused():
    augmentation = SiameseAugmentation()
    with pytest.raises(ValueError, match="1 images cannot be divided evenly among 2 sets"):
        augmentation.apply(random_images(1, 1, 4, 4), augmentation.draw(generator(), 2))


def test_an_unknown_operation_is_named_with_the_nearest():
    with pytest.raises(UserError, match="unknown augmentation 'colour'; did you mean 'color'"):
        SiameseAugmentation(operations=("colour",))


def test_cutmix_exchanges_a_box_and_its_share_of_the_label():
    images = torch.arange(6.0)[:, None, None, None].expand(6, 1, 9, 7)
    labels = torch.eye(6)
    for seed in range(20):
        mixed, shares = cutmix(images, labels, generator(seed))
        for number in range(6):
            pixels = mixed[number].unique()
            assert len(pixels) <= 2
            for pixel in pixels:
                part = (mixed[number] == pixel).double().mean().item()
                assert shares[number, int(pixel)].item() == pytest.approx(part, abs=1e-6)
            inside = (mixed[number, 0] != number).nonzero()
            if len(inside):  # the box is a whole rectangle
                rows, columns = inside[:, 0].unique(), inside[:, 1].unique()
                assert len(inside) == len(rows) * len(columns)
                assert int(rows[-1] - rows[0]) + 1 == len(rows)
                assert int(columns[-1] - columns[0]) + 1 == len(columns)
        torch.testing.assert_close(shares.sum(1), torch.ones(6))


def test_what_is_always_applied_comes_before_what_is_drawn():
    images = torch.randn(6, 3, 8, 8, generator=generator())
    both = SiameseAugmentation(operations=("crop", "scale"), always=("flip", "color"))
    draw = both.draw(generator(), 6)
    first = SiameseAugmentation(operations=("flip", "color"), sequence=True).apply(images, draw)
    assert both.apply(images, draw).equal(SiameseAugmentation(operations=("crop", "scale")).apply(first, draw))
    assert (
        SiameseAugmentation(operations=(), always=("flip",))
        .apply(images, draw)
        .equal(SiameseAugmentation(operations=("flip",), sequence=True).apply(images, draw))
    )
    with pytest.raises(UserError, match="colour"):
        SiameseAugmentation(operations=(), always=("colour",))


def test_boxes_are_exchanged_with_the_given_probability():
    images, labels = torch.randn(4, 1, 6, 6, generator=generator()), torch.eye(4)
    seeds = [torch.Generator().manual_seed(seed) for seed in range(400)]
    mixed = [cutmix(images, labels, seed, probability=0.25) for seed in seeds]
    share = sum(not (some.equal(images) and of.equal(labels)) for some, of in mixed) / 400
    assert 0.17 < share < 0.31  # some exchanges change nothing
    always = cutmix(images, labels, generator(), probability=1.0)
    assert all(one.equal(other) for one, other in zip(always, cutmix(images, labels, generator()), strict=True))
    assert cutmix(images, labels, generator(), probability=0.0)[0] is images
