"""The real MNIST, USPS and CIFAR-10, where they are at hand."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from potstill.data import CATALOGUE, ImageDataset, load_dataset
from potstill.data.dataset import channel_statistics

MNIST_IDX_HEADER = bytes.fromhex("00000803 0000ea60 0000001c 0000001c")  # magic number, 60,000 × 28 × 28
MNIST_IDX_MD5 = "6bbc9ace898e44ae57da46a324031adb"
USPS_TRAIN = (1194, 1005, 731, 658, 652, 556, 664, 645, 542, 644)
USPS_TEST = (359, 264, 198, 166, 200, 160, 170, 147, 166, 177)

Load = Callable[[str], ImageDataset]


@pytest.fixture(scope="module")
def load(real_data_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Load:
    """Loads a real dataset as published, without a validation split; decoded once for the module."""
    cache = tmp_path_factory.mktemp("decoded")

    def loaded(name: str) -> ImageDataset:
        return load_dataset(name, data_root=real_data_root, cache=cache, validation_fraction=0)

    return loaded


def test_mnist_is_the_original_in_its_order(load: Load):
    mnist = load("mnist")
    assert (len(mnist.train), len(mnist.test), mnist.shape) == (60_000, 10_000, (1, 28, 28))
    assert hashlib.md5(MNIST_IDX_HEADER + mnist.train.images.numpy().tobytes()).hexdigest() == MNIST_IDX_MD5
    assert mnist.train.class_sizes == (5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949)


def test_usps_has_its_published_counts(load: Load):
    usps = load("usps")
    assert usps.shape == (1, 16, 16)
    assert usps.train.class_sizes == USPS_TRAIN
    assert usps.test.class_sizes == USPS_TEST


def test_cifar10_is_read_from_lossless_webp(real_data_root: Path, tmp_path: Path):
    """Its test file alone, to be quick: it stands for a training split here."""
    (tmp_path / "cifar10").mkdir()
    published = real_data_root / "cifar10" / "test-00000-of-00001.parquet"
    (tmp_path / "cifar10" / "train-00000-of-00001.parquet").symlink_to(published)
    cifar = load_dataset("cifar10", data_root=tmp_path, cache=None, validation_fraction=0)
    assert cifar.shape == (3, 32, 32)
    assert cifar.train.class_sizes == (800,) * 10
    assert cifar.test.class_sizes == (200,) * 10
    assert cifar.class_names[3] == "cat"
    mean, std = channel_statistics(cifar.train.images)
    assert mean == pytest.approx(cifar.mean, abs=0.01)
    # The catalogue has the field's usual deviation, which is smaller than that of the pixels.
    assert std == pytest.approx((0.247, 0.243, 0.262), abs=0.01)


@pytest.mark.parametrize("name", ["mnist", "usps", "digits"])
def test_the_catalogues_sizes_are_those_of_the_splits(load: Load, name: str):
    dataset, sizes = load(name), CATALOGUE[name].sizes
    assert len(dataset.train) + (0 if "test" in sizes else len(dataset.test)) == sizes["train"]
    assert len(dataset.test) == sizes.get("test", len(dataset.test))


@pytest.mark.parametrize("name", ["mnist", "usps"])
def test_the_catalogues_statistics_are_those_of_the_pixels(load: Load, name: str):
    mean, std = channel_statistics(load(name).train.images)
    assert CATALOGUE[name].mean == pytest.approx(mean, abs=1e-4)
    assert CATALOGUE[name].std == pytest.approx(std, abs=1e-4)
