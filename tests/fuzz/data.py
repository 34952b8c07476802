"""Datasets as users have them, each loaded by its path."""

from __future__ import annotations

import gzip
import pickle
import zipfile
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet
import torch
from scipy.io import savemat

from potstill.data import ImageDataset, holds_vectors_alone, load_dataset, read_vector_file, read_vectors
from potstill.data.formats.idx import read_idx
from potstill.data.formats.mat import read_mat
from potstill.data.formats.pickles import read_plain_pickle
from potstill.synthetic import import_set
from tests.data.sources.published import encode, noise, write_images, write_parquet
from tests.fuzz.campaign import Kind
from tests.fuzz.mutations import Structure

LABELS = np.repeat(np.arange(3), 6)


def _npz(folder: Path) -> Path:
    images, labels = noise(18), LABELS[:, None]
    np.savez_compressed(
        folder / "set.npz", train_images=images, train_labels=labels, test_images=images, test_labels=labels
    )
    return folder / "set.npz"


def _parquet(folder: Path) -> Path:
    images = [encode(image) for image in noise(18)]
    write_parquet(folder / "train.parquet", images, LABELS.tolist(), "abc")
    return folder / "train.parquet"


def _idx(folder: Path, *, zipped: bool) -> Path:
    images = noise(18)
    content = b"\x00\x00\x08\x03" + np.array(images.shape, ">i4").tobytes() + images.tobytes()
    (folder / "images").write_bytes(gzip.compress(content, mtime=0) if zipped else content)
    return folder / "images"


def _mat(folder: Path, *, compressed: bool) -> Path:
    images, labels = noise(18, (8, 8, 3)).transpose(1, 2, 3, 0), LABELS[:, None]
    savemat(folder / "set.mat", {"X": images, "y": labels}, do_compression=compressed)
    return folder / "set.mat"


def _pickle(folder: Path) -> Path:
    batch = {b"batch_label": b"batch 1", b"labels": LABELS.tolist(), b"data": noise(18, (192,)), b"more": ("x", 2**40)}
    (folder / "data_batch_1").write_bytes(pickle.dumps(batch, 2))
    return folder / "data_batch_1"


def _zip(folder: Path) -> Path:
    with zipfile.ZipFile(folder / "set.zip", "w") as archive:
        for number, image in enumerate(noise(18)):
            archive.writestr(f"set/{'abc'[number // 6]}/{number}.png", encode(image))
    return folder / "set.zip"


def _images(folder: Path, suffix: str) -> Path:
    for name in "abc":
        write_images(folder / name, noise(5), suffix)
    return folder / "b" / f"0002{suffix}"


def _pt(folder: Path, *, archive: bool = True) -> Path:
    images, labels = torch.from_numpy(noise(20, (1, 8, 8))).float() / 255, torch.arange(10).repeat(2)
    accuracies = {"ConvNet": [[np.float64(0.5)], np.ones(3)]}
    content = {"data": [[images, labels]], "accs_all_exps": accuracies}
    torch.save(content, folder / "res.pt", _use_new_zipfile_serialization=archive)
    return folder / "res.pt"


def _npz_of_a_set(folder: Path) -> Path:
    np.savez(folder / "res.npz", images=noise(20, (8, 8, 1)), labels=np.arange(20) % 10)
    return folder / "res.npz"


def _imported(folder: Path, name: str = "res.pt") -> None:
    import_set(folder / name, _digits(), pixels="unit" if name.endswith(".pt") else "bytes")


@cache
def _digits() -> ImageDataset:
    return load_dataset("digits", cache=None)


def _npz_of_vectors(folder: Path) -> Path:
    vectors, labels = noise(18, (5,)).astype(np.float32), np.arange(18) % 2
    np.savez(folder / "set.npz", train_vectors=vectors, train_labels=labels)
    return folder / "set.npz"


def _parquet_of_vectors(folder: Path) -> Path:
    vectors = noise(18, (5,)).astype(np.float32).tolist()
    table = pyarrow.table({"vector": vectors, "label": [number % 2 for number in range(18)]})
    pyarrow.parquet.write_table(table, folder / "train.parquet")
    return folder / "train.parquet"


def _npz_without_labels(folder: Path) -> Path:
    vectors = noise(18, (5,)).astype(np.float32)
    np.savez(folder / "set.npz", vectors=vectors, files=np.array([f"{number}.png" for number in range(18)]))
    return folder / "set.npz"


def _read_without_labels(folder: Path) -> None:
    holds_vectors_alone(folder / "set.npz")
    read_vector_file(folder / "set.npz")


def _npy(folder: Path) -> Path:
    np.save(folder / "vectors.npy", noise(18, (5,)).astype(np.float32))
    return folder / "vectors.npy"


def _loaded(
    name: str, structure: Structure, make: Callable[[Path], Path], path: str = "", *, dear: bool = False
) -> Kind:
    """A dataset that is loaded without the cache.

    Args:
        name: what it is called.
        structure: what the mutated file is made of.
        make: writes the dataset.
        path: what a user names, from the folder that ``make`` writes to.
        dear: whether loading it takes more than some milliseconds.
    """

    def use(folder: Path) -> None:
        load_dataset(str(folder / path), cache=None)

    return Kind(name, structure, make, use, dear)


def _parsed(name: str, make: Callable[[Path], Path], read: Callable[[Path], object]) -> Kind:
    """A file that is parsed by the reader of its format, which finds the name by itself."""
    return Kind(name, "bytes", make, lambda folder: read(next(folder.iterdir())))


def _make_cache(folder: Path) -> Path:
    _images(folder / "set", ".png")
    load_dataset(str(folder / "set"), cache=folder / "cache")
    return next((folder / "cache").iterdir())


def _use_cache(folder: Path) -> None:
    """A damaged copy is never an error, and never changes what is loaded."""
    loaded = load_dataset(str(folder / "set"), cache=folder / "cache")
    if loaded.fingerprint != _fingerprint(folder):
        raise AssertionError("a damaged copy was taken for the dataset")


@cache
def _fingerprint(folder: Path) -> str:
    return load_dataset(str(folder / "set"), cache=None).fingerprint


KINDS = [
    _loaded(".npz", "zip", _npz, "set.npz"),
    _loaded("zip of class folders", "zip", _zip, "set.zip"),
    _parsed("idx", partial(_idx, zipped=False), read_idx),
    _parsed("idx, gzipped", partial(_idx, zipped=True), read_idx),
    _parsed("MATLAB", partial(_mat, compressed=False), read_mat),
    _parsed("MATLAB, compressed", partial(_mat, compressed=True), read_mat),
    _parsed("batch of CIFAR", _pickle, read_plain_pickle),
    Kind("set of another program", "zip", _pt, _imported),
    Kind("set of another program, in the old form", "bytes", partial(_pt, archive=False), _imported),
    Kind("set of another program, .npz", "zip", _npz_of_a_set, partial(_imported, name="res.npz")),
    _parsed("vectors", _npy, read_vectors),
    _loaded(".npz of vectors", "zip", _npz_of_vectors, "set.npz"),
    Kind(".npz of vectors alone", "zip", _npz_without_labels, _read_without_labels),
    _loaded("parquet of vectors", "bytes", _parquet_of_vectors, dear=True),
    _loaded("parquet", "bytes", _parquet, dear=True),
    *(_loaded(f"image in a class folder, {s}", "bytes", partial(_images, suffix=s)) for s in (".png", ".jpg", ".bmp")),
    Kind("copy of decoded images", "safetensors", _make_cache, _use_cache),
]
"""Every format of datasets. A new one is one entry: what writes it, and what a user names."""
