"""``.npz`` files in MedMNIST's layout."""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from published import noise

from potstill.data import ImageDataset, load_dataset
from potstill.data.choices import Choices
from potstill.runtime.errors import UserError


def medmnist(images: np.ndarray, labels: np.ndarray | None = None) -> dict[str, Any]:
    """The six arrays of a MedMNIST file; labels are a column, as published."""
    labels = (np.arange(len(images)) % 3)[:, None].astype(np.uint8) if labels is None else labels
    return {
        f"{split}_{kind}": values
        for split in ("train", "val", "test")
        for kind, values in (("images", images), ("labels", labels))
    }


def load(path: Path, arrays: dict[str, Any], **options: Any) -> ImageDataset:
    np.savez_compressed(path / "pathmnist.npz", **arrays)
    return load_dataset(str(path / "pathmnist.npz"), **options)


def test_medmnist_grey(tmp_path: Path):
    images = noise(9, (28, 28))
    loaded = load(tmp_path, medmnist(images))
    assert loaded.shape == (1, 28, 28)
    assert loaded.class_names == ("0", "1", "2")
    assert (len(loaded.train), len(loaded.validation), len(loaded.test)) == (9, 9, 9)
    np.testing.assert_array_equal(loaded.train.images[:, 0].numpy(), images)
    assert loaded.train.labels.tolist() == [0, 1, 2] * 3


@pytest.mark.parametrize("column", [False, True])
def test_labels_that_are_words_name_the_classes(column: bool, tmp_path: Path):
    words = np.array(["cat", "ox ", "bee"] * 3)
    loaded = load(tmp_path, medmnist(noise(9), words[:, None] if column else words))
    assert loaded.class_names == ("bee", "cat", "ox")
    assert loaded.train.labels.tolist() == [1, 2, 0] * 3


def test_words_and_numbers_that_cannot_be_labels_are_refused(tmp_path: Path):
    for labels, words in (
        (np.array(["cat", " ", "bee"] * 3), r"label 1 of .*pathmnist\.npz, train_labels is empty, counted from 0"),
        (np.array([["cat", "ox"]] * 9), "has 2 labels for each image"),
        (np.linspace(0, 1, 9), r"train_labels are not integers \(float64"),
    ):
        with pytest.raises(UserError, match=words):
            load(tmp_path, medmnist(noise(9), labels))


def test_class_names_name_the_numbers(tmp_path: Path):
    for arrays in (medmnist(noise(9)), {"images": noise(30), "labels": np.arange(30) % 3}):
        loaded = load(tmp_path, arrays | {"class_names": np.array(["ox", "bee ", "cat"])})
        assert loaded.class_names == ("ox", "bee", "cat")
        assert loaded.account is not None
        assert loaded.account.left_out == ()


def test_class_names_that_cannot_name_the_classes_are_refused_or_left_out(tmp_path: Path):
    for names, message in (
        (["ox", "bee"], r"has 2 class_names, but train_labels go up to 2; number the classes from 0"),
        (["ox", " ", "cat"], r"class_names: name 1 is empty, counted from 0"),
        (["ox", "cat", "ox "], r"class_names: two classes are called 'ox'; give every class a name of its own"),
    ):
        with pytest.raises(UserError, match=message):
            load(tmp_path, medmnist(noise(9)) | {"class_names": np.array(names)})
    for names in (np.array(["ox", "bee", "cat"], dtype=object), np.arange(3), np.array("ox")):
        loaded = load(tmp_path, medmnist(noise(9)) | {"class_names": names})
        assert loaded.class_names == ("0", "1", "2")
        assert "class_names" in loaded.describe()


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_channels_come_first(tmp_path: Path, channels: int):
    images = noise(6, (5, 7, channels))
    loaded = load(tmp_path, medmnist(images))
    np.testing.assert_array_equal(loaded.test.images.numpy(), images.transpose(0, 3, 1, 2))


def test_train_and_test_alone(tmp_path: Path):
    arrays = {key: value for key, value in medmnist(noise(30)).items() if not key.startswith("val")}
    loaded = load(tmp_path, arrays)
    assert (len(loaded.train), len(loaded.validation), len(loaded.test)) == (27, 3, 30)


@pytest.mark.parametrize("scale", [1.0, 255.0])
def test_floating_point_in_either_range(tmp_path: Path, scale: float):
    images = noise(6)
    images[0, 0, 0] = 255
    loaded = load(tmp_path, medmnist((images / 255 * scale).astype(np.float32)))
    np.testing.assert_array_equal(loaded.train.images[:, 0].numpy(), images)


def test_image_size(tmp_path: Path):
    assert load(tmp_path, medmnist(noise(6, (10, 12, 3))), image_size=6).shape == (3, 6, 6)


