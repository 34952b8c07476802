"""Parquet folders: every catalogue dataset in its published layout, and what can be wrong with a table."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import datasets
import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
from published import catalogue_layout, encode, noise, write_parquet, write_table

from potstill.data import CATALOGUE, load_dataset
from potstill.runtime.errors import UserError

ON_HUB = [name for name, entry in CATALOGUE.items() if entry.hub]


def channels_first(pixels: np.ndarray) -> np.ndarray:
    return pixels[:, None] if pixels.ndim == 3 else pixels.transpose(0, 3, 1, 2)


@pytest.mark.slow
@pytest.mark.parametrize("name", ON_HUB)
def test_catalogue_dataset_in_the_layout_of_the_hub(name: str, tmp_path: Path):
    written = catalogue_layout(tmp_path / name, name)
    entry = CATALOGUE[name]
    loaded = load_dataset(name, data_root=tmp_path, cache=None)
    assert loaded.name == name
    assert loaded.shape == entry.shape
    assert loaded.class_count == entry.classes
    assert loaded.class_names[1] == f"{name} 1"
    assert (loaded.mean, loaded.std, loaded.flips) == (entry.mean, entry.std, entry.flips)
    assert len(loaded.validation) == 0  # one image per class: none can be spared
    for split, images in (("train", loaded.train), ("test", loaded.test)):
        pixels, labels = written[split]
        assert images.labels.tolist() == labels
        np.testing.assert_array_equal(images.images.numpy(), channels_first(pixels))


def test_data_root_of_the_environment_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    catalogue_layout(tmp_path / "usps", "usps")
    monkeypatch.setenv("POTSTILL_DATA", str(tmp_path))
    assert len(load_dataset("usps").train) == 10


def test_shards_are_read_in_order(tmp_path: Path):
    pixels = noise(40)
    for shard in range(4):
        images = [encode(image) for image in pixels[shard * 10 : shard * 10 + 10]]
        write_parquet(tmp_path / f"train-0000{shard}-of-00004.parquet", images, [0, 1] * 5, "ab")
    write_parquet(tmp_path / "test-00000-of-00001.parquet", [encode(image) for image in pixels[:2]], [0, 1], "ab")
    loaded = load_dataset(str(tmp_path), validation_fraction=0)
    np.testing.assert_array_equal(loaded.train.images[:, 0].numpy(), pixels)
    assert loaded.class_names == ("a", "b")


def test_folder_without_named_splits_is_split_here(tmp_path: Path):
    write_parquet(tmp_path / "part.parquet", [encode(image) for image in noise(40)], [0, 1] * 20, "ab")
    loaded = load_dataset(str(tmp_path))
    assert (len(loaded.train), len(loaded.validation), len(loaded.test)) == (28, 4, 8)


def test_columns_are_known_without_the_metadata_of_datasets(tmp_path: Path):
    pixels = noise(6)
    table = pyarrow.table({"picture": [encode(image) for image in pixels], "target": [0, 1, 2, 0, 1, 2]})
    pyarrow.parquet.write_table(table, tmp_path / "train.parquet")
    pyarrow.parquet.write_table(table, tmp_path / "test.parquet")
    loaded = load_dataset(str(tmp_path), validation_fraction=0)
    assert loaded.class_names == ("0", "1", "2")
    np.testing.assert_array_equal(loaded.train.images[:, 0].numpy(), pixels)


def image_cells(count: int) -> list[dict[str, object]]:
    return [{"bytes": encode(image), "path": None} for image in noise(count)]


def table_of(labels: list[object], kind: str) -> Callable[[Path], None]:
    columns = {"image": image_cells(len(labels)), "label": labels}
    return lambda path: write_table(path, columns, {"image": datasets.Image(), "label": datasets.Value(kind)})


def named(labels: list[int], names: str) -> Callable[[Path], None]:
    return lambda path: write_parquet(path, [encode(image) for image in noise(len(labels))], labels, names)


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (table_of(["cat", "dog", "emu"], "string"), "'label' .* differs for every image"),
        (table_of([0.0, 1.0], "float32"), "labels of .* are not integers"),
        (table_of([0, -1], "int64"), "negative"),
        (table_of([0, None], "int64"), "1 of 2 labels .* absent"),
        (table_of([0, 2], "int64"), "class '1' .*no training images"),
        (named([0, 0], "a"), "fewer than two classes"),
        (
            lambda path: write_table(path, {"label": [0, 1]}, {"label": datasets.Value("int64")}),
            "no column of images",
        ),
        (
            lambda path: write_table(path, {"image": image_cells(2)}, {"image": datasets.Image()}),
            "no column of class labels",
        ),
        (lambda path: path.write_bytes(b"PAR1 but no more"), "cannot read parquet in"),
    ],
)
def test_what_cannot_be_a_dataset_is_refused(tmp_path: Path, write: Callable[[Path], None], message: str):
    write(tmp_path / "train.parquet")
    with pytest.raises(UserError, match=message) as refused:
        load_dataset(str(tmp_path))
    assert "\n" not in str(refused.value)
    assert tmp_path.name in str(refused.value)


def test_named_classes_without_images_are_dropped_with_a_word(tmp_path: Path):
    named([1, 4, 1, 4], "abcdefgh")(tmp_path / "train.parquet")
    loaded = load_dataset(str(tmp_path))
    assert loaded.class_names == ("b", "e")
    assert loaded.account is not None
    assert "6 named classes have no image and are dropped: a, c, d, f, g, ..." in loaded.account.remarks


def test_damaged_image_is_named_by_its_row(tmp_path: Path):
    images = [encode(image) for image in noise(6)]
    images[4] = images[4][:60]
    write_parquet(tmp_path / "train.parquet", images, [0, 1] * 3, "ab")
    with pytest.raises(UserError, match=r"row 4 of .*train"):
        load_dataset(str(tmp_path))


def test_only_a_test_split_is_refused(tmp_path: Path):
    named([0, 1], "ab")(tmp_path / "test.parquet")
    with pytest.raises(UserError, match="no training"):
        load_dataset(str(tmp_path))
