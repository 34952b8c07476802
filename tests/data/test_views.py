"""Views of a dataset: what they hold, and that nothing takes them for the dataset itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from potstill.data import (
    ImageDataset,
    brought_together,
    judges_of,
    share_of,
    with_classes,
    with_fewer_images,
    with_members,
)
from potstill.data.dataset_file import prepared_sha256
from potstill.runtime.errors import UserError
from tests.small import digits, small_digits


@settings(max_examples=20, deadline=None)
@given(st.permutations(range(10)).flatmap(lambda order: st.integers(1, 10).map(lambda count: order[:count])))
def test_a_view_holds_the_images_of_its_classes_and_no_others(classes: list[int]):
    data = small_digits()
    view = with_classes(data, classes)
    assert view.class_names == tuple(str(label) for label in classes)
    for part, whole in zip(view.splits.values(), data.splits.values(), strict=True):
        for place, label in enumerate(classes):
            assert part.images[part.labels == place].equal(whole.images[whole.labels == label])
        assert len(part) == sum(whole.class_sizes[label] for label in classes)
    assert (view.mean, view.std, view.flips) == (data.mean, data.std, data.flips)


def test_every_view_has_a_fingerprint_of_its_own():
    data = digits()
    views = [
        with_members(data, torch.arange(9)),
        with_members(data, torch.arange(8)),
        with_classes(data, [0, 1]),
        with_classes(data, [1, 0]),
        judges_of(data),
        judges_of(with_classes(data, [0, 1])),
    ]
    assert len({prepared_sha256(each) for each in (data, *views)}) == 7
    assert with_classes(data, [0, 1]).fingerprint == views[2].fingerprint
    assert all(each.spec == "" for each in views), "no settings load a view again"


def test_all_classes_in_their_order_are_the_dataset_itself():
    data = digits()
    assert with_classes(data, range(10)) is data
    assert with_classes(data, [*range(8), 9, 8]).fingerprint != data.fingerprint


def test_the_account_says_which_classes_are_left():
    account = with_classes(digits(), [7, 3]).account
    assert account is not None
    assert account.class_names == ("7", "3")
    assert account.remarks[-1] == "only the classes 7 and 3, of 10"
    assert [len(split.class_sizes) for split in account.splits] == [2, 2, 2]


def test_a_share_holds_its_training_images_with_their_classes_and_nothing_else():
    data = small_digits()
    first, others = data.train.class_index[7][:3], torch.cat([data.train.class_index[7][3:], data.train.class_index[2]])
    one, two = share_of(data, first.flip(0)), share_of(data, others)
    assert (one.class_names, two.class_names) == (("7",), ("2", "7"))
    assert one.train.images.equal(data.train.images[first])
    assert two.train.images.equal(data.train.images[others.sort().values])
    assert (len(two.validation), len(two.test)) == (0, 0)
    assert (two.mean, two.std, two.flips) == (data.mean, data.std, data.flips)
    assert len({prepared_sha256(each) for each in (data, one, two)}) == 3
    assert share_of(data, first).fingerprint == one.fingerprint, "whatever the order"
    account = share_of(digits(), torch.arange(5)).account
    assert account is not None
    assert "5 of 1,295 training images" in account.remarks[-2]


def test_judges_have_no_training_images():
    data = small_digits()
    judges = judges_of(data)
    assert len(judges.train) == 0
    assert judges.shape == data.shape
    assert judges.test is data.test
    assert torch.equal(judges.validation.images, data.validation.images)


@pytest.mark.parametrize(
    ("classes", "message"),
    [([], "no classes left"), ([1, 1], "not different classes"), ([0, 10], "not different classes of digits")],
)
def test_impossible_views_are_refused(classes: list[int], message: str):
    with pytest.raises(UserError, match=message):
        with_classes(digits(), classes)


def coloured(data: ImageDataset, **changes: Any) -> ImageDataset:
    """The dataset in colour, under another name and with other statistics."""
    parts = {
        name: replace(part, stored=part.images.repeat(1, 3, 1, 1), mean=(0.1, 0.2, 0.3), std=(0.4, 0.5, 0.6))
        for name, part in data.splits.items()
    }
    return replace(data, name="coloured", fingerprint="coloured", **parts, **changes)


def test_datasets_are_brought_together_by_the_names_of_their_classes():
    first = with_classes(small_digits(), [3, 1, 2])
    second = coloured(with_classes(small_digits(), [1, 2, 3]))
    one, other = brought_together([first, second])
    assert one.class_names == other.class_names == ("3", "1", "2")
    assert one.shape == other.shape == (3, 8, 8)
    assert (one.mean, one.std) == (other.mean, other.std) == (first.mean * 3, first.std * 3)
    for place in range(3):
        assert one.test.images[one.test.labels == place].equal(other.test.images[other.test.labels == place])
    assert len({each.fingerprint for each in (first, second, one, other)}) == 4


def test_datasets_that_are_alike_stay_as_they_are():
    data = small_digits()
    assert brought_together([data, data]) == [data, data]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda data: with_classes(data, [0, 1]),
            "the classes of digits and coloured differ: digits has 2; use the same",
        ),
        (lambda data: renamed(data, ("0", "1", "two")), "differ: digits has 2, coloured has two"),
        (lambda data: resized(data), "images differ in size: digits 8×8 and coloured 4×4 pixels; use `image_size=8`"),
    ],
)
def test_datasets_that_do_not_go_together_are_refused(change: Callable[[ImageDataset], ImageDataset], message: str):
    data = with_classes(small_digits(), [0, 1, 2])
    with pytest.raises(UserError, match=message):
        brought_together([data, replace(change(data), name="coloured")])


def renamed(data: ImageDataset, names: tuple[str, ...]) -> ImageDataset:
    return replace(data, **{name: replace(part, class_names=names) for name, part in data.splits.items()})


def resized(data: ImageDataset) -> ImageDataset:
    return replace(data, **{name: replace(part, stored=part.images[..., :4, :4]) for name, part in data.splits.items()})


def uneven() -> ImageDataset:
    """Digits of which the first class has two training images."""
    data = small_digits()
    rare = data.train.class_index[0][2:]
    kept = torch.ones(len(data.train), dtype=torch.bool).index_fill(0, rare, False)
    return replace(data, train=data.train.take(kept.nonzero().flatten()))


def test_fewer_images_are_a_fixed_random_part_of_each_class():
    data = small_digits()
    half = with_fewer_images(data, len(data.train) // 2, 0)
    assert len(half.train) == len(data.train) // 2
    for few, many in zip(half.train.class_sizes, data.train.class_sizes, strict=True):
        assert abs(few - many / 2) <= 1
    assert half.test is data.test
    assert half.validation is data.validation
    assert half.train.mean == data.train.mean
    again, other = (with_fewer_images(data, 50, seed).train.images for seed in (0, 1))
    assert torch.equal(again, with_fewer_images(data, 50, 0).train.images)
    assert not torch.equal(again, other)
    assert with_fewer_images(data, len(data.train), 3) is data
    assert (
        len({each.fingerprint for each in (data, half, with_fewer_images(data, 50, 0), with_fewer_images(data, 50, 1))})
        == 4
    )


def test_no_class_is_left_out_however_rare():
    few = with_fewer_images(uneven(), 10, 0)
    assert few.train.class_sizes == (1,) * 10


@pytest.mark.parametrize("count", [9, 10_000])
def test_a_part_is_not_larger_than_the_whole_and_has_every_class(count: int):
    with pytest.raises(UserError, match=r"images cannot be taken from the .* training images of 10 classes"):
        with_fewer_images(small_digits(), count, 0)
