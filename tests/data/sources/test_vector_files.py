"""Files of vectors alone: which array or column is taken, which files it is of, and what is not guessed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pytest
from pyarrow import parquet

from potstill.data import holds_vectors_alone, load_dataset, read_vector_file
from potstill.runtime.errors import Unlabelled, UserError

VALUES = np.random.default_rng(0).normal(size=(6, 3)).astype(np.float32)
FILES = [f"photos/{number}.png" for number in range(6)]


def archive(folder: Path, **arrays: Any) -> Path:
    np.savez(folder / "e.npz", **arrays)
    return folder / "e.npz"


def table(folder: Path, **columns: Any) -> Path:
    listed = {name: list(column) for name, column in columns.items()}
    parquet.write_table(pyarrow.table(listed), folder / "e.parquet")
    return folder / "e.parquet"


@pytest.mark.parametrize("name", ["vectors", "anything"])
@pytest.mark.parametrize("write", [archive, table])
def test_the_only_vectors_are_taken_whatever_they_are_called(tmp_path: Path, write: Any, name: str):
    path = write(tmp_path, **{name: VALUES, "ids": np.arange(6)})
    assert holds_vectors_alone(path)
    found = read_vector_file(path)
    np.testing.assert_array_equal(found.values, VALUES)
    assert (found.class_names, found.files) == (("",), None)
    assert name in found.remark


@pytest.mark.parametrize("write", [archive, table])
def test_of_several_the_one_with_a_usual_name_is_taken(tmp_path: Path, write: Any):
    path = write(tmp_path, first=VALUES + 1, embeddings=VALUES, last=VALUES + 2)
    np.testing.assert_array_equal(read_vector_file(path).values, VALUES)
    path = write(tmp_path, first=VALUES, last=VALUES)
    with pytest.raises(UserError, match=r"several .* of vectors: first, last"):
        read_vector_file(path)


def test_a_column_can_be_chosen(tmp_path: Path):
    path = table(tmp_path, first=VALUES + 1, last=VALUES)
    np.testing.assert_array_equal(read_vector_file(path, column="last").values, VALUES)
    with pytest.raises(UserError, match="no column 'other' of vectors among first, last"):
        read_vector_file(path, column="other")
    with pytest.raises(UserError, match=r"`image_column=x` chooses a column, but .* has none"):
        read_vector_file(archive(tmp_path, x=VALUES), column="x")


@pytest.mark.parametrize("write", [archive, table])
def test_the_file_of_each_vector(tmp_path: Path, write: Any):
    path = write(tmp_path, vectors=VALUES, paths=np.array(FILES))
    assert holds_vectors_alone(path)
    assert read_vector_file(path).files == tuple(FILES)
    path = write(tmp_path, vectors=VALUES, paths=np.array([*FILES[:-1], " "]))
    with pytest.raises(UserError, match="row 5, counted from 0, names no file"):
        read_vector_file(path)


def test_names_for_fewer_vectors(tmp_path: Path):
    with pytest.raises(UserError, match="has 6 vectors, but 2 file names"):
        read_vector_file(archive(tmp_path, vectors=VALUES, files=np.array(FILES[:2])))


@pytest.mark.parametrize("name", ["labels", "target", "kind"])
@pytest.mark.parametrize("write", [archive, table])
def test_what_may_be_labels_is_not_passed_over(tmp_path: Path, write: Any, name: str):
    path = write(tmp_path, vectors=VALUES, **{name: np.arange(6) % 2})
    assert not holds_vectors_alone(path)
    np.testing.assert_array_equal(read_vector_file(path).values, VALUES)


def test_images_are_no_vectors(tmp_path: Path):
    path = archive(tmp_path, x=VALUES, train_images=np.zeros((6, 4, 4), np.uint8))
    assert not holds_vectors_alone(path)
    with pytest.raises(UserError, match="has no array of vectors among x"):
        read_vector_file(archive(tmp_path, x=np.arange(6)))
    with pytest.raises(UserError, match="has no column of vectors among x"):
        read_vector_file(table(tmp_path, x=np.arange(6)))


def test_as_a_dataset_they_lack_labels_and_not_images(tmp_path: Path):
    with pytest.raises(
        Unlabelled, match=r"has vectors .embeddings., but no labels .* arrays called vectors and labels"
    ):
        load_dataset(archive(tmp_path, embeddings=VALUES))
    with pytest.raises(Unlabelled, match="has no column of class labels among embedding"):
        load_dataset(table(tmp_path, embedding=VALUES))


def test_text_that_would_need_a_pickle_is_not_read(tmp_path: Path):
    path = archive(tmp_path, vectors=VALUES, files=np.array(FILES, object))
    with pytest.raises(UserError, match="it holds object, not texts of a fixed length"):
        read_vector_file(path)


def test_numbers_that_are_not_finite_are_named(tmp_path: Path):
    values = VALUES.copy()
    values[4, 1] = np.nan
    for path in (archive(tmp_path, vectors=values), table(tmp_path, vectors=values)):
        with pytest.raises(UserError, match="row 4 has values that are not finite"):
            read_vector_file(path)


@pytest.mark.parametrize(
    ("name", "labels"),
    [
        ("y", np.arange(6.0)),
        ("train_labels", np.arange(6.0)),
        ("target", np.eye(6, dtype=np.float32)),
        ("species", np.array(list("ababab"), dtype=object)),
        ("species", np.array(list("ababab"), dtype="S1")),
    ],
)
def test_labels_of_a_type_that_is_not_read_are_not_passed_over(tmp_path: Path, name: str, labels: np.ndarray):
    assert not holds_vectors_alone(archive(tmp_path, vectors=VALUES, **{name: labels}))


def test_numbers_that_measure_each_vector_are_no_labels(tmp_path: Path):
    assert holds_vectors_alone(archive(tmp_path, vectors=VALUES, loss=np.arange(6.0), paths=np.array(FILES, object)))


def test_a_name_with_half_characters_is_no_name_of_a_file(tmp_path: Path):
    with pytest.raises(UserError, match="row 1, counted from 0, names no file"):
        read_vector_file(archive(tmp_path, vectors=VALUES, files=np.array(["a", "\ud800", "c", "d", "e", "f"])))
    undecodable = "\udcff.png"  # what Python makes of a byte that is not UTF-8
    found = read_vector_file(archive(tmp_path, vectors=VALUES, files=np.array([undecodable, *FILES[1:]])))
    assert found.files == (undecodable, *FILES[1:])


@pytest.mark.parametrize("other", [np.arange(6), np.array("model.safetensors")])
def test_numbers_and_a_single_path_are_no_names_of_files(tmp_path: Path, other: np.ndarray):
    assert read_vector_file(archive(tmp_path, vectors=VALUES, path=other)).files is None
    assert read_vector_file(archive(tmp_path, vectors=VALUES, path=other, files=np.array(FILES))).files == tuple(FILES)
