"""SVHN's cropped digits: MATLAB files in which the label 10 is the digit 0."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from potstill.data import load_dataset
from potstill.data.choices import Choices
from potstill.runtime.errors import UserError

LABELS = np.array([1, 2, 3, 4, 5, 6, 7, 8, 9, 10] * 2, np.uint8)


def pixels(seed: int, count: int = 20) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)


def publish(folder: Path, *splits: str, labels: np.ndarray = LABELS) -> Path:
    for seed, split in enumerate(splits):
        variables = {"X": pixels(seed, len(labels)).transpose(1, 2, 3, 0), "y": labels[:, None]}
        savemat(folder / f"{split}_32x32.mat", variables, do_compression=True)
    return folder


def test_images_and_digits_are_those_of_the_files(tmp_path: Path):
    publish(tmp_path, "train", "test")
    loaded = load_dataset(str(tmp_path), validation_fraction=0)
    np.testing.assert_array_equal(loaded.test.images.numpy(), pixels(1).transpose(0, 3, 1, 2))
    assert loaded.test.labels.tolist() == (LABELS % 10).tolist()
    assert loaded.class_names == tuple("0123456789")
    assert loaded.account is not None
    assert "the label 10 is the digit 0, as published" in loaded.account.remarks


def test_one_file_alone_is_a_dataset(tmp_path: Path):
    loaded = load_dataset(str(publish(tmp_path, "train", "test") / "train_32x32.mat"))
    assert (loaded.name, len(loaded.test)) == ("train_32x32", 10)


def test_extra_images_are_read_only_if_they_are_chosen(tmp_path: Path):
    publish(tmp_path, "train", "test", "extra")
    usual = load_dataset(str(tmp_path), validation_fraction=0)
    assert usual.account is not None
    assert len(usual.train) == 20
    why = "file extra_32x32.mat (1): it is used only if `split_map` names the split extra"
    assert list(map(str, usual.account.left_out)) == [why]
    chosen = Choices(split_map="train=train,train=extra,test=test")
    assert len(load_dataset(str(tmp_path), choices=chosen, validation_fraction=0).train) == 40


@pytest.mark.parametrize("labels", [LABELS * 2, LABELS - 1, LABELS / 2])
def test_other_labels_are_refused(tmp_path: Path, labels: np.ndarray):
    publish(tmp_path, "train", labels=labels)
    with pytest.raises(UserError, match="labels other than 1 to 10"):
        load_dataset(str(tmp_path))


def test_other_variables_are_refused(tmp_path: Path):
    savemat(tmp_path / "train_32x32.mat", {"X": np.ones((32, 32, 3, 4)), "z": np.ones(4)})
    with pytest.raises(UserError, match="no images X"):
        load_dataset(str(tmp_path))


def test_extra_images_named_alone_are_a_dataset_like_the_others(tmp_path: Path):
    loaded = load_dataset(str(publish(tmp_path, "extra") / "extra_32x32.mat"))
    assert (loaded.name, len(loaded.test)) == ("extra_32x32", 10)


def test_a_file_without_images_is_refused(tmp_path: Path):
    publish(tmp_path, "train", labels=LABELS[:0])
    with pytest.raises(UserError, match="has no images X"):
        load_dataset(str(tmp_path))
