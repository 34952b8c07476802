"""``potstill select`` from the command line: what is printed, written and measured."""

from __future__ import annotations

import csv
import re
from pathlib import Path
from typing import get_args, get_type_hints

import numpy as np
import pyarrow
import pytest
from PIL import Image
from pyarrow import parquet

from potstill.applications import RULES, Subset
from potstill.cli import main
from potstill.cli.select_command import Options
from potstill.data import load_dataset

ON_CPU = ["--device", "cpu", "--precision", "float32", "--compile", "off"]


def test_the_rules_are_those_of_the_package():
    assert set(get_args(get_type_hints(Options)["by"])) == set(RULES)


def test_a_part_is_chosen_and_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    out = tmp_path / "chosen"
    words = ["select", "digits", "--by", "herding", "--features", "pixels", "--fraction", "5%", "--worth"]
    words += ["--networks", "convnet:depth=1", "--repeats", "2", "--epochs", "2", "--out", str(out), *ON_CPU]
    assert main(words) == 0
    said = capsys.readouterr().out
    assert "72 of 1,438 by herding" in said
    assert "ConvNet (depth=1): " in said
    assert "on as many random images of each class" in said
    assert f"written to {out / 'selected.csv'}" in said
    assert (out / "selection.html").exists()
    with (out / "selected.csv").open(newline="") as table:
        assert len(list(csv.DictReader(table))) == 72


