"""The classes of a dataset: labels are matched by name, and no number is believed."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from potstill.data.class_labels import join_labels
from potstill.data.found import Arrays, Labels, Part
from potstill.runtime.errors import UserError


def part(values: list[int], names: str | None = None, *, ordered: bool = True, origin: str = "file") -> Part:
    """A part whose classes have names of one letter."""
    images = Arrays(np.zeros((len(values), 1, 1), np.uint8), origin)
    labels = Labels(np.array(values, np.int64), None if names is None else tuple(names), ordered and names is not None)
    return Part(images, labels, origin)


def joined(**splits: tuple[Part, ...]) -> tuple[str, dict[str, list[int]], tuple[str, ...]]:
    classes = join_labels(splits, "set")
    return "".join(classes.names), {split: labels.tolist() for split, labels in classes.labels.items()}, classes.remarks


def test_a_split_that_numbers_the_classes_differently_is_joined_by_name():
    names, labels, remarks = joined(train=(part([0, 1, 2], "abc"),), test=(part([0, 1, 2], "cba", origin="other"),))
    assert (names, labels) == ("abc", {"train": [0, 1, 2], "test": [2, 1, 0]})
    assert remarks == ("other numbers the classes differently: labels are matched by name",)


def test_shards_with_some_of_the_classes_each_are_joined_by_name():
    names, labels, _ = joined(train=(part([0, 1], "ac"), part([0, 1], "bc")), test=(part([0], "b"),))
    assert (names, labels) == ("acb", {"train": [0, 1, 2, 1], "test": [2]})


def test_names_without_a_published_order_are_in_alphabetical_order():
    shards = (part([0, 1], "bd", ordered=False), part([0, 1], "ac", ordered=False))
    assert joined(train=shards)[:2] == ("abcd", {"train": [1, 3, 0, 2]})


def test_unused_names_are_dropped_with_a_word():
    names, labels, remarks = joined(train=(part([1, 4, 1], "abcdefgh"),), test=(part([4], "abcdefgh"),))
    assert (names, labels) == ("be", {"train": [0, 1, 0], "test": [1]})
    assert remarks == ("6 named classes have no images and are dropped: a, c, d, f, g, ...",)


def test_numbers_among_names_take_the_names_that_all_others_agree_on():
    names, labels, remarks = joined(train=(part([0, 1], "ab"), part([1, 0])))
    assert (names, labels) == ("ab", {"train": [0, 1, 1, 0]})
    assert remarks == ("files without class names are read with the class names of the others",)


def test_classes_of_one_name_are_kept_apart_where_all_files_agree():
    assert joined(train=(part([0, 1, 2], "aba"),), test=(part([2, 0], "aba"),))[:2] == (
        "aba",
        {"train": [0, 1, 2], "test": [2, 0]},
    )


@pytest.mark.parametrize(
    ("splits", "message"),
    [
        ({"train": (part([0, 1], "ab"), part([0, 1], "ba"), part([1, 0]))}, "class names and others only numbers"),
        ({"train": (part([0, 1], "ab", ordered=False), part([0, 1]))}, "class names and others only numbers"),
        ({"train": (part([0, 1], "aba"),), "test": (part([0, 1], "ba"),)}, "two classes of set are called 'a'"),
        ({"train": (part([0, 1], "abc"),), "test": (part([2], "abc"),)}, "class 'c' .* no training images, .*in test"),
        ({"train": (part([0, 1], "ab"),), "test": (part([0], "c"),)}, "class 'c' .* no training images, .*in test"),
        ({"train": (part([0, 2], "ab"),)}, "label 2 in file .*out of range for 2 classes"),
        ({"train": (part([0, 1], "ab"), part([2]))}, "label 2 in file .*out of range for 2 classes"),
        ({"train": (part([0, -1, 1]),)}, "1 of 3 labels .* missing or negative .*image 1 of file"),
        ({"train": (part([0, 1]),), "test": (part([2]),)}, "class '2' .*no training images, but images in test"),
        ({"train": (part([0, 1, 3]),), "test": (part([2]),)}, "class '2' .*no training images, but images in test"),
        ({"train": (part([5, 7]),), "test": (part([0]),)}, "class '0' .*no training images, but images in test"),
    ],
)
def test_what_cannot_be_joined_is_refused(splits: dict[str, tuple[Part, ...]], message: str):
    with pytest.raises(UserError, match=message):
        join_labels(splits, "set")


@pytest.mark.parametrize("label", [5_000_000, 2**40, 2**62])
def test_one_enormous_label_costs_nothing(label: int):
    split = (part([0, 1, label]),)
    tracemalloc.start()
    classes = join_labels({"train": split}, "set")
    assert tracemalloc.get_traced_memory()[1] < 2**20
    tracemalloc.stop()
    assert classes.names == ("0", "1", str(label))
    assert classes.labels["train"].tolist() == [0, 1, 2]


def test_numbers_that_leave_gaps_name_their_classes_with_a_word():
    classes = join_labels({"train": (part([9, 5]), part([7, 10])), "test": (part([10, 9]),)}, "set")
    assert classes.names == ("5", "7", "9", "10")
    assert {split: labels.tolist() for split, labels in classes.labels.items()} == {
        "train": [2, 0, 1, 3],
        "test": [3, 2],
    }
    assert classes.remarks == ("labels are the numbers 5, 7, 9, 10, not 0 to 3: the classes are called by them",)
    assert join_labels({"train": (part([1, 0]),)}, "set").remarks == ()
