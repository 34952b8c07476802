"""Parquet folders: every catalogue dataset in its published layout, and what can be wrong with a table."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import datasets
import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
from published import catalogue_layout, encode, noise, write_images, write_parquet, write_table

from potstill.data import CATALOGUE, Choices, load_dataset
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


def test_numbers_with_gaps_are_classes_only_where_their_column_is_certain(tmp_path: Path):
    columns = {"image": image_cells(30), "built": [1900 + number % 3 * 50 for number in range(30)]}
    write_table(tmp_path / "train.parquet", columns, {"image": datasets.Image(), "built": datasets.Value("int64")})
    remedy = r"'built' .*other than 0 to 2, which may not be classes; .*`label_column=built`"
    with pytest.raises(UserError, match=remedy):
        load_dataset(str(tmp_path))
    chosen = load_dataset(str(tmp_path), choices=Choices(label_column="built"))
    assert chosen.class_names == ("1900", "1950", "2000")


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (table_of(["cat", "dog", "emu"], "string"), "'label' .* differs for every image"),
        (table_of([0.0, 1.0], "float32"), "labels of .* are not integers"),
        (table_of([0, -1], "int64"), "negative"),
        (table_of([0, None], "int64"), "1 of 2 labels .* missing"),
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
    assert "6 named classes have no images and are dropped: a, c, d, f, g, ..." in loaded.account.remarks


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


def test_a_word_on_the_columns_where_the_catalogue_does_not_name_them(tmp_path: Path):
    catalogue_layout(tmp_path / "usps", "usps")
    for spec, remarks in (("usps", ()), (str(tmp_path / "usps"), ("images are in the column image, labels in",))):
        account = load_dataset(spec, data_root=tmp_path, cache=None).account
        assert account is not None
        assert len(account.remarks) == len(remarks)
        assert all(map(str.startswith, account.remarks, remarks))


def test_the_files_own_name_decides_before_its_folders(tmp_path: Path):
    named([0, 1] * 5, "ab")(tmp_path / "dev-kit" / "train-0.parquet")
    named([0, 1], "ab")(tmp_path / "dev-kit" / "test-0.parquet")
    named([1, 0], "ab")(tmp_path / "dev-kit" / "eval-0.parquet")
    loaded = load_dataset(str(tmp_path), cache=None)
    assert (len(loaded.train), len(loaded.validation), len(loaded.test)) == (10, 2, 2)


def test_a_table_of_metadata_does_not_hide_class_folders(tmp_path: Path):
    for name in ("cat", "dog"):
        write_images(tmp_path / name, noise(5))
    pyarrow.parquet.write_table(pyarrow.table({"file_name": ["cat/0000.png"]}), tmp_path / "metadata.parquet")
    assert load_dataset(str(tmp_path), cache=None).class_names == ("cat", "dog")


def test_a_table_without_images_beside_others_is_left_out_with_a_word(tmp_path: Path):
    named([0, 1] * 5, "ab")(tmp_path / "train-0.parquet")
    pyarrow.parquet.write_table(pyarrow.table({"file_name": ["a"]}), tmp_path / "metadata.parquet")
    account = load_dataset(str(tmp_path), cache=None).account
    assert account is not None
    assert [(part.what, part.why) for part in account.left_out] == [("table metadata.parquet", "it has no images")]


@pytest.mark.parametrize("missing", [-1, None])
def test_a_test_split_without_labels_is_set_aside_with_a_word(tmp_path: Path, missing: int | None):
    named([0, 1] * 10, "ab")(tmp_path / "train-0.parquet")
    table_of([missing] * 3, "int64")(tmp_path / "test-0.parquet")
    loaded = load_dataset(str(tmp_path), cache=None)
    assert len(loaded.test) == 4
    assert loaded.account is not None
    assert [(part.count, part.why) for part in loaded.account.left_out] == [(3, "they have no labels")]
    assert loaded.account.splits[2].held_out


def test_one_file_is_read_in_one_piece_whatever_its_name(tmp_path: Path):
    named([0, 1] * 5, "ab")(tmp_path / "test-0.parquet")
    loaded = load_dataset(str(tmp_path / "test-0.parquet"), cache=None)
    assert (loaded.name, len(loaded.train) + len(loaded.validation) + len(loaded.test)) == ("test-0", 10)


def test_shards_whose_columns_disagree_are_refused(tmp_path: Path):
    named([0, 1], "ab")(tmp_path / "train-0.parquet")
    other = pyarrow.table({"photo": [encode(image) for image in noise(2)], "label": [0, 1]})
    pyarrow.parquet.write_table(other, tmp_path / "train-1.parquet")
    with pytest.raises(UserError, match=r"train-0\.parquet has its images in .*'image', which .*train-1\.parquet"):
        load_dataset(str(tmp_path), cache=None)


@pytest.mark.parametrize("path", ["/etc/hostname", "../outside.png", "link.png"])
def test_files_outside_the_folder_are_never_opened(tmp_path: Path, path: str):
    write_images(tmp_path, noise(1))
    (tmp_path / "0000.png").rename(tmp_path / "outside.png")
    write_images(tmp_path / "set", noise(2))
    (tmp_path / "set" / "link.png").symlink_to(tmp_path / "outside.png")
    cells = [{"bytes": None, "path": name} for name in ("0000.png", "0001.png", path)]
    pyarrow.parquet.write_table(pyarrow.table({"image": cells, "label": [0, 1, 0]}), tmp_path / "set" / "t.parquet")
    with pytest.raises(UserError, match=r"row 2 of .*outside the dataset's folder, which is not opened"):
        load_dataset(str(tmp_path / "set"), cache=None)


def test_more_rows_than_a_file_can_hold_are_refused(tmp_path: Path):
    one = pyarrow.array([encode(noise(1)[0])]).dictionary_encode()
    images = pyarrow.DictionaryArray.from_arrays(np.zeros(500_000, np.int8), one.dictionary)
    columns = {"image": images, "label": np.zeros(500_000, np.int8)}
    pyarrow.parquet.write_table(pyarrow.table(columns), tmp_path / "train.parquet", compression="zstd")
    with pytest.raises(UserError, match=r"train\.parquet is damaged: .* cannot hold 500,000 images"):
        load_dataset(str(tmp_path), cache=None)


def test_of_images_beside_a_table_no_decoded_copy_is_kept(tmp_path: Path):
    for seed in (0, 1):
        write_images(tmp_path / "set", noise(4, seed=seed))
        cells = [{"bytes": None, "path": f"{index:04}.png"} for index in range(4)]
        if seed == 0:
            table = pyarrow.table({"image": cells, "label": [0, 1, 0, 1]})
            pyarrow.parquet.write_table(table, tmp_path / "set" / "train.parquet")
        loaded = load_dataset(str(tmp_path / "set"), validation_fraction=0, cache=tmp_path / "cache")
        every = np.concatenate([loaded.train.images.numpy(), loaded.test.images.numpy()])
        assert sorted(image.tobytes() for image in every[:, 0]) == sorted(i.tobytes() for i in noise(4, seed=seed))


def write_dense(path: Path, value: bytes, count: int, *, once: bool, text: str = "a") -> Path:
    """A file of a few kilobytes in which one large value stands ``count`` times: in a dictionary, or every time."""
    table = pyarrow.table({"image": [value] * count, "label": [text] * count})
    options = {"use_dictionary": once, "write_statistics": False, "store_schema": False, "data_page_size": 2**24}
    pyarrow.parquet.write_table(table, path, compression="zstd", dictionary_pagesize_limit=2**30, **options)
    assert path.stat().st_size < 2**14
    return path


@contextmanager
def peak_of_arrow() -> Iterator[Callable[[], int]]:
    """Within this context, the most bytes that Arrow has held at once."""
    usual, pool = pyarrow.default_memory_pool(), pyarrow.proxy_memory_pool(pyarrow.system_memory_pool())
    pyarrow.set_memory_pool(pool)
    try:
        yield lambda: pool.max_memory() or 0
    finally:
        pyarrow.set_memory_pool(usual)


def test_a_large_value_that_stands_in_many_rows_does_not_fill_the_memory(tmp_path: Path):
    path = write_dense(tmp_path / "x.parquet", bytes(2**20), 200, once=True)
    with peak_of_arrow() as peak, pytest.raises(UserError, match="not in a format that is supported"):
        load_dataset(str(path), cache=None)
    assert peak() < 64 * 2**20
    path = write_dense(tmp_path / "y.parquet", encode(noise(1)[0]), 200, once=True, text="a" * 2**20)
    with peak_of_arrow() as peak, pytest.raises(UserError, match="a text has 1,048,576 characters"):
        load_dataset(str(path), cache=None)
    assert peak() < 64 * 2**20


def test_a_file_that_says_to_decompress_to_far_too_much_is_refused_at_once(tmp_path: Path):
    path = write_dense(tmp_path / "x.parquet", bytes(2**18), 200, once=False)
    with (
        peak_of_arrow() as peak,
        pytest.raises(UserError, match=r"x\.parquet has [\d,]+ bytes that decompress to 52,\d+,\d+, which"),
    ):
        load_dataset(str(path), cache=None)
    assert peak() < 2**24
