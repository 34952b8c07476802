"""LabeledImages: normalisation, the index of classes, drawing of batches."""

from __future__ import annotations

import math
from random import Random

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.profiler import ProfilerActivity, profile

from potstill.data import LabeledImages, Whitening, class_sampler
from potstill.data.class_sampler import ClassSampler
from potstill.runtime.errors import UserError


def labelled(labels: list[int], shape: tuple[int, int, int] = (2, 3, 5), classes: int | None = None) -> LabeledImages:
    images = torch.randint(0, 256, (len(labels), *shape), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    names = tuple(f"class {label}" for label in range(classes or max(labels) + 1))
    mean, std = tuple(0.1 * (c + 1) for c in range(shape[0])), tuple(0.2 + 0.1 * c for c in range(shape[0]))
    return LabeledImages(images, torch.tensor(labels), names, mean, std)


class_sizes = st.lists(st.integers(1, 12), min_size=1, max_size=5)


def with_sizes(sizes: list[int]) -> LabeledImages:
    labels = torch.repeat_interleave(torch.arange(len(sizes)), torch.tensor(sizes))
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(1))
    return labelled(labels[order].tolist(), (1, 1, 1), len(sizes))


def test_describes_itself():
    images = labelled([1, 0, 1, 2], shape=(3, 4, 6))
    assert len(images) == 4
    assert images.shape == (3, 4, 6)
    assert images.class_count == 3


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (torch.zeros(2, 1, 3, 3), torch.zeros(2, dtype=torch.int64), "torch.uint8"),
        (torch.zeros(2, 3, 3, dtype=torch.uint8), torch.zeros(2, dtype=torch.int64), r"\(N, C, H, W\)"),
        (torch.zeros(2, 1, 3, 3, dtype=torch.uint8), torch.zeros(2), "torch.int64"),
        (torch.zeros(2, 1, 3, 3, dtype=torch.uint8), torch.zeros(3, dtype=torch.int64), "for 2 images"),
        (torch.zeros(2, 1, 3, 3, dtype=torch.uint8), torch.tensor([0, 2]), "from 0 to 2 for 2 class names"),
        (torch.zeros(2, 1, 3, 3, dtype=torch.uint8), torch.tensor([-1, 0]), "from -1 to 0 for 2 class names"),
    ],
)
def test_other_types_and_shapes_are_refused(images: torch.Tensor, labels: torch.Tensor, message: str):
    with pytest.raises(UserError, match=message):
        LabeledImages(images, labels, ("a", "b"), (0.5,), (0.5,))


