"""Decoded images are kept, found again, and made anew when anything is wrong with them."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from potstill.data import cache as cache_module
from potstill.data import load_dataset


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of two classes of five images."""
    for label in ("a", "b"):
        (tmp_path / "set" / label).mkdir(parents=True)
        for number in range(5):
            write_image(tmp_path / "set" / label / f"{number}.png", ord(label) + number)
    return tmp_path / "set"


def write_image(path: Path, seed: int) -> None:
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (6, 7), dtype=np.uint8)).save(path)


def forbid_decoding(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object, **options: object) -> None:
        raise AssertionError("decoded anew")

    monkeypatch.setattr(Image, "open", refuse)


def cached(cache: Path) -> list[Path]:
    """Every file in the cache, hidden ones too."""
    return [path for path in cache.rglob("*") if path.is_file()]


def test_images_are_decoded_once(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    first = load_dataset(str(folder), cache=tmp_path / "cache")
    forbid_decoding(monkeypatch)
    second = load_dataset(str(folder), cache=tmp_path / "cache")
    assert second.fingerprint == first.fingerprint
    assert second.class_names == first.class_names
    assert (second.train.images == first.train.images).all()


def test_by_default_they_are_kept_in_the_users_cache(folder: Path, tmp_path: Path):
    load_dataset(str(folder))
    (file,) = cached(tmp_path / "user-cache")
    assert file.is_relative_to(tmp_path / "user-cache" / "potstill")
    assert file.suffix == ".safetensors"


def test_without_a_cache_nothing_is_kept(folder: Path, tmp_path: Path):
    before = cached(tmp_path)
    load_dataset(str(folder), cache=None)
    assert cached(tmp_path) == before


def test_another_validation_fraction_uses_the_same_copy(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    load_dataset(str(folder), cache=tmp_path / "cache")
    forbid_decoding(monkeypatch)
    assert len(load_dataset(str(folder), cache=tmp_path / "cache", validation_fraction=0).validation) == 0


def test_another_image_size_does_not(folder: Path, tmp_path: Path):
    load_dataset(str(folder), cache=tmp_path / "cache")
    assert load_dataset(str(folder), cache=tmp_path / "cache", image_size=3).shape == (1, 3, 3)


def change_a_file(folder: Path) -> None:
    path = folder / "a" / "0.png"
    write_image(path, 1000)
    os.utime(path, ns=(0, 0))


def add_a_file(folder: Path) -> None:
    write_image(folder / "a" / "new.png", 1001)


def rename_a_file(folder: Path) -> None:
    (folder / "a" / "0.png").rename(folder / "b" / "0-of-a.png")


@pytest.mark.parametrize("change", [change_a_file, add_a_file, rename_a_file])
def test_a_changed_source_is_decoded_anew(folder: Path, tmp_path: Path, change: Callable[[Path], None]):
    before = load_dataset(str(folder), cache=tmp_path / "cache")
    change(folder)
    after = load_dataset(str(folder), cache=tmp_path / "cache")
    assert after.fingerprint != before.fingerprint
    assert after.fingerprint == load_dataset(str(folder), cache=None).fingerprint


def truncated(content: bytes) -> bytes:
    return content[:-10]


def flipped(content: bytes) -> bytes:
    return content[:-1] + bytes([content[-1] ^ 1])


def flipped_pixel(content: bytes) -> bytes:
    length = int.from_bytes(content[:8], "little")
    middle = 8 + length + json.loads(content[8 : 8 + length])["train.images"]["data_offsets"][0] + 40
    return content[:middle] + bytes([content[middle] ^ 255]) + content[middle + 1 :]


def renamed_class(content: bytes) -> bytes:
    return content.replace(b'\\"a\\"', b'\\"c\\"')


def garbage(content: bytes) -> bytes:
    return b"not safetensors"


def emptied(content: bytes) -> bytes:
    return b""


@pytest.mark.parametrize("damage", [truncated, flipped, flipped_pixel, renamed_class, garbage, emptied])
def test_a_damaged_copy_is_replaced(
    folder: Path, tmp_path: Path, damage: Callable[[bytes], bytes], monkeypatch: pytest.MonkeyPatch
):
    sound = load_dataset(str(folder), cache=tmp_path / "cache")
    (file,) = cached(tmp_path / "cache")
    whole = file.read_bytes()
    file.write_bytes(damage(whole))
    assert file.read_bytes() != whole
    again = load_dataset(str(folder), cache=tmp_path / "cache")
    assert again.fingerprint == sound.fingerprint
    assert (again.train.images == sound.train.images).all()
    assert cached(tmp_path / "cache") == [file]
    forbid_decoding(monkeypatch)
    assert load_dataset(str(folder), cache=tmp_path / "cache").fingerprint == sound.fingerprint


def test_a_full_disk_costs_the_cache_and_nothing_else(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def full(raw: object, path: Path) -> None:
        path.write_bytes(b"half of")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(cache_module, "write_copy", full)
    assert len(load_dataset(str(folder), cache=tmp_path / "cache").train) == 6
    assert cached(tmp_path / "cache") == []


def test_a_cache_that_cannot_be_made_is_done_without(folder: Path, tmp_path: Path):
    (tmp_path / "cache").write_text("a file where the folder should be")
    assert len(load_dataset(str(folder), cache=tmp_path / "cache").train) == 6
