"""The files of an inspection: the page says what the record says, shows what is wrong, and replaces nothing else."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from potstill.data import ImageDataset
from potstill.inspection import inspect
from potstill.report import write_inspection
from potstill.runtime.errors import UserError
from potstill.schema.account import LeftOut
from potstill.schema.inspection import Inspection
from tests.inspection.small_datasets import clean


def faulty() -> ImageDataset:
    """A dataset with a leak, an image with two labels, an empty image, and something that was left out."""
    data = clean()
    assert data.account is not None
    train, test = data.train.images.clone(), data.test.images.clone()
    test[0], train[2], train[5] = train[1], 9, train[4]
    account = replace(
        data.account,
        left_out=(LeftOut(count=3, what="hidden files", why="`split_map` chooses others"),),
        remarks=("1 of 22 images has alpha",),
        class_names=("cat & <b>kitten</b>", "dog"),
    )
    return replace(data, account=account, train=replace(data.train, stored=train), test=replace(data.test, stored=test))


def text(page: Path) -> str:
    """The page without its head and tags."""
    body = page.read_text(encoding="utf-8").partition("<body>")[2].partition("<script>")[0]
    return " ".join(re.sub(r"<[^>]*>", " ", body).split())


def test_three_files_are_written_and_the_record_is_read_back(tmp_path: Path):
    data = faulty()
    found = inspect(data)
    page = write_inspection(found, data, tmp_path / "new" / "folder")
    assert page == tmp_path / "new" / "folder" / "index.html"
    assert sorted(path.name for path in page.parent.iterdir()) == ["contact-sheet.png", "index.html", "inspection.json"]
    assert Inspection.read(page.parent / "inspection.json") == found


def test_the_page_says_what_the_record_says(tmp_path: Path):
    data = faulty()
    found = inspect(data)
    said = text(write_inspection(found, data, str(tmp_path)))
    assert "pets: 22 images of 2 classes" in said
    assert f"{len(found.account.warnings)} things to know before this dataset is distilled." in said
    for warning in found.account.warnings:
        assert warning[1:].replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;") in said
    assert "hidden files (3): --split-map chooses others" in said
    assert "1 of 22 images has alpha" in said
    assert "12 images, 6 per class, from the train tensor" in said


def test_names_are_escaped(tmp_path: Path):
    page = write_inspection(inspect(faulty()), faulty(), tmp_path)
    assert "<b>kitten" not in page.read_text(encoding="utf-8")


def test_what_is_wrong_is_shown(tmp_path: Path):
    said = text(write_inspection(inspect(faulty()), faulty(), tmp_path))
    assert "Images to look at" in said
    assert re.search(r"test 0: \S+ .*train 1: dog", said)
    assert re.search(r"train 4: .*train 5: dog", said)
    assert "1 image of train has hardly any contrast" in said


def test_a_clean_dataset_has_nothing_to_look_at(tmp_path: Path):
    said = text(write_inspection(inspect(clean()), clean(), tmp_path))
    assert "Nothing was found that would make results misleading." in said
    assert "Images to look at" not in said


def test_the_page_is_one_file_and_always_the_same(tmp_path: Path):
    first, second = (write_inspection(inspect(faulty()), faulty(), tmp_path / name) for name in ("one", "other"))
    assert first.read_bytes() == second.read_bytes()
    assert not re.search(r"""(?:src|href)=["'](?!data:)""", first.read_text(encoding="utf-8"))


def test_an_earlier_inspection_is_replaced_and_another_page_is_not(tmp_path: Path):
    found = inspect(clean())
    write_inspection(found, clean(), tmp_path / "again")
    write_inspection(found, clean(), tmp_path / "again")
    (tmp_path / "index.html").write_text("my home page")
    with pytest.raises(UserError, match=r"has an index\.html that is not of an inspection"):
        write_inspection(found, clean(), tmp_path)
    with pytest.raises(UserError, match="is not a folder"):
        write_inspection(found, clean(), tmp_path / "index.html")
    assert (tmp_path / "index.html").read_text() == "my home page"