def test_vectors_with_labels(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    np.save(tmp_path / "e.npy", np.random.default_rng(0).normal(size=(50, 4)))
    (tmp_path / "labels.txt").write_text("one\n" * 30 + "two\n" * 20)
    words = ["select", str(tmp_path / "e.npy"), "--labels", str(tmp_path / "labels.txt"), "--count", "10"]
    assert main([*words, "--by", "k-center", "--out", str(tmp_path / "out")]) == 0
    said = capsys.readouterr().out
    assert "10 vectors chosen by k-center" in said
    assert "one" in said


def labelled(folder: Path) -> str:
    labels = np.repeat(["one", "two"], 40)
    values = np.random.default_rng(0).normal(size=(80, 6)) + 8 * (labels == "one")[:, None]
    np.save(folder / "e.npy", values.astype(np.float32))
    np.save(folder / "e.labels.npy", labels)
    return str(folder / "e.npy")


def test_vectors_are_measured_by_a_linear_classifier(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    words = ["select", labelled(tmp_path), "--by", "k-center", "--ipc", "2", "--out", str(tmp_path / "out")]
    assert main([*words, "--worth", "--repeats", "2", "--epochs", "30", *ON_CPU]) == 0
    said = capsys.readouterr().out
    assert "4 of 64 by k-center" in said
    assert "Linear classifier: " in said
    assert "on as many random vectors of each class" in said
    page = (tmp_path / "out" / "selection.html").read_text()
    assert "on random vectors, %" in page
    assert "test images" not in page
    assert "andom images" not in page
    assert main([*words, *ON_CPU]) == 2
    assert "for testing; choose another --out, or use --worth as before" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--by", "herding", "--network", "linear"], "--network has no effect: vectors are features already"),
        (["--by", "herding", "--worth", "--teacher-epochs", "2"], "--teacher-epochs has no effect"),
        (["--by", "el2n", "--network", "convnet"], "network 'convnet' is for images"),
        (["--by", "el2n", "--network", "convent"], "unknown network 'convent'"),
        (["--by", "herding", "--worth", "--networks", ""], "use --networks linear"),
        (["--by", "herding", "--worth", "--recipe", "tuned-300"], "use --recipe probe-1000"),
    ],
)
def test_what_has_no_effect_on_vectors_is_refused(
    more: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    assert main(["select", labelled(tmp_path), "--ipc", "2", "--out", str(tmp_path / "out"), *more, *ON_CPU]) == 2
    assert said in capsys.readouterr().err.splitlines()[-1]
    assert not (tmp_path / "out").exists()


def test_features_of_a_trained_network_are_taken_where_they_are_asked_for(tmp_path: Path):
    words = ["select", labelled(tmp_path), "--by", "herding", "--ipc", "2", "--features", "trained", "--network", "mlp"]
    assert main([*words, "--teacher-epochs", "2", "--out", str(tmp_path / "out"), *ON_CPU]) == 0
    record = Subset.read(tmp_path / "out" / Subset.FILE)
    assert (record.features, record.network, record.teacher_epochs, record.total) == ("trained", "mlp", 2, 80)


@pytest.mark.parametrize("more", [["--worth"], ["--by", "el2n"]])
def test_vectors_without_labels_train_nothing(more: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    Path(labelled(tmp_path)).with_name("e.labels.npy").unlink()
    assert main(["select", str(tmp_path / "e.npy"), "--ipc", "2", "--out", str(tmp_path / "out"), *more]) == 2
    assert "has no labels beside it" in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["digits", "vectors", "by their numbers"])
def test_a_choice_without_files_is_copied_into_a_dataset(kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    source = "digits" if kind == "digits" else labelled(tmp_path)
    words = ["select", source, "--by", "random", "--ipc", "4", "--out", str(tmp_path / "out"), *ON_CPU]
    words += ["--worth", "--repeats", "1", "--epochs", "1"] if kind == "vectors" else []
    assert main(words) == 0
    hint = "to use the choice as a dataset, repeat the command with --copy FOLDER, and name what that writes"
    assert capsys.readouterr().out.splitlines()[-1] == hint
    assert main(["inspect", str(tmp_path / "out" / "selected.csv"), "--out", str(tmp_path / "page")]) == 2
    said = "is a table that potstill select wrote, not a dataset; repeat potstill select with --copy FOLDER, and name"
    assert said in capsys.readouterr().err
    (tmp_path / "there").mkdir()
    assert main([*words, "--copy", str(tmp_path / "there")]) == 2
    assert main([*words, "--copy", str(tmp_path / "kept"), "--links"]) == 2
    assert "--links needs files" in capsys.readouterr().err
    for _ in range(2):
        assert main([*words, "--copy", str(tmp_path / "kept")]) == 0
        said = capsys.readouterr().out
        assert f"copies of what was chosen are in {tmp_path / 'kept' / 'selected.npz'}" in said
        assert hint not in said
    kept = load_dataset(tmp_path / "kept" / "selected.npz", validation_fraction=0, test_fraction=0)
    whole = load_dataset(source, validation_fraction=0, test_fraction=0)
    numbers = Subset.read(tmp_path / "out" / Subset.FILE).chosen_numbers(tmp_path / "out")
    assert kept.train.images.equal(whole.train.images[numbers])
    assert kept.class_names == whole.class_names
    other = [*words[:5], "5", "--out", str(tmp_path / "other"), *ON_CPU]
    assert main([*other, "--copy", str(tmp_path / "kept")]) == 2
    assert f"{tmp_path / 'kept'} already exists; name a new folder for --copy" in capsys.readouterr().err
    assert not (tmp_path / "other").exists()
    assert main(other) == 0
    assert main([*other, "--copy", str(tmp_path / "kept")]) == 2
    assert "selected.npz already exists, and holds something else; name a new folder" in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["archive", "files"])
def test_a_place_where_no_copies_can_be_is_refused_before_the_choice(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    source = labelled(tmp_path) if kind == "archive" else photos(tmp_path, *FLAT)
    (tmp_path / "file").write_text("")
    words = ["select", source, "--by", "random", "--count", "4", "--out", str(tmp_path / "out"), *ON_CPU]
    assert main([*words, "--copy", str(tmp_path / "file" / "x")]) == 2
    said = capsys.readouterr().err.splitlines()[-1]
    where = f"cannot write {tmp_path / 'file' / 'x'}: {tmp_path / 'file'} is not a folder"
    assert said == f"potstill: {where}; name another folder for --copy"
    assert not (tmp_path / "out").exists()
    assert main([*words, "--copy", str(tmp_path / "new" / "x")]) == 0


def photos(folder: Path, *places: str) -> str:
    for number, place in enumerate(places):
        path = folder / "photos" / place
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((8, 8 + number), 10 * number, np.uint8)).save(path)
    return str(folder / "photos")


FLAT = [f"{number}.png" for number in range(12)]


@pytest.mark.parametrize("kind", ["npy", "npz", "parquet"])
def test_a_flat_folder_is_chosen_from_by_given_vectors(kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    values = np.random.default_rng(0).normal(size=(12, 4)).astype(np.float32)
    path = tmp_path / f"e.{kind}"
    np.save(tmp_path / "e.npy", values)
    np.savez(tmp_path / "e.npz", embeddings=values)
    parquet.write_table(pyarrow.table({"embedding": list(values)}), tmp_path / "e.parquet")
    words = ["select", photos(tmp_path, *FLAT), "--count", "4", "--by", "k-center", "--features", str(path)]
    assert main([*words, "--copy", str(tmp_path / "kept"), "--links", "--out", str(tmp_path / "out"), *ON_CPU]) == 0
    said = capsys.readouterr()
    assert "12 images without labels, numbered in the order of their paths" in said.err
    assert f"{path}: rows taken in the order of the paths" in said.out
    assert len(list((tmp_path / "kept").iterdir())) == 4
    page = (tmp_path / "out" / "selection.html").read_text()
    assert "without labels" in page
    assert "The central square of each image is shown." in page
    assert page.count("<img") >= 4


def test_a_choice_stays_if_an_image_cannot_be_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """Vectors are given, so that only the page reads images."""
    source = photos(tmp_path, *FLAT)
    np.save(tmp_path / "e.npy", np.random.default_rng(0).normal(size=(12, 4)).astype(np.float32))
    for path in Path(source).iterdir():
        path.write_bytes(b"no picture")
    out = tmp_path / "out"
    words = ["select", source, "--count", "4", "--by", "k-center", "--features", str(tmp_path / "e.npy")]
    assert main([*words, "--out", str(out), *ON_CPU]) == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.startswith(f"potstill: what is selected is in {out / 'selected.csv'} and {out / 'selection.json'}, but")
    assert "it has no page: cannot read image" in said
    assert len((out / "selected.csv").read_text().splitlines()) == 5


def test_folders_are_classes_unless_the_user_says_otherwise(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    source = photos(tmp_path, "2023/a.png", "2023/b.png", "2024/a.png")
    words = ["select", source, "--count", "2", "--by", "random", "--out"]
    assert main([*words, str(tmp_path / "classes"), "--image-size", "8"]) == 0
    assert Subset.read(tmp_path / "classes" / Subset.FILE).class_names == ("2023", "2024")
    assert main([*words, str(tmp_path / "all"), "--unlabelled"]) == 0
    assert Subset.read(tmp_path / "all" / Subset.FILE).class_names == ("",)
    assert "3 images without labels" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("places", "more", "said"),
    [
        (
            ["all/1.png", "all/2.png"],
            [],
            "provide images of at least two classes, or choose without classes: add --unlabelled",
        ),
        (["train/1.png", "test/2.png"], [], "so no image has a label; arrange them .*, or choose without classes: add"),
        (["train/1.png", "test/2.png"], ["--unlabelled"], "have the names of splits; name one of them"),
        (["1.png", "2.png"], ["--worth"], "--worth out"),
        (["1.png", "2.png"], ["--by", "el2n"], "which needs labels"),
        (["1.png", "2.png"], ["--image-size", "4"], "--image-size has no effect: pixels are not used"),
        (["1.png", "2.png"], ["--unlabelled", "--label-column", "x"], "--label-column and --unlabelled contradict"),
        (
            ["1.png", "2.png"],
            ["--unlabelled", "--image-column", "x"],
            "--image-column has no effect: .* has no columns",
        ),
    ],
)
def test_images_without_labels_are_refused_in_one_line(
    places: list[str], more: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    by = [] if "--by" in more else ["--by", "random"]
    words = ["select", photos(tmp_path, *places), "--count", "1", *by, "--out", str(tmp_path / "out"), *more]
    assert main([*words, *ON_CPU]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert re.search(said, lines[0])
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("kind", ["npz", "parquet"])
def test_vectors_alone_in_an_archive_or_a_table(kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    values = np.random.default_rng(0).normal(size=(30, 4)).astype(np.float32)
    np.savez(tmp_path / "e.npz", embeddings=values)
    parquet.write_table(pyarrow.table({"embeddings": list(values)}), tmp_path / "e.parquet")
    words = ["select", str(tmp_path / f"e.{kind}"), "--by", "herding", "--out", str(tmp_path / "out")]
    assert main([*words, "--count", "5"]) == 0
    assert re.search("vectors are in the (array|column) embeddings, without labels", capsys.readouterr().err)
    record = Subset.read(tmp_path / "out" / Subset.FILE)
    assert (record.vectors, record.total, record.class_names) == (True, 30, ("",))
    (tmp_path / "labels.txt").write_text("a\n" * 10 + "b\n" * 20)
    labels = ["--labels", str(tmp_path / "labels.txt")]
    assert main([*words[:-1], str(tmp_path / "labelled"), "--ipc", "2", *labels]) == 0
    assert Subset.read(tmp_path / "labelled" / Subset.FILE).counts == (2, 2)
    capsys.readouterr()
    for more, said in (
        (["--count", "5", "--worth"], "has no labels; leave --worth out"),
        (["--ipc", "1"], "has no labels; use --count or --fraction"),
        (["--count", "5", "--worth", *labels], "store the labels in"),
        (["--count", "5", "--features", "pixels"], "vectors are features already"),
    ):
        assert main([*words[:-1], str(tmp_path / "new"), *more]) == 2
        assert said in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--label-column", "--split-map"])
@pytest.mark.parametrize("kind", ["npy", "npz"])
def test_choices_of_labels_and_splits_have_no_effect_on_vectors_alone(
    kind: str, option: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    source = Path(labelled(tmp_path))
    np.savez(tmp_path / "e.npz", embeddings=np.load(source))
    labels = ["--labels", str(tmp_path / "e.labels.npy")]
    words = ["select", str(source.with_suffix(f".{kind}")), "--ipc", "2", *labels, "--out", str(tmp_path / "out")]
    assert main([*words, option, "train=a"]) == 2
    assert f"{option} has no effect" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_experts_of_vectors_are_features_by_their_default_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.chdir(tmp_path)
    source = labelled(tmp_path)
    assert main(["experts", "--dataset", source, "--count", "1", "--epochs", "1", *ON_CPU]) == 0
    assert capsys.readouterr().out.startswith("1 expert of 1 epoch in ")
    (folder,) = Path("runs").iterdir()  # a name that ended in .npy would be that of a file of vectors
    words = ["select", source, "--by", "herding", "--ipc", "2", "--features", str(folder), "--out", "out", *ON_CPU]
    assert main(words) == 0


@pytest.mark.parametrize("place", ["e.parquet", "folder/train-0.parquet"])
def test_what_would_be_refused_is_not_advised(place: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    picture = Path(photos(tmp_path, "a.png")) / "a.png"
    path = tmp_path / place
    path.parent.mkdir(exist_ok=True)
    parquet.write_table(pyarrow.table({"image": [{"bytes": picture.read_bytes(), "path": None}] * 4}), path)
    source = str(tmp_path / place.partition("/")[0])
    words = ["select", source, "--count", "2", "--by", "random", "--out", str(tmp_path / "out")]
    assert main(words) == 2  # images in tables have no other way
    said = capsys.readouterr().err
    assert "has no column of class labels" in said
    assert "unlabelled" not in said
    assert main([*words, "--unlabelled"]) == 2
