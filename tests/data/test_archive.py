"""Chosen images and vectors as an archive: what is read again is what was written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from potstill.data import archived, dataset_of, load_dataset, read_vectors

LABELS = np.array([5, 7, 9])[np.arange(30) % 3]
INDICES = [29, 0, 3, 4, 8, 11]


@pytest.mark.parametrize("shape", [(6, 5), (6, 5, 2), (6, 5, 3), (6, 5, 4)])
def test_images_come_back(shape: tuple[int, ...], tmp_path: Path):
    images = np.random.default_rng(0).integers(0, 256, (30, *shape), dtype=np.uint8)
    train = dataset_of((images, LABELS), validation_fraction=0, test_fraction=0).train
    (tmp_path / "a.npz").write_bytes(archived(train, INDICES))
    again = load_dataset(tmp_path / "a.npz", validation_fraction=0, test_fraction=0)
    assert again.class_names == ("5", "7", "9")
    assert again.train.images.equal(train.images[INDICES])
    assert again.train.labels.equal(train.labels[INDICES])
    assert archived(train, INDICES) == archived(train, INDICES)


def test_vectors_come_back(tmp_path: Path):
    values = np.random.default_rng(0).normal(size=(30, 4)).astype(np.float32)
    np.save(tmp_path / "e.npy", values)
    np.save(tmp_path / "e.labels.npy", LABELS)
    dataset = load_dataset(tmp_path / "e.npy", validation_fraction=0, test_fraction=0).train
    for members in (dataset, read_vectors(tmp_path / "e.npy", tmp_path / "e.labels.npy")):
        (tmp_path / "a.npz").write_bytes(archived(members, INDICES))
        again = load_dataset(tmp_path / "a.npz", validation_fraction=0, test_fraction=0)
        assert again.class_names == ("5", "7", "9")
        assert again.train.images.flatten(1).equal(torch.from_numpy(values[INDICES]))
        assert again.train.labels.equal(dataset.labels[INDICES])
    (tmp_path / "b.npz").write_bytes(archived(read_vectors(tmp_path / "e.npy"), INDICES))
    with np.load(tmp_path / "b.npz") as arrays:
        assert arrays.files == ["vectors"]
