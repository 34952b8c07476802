"""What a user may choose, and what is refused as a choice."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from potstill.data import Choices, load_dataset
from potstill.runtime.errors import UserError
from tests.data.sources.published import noise


def test_published_splits_by_ours():
    assert Choices(split_map="train=fold1, train=fold2,test=fold3").roles == {
        "train": ("fold1", "fold2"),
        "test": ("fold3",),
    }
    assert Choices().roles == {}


@pytest.mark.parametrize(
    ("split_map", "message"),
    [
        ("", "cannot be understood at ''"),
        ("fold1", "cannot be understood at 'fold1'"),
        ("train=", "cannot be understood at 'train='"),
        ("train=a,testing=b", "cannot be understood at 'testing=b'"),
        ("test=a", "names no training split; add train=NAME"),
    ],
)
def test_a_split_map_without_sense_is_refused(split_map: str, message: str):
    with pytest.raises(UserError, match=message):
        Choices(split_map=split_map)


def test_choices_among_other_settings():
    settings = {"dataset": "digits", "ipc": 1, "label_column": "genre", "image_column": None}
    assert Choices.among(settings) == Choices(label_column="genre")
    with pytest.raises(UserError, match="label_column is 3, not text"):
        Choices.among({"label_column": 3})


@pytest.fixture
def folds(tmp_path: Path) -> str:
    """An archive of three folds of 6, 8 and 10 images."""
    counts = {"fold1": 6, "fold2": 8, "test": 10}
    arrays = {f"{name}_images": noise(count) for name, count in counts.items()}
    labels = {f"{name}_labels": np.arange(count) % 2 for name, count in counts.items()}
    np.savez(tmp_path / "folds.npz", **arrays, **labels)  # pyright: ignore[reportArgumentType]
    return str(tmp_path / "folds.npz")


@pytest.mark.parametrize(
    ("split_map", "sizes"),
    [
        ("train=fold1,test=fold2", (6, 0, 8)),
        ("train=fold1,train=fold2,test=test", (14, 0, 10)),
        ("train=Fold2,validation=fold1,test=testing", (8, 6, 10)),
        ("train=test", (8, 0, 2)),
    ],
)
def test_chosen_splits_are_used_and_no_others(folds: str, split_map: str, sizes: tuple[int, int, int]):
    loaded = load_dataset(folds, choices=Choices(split_map=split_map), validation_fraction=0)
    assert (len(loaded.train), len(loaded.validation), len(loaded.test)) == sizes
    assert loaded.account is not None
    left_out = loaded.account.left_out
    assert sum(part.count for part in left_out) == 24 - sum(sizes)
    assert all("`split_map` chooses others" in part.why for part in left_out)


@pytest.mark.parametrize(
    ("split_map", "message"),
    [
        ("train=fold1,test=fold3", "no split 'fold3' among fold1, fold2, test"),
        ("train=fold1,test=fold1", "for train and for test"),
    ],
)
def test_a_split_that_cannot_be_taken_is_refused(folds: str, split_map: str, message: str):
    with pytest.raises(UserError, match=message):
        load_dataset(folds, choices=Choices(split_map=split_map))


def test_a_choice_that_the_layout_cannot_follow_is_refused():
    with pytest.raises(UserError, match=r"`label_column=genre` chooses a column, but .* has none"):
        load_dataset("digits", choices=Choices(label_column="genre"))
    with pytest.raises(UserError, match="digits has no split 'fold1' among one unnamed split"):
        load_dataset("digits", choices=Choices(split_map="train=fold1"))
