"""The table of known datasets."""

from __future__ import annotations

import pytest

from potstill.data import CATALOGUE


def test_lists_the_datasets_of_the_field():
    assert list(CATALOGUE) == [
        *("digits", "mnist", "fashion-mnist", "svhn", "usps", "cifar10", "cifar100"),
        *("tiny-imagenet", "imagenette", "imagewoof", "imagenet-1k"),
    ]


def test_mirroring_is_left_out_for_digits_alone():
    assert {name for name, entry in CATALOGUE.items() if not entry.flips} == {"digits", "mnist", "svhn", "usps"}


@pytest.mark.parametrize("name", CATALOGUE)
def test_entries_are_complete(name: str):
    entry = CATALOGUE[name]
    assert entry.name == name
    assert entry.title
    assert entry.licence
    assert entry.classes >= 2
    assert set(entry.sizes) == ({"train"} if name == "digits" else {"train", "test"})
    assert entry.hub is None or entry.hub.count("/") == 1
    for values in (entry.mean, entry.std):
        assert values is None or (len(values) == entry.shape[0] and all(0 < value < 1 for value in values))
