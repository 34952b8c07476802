"""load_dataset: what it resolves, what it promises of splits and statistics, what it refuses."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from potstill.data import load_dataset
from potstill.runtime.errors import UserError

FIRST_VALIDATION_SUMS = [4989, 4172, 5724]
FIRST_TEST_SUMS = [4114, 5370, 4240]


@pytest.fixture
def archive(tmp_path: Path) -> str:
    """An ``.npz`` of 60 RGB images in three classes of 30, 20 and 10, without a test split of its own."""
    generator = np.random.default_rng(0)
    labels = np.repeat([0, 1, 2], [30, 20, 10])
    images = (generator.integers(0, 100, (60, 4, 5, 3)) + 50 * labels[:, None, None, None]).astype(np.uint8)
    np.savez(tmp_path / "small.npz", train_images=images, train_labels=labels)
    return str(tmp_path / "small.npz")


def test_a_set_published_in_one_piece_is_split_by_class(archive: str):
    loaded = load_dataset(archive)
    assert loaded.test.class_sizes == (6, 4, 2)
    assert loaded.validation.class_sizes == (2, 2, 1)
    assert loaded.train.class_sizes == (22, 14, 7)


def test_splits_share_no_image_and_every_run_sees_the_same(archive: str):
    torch.manual_seed(1)
    first = load_dataset(archive)
    torch.manual_seed(2)
    second = load_dataset(archive)
    assert first.fingerprint == second.fingerprint
    for split in ("train", "validation", "test"):
        assert torch.equal(getattr(first, split).images, getattr(second, split).images)
    everything = torch.cat([first.train.images, first.validation.images, first.test.images])
    assert len(everything.unique(dim=0)) == 60


def test_the_test_split_does_not_depend_on_the_validation_fraction(archive: str):
    splits = [load_dataset(archive, validation_fraction=fraction) for fraction in (0, 0.1, 0.5)]
    assert all(torch.equal(splits[0].test.images, other.test.images) for other in splits)
    assert [len(split.validation) for split in splits] == [0, 5, 24]


def test_statistics_are_those_of_the_training_split_alone(archive: str):
    loaded = load_dataset(archive)
    pixels = loaded.train.images.double() / 255
    assert loaded.mean == pytest.approx(pixels.mean((0, 2, 3)).tolist())
    assert loaded.std == pytest.approx(pixels.std((0, 2, 3), correction=0).tolist())
    normalised = loaded.train.normalised()
    torch.testing.assert_close(normalised.mean((0, 2, 3)), torch.zeros(3), rtol=0, atol=1e-5)


def test_zca_is_fitted_on_the_training_split_alone(archive: str):
    loaded = load_dataset(archive, zca=True)
    assert loaded.train.whitening is loaded.test.whitening is not None
    torch.testing.assert_close(loaded.train.normalised().mean(0), torch.zeros(3, 4, 5), rtol=0, atol=1e-4)
    assert loaded.test.normalised().mean(0).abs().max() > 1e-2
    assert load_dataset(archive).train.whitening is None


def test_loading_draws_nothing_from_the_global_stream(archive: str):
    state = torch.get_rng_state()
    load_dataset(archive)
    load_dataset("digits")
    assert torch.equal(torch.get_rng_state(), state)


def test_digits_are_always_split_alike():
    """Changing the split would make every recorded figure incomparable; it must never happen by accident."""
    digits = load_dataset("digits")
    assert digits.validation.images[:3].flatten(1).sum(1).tolist() == FIRST_VALIDATION_SUMS
    assert digits.test.images[:3].flatten(1).sum(1).tolist() == FIRST_TEST_SUMS


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("mnits", "unknown dataset 'mnits'; did you mean 'mnist'.*potstill list datasets"),
        ("CIFAR10", "did you mean 'cifar10'"),
        ("zzzz", "unknown dataset 'zzzz'; see potstill list datasets"),
        ("./nowhere/at/all", "nowhere/at/all"),
        ("nowhere.npz", "does not exist"),
    ],
)
def test_what_is_unknown_is_said_with_what_is_near(spec: str, message: str):
    with pytest.raises(UserError, match=message):
        load_dataset(spec)


@pytest.mark.parametrize("size", [0, -4])
def test_image_size_must_be_positive(size: int):
    with pytest.raises(UserError, match=f"`image_size={size}` is too small"):
        load_dataset("digits", image_size=size)


@pytest.mark.parametrize("fraction", [-0.1, 1.0, float("nan")])
def test_validation_fraction_must_leave_training_images(fraction: float):
    with pytest.raises(UserError, match="validation_fraction"):
        load_dataset("digits", validation_fraction=fraction)


def test_a_data_root_that_is_not_there_is_an_error_rather_than_a_download(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    with pytest.raises(UserError, match="correct `data_root`"):
        load_dataset("mnist", data_root=tmp_path / "absent")
    monkeypatch.setenv("POTSTILL_DATA", str(tmp_path / "absent"))
    with pytest.raises(UserError, match="POTSTILL_DATA"):
        load_dataset("mnist")


def test_digits_need_no_data_root(tmp_path: Path):
    assert len(load_dataset("digits", data_root=tmp_path).train) == 1295


def test_paths_and_their_text_are_the_same(tmp_path: Path):
    rng = np.random.default_rng(0)
    images, labels = rng.integers(0, 255, (8, 4, 4), dtype=np.uint8), np.arange(8) % 2
    np.savez(
        tmp_path / "few.npz", train_images=images, train_labels=labels, test_images=images[::-1], test_labels=labels
    )
    by_path = load_dataset(tmp_path / "few.npz", cache=str(tmp_path / "cache"), data_root=str(tmp_path))
    by_text = load_dataset(str(tmp_path / "few.npz"), cache=tmp_path / "cache", data_root=tmp_path)
    assert by_path.fingerprint == by_text.fingerprint
    assert by_path.spec == by_text.spec
