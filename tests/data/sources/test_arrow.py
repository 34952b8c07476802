"""Folders that save_to_disk wrote, and plain arrow files."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import datasets
import numpy as np
import pyarrow as pa
import pytest
from published import encode, noise

from potstill.data import Choices, load_dataset
from potstill.runtime.errors import UserError

FEATURES = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=["cat", "dog"])})


def table(count: int, seed: int = 0) -> datasets.Dataset:
    images = [{"bytes": encode(image), "path": None} for image in noise(count, seed=seed)]
    return datasets.Dataset.from_dict({"image": images, "label": [0, 1] * (count // 2)}, FEATURES)


def test_a_saved_dataset_with_its_splits(tmp_path: Path):
    saved = datasets.DatasetDict({"train": table(12), "validation": table(4, 1), "test": table(6, 2)})
    saved.save_to_disk(tmp_path / "set", num_shards={"train": 3, "validation": 1, "test": 1})
    loaded = load_dataset(str(tmp_path / "set"), cache=None)
    assert (len(loaded.train), len(loaded.validation), len(loaded.test)) == (12, 4, 6)
    assert loaded.class_names == ("cat", "dog")
    np.testing.assert_array_equal(loaded.train.images[:, 0].numpy(), noise(12))
    assert loaded.account is not None
    assert loaded.account.layout == "a folder of save_to_disk"
    assert loaded.account.splits[0].origin == "train/data-00000-of-00003.arrow and 2 more"


def test_a_saved_table_without_what_the_librarys_cache_left_beside_it(tmp_path: Path):
    table(10).save_to_disk(tmp_path / "set")
    with pa.OSFile(str(tmp_path / "set" / "cache-0123.arrow"), "wb") as file:
        file.write((tmp_path / "set" / "data-00000-of-00001.arrow").read_bytes())
    loaded = load_dataset(str(tmp_path / "set"), validation_fraction=0, cache=None)
    assert len(loaded.train) + len(loaded.test) == 10


def test_plain_arrow_files_of_both_formats(tmp_path: Path):
    columns = {"image": [encode(image) for image in noise(6)], "label": ["dog", "cat", "dog"] * 2}
    written = pa.table(columns)
    for split, new in (("train", pa.ipc.new_stream), ("test", pa.ipc.new_file)):
        with pa.OSFile(str(tmp_path / f"{split}.arrow"), "wb") as file, new(file, written.schema) as writer:
            writer.write_table(written, max_chunksize=4)
    loaded = load_dataset(str(tmp_path), validation_fraction=0, cache=None)
    assert loaded.class_names == ("cat", "dog")
    assert loaded.train.labels.tolist() == loaded.test.labels.tolist() == [1, 0, 1, 1, 0, 1]
    np.testing.assert_array_equal(loaded.test.images[:, 0].numpy(), noise(6))
    alone = load_dataset(str(tmp_path / "test.arrow"), validation_fraction=0, cache=None)
    assert (alone.name, len(alone.train) + len(alone.test)) == ("test", 6)


def cut(folder: Path) -> None:
    path = folder / "data-00000-of-00001.arrow"
    path.write_bytes(path.read_bytes()[:700])


def missing(folder: Path) -> None:
    (folder / "data-00000-of-00001.arrow").rename(folder / "renamed.arrow")


def elsewhere(folder: Path) -> None:
    state = {"_data_files": [{"filename": "../other.arrow"}]}
    (folder / "state.json").write_text(json.dumps(state))


def ordered(folder: Path) -> None:
    state = {"_data_files": [], "_indices_data_files": [{"filename": "indices.arrow"}]}
    (folder / "state.json").write_text(json.dumps(state))


def nonsense(folder: Path) -> None:
    (folder / "state.json").write_text("[]")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (cut, r"data-00000-of-00001\.arrow"),
        (missing, r"'data-00000-of-00001\.arrow', which does not exist"),
        (elsewhere, r"'\.\./other\.arrow', which does not exist"),
        (ordered, "stores the order of its rows separately"),
        (nonsense, r"state\.json is not an object"),
    ],
)
def test_what_is_damaged_is_refused(tmp_path: Path, spoil: Callable[[Path], None], message: str):
    table(4).save_to_disk(tmp_path / "set")
    spoil(tmp_path / "set")
    with pytest.raises(UserError, match=message) as refused:
        load_dataset(str(tmp_path / "set"), cache=None)
    assert "\n" not in str(refused.value)


def test_offsets_that_point_outside_are_refused(tmp_path: Path):
    path = tmp_path / "train.arrow"
    batch = pa.record_batch([pa.array([encode(image) for image in noise(2)]), ["cat", "dog"]], ["image", "label"])
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, batch.schema) as writer:
        writer.write_batch(batch)
    offsets = np.array([0, 3, 6], np.int32).tobytes()
    assert path.read_bytes().count(offsets) == 1
    path.write_bytes(path.read_bytes().replace(offsets, np.array([0, 1 << 30, 6], np.int32).tobytes()))
    with pytest.raises(UserError, match=r"cannot read an Arrow table in .*train\.arrow"):
        load_dataset(str(tmp_path), cache=None)


def test_splits_of_a_saved_dataset_are_never_taken_for_one(tmp_path: Path):
    datasets.DatasetDict({"fold1": table(6), "holdout": table(4, 1)}).save_to_disk(tmp_path / "set")
    with pytest.raises(UserError, match="fold1, holdout"):
        load_dataset(str(tmp_path / "set"), cache=None)
    chosen = Choices(split_map="train=fold1,test=holdout")
    loaded = load_dataset(str(tmp_path / "set"), choices=chosen, validation_fraction=0, cache=None)
    assert (len(loaded.train), len(loaded.test)) == (6, 4)
