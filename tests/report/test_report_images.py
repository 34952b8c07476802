from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from run_folder import write_set
from safetensors.numpy import save_file

from potstill.report.images import read_images
from potstill.runtime.errors import UserError
from potstill.synthetic import SyntheticSet

IMAGES = np.random.default_rng(0).standard_normal((4, 2, 3, 5)).astype(np.float32)
LABELS = np.array([0, 0, 1, 1])


def test_normalisation_is_undone_and_clipped(tmp_path: Path) -> None:
    write_set(tmp_path / "set", IMAGES, LABELS, ["a", "b"], step_size=np.array(0.02, dtype=np.float32))
    read = read_images(tmp_path / "set")
    np.testing.assert_allclose(read.pixels, np.clip(IMAGES * 0.5 + 0.25, 0, 1), atol=1e-6)
    assert read.pixels.min() == 0
    assert read.step_size == pytest.approx(0.02)
    assert [members.tolist() for members in read.members] == [[0, 1], [2, 3]]
    assert not read.soft


def test_whitening_is_undone(tmp_path: Path) -> None:
    generator = np.random.default_rng(1)
    pixels = generator.uniform(-0.4, 1.4, IMAGES.shape)  # in normalised units, so that nothing is clipped
    matrix = np.eye(30) + 0.1 * generator.standard_normal((30, 30))
    mean = generator.standard_normal(30)
    whitened = ((pixels.reshape(4, -1) - mean) @ matrix.T).reshape(IMAGES.shape)
    whitening = {"whitening.matrix": matrix.astype(np.float32), "whitening.mean": mean.astype(np.float32)}
    write_set(tmp_path / "set", whitened, LABELS, ["a", "b"], **whitening)
    np.testing.assert_allclose(read_images(tmp_path / "set").pixels, pixels * 0.5 + 0.25, atol=1e-4)


def formed(path: Path, formation: str = "2") -> Path:
    metadata = {"format": "potstill.synthetic/2", "class_names": '["a", "b"]', "mean": "[0, 0]", "std": "[1, 1]"}
    metadata |= {"provenance": "{}", "formation": formation}
    images = np.random.default_rng(0).standard_normal((4, 2, 4, 4)).astype(np.float32)
    save_file({"images": images, "labels": LABELS}, path, metadata)
    return path


def test_a_formation_is_known_by_its_pictures_and_its_hash(tmp_path: Path) -> None:
    plain, packed = formed(tmp_path / "set"), read_images(formed(tmp_path / "set"))
    assert (len(packed), packed.formation, packed.pictures) == (4, 2, 16)
    assert packed.tensors_sha256 == SyntheticSet.load(plain).fingerprint()


@pytest.mark.parametrize("formation", ["0", "1", "-2", "5", "two", "9" * 5000])
def test_a_formation_that_does_not_suit_the_images_is_refused(tmp_path: Path, formation: str) -> None:
    with pytest.raises(UserError, match="not a usable synthetic set"):
        read_images(formed(tmp_path / "set", formation))


def test_soft_labels_count_by_the_most_probable_class(tmp_path: Path) -> None:
    soft = np.array([[0.6, 0.4], [0.1, 0.9], [0.2, 0.8], [0.7, 0.3]], dtype=np.float32)
    write_set(tmp_path / "set", IMAGES, soft, ["a", "b"])
    read = read_images(tmp_path / "set")
    assert read.soft
    assert read.labels.tolist() == [0, 1, 1, 0]


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"images": IMAGES.astype(np.float64)}, "not float32"),
        ({"images": IMAGES[:, :, 0]}, "not float32"),
        ({"images": np.full_like(IMAGES, np.nan)}, "not finite"),
        ({"images": np.zeros((4, 5, 3, 3), dtype=np.float32)}, "mean and std do not have 5 channels"),
        ({"labels": LABELS[:3]}, "4 images"),
        ({"labels": LABELS + 1}, "outside"),
        ({"labels": LABELS.astype(np.float32)}, "labels are"),
        ({"step_size": np.array(-1, dtype=np.float32)}, "step size"),
        ({"step_size": np.ones(2, dtype=np.float32)}, "step size"),
        ({"whitening.matrix": np.eye(3, dtype=np.float32)}, "whitening"),
    ],
)
def test_what_does_not_fit_is_named(tmp_path: Path, changed: dict[str, Any], problem: str) -> None:
    tensors: dict[str, Any] = {"images": IMAGES, "labels": LABELS} | changed
    metadata = {
        "format": "potstill.synthetic/1",
        "class_names": '["a", "b"]',
        "mean": "[0, 0]",
        "std": "[1, 1]",
        "provenance": "{}",
    }
    save_file({name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()}, tmp_path / "set", metadata)
    with pytest.raises(UserError, match=problem):
        read_images(tmp_path / "set")


@pytest.mark.parametrize(
    "changed", [{"format": "other/1"}, {"class_names": "[a"}, {"mean": "[0, 0, 0]"}, {"std": '"wide"'}]
)
def test_garbled_metadata_is_refused(tmp_path: Path, changed: dict[str, str]) -> None:
    metadata = {
        "format": "potstill.synthetic/1",
        "class_names": '["a", "b"]',
        "mean": "[0, 0]",
        "std": "[1, 1]",
        "provenance": "{}",
    }
    save_file({"images": IMAGES, "labels": LABELS}, tmp_path / "set", metadata | changed)
    with pytest.raises(UserError, match=r"not a (usable )?synthetic set"):
        read_images(tmp_path / "set")