@pytest.mark.parametrize("name", ["valid", "validation", "val"])
def test_validation_images_are_read_whatever_they_are_called(tmp_path: Path, name: str):
    arrays = {f"{split}_images": noise(9) for split in ("train", name, "test")}
    arrays |= {f"{split}_labels": np.arange(9) % 3 for split in ("train", name, "test")}
    assert len(load(tmp_path, arrays).validation) == 9


def test_keras_and_datasets_in_one_piece(tmp_path: Path):
    labels = np.arange(9) % 3
    keras = load(tmp_path, {"x_train": noise(9), "y_train": labels, "x_test": noise(6), "y_test": labels[:6]})
    assert len(keras.test) == 6
    assert len(load(tmp_path, {"images": noise(9), "labels": labels, "names": [1]}, validation_fraction=0).train) == 6


def test_bytes_in_a_wider_container_are_bytes(tmp_path: Path):
    images = noise(9)
    loaded = load(tmp_path, medmnist(images.astype(np.uint16)))
    np.testing.assert_array_equal(loaded.train.images[:, 0].numpy(), images)
    assert loaded.account is not None
    assert loaded.account.pixels == "8 bits (0 to 255) in uint16, kept"


def test_labels_of_several_columns_are_refused_until_one_is_chosen(tmp_path: Path):
    labels = np.random.default_rng(0).integers(0, 2, (9, 14), dtype=np.uint8)
    with pytest.raises(UserError, match=r"14 labels for each image.*`label_column"):
        load(tmp_path, medmnist(noise(9), labels))
    chosen = load(tmp_path, medmnist(noise(9), labels), choices=Choices(label_column="13"))
    assert chosen.train.labels.tolist() == labels[:, 13].tolist()
    for wrong in ("14", "-1", "x"):
        with pytest.raises(UserError, match="no column"):
            load(tmp_path, medmnist(noise(9), labels), choices=Choices(label_column=wrong))
    with pytest.raises(UserError, match="only one"):
        load(tmp_path, medmnist(noise(9)), choices=Choices(label_column="1"))


@pytest.mark.parametrize("label", [5_000_000, 2**40, 2**62])
def test_a_high_label_costs_nothing(tmp_path: Path, label: int):
    labels = np.array([0, 1, 2, 0, 1, 2, 0, 1, label])
    tracemalloc.start()
    assert load(tmp_path, medmnist(noise(9), labels)).class_names == ("0", "1", "2", str(label))
    assert tracemalloc.get_traced_memory()[1] < 10**7
    tracemalloc.stop()


def spoiled(key: str, value: object) -> dict[str, np.ndarray]:
    return medmnist(noise(6)) | {key: np.asarray(value)}


NAN = np.where(np.eye(8) > 0, np.nan, 0.5)[None].repeat(6, 0)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        (spoiled("train_images", NAN), "NaN"),
        (spoiled("train_images", np.full((6, 8, 8), 300)), "larger numbers"),
        (spoiled("train_images", np.full((6, 8, 8), -0.5)), "rescale"),
        (spoiled("train_images", noise(6, (8, 8, 8))), r"holds uint8 \(6, 8, 8, 8\)"),
        (spoiled("train_images", noise(5)), "5 images"),
        (spoiled("train_labels", [0.0, 1, 0, 1, 0, 1]), "not integers"),
        (spoiled("train_labels", np.eye(6, 14, dtype=np.uint8)), "not integers|one class"),
        (spoiled("train_labels", [0, 1, 2, 0, 1, -3]), "negative .*-3"),
        ({"x": np.zeros(3)}, "train_images"),
        ({"train_images": noise(6)}, "labels"),
        (spoiled("train_images", np.array([{}] * 6, dtype=object)), "cannot read"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, arrays: dict[str, np.ndarray], message: str):
    with pytest.raises(UserError, match=message) as refused:
        load(tmp_path, arrays)
    assert "pathmnist" in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("content", [b"", b"hello", b"PK\x03\x04 cut off"])
def test_damaged_file_is_refused(tmp_path: Path, content: bytes):
    path = tmp_path / "damaged.npz"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"damaged\.npz"):
        load_dataset(str(path))


def test_truncated_and_bare_arrays_are_refused(tmp_path: Path):
    path = tmp_path / "set.npz"
    np.savez(path, **medmnist(noise(6)))
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(UserError, match=r"set\.npz"):
        load_dataset(str(path))
    with path.open("wb") as stream:
        np.save(stream, noise(6))
    with pytest.raises(UserError, match=r"set\.npz"):
        load_dataset(str(path))


def test_absent_file_is_refused(tmp_path: Path):
    with pytest.raises(UserError, match="does not exist"):
        load_dataset(str(tmp_path / "absent.npz"))
