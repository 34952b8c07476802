"""MNIST and Fashion-MNIST as they are downloaded: four idx files, gzipped or not, here or in torchvision's folders."""

from __future__ import annotations

import gzip
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from potstill.data import CATALOGUE, load_dataset
from potstill.runtime.errors import UserError

LABELS = {"train": np.arange(20, dtype=np.uint8) % 10, "t10k": np.arange(10, dtype=np.uint8)}


def pixels(split: str) -> np.ndarray:
    return np.random.default_rng(len(split)).integers(0, 256, (len(LABELS[split]), 28, 28), dtype=np.uint8)


def idx(values: np.ndarray) -> bytes:
    return bytes([0, 0, 8, values.ndim]) + b"".join(side.to_bytes(4, "big") for side in values.shape) + values.tobytes()


def publish(folder: Path, suffix: str = ".gz", separator: str = "-") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for split in LABELS:
        for name, values in (("images-idx3", pixels(split)), ("labels-idx1", LABELS[split])):
            content = idx(values)
            path = folder / f"{split}-{name.replace('-', separator)}-ubyte{suffix}"
            path.write_bytes(gzip.compress(content) if suffix else content)
    return folder


@pytest.mark.parametrize(
    ("below", "suffix", "separator"),
    [("", ".gz", "-"), ("", "", "-"), ("", "", "."), ("MNIST/raw", "", "-"), ("raw", ".gz", "-")],
)
def test_the_four_files_are_read_where_they_lie(tmp_path: Path, below: str, suffix: str, separator: str):
    publish(tmp_path / below, suffix, separator)
    loaded = load_dataset(str(tmp_path), validation_fraction=0)
    np.testing.assert_array_equal(loaded.train.images[:, 0].numpy(), pixels("train"))
    assert loaded.test.labels.tolist() == LABELS["t10k"].tolist()
    assert loaded.class_names == tuple("0123456789")
    assert loaded.account is not None
    assert loaded.account.layout == "idx files"


def test_a_local_copy_of_the_catalogue_equals_the_one_in_parquet(tmp_path: Path):
    publish(tmp_path / "raw" / "fashion-mnist")
    write_parquet_twin(tmp_path / "tables" / "fashion-mnist")
    raw, tables = (load_dataset("fashion-mnist", data_root=tmp_path / kind) for kind in ("raw", "tables"))
    assert raw.fingerprint == tables.fingerprint
    assert raw.class_names == CATALOGUE["fashion-mnist"].class_names
    assert raw.mean == CATALOGUE["fashion-mnist"].mean


def write_parquet_twin(folder: Path) -> None:
    import pyarrow
    from pyarrow import parquet

    folder.mkdir(parents=True)
    names = ", ".join(f'"{name}"' for name in CATALOGUE["fashion-mnist"].class_names)
    features = '{"image": {"_type": "Image"}, "label": {"_type": "ClassLabel", "names": [' + names + "]}}"
    metadata = {"huggingface": '{"info": {"features": ' + features + "}}"}
    for split, name in (("train", "train"), ("t10k", "test")):
        rows = []
        for image in pixels(split):
            stream = io.BytesIO()
            Image.fromarray(image).save(stream, "PNG")
            rows.append({"bytes": stream.getvalue(), "path": None})
        kind = pyarrow.struct([("bytes", pyarrow.binary()), ("path", pyarrow.string())])
        table = pyarrow.table({"image": pyarrow.array(rows, kind), "label": LABELS[split].astype(np.int64)})
        parquet.write_table(table.replace_schema_metadata(metadata), folder / f"{name}-00000-of-00001.parquet")


def test_copies_beside_the_files_are_told(tmp_path: Path):
    publish(publish(tmp_path, ""))
    for path in tmp_path.glob("t10k-*[!z]"):
        path.with_name(path.name.replace("t10k", "test")).write_bytes(path.read_bytes())
    loaded = load_dataset(str(tmp_path))
    assert loaded.fingerprint == load_dataset(str(publish(tmp_path / "one", ""))).fingerprint
    assert loaded.account is not None
    assert [(left.what, left.why) for left in loaded.account.left_out] == [
        ("file train-images-idx3-ubyte.gz", "it holds the same as train-images-idx3-ubyte"),
        ("file train-labels-idx1-ubyte.gz", "it holds the same as train-labels-idx1-ubyte"),
        ("file t10k-images-idx3-ubyte.gz", "it holds the same as t10k-images-idx3-ubyte"),
        ("file test-images-idx3-ubyte", "it holds the same as t10k-images-idx3-ubyte"),
        ("file t10k-labels-idx1-ubyte.gz", "it holds the same as t10k-labels-idx1-ubyte"),
        ("file test-labels-idx1-ubyte", "it holds the same as t10k-labels-idx1-ubyte"),
    ]


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("test-images-idx3-ubyte", pixels("t10k")[::-1]),
        ("test-labels-idx1-ubyte", LABELS["t10k"][:9]),
        ("train-images-idx3-ubyte.gz", pixels("train") ^ 1),
        ("train-labels.idx1-ubyte", LABELS["train"][::-1]),
    ],
)
def test_a_second_file_that_differs_is_refused(tmp_path: Path, name: str, values: np.ndarray):
    publish(tmp_path, "")
    (tmp_path / name).write_bytes(gzip.compress(idx(values)) if name.endswith("gz") else idx(values))
    with pytest.raises(UserError, match=f"{name} differ|{name} and .* differ"):
        load_dataset(str(tmp_path))


def test_images_of_one_name_and_labels_of_another_are_not_joined(tmp_path: Path):
    publish(tmp_path, "")
    (tmp_path / "t10k-labels-idx1-ubyte").rename(tmp_path / "test-labels-idx1-ubyte")
    with pytest.raises(UserError, match="t10k-images-idx3-ubyte has no matching file of labels"):
        load_dataset(str(tmp_path))


def test_several_datasets_in_one_folder_have_to_be_named(tmp_path: Path):
    publish(tmp_path / "MNIST" / "raw")
    publish(tmp_path / "FashionMNIST" / "raw")
    with pytest.raises(UserError, match=r"several datasets.*MNIST/raw"):
        load_dataset(str(tmp_path))
    assert len(load_dataset(str(tmp_path / "MNIST")).test) == 10


def test_a_missing_file_and_a_single_one_are_told(tmp_path: Path):
    publish(tmp_path)
    with pytest.raises(UserError, match="name its folder"):
        load_dataset(str(tmp_path / "t10k-labels-idx1-ubyte.gz"))
    (tmp_path / "t10k-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(UserError, match=r"t10k-images-idx3-ubyte\.gz has no matching file of labels"):
        load_dataset(str(tmp_path))
