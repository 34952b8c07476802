"""Vectors as datasets: ``.npy`` files with labels beside them, ``.npz`` archives, columns of tables."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
import torch

from potstill.data import Choices, LabeledImages, dataset_of, load_dataset
from potstill.runtime.errors import UserError


def vectors(count: int = 60, length: int = 5, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(3, 2, (count, length))


LABELS = np.arange(60) % 3


def save(folder: Path, values: np.ndarray | None = None, labels: np.ndarray | None = LABELS) -> Path:
    np.save(folder / "sounds.npy", vectors() if values is None else values)
    if labels is not None:
        np.save(folder / "sounds.labels.npy", labels)
    return folder / "sounds.npy"


def numbers(split: LabeledImages) -> torch.Tensor:
    return split.read(slice(None)).flatten(1)


def test_a_file_with_its_labels_is_a_dataset_that_says_what_it_is(tmp_path: Path):
    loaded = load_dataset(save(tmp_path))
    assert repr(loaded) == "ImageDataset('sounds': 42 train, 6 validation, 12 test vectors of 5 numbers, 3 classes)"
    assert loaded.describe().splitlines()[:2] == [
        "sounds: 60 vectors of 3 classes, 5 numbers each",
        "  read as .npy file of vectors; numbers: 5 in each vector, stored as float64",
    ]
    assert loaded.shape == (5, 1, 1)
    assert loaded.class_names == ("0", "1", "2")


def test_numbers_that_are_not_counted_from_0_are_read_alike_in_every_layout(tmp_path: Path):
    numbers = np.array([5, 9, 10])[LABELS]
    path, archive, table = save(tmp_path, labels=numbers), tmp_path / "sounds.npz", tmp_path / "sounds.parquet"
    np.savez(archive, vectors=vectors(), labels=numbers)
    pyarrow.parquet.write_table(pyarrow.table({"vector": list(vectors()), "label": numbers}), table)
    for loaded in (*map(load_dataset, (path, archive, table)), dataset_of((vectors(), numbers))):
        assert loaded.class_names == ("5", "9", "10")
        assert "labels are the numbers 5, 9, 10, not 0 to 2: the classes are called by them" in loaded.describe()
        assert loaded.train.class_sizes == (14, 14, 14)


def test_words_that_are_digits_stay_in_the_order_of_words(tmp_path: Path):
    assert load_dataset(save(tmp_path, labels=np.array(["9", "10", "11"])[LABELS])).class_names == ("10", "11", "9")


def in_splits(folder: Path, train: list[Any], test: list[Any], endings: str = "npy npy") -> Path:
    for split, labels, ending in zip(("train", "test"), (train, test), endings.split(), strict=True):
        np.save(folder / f"{split}.npy", vectors(len(labels)))
        if ending == "npy":
            np.save(folder / f"{split}.labels.npy", np.array(labels))
        else:
            (folder / f"{split}.labels.txt").write_text("".join(f"{label}\n" for label in labels))
    return folder


@pytest.mark.parametrize(
    ("train", "test", "endings", "names"),
    [
        (["0", "1", "2", "10"] * 3, ["0", "1", "2"], "npy npy", ("0", "1", "10", "2")),
        (["0", "1", "2"] * 3, ["0", "1", "2"], "npy npy", ("0", "1", "2")),
        (["-1", "1"] * 3, ["1"], "npy npy", ("-1", "1")),
        (list(range(12)) * 3, list(map(str, range(12))), "npy npy", tuple(sorted(map(str, range(12))))),
        (list(map(str, range(12))) * 3, list(range(12)), "npy txt", tuple(sorted(map(str, range(12))))),
        (list(range(12)) * 3, list(range(12)), "npy txt", tuple(map(str, range(12)))),
        (["01", "-1", "a"] * 3, ["-1", "01"], "txt txt", ("-1", "01", "a")),
    ],
)
def test_words_and_numbers_of_all_splits_are_told_apart_at_once(
    tmp_path: Path, train: list[Any], test: list[Any], endings: str, names: tuple[str, ...]
):
    loaded = load_dataset(in_splits(tmp_path, train, test, endings), validation_fraction=0)
    assert loaded.class_names == names
    assert [names[label] for label in loaded.train.labels.tolist()] == list(map(str, train))
    assert [names[label] for label in loaded.test.labels.tolist()] == list(map(str, test))


def test_a_missing_label_is_none_of_the_words_of_other_splits(tmp_path: Path):
    with pytest.raises(UserError, match=r"1 of 3 labels .* are missing or negative"):
        load_dataset(in_splits(tmp_path, [0, 1, -1], ["0", "1"]))


def test_numbers_beyond_64_bits_are_names(tmp_path: Path):
    labels = np.array([2**64 - 1, 5], np.uint64)[np.arange(60) % 2]
    assert load_dataset(save(tmp_path, labels=labels)).class_names == ("18446744073709551615", "5")


def test_vectors_without_a_label_are_refused_as_images_are(tmp_path: Path):
    with pytest.raises(UserError, match=r"20 of 60 labels .* are missing or negative \(the first is -1"):
        load_dataset(save(tmp_path, labels=LABELS - 1))


def test_features_are_centred_and_share_one_scale(tmp_path: Path):
    spread = vectors() * np.array([1, 10, 100, 1, 0])  # the last feature is constant
    train = load_dataset(save(tmp_path, spread)).train
    seen = train.normalised().flatten(1).double()
    torch.testing.assert_close(seen.mean(0), torch.zeros(5, dtype=torch.float64), atol=1e-5, rtol=0)
    assert seen.square().mean().item() == pytest.approx(1, rel=1e-5)
    assert len(set(train.std)) == 1, "distances keep their proportions"
    raw = numbers(train).double()
    torch.testing.assert_close(seen * train.std[0] + torch.tensor(train.mean).double(), raw, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.ones((60, 4)), "the training vectors are all the same; scale them"),
        (vectors() * 1e-30, "the training vectors vary by 2.1e-30 on average"),
        (vectors() * 1e30, r"the training vectors vary by 2.1e\+30 on average"),
        (vectors() + 1e6, "as far from 0 as they vary, too far for 32-bit numbers; subtract the mean of each feature"),
    ],
)
def test_vectors_that_32_bits_do_not_hold_are_refused(tmp_path: Path, values: np.ndarray, message: str):
    with pytest.raises(UserError, match=message):
        load_dataset(save(tmp_path, values))


def test_an_offset_costs_little_precision(tmp_path: Path):
    values = vectors(length=3) + 1e4
    train = load_dataset(save(tmp_path, values), validation_fraction=0, test_fraction=0).train
    exact = (values - values.mean(0)) / np.sqrt(values.var(0).mean())
    assert np.abs(train.normalised().flatten(1).double().numpy() - exact).max() < 1e-3


def test_whole_numbers_in_a_text_file_are_numbers(tmp_path: Path):
    np.save(tmp_path / "a.npy", vectors())
    (tmp_path / "a.labels.txt").write_text("".join(f"{number % 12}\n" for number in range(60)))
    assert load_dataset(tmp_path / "a.npy").class_names == tuple(map(str, range(12)))


def test_hidden_files_are_no_vectors(tmp_path: Path):
    save(tmp_path)
    (tmp_path / "sounds.npy").rename(tmp_path / "train.npy")
    (tmp_path / "sounds.labels.npy").rename(tmp_path / "train.labels.npy")
    (tmp_path / "._train.npy").write_bytes(b"left by another system")
    assert len(load_dataset(tmp_path)) == 60


def test_a_folder_has_a_file_for_each_split_and_labels_in_words(tmp_path: Path):
    for split, count in (("train", 30), ("test", 12)):
        np.save(tmp_path / f"{split}.npy", vectors(count).astype(np.float32))
        (tmp_path / f"{split}.labels.txt").write_text("".join(f"{'ab'[number % 2]}\n" for number in range(count)))
    loaded = load_dataset(tmp_path)
    assert loaded.class_names == ("a", "b")
    assert (len(loaded.train), len(loaded.validation), len(loaded.test)) == (26, 4, 12)
    expected = torch.from_numpy(vectors(12).astype(np.float32))
    torch.testing.assert_close(numbers(loaded.test), expected, rtol=0, atol=0)


def test_an_archive_and_a_table_give_the_same_vectors(tmp_path: Path):
    values = vectors(30).astype(np.float32)
    labels = np.arange(30) % 2
    np.savez(tmp_path / "a.npz", X_train=values, y_train=labels, X_test=values[:6], y_test=labels[:6])
    named = {"train_vectors": values, "train_labels": labels, "test_vectors": values[:6], "test_labels": labels[:6]}
    np.savez(tmp_path / "b.npz", **named)
    for name, count in (("train", 30), ("test", 6)):
        table = pyarrow.table({"embedding": values[:count].tolist(), "label": labels[:count], "id": np.arange(count)})
        pyarrow.parquet.write_table(table, tmp_path / f"{name}.parquet")
    archive, other, table = (load_dataset(tmp_path / name) for name in ("a.npz", "b.npz", ""))
    for each in (archive, other, table):
        assert each.account is not None
        assert each.account.kind == "vector"
        torch.testing.assert_close(numbers(each.test), torch.from_numpy(values[:6]), rtol=0, atol=1e-6)
    assert "vectors are in the column embedding, labels in the column label" in table.describe()


def test_a_table_of_images_is_read_as_images_unless_its_vectors_are_chosen(tmp_path: Path):
    from tests.data.sources.published import encode, noise

    images = [{"bytes": encode(image), "path": None} for image in noise(12)]
    columns = {"image": images, "clip": vectors(12).tolist(), "label": [number % 2 for number in range(12)]}
    pyarrow.parquet.write_table(pyarrow.table(columns), tmp_path / "train.parquet")
    assert not load_dataset(tmp_path, cache=None).train.holds_vectors
    assert load_dataset(tmp_path, cache=None, choices=Choices(image_column="clip")).shape == (5, 1, 1)


def test_vectors_are_not_read_from_the_copy_of_images(tmp_path: Path):
    path = tmp_path / "train.parquet"
    for seed in (0, 1):
        columns = {"vector": vectors(12, seed=seed).tolist(), "label": [number % 2 for number in range(12)]}
        pyarrow.parquet.write_table(pyarrow.table(columns), path)
        loaded = load_dataset(tmp_path, cache=tmp_path / "cache", validation_fraction=0, test_fraction=0)
        expected = torch.from_numpy(vectors(12, seed=seed)).float()
        torch.testing.assert_close(numbers(loaded.train), expected, rtol=0, atol=0)
    assert not list(tmp_path.glob("cache/*.safetensors"))


@pytest.mark.parametrize(
    ("values", "labels", "message"),
    [
        (vectors(), None, r"sounds\.npy has no labels beside it; store one for each vector as sounds\.labels\.npy or"),
        (vectors(), LABELS[:-1], r"has 60 vectors, but .*sounds\.labels\.npy has 59 labels"),
        (vectors().astype(np.int32), LABELS, r"holds int32 \(60, 5\), not vectors"),
        (np.full((60, 5), np.nan), LABELS, r"row 0 has values that are not finite"),
        (np.full((60, 5), 1e300), LABELS, r"vector 0, counted from 0, has values that are not finite"),
        (np.zeros((60, 5, 2)), LABELS, r"\(60, 5, 2\), not vectors"),
    ],
)
def test_what_is_wrong_with_a_file_is_named(tmp_path: Path, values: np.ndarray, labels: Any, message: str):
    with pytest.raises(UserError, match=message):
        load_dataset(save(tmp_path, values, labels))


def test_what_is_wrong_with_tables_and_archives_is_named(tmp_path: Path):
    labels = [0, 1, 0, 1]

    def load(**columns: list) -> None:
        pyarrow.parquet.write_table(pyarrow.table({"label": labels, **columns}), tmp_path / "train.parquet")
        load_dataset(tmp_path / "train.parquet", cache=None)

    uneven = [[0.5, 1.5], [1.0, 2.0], [1.0], [2.0, 3.0]]
    with pytest.raises(UserError, match=r"row 2 of [^,]*train\.parquet has 1 numbers .* 'vector', where others have 2"):
        load(vector=uneven)
    with pytest.raises(UserError, match=r"row 1 of .* has 0 numbers in the column 'vector'"):
        load(vector=[[1.0], None, [2.0], [3.0]])
    with pytest.raises(UserError, match="vector 3, counted from 0, has values that are not finite"):
        load(vector=[[1.0], [2.0], [3.0], [None]])
    with pytest.raises(UserError, match="several columns of vectors: one, two; choose one with `image_column`"):
        load(one=[[1.0]] * 4, two=[[1.0]] * 4)
    short, long = vectors(30).astype(np.float32), vectors(30, 6).astype(np.float32)
    np.savez(tmp_path / "a.npz", x_train=short, y_train=np.arange(30) % 2, x_test=long, y_test=np.arange(30) % 2)
    with pytest.raises(UserError, match=r"vectors differ in length: .*x_train has 5 numbers in each, .*x_test 6"):
        load_dataset(tmp_path / "a.npz")
    images = np.zeros((30, 8, 8), np.uint8)
    np.savez(tmp_path / "b.npz", x_train=short, y_train=np.arange(30) % 2, x_test=images, y_test=np.arange(30) % 2)
    with pytest.raises(UserError, match="some of these arrays hold images and others vectors"):
        load_dataset(tmp_path / "b.npz")


def test_what_is_for_images_is_refused(tmp_path: Path):
    path = save(tmp_path)
    with pytest.raises(UserError, match="holds vectors, which are not resized"):
        load_dataset(path, image_size=8)
    with pytest.raises(UserError, match="whitening is for images, and these are vectors"):
        load_dataset(path, zca=True)
    np.savez(tmp_path / "dots.npz", x=np.arange(60, dtype=np.uint8)[:, None, None], y=LABELS)
    with pytest.raises(UserError, match="the images of dots are single pixels"):
        load_dataset(tmp_path / "dots.npz")


def test_more_vectors_than_memory_are_refused_before_they_are_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = save(tmp_path)
    monkeypatch.setattr("potstill.runtime.bounds.memory_bytes", lambda: 1000)
    with pytest.raises(UserError, match="these vectors need"):
        load_dataset(path)
