"""Choosing from images without labels: which rules can, how rows of features find their files, what is refused."""

from __future__ import annotations

import csv
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from potstill.applications import BY_FEATURES, Budget, Candidates, Judging, Rule, Subset, select
from potstill.evaluation import Resources
from potstill.runtime.compute_choice import ComputeChoice
from potstill.runtime.errors import UserError

HERE = Resources(compute=ComputeChoice(device="cpu", precision="float32", compile="off"))
FEW = Budget(count=5)
NAMES = [f"{number:02d}.png" for number in range(20)]


def rows_of(folder: Path) -> list[dict[str, str]]:
    with (folder / Subset.TABLE).open(newline="") as table:
        return list(csv.DictReader(table))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Images of several sizes, in no folders."""
    draws = np.random.default_rng(0)
    (tmp_path / "photos").mkdir()
    for number, name in enumerate(NAMES):
        pixels = draws.integers(0, 256, (6 + number, 9), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "photos" / name)
    return tmp_path / "photos"


@pytest.fixture
def values() -> np.ndarray:
    return np.random.default_rng(1).normal(size=(20, 4)).astype(np.float32)


@pytest.mark.parametrize("by", BY_FEATURES)
def test_by_the_rows_of_a_file_as_from_the_vectors_themselves(
    by: str, folder: Path, values: np.ndarray, tmp_path: Path
):
    np.savez(tmp_path / "e.npz", vectors=values)
    found = Candidates.of_images(folder, decoded=False)
    record = select(found, Rule(by, features=str(tmp_path / "e.npz")), FEW, tmp_path / "images", resources=HERE)
    select(Candidates.of_vectors(tmp_path / "e.npz"), by, FEW, tmp_path / "vectors", resources=HERE)
    of_images, of_vectors = rows_of(tmp_path / "images"), rows_of(tmp_path / "vectors")
    assert [row["index"] for row in of_images] == [row["index"] for row in of_vectors]
    assert [row["file"] for row in of_images] == [str(folder / NAMES[int(row["index"])]) for row in of_images]
    assert of_images[0].keys() == {"index", "file"}
    assert (record.class_names, record.counts, record.vectors) == (("",), (5,), False)
    assert record.matched == "rows taken in the order of the paths"
    assert len(record.nearest) == 12
    assert record.hardest == []


@pytest.mark.parametrize("before", ["", "/elsewhere/photos/", "photos\\"])
def test_rows_that_name_files_are_matched_by_name(before: str, folder: Path, values: np.ndarray, tmp_path: Path):
    order = np.random.default_rng(2).permutation(20)
    np.savez(tmp_path / "e.npz", vectors=values)
    files = np.array([before + NAMES[number] for number in order] + ["gone.png"])
    np.savez(tmp_path / "named.npz", vectors=np.concatenate([values[order], values[:1]]), files=files)
    found = Candidates.of_images(folder, decoded=False)
    for name in ("e.npz", "named.npz"):
        rule = Rule("k-center", features=str(tmp_path / name))
        record = select(found, rule, FEW, tmp_path / f"by-{name}", resources=HERE)
    assert record.matched == "rows matched to files by their names; 1 row of other files left out"
    assert rows_of(tmp_path / "by-e.npz") == rows_of(tmp_path / "by-named.npz")


def test_files_in_an_archive_are_matched_and_named_too(folder: Path, values: np.ndarray, tmp_path: Path):
    with zipfile.ZipFile(tmp_path / "photos.zip", "w") as archive:
        for file in folder.iterdir():
            archive.write(file, f"inner/{file.name}")
    np.savez(tmp_path / "e.npz", vectors=values[::-1], files=np.array([f"photos/{name}" for name in NAMES[::-1]]))
    np.savez(tmp_path / "plain.npz", vectors=values)
    found = Candidates.of_images(tmp_path / "photos.zip", decoded=False)
    with pytest.raises(UserError, match=r"has no row for inner/00\.png and 19 more"):
        select(found, Rule("k-center", features=str(tmp_path / "e.npz")), FEW, tmp_path / "out", resources=HERE)
    np.savez(tmp_path / "e.npz", vectors=values[::-1], files=np.array(NAMES[::-1]))
    for name in ("e.npz", "plain.npz"):
        rule = Rule("k-center", features=str(tmp_path / name))
        select(found, rule, FEW, tmp_path / f"by-{name}", resources=HERE)
    assert rows_of(tmp_path / "by-e.npz") == rows_of(tmp_path / "by-plain.npz")
    assert {row["file"] for row in rows_of(tmp_path / "by-e.npz")} < {f"inner/{name}" for name in NAMES}


def test_names_that_cannot_be_used_are_not_passed_over_in_silence(tmp_path: Path):
    found = Candidates.of_dataset("digits", tested=False)
    count = len(found.places)
    values, files = np.random.default_rng(0).normal(size=(count, 2)), np.array([f"{n}.png" for n in range(count)])
    np.savez(tmp_path / "e.npz", vectors=values, files=files)
    rule = Rule("herding", features=str(tmp_path / "e.npz"))
    record = select(found, rule, Budget(per_class=1), tmp_path / "out", resources=HERE)
    assert record.matched == (
        "rows taken in the published order, and not by the files that it names: images are not in files"
    )


def nested(folder: Path) -> Path:
    for place in ("a/1.png", "b/1.png", "b/2.png"):
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((4, 4), 200, np.uint8)).save(folder / place)
    return folder


@pytest.mark.parametrize(
    ("files", "words"),
    [
        (["a/1.png", "b/1.png", "x/b/2.png"], None),
        (["a/1.png", "b/1.png", "2.png"], None),
        (["1.png", "b/1.png", "b/2.png"], "has no row for a/1.png; store a row for every file"),
        (["c/1.png", "d/1.png", "d/2.png"], "has no row for a/1.png and 2 more of 3 files"),
        (["x/a/1.png", "y/a/1.png", "b/1.png", "b/2.png"], "rows 0 and 1, counted from 0, are both of a/1.png"),
    ],
)
def test_folders_in_names_count(files: list[str], words: str | None, tmp_path: Path):
    found = Candidates.of_images(nested(tmp_path / "photos"), decoded=False)
    np.savez(tmp_path / "e.npz", vectors=np.eye(len(files)), files=np.array(files))
    rule = Rule("herding", features=str(tmp_path / "e.npz"))
    if words is None:
        select(found, rule, Budget(count=2), tmp_path / "out", resources=HERE)
        return
    with pytest.raises(UserError, match=words):
        select(found, rule, Budget(count=2), tmp_path / "out", resources=HERE)
    assert not (tmp_path / "out").exists()


def test_names_also_find_the_images_of_classes(tmp_path: Path):
    folder = nested(tmp_path / "photos")
    found = Candidates.of_dataset(folder, tested=False)
    files = np.array(["b/2.png", "a/1.png", "b/1.png"])
    np.savez(tmp_path / "e.npz", vectors=np.array([[9.0], [0.0], [1.0]]), files=files)
    rule = Rule("average-nearest", features=str(tmp_path / "e.npz"))
    record = select(found, rule, Budget(per_class=1), tmp_path / "out", resources=HERE)
    assert record.matched == "rows matched to files by their names"
    assert [row["class"] for row in rows_of(tmp_path / "out")] == ["a", "b"]


def test_rows_without_names_must_be_as_many(folder: Path, values: np.ndarray, tmp_path: Path):
    np.save(tmp_path / "e.npy", values[:19])
    rule = Rule("herding", features=str(tmp_path / "e.npy"))
    with pytest.raises(UserError, match=r"e.npy has 19 rows for 20 images; store one row for each"):
        select(Candidates.of_images(folder, decoded=False), rule, FEW, tmp_path / "out", resources=HERE)


@pytest.mark.parametrize("link", [False, True])
def test_files_are_copied_or_linked_without_folders(folder: Path, tmp_path: Path, link: bool):
    found = Candidates.of_images(folder, decoded=False)
    select(found, "random", FEW, tmp_path / "out", copy=tmp_path / "kept", link=link, resources=HERE)
    kept = sorted((tmp_path / "kept").iterdir())
    assert [file.name for file in kept] == [Path(row["file"]).name for row in rows_of(tmp_path / "out")]
    assert all(file.is_symlink() == link for file in kept)
    assert all(file.read_bytes() == (folder / file.name).read_bytes() for file in kept)


def test_by_pixels_images_are_decoded(folder: Path, tmp_path: Path):
    with pytest.raises(UserError, match="differ in size"):
        Candidates.of_images(folder)
    found = Candidates.of_images(folder, image_size=5)
    assert found.pictures is not None
    record = select(found, Rule("herding", features="pixels"), FEW, tmp_path / "out", resources=HERE)
    assert (record.matched, record.total) == ("", 20)
    with pytest.raises(UserError, match="`image_size` has no effect"):
        Candidates.of_images(folder, decoded=False, image_size=5)


def test_images_that_were_not_decoded_have_no_pixels(folder: Path, tmp_path: Path):
    found = Candidates.of_images(folder, decoded=False)
    with pytest.raises(UserError, match="these images were not decoded"):
        select(found, Rule("herding", features="pixels"), FEW, tmp_path / "out", resources=HERE)


def test_other_files_are_another_choice(folder: Path, tmp_path: Path):
    select(Candidates.of_images(folder, decoded=False), "random", FEW, tmp_path / "out", resources=HERE)
    Image.fromarray(np.zeros((4, 4), np.uint8)).save(folder / "00.png")
    with pytest.raises(UserError, match="is about other images or vectors"):
        select(Candidates.of_images(folder, decoded=False), "random", FEW, tmp_path / "out", resources=HERE)


def test_what_needs_labels_is_refused(folder: Path, tmp_path: Path):
    found, out = Candidates.of_images(folder, decoded=False), tmp_path / "out"
    for rule, words in (
        (
            Rule("ccs"),
            "ccs looks at the training of a network, which needs labels, and .* has no labels; use one",
        ),
        (Rule("herding"), "herding needs features, and .* no labels, .*; use `features=embeddings.npy`"),
        (Rule("herding", features="trained"), "`features=trained` needs labels, and .* has no labels"),
        (Rule("herding", features="experts"), "`features=experts` needs labels"),
    ):
        with pytest.raises(UserError, match=words):
            select(found, rule, FEW, out, resources=HERE)
    with pytest.raises(UserError, match=r"`ipc` is a number per class, and .* has no labels; use `count`"):
        select(found, "random", Budget(per_class=1), out, resources=HERE)
    with pytest.raises(UserError, match=r"needs labels, and .* has no labels; leave `worth` out"):
        select(found, "random", FEW, out, judging=Judging(), resources=HERE)
    assert not out.exists()


def test_the_table_of_vectors_names_their_files(values: np.ndarray, tmp_path: Path):
    np.savez(tmp_path / "e.npz", vectors=values, paths=np.array(NAMES))
    select(Candidates.of_vectors(tmp_path / "e.npz"), "herding", FEW, tmp_path / "out", resources=HERE)
    assert all(row["file"] == NAMES[int(row["index"])] for row in rows_of(tmp_path / "out"))
