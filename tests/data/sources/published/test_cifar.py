"""CIFAR-10 and CIFAR-100 as their archives unpack."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from potstill.data import ImageDataset, load_dataset
from potstill.data.sources.published.cifar import CIFAR100_BINARY, CIFAR100_PYTHON, CIFAR_BINARY, CIFAR_PYTHON
from potstill.data.sources.published.layout import Files, Layout
from potstill.runtime.errors import UserError

NAMES = ["airplane", "automobile"]
IMAGES = np.random.default_rng(0).integers(0, 256, (6, 32, 32, 3), dtype=np.uint8)
ROWS = IMAGES.transpose(0, 3, 1, 2).reshape(6, 3072)
LABELS = [0, 1, 0, 1, 1, 0]


def dumped(path: Path, value: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps(value, 2))


def python_10(folder: Path) -> Path:
    for batch in ("data_batch_1", "data_batch_2", "test_batch"):
        dumped(folder / batch, {"batch_label": batch, "labels": LABELS, "data": ROWS, "filenames": ["a.png"] * 6})
    dumped(folder / "batches.meta", {"num_cases_per_batch": 6, "label_names": NAMES, "num_vis": 3072})
    (folder / "readme.html").write_text("<a/>")
    return folder


def binary_10(folder: Path) -> Path:
    folder.mkdir(parents=True)
    rows = np.concatenate([np.array(LABELS, np.uint8)[:, None], ROWS], axis=1)
    for batch in ("data_batch_1.bin", "data_batch_2.bin", "test_batch.bin"):
        (folder / batch).write_bytes(rows.tobytes())
    (folder / "batches.meta.txt").write_text("\n".join(NAMES) + "\n\n")
    return folder


def python_100(folder: Path) -> Path:
    for split in ("train", "test"):
        dumped(folder / split, {"fine_labels": LABELS, "coarse_labels": [0] * 6, "data": ROWS})
    dumped(folder / "meta", {"fine_label_names": NAMES, "coarse_label_names": ["things"]})
    return folder


def binary_100(folder: Path) -> Path:
    folder.mkdir(parents=True)
    rows = np.concatenate([np.zeros((6, 1), np.uint8), np.array(LABELS, np.uint8)[:, None], ROWS], axis=1)
    for split in ("train.bin", "test.bin"):
        (folder / split).write_bytes(rows.tobytes())
    (folder / "fine_label_names.txt").write_text("\n".join(NAMES))
    (folder / "coarse_label_names.txt").write_text("things")
    return folder


def load(folder: Path) -> ImageDataset:
    return load_dataset(str(folder), validation_fraction=0)


@pytest.mark.parametrize("publish", [python_10, binary_10, python_100, binary_100])
def test_every_version_is_read(tmp_path: Path, publish: Any):
    loaded = load(publish(tmp_path / "cifar"))
    assert loaded.class_names == tuple(NAMES)
    np.testing.assert_array_equal(loaded.test.images.numpy(), IMAGES.transpose(0, 3, 1, 2))
    assert loaded.test.labels.tolist() == LABELS
    assert len(loaded.train) == (12 if publish in (python_10, binary_10) else 6)


@pytest.mark.parametrize(
    ("publish", "below"),
    [
        (python_10, "cifar-10-batches-py"),
        (binary_10, "cifar-10-batches-bin"),
        (python_100, "cifar-100-python"),
        (binary_100, "cifar-100-binary"),
    ],
)
def test_the_folders_of_the_archives_are_looked_into(tmp_path: Path, publish: Any, below: str):
    publish(tmp_path / below)
    assert len(load(tmp_path).test) == 6


@pytest.mark.parametrize(
    ("publish", "layout"),
    [
        (python_10, CIFAR_PYTHON),
        (binary_10, CIFAR_BINARY),
        (python_100, CIFAR100_PYTHON),
        (binary_100, CIFAR100_BINARY),
    ],
)
def test_names_of_classes_are_read_in_whatever_order_the_files_are(tmp_path: Path, publish: Any, layout: Layout):
    paths = layout.files(publish(tmp_path / "cifar"))
    for order in (paths, paths[::-1]):
        assert {part.labels.names for part in layout.read(Files(order)).parts} == {tuple(NAMES)}


def test_missing_batches_are_told(tmp_path: Path):
    account = load(python_10(tmp_path / "cifar")).account
    assert account is not None
    assert "2 of 5 training batches are present" in account.remarks


def test_nothing_is_unpickled(tmp_path: Path):
    folder = python_10(tmp_path / "cifar")
    (folder / "data_batch_2").write_bytes(b"cos\nsystem\n(S'touch harmed'\ntR.")
    with pytest.raises(UserError, match=r"data_batch_2.*os\.system.*not unpickled"):
        load(folder)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([1], "holds a list"),
        ({"labels": LABELS}, "no images"),
        ({"labels": LABELS, "data": ROWS[:, :10]}, "no images"),
        ({"labels": LABELS, "data": ROWS.astype(float)}, "no images"),
        ({"data": ROWS}, "not integers"),
        ({"labels": [2**40] * 6, "data": ROWS}, "not integers"),
        ({"labels": LABELS[:5], "data": ROWS}, "6 images but 5 labels"),
    ],
)
def test_other_contents_are_refused(tmp_path: Path, content: Any, message: str):
    folder = python_10(tmp_path / "cifar")
    dumped(folder / "test_batch", content)
    with pytest.raises(UserError, match=message):
        load(folder)


def test_a_truncated_binary_batch_is_refused(tmp_path: Path):
    folder = binary_10(tmp_path / "cifar")
    (folder / "test_batch.bin").write_bytes(ROWS.tobytes()[:-1])
    with pytest.raises(UserError, match=r"test_batch\.bin is truncated"):
        load(folder)
