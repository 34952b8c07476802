"""STL-10's binary files: planes column by column, labels from 1, unlabelled images counted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from potstill.data import load_dataset
from potstill.runtime.errors import UserError

IMAGES = np.random.default_rng(0).integers(0, 256, (4, 96, 96, 3), dtype=np.uint8)


def publish(folder: Path) -> Path:
    for split in ("train", "test"):
        (folder / f"{split}_X.bin").write_bytes(IMAGES.transpose(0, 3, 2, 1).tobytes())
        (folder / f"{split}_y.bin").write_bytes(bytes([1, 2, 2, 1]))
    (folder / "unlabeled_X.bin").write_bytes(IMAGES.tobytes())
    (folder / "class_names.txt").write_text("airplane\nbird\n")
    return folder


def test_images_are_upright_and_named(tmp_path: Path):
    loaded = load_dataset(str(publish(tmp_path)), validation_fraction=0)
    np.testing.assert_array_equal(loaded.test.images.numpy(), IMAGES.transpose(0, 3, 1, 2))
    assert loaded.class_names == ("airplane", "bird")
    assert loaded.test.labels.tolist() == [0, 1, 1, 0]
    assert loaded.account is not None
    assert [(left.count, left.what) for left in loaded.account.left_out] == [(4, "images in unlabeled_X.bin")]


@pytest.mark.parametrize(("name", "content"), [("train_X.bin", bytes(100)), ("train_y.bin", bytes(4))])
def test_damage_is_refused(tmp_path: Path, name: str, content: bytes):
    (publish(tmp_path) / name).write_bytes(content)
    with pytest.raises(UserError, match=name):
        load_dataset(str(tmp_path))