@given(st.lists(st.integers(0, 4), min_size=1, max_size=40))
def test_class_index_lists_each_class_in_order(labels: list[int]):
    images = labelled(labels, (1, 1, 1), classes=5)
    expected = [[i for i, label in enumerate(labels) if label == c] for c in range(5)]
    assert [index.tolist() for index in images.class_index] == expected


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_normalised_is_pixels_less_mean_over_deviation(channels: int):
    images = labelled([0, 1, 0], (channels, 4, 7))
    result = images.normalised()
    assert result.dtype == torch.float32
    assert result.shape == (3, channels, 4, 7)
    for n in range(3):
        for c in range(channels):
            expected = (images.images[n, c].double() / 255 - images.mean[c]) / images.std[c]
            torch.testing.assert_close(result[n, c].double(), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("indices", [torch.tensor([3, 0, 3]), slice(1, 3), torch.tensor([[0, 1], [2, 3]])])
def test_normalised_of_some_equals_some_of_normalised(indices: torch.Tensor | slice):
    images = labelled([0, 1, 0, 1])
    chosen = indices.flatten() if isinstance(indices, torch.Tensor) else indices
    torch.testing.assert_close(images.normalised(indices), images.normalised()[chosen], rtol=0, atol=0)


def test_normalised_leaves_the_bytes_alone():
    images = labelled([0, 1])
    before = images.images.clone()
    images.normalised().mul_(0)
    assert torch.equal(images.images, before)


def test_normalised_whitens_where_asked():
    plain = labelled([0, 1])
    size = plain.images[0].numel()
    whitening = Whitening(2 * torch.eye(size), torch.ones(size))
    whitened = LabeledImages(plain.images, plain.labels, plain.class_names, plain.mean, plain.std, whitening)
    torch.testing.assert_close(whitened.normalised(), 2 * (plain.normalised() - 1))


def test_take_keeps_the_order_asked_for():
    images = labelled([0, 1, 2])
    taken = images.take(torch.tensor([2, 0]))
    assert taken.labels.tolist() == [2, 0]
    assert torch.equal(taken.images[0], images.images[2])
    assert taken.class_names == images.class_names


def test_to_moves_everything():
    plain = labelled([0, 1])
    whitening = Whitening(torch.eye(plain.images[0].numel()), torch.zeros(plain.images[0].numel()))
    moved = LabeledImages(plain.images, plain.labels, plain.class_names, plain.mean, plain.std, whitening).to("meta")
    assert moved.whitening is not None
    tensors = (moved.images, moved.labels, moved.whitening.matrix, moved.whitening.mean)
    assert {tensor.device.type for tensor in tensors} == {"meta"}


@given(class_sizes, st.integers(1, 30), st.integers(0, 2**32))
def test_sample_per_class_is_balanced_and_even(sizes: list[int], count: int, seed: int):
    images = with_sizes(sizes)
    drawn = images.sample_per_class(count, torch.Generator().manual_seed(seed))
    assert drawn.dtype == torch.int64
    assert drawn.shape == (len(sizes), count)
    for label, (row, size) in enumerate(zip(drawn, sizes, strict=True)):
        assert (images.labels[row] == label).all()
        uses = torch.bincount(row, minlength=len(images))[images.class_index[label]]
        assert uses.min() >= count // size
        assert uses.max() <= -(-count // size)


@given(class_sizes, st.integers(1, 30), st.randoms(use_true_random=False))
def test_some_classes_are_drawn_from_alone(sizes: list[int], count: int, order: Random):
    images, chosen = with_sizes(sizes), list(range(len(sizes)))
    order.shuffle(chosen)
    chosen = torch.tensor(chosen[: len(sizes) // 2 + 1])
    drawn = images.sample_per_class(count, torch.Generator().manual_seed(0), chosen)
    assert images.labels[drawn].equal(chosen[:, None].expand(-1, count))
    for row, size in zip(drawn, (sizes[label] for label in chosen.tolist()), strict=True):
        assert len(row.unique()) == min(count, size)


def test_sample_per_class_depends_on_its_generator_alone():
    images = with_sizes([9, 4])
    torch.manual_seed(1)
    state = torch.get_rng_state()
    first = images.sample_per_class(5, torch.Generator().manual_seed(7))
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(2)
    assert torch.equal(first, images.sample_per_class(5, torch.Generator().manual_seed(7)))
    assert not torch.equal(first, images.sample_per_class(5, torch.Generator().manual_seed(8)))


@pytest.mark.parametrize(("size", "count"), [(5, 2), (5, 7)])
def test_sample_per_class_favours_no_image(size: int, count: int):
    images, generator, draws = with_sizes([size, 11]), torch.Generator().manual_seed(0), 2000
    rows = torch.cat([images.sample_per_class(count, generator)[0] for _ in range(draws)])
    share = torch.bincount(rows, minlength=len(images))[images.class_index[0]] / (draws * count)
    # Five standard deviations of the share of one image in independent draws.
    assert (share - 1 / size).abs().max() < 5 * (1 / size * (1 - 1 / size) / (draws * count)) ** 0.5


@given(st.lists(st.integers(20, 60), min_size=1, max_size=4), st.integers(0, 2**32))
def test_draws_that_are_not_different_enough_go_on(sizes: list[int], seed: int):
    """Without spare draws, every second class of twice the images needs another round."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(class_sampler, "SPARE_DRAWS", 0)
        drawn = with_sizes(sizes).sample_per_class(10, torch.Generator().manual_seed(seed))
    assert all(len(row.unique()) == 10 for row in drawn)


def test_one_large_class_costs_the_others_nothing():
    """An index that was padded to the largest class would have a hundred times as many entries as images."""
    labels = torch.cat([torch.zeros(50_000, dtype=torch.int64), torch.arange(1, 500)])
    sizes = torch.bincount(labels)
    sampler = ClassSampler(labels, sizes)
    assert sum(tensor.numel() for tensor in vars(sampler).values()) <= len(labels) + 2 * len(sizes)
    generator = torch.Generator().manual_seed(0)
    with profile(activities=[ProfilerActivity.CPU], record_shapes=True) as profiled:
        drawn = sampler.draw(4, generator)
    assert labels[drawn].equal(torch.arange(500)[:, None].expand(500, 4))
    shapes = [shape for event in profiled.events() or [] for shape in event.input_shapes if len(shape) == 2]
    assert max(math.prod(shape) for shape in shapes) <= 500 * 8


def test_sample_per_class_refuses_an_empty_class():
    with pytest.raises(ValueError, match="class 1"):
        labelled([0, 0, 2]).sample_per_class(1, torch.Generator())
