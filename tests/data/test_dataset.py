"""ImageDataset: what its parts share, its statistics and its fingerprint."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from potstill.data import load_dataset
from potstill.data.dataset import channel_statistics
from tests.small import small_digits


def test_digits_describe_themselves():
    digits = load_dataset("digits")
    assert digits.shape == digits.test.shape == (1, 8, 8)
    assert digits.class_count == 10
    assert digits.class_names == tuple("0123456789")
    assert digits.mean == digits.train.mean == digits.validation.mean
    assert digits.std == digits.test.std
    assert digits.to("meta").validation.images.device.type == "meta"


def test_channel_statistics_are_those_of_numpy():
    images = torch.randint(0, 256, (50, 3, 4, 5), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    mean, std = channel_statistics(images)
    scaled = images.numpy().astype(np.float64) / 255
    np.testing.assert_allclose(mean, scaled.mean((0, 2, 3)))
    np.testing.assert_allclose(std, scaled.std((0, 2, 3)))


def test_a_constant_channel_stays_finite():
    mean, std = channel_statistics(torch.full((4, 1, 2, 2), 51, dtype=torch.uint8))
    assert mean == pytest.approx((0.2,))
    assert std == (1.0,)


def saved(path: Path, images: np.ndarray, labels: np.ndarray) -> str:
    np.savez(path, train_images=images, train_labels=labels, test_images=images[:4], test_labels=labels[:4])
    return load_dataset(str(path)).fingerprint


def test_fingerprint_tells_pixels_labels_and_splits_apart(tmp_path: Path):
    images = np.random.default_rng(0).integers(0, 256, (20, 4, 4), dtype=np.uint8)
    labels = np.arange(20) % 2
    first = saved(tmp_path / "a.npz", images, labels)
    assert saved(tmp_path / "b.npz", images, labels) == first
    other_pixels, other_labels = images.copy(), labels.copy()
    other_pixels[7, 1, 1] ^= 1
    other_labels[[8, 9]] = other_labels[[9, 8]]
    others = {
        saved(tmp_path / "c.npz", other_pixels, labels),
        saved(tmp_path / "d.npz", images, other_labels),
        load_dataset(str(tmp_path / "a.npz"), validation_fraction=0.3).fingerprint,
    }
    assert len(others | {first}) == 4


def test_fingerprint_tells_class_names_apart(tmp_path: Path):
    for names in ("ab", "ac"):
        for value, name in enumerate(names):
            (tmp_path / names / name).mkdir(parents=True)
            for number in range(3):
                Image.new("L", (3, 3), 10 * value + number).save(tmp_path / names / name / f"{number}.png")
    first, second = (load_dataset(str(tmp_path / names)) for names in ("ab", "ac"))
    assert torch.equal(first.train.images, second.train.images)
    assert first.fingerprint != second.fingerprint


def test_datasets_are_shown_in_one_line_and_indexed_like_lists():
    data = small_digits()
    assert repr(data) == "ImageDataset('digits': 200 train, 50 validation, 50 test images of 1×8×8 pixels, 10 classes)"
    assert repr(data.test) == "LabeledImages(50 images of 1×8×8 pixels, 10 classes)"
    assert len(data) == 300
    image, label = data.test[-1]
    assert image.equal(data.test.normalised()[-1])
    assert label == data.test.labels[-1]
    images, labels = data.test[torch.tensor([3, 1])]
    assert images.equal(data.test.normalised(torch.tensor([3, 1])))
    assert labels.equal(data.test.labels[[3, 1]])
    with pytest.raises(IndexError):
        data.test[50]
