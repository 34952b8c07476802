"""The section on the data: what was understood, what was left out, and warnings that nobody overlooks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from run_folder import change_record
from test_report_uses import section

from potstill.report import read_run
from potstill.report.page import render
from potstill.schema.account import Account, LeftOut, SplitAccount

ACCOUNT = Account(
    layout="class folders",
    class_names=("0", "", "<b>2", "a\nb", *"456789"),
    splits=(
        SplitAccount(name="train", origin="folder train", class_sizes=(1234, 1000, *[1100] * 8)),
        SplitAccount(name="validation", origin="not there", class_sizes=(0,) * 10),
        SplitAccount(name="test", origin="a fifth of each class of train, held out", class_sizes=(21,) * 10),
    ),
    pixels="12 bits in 16-bit PNG, divided by 4,095",
    left_out=(
        LeftOut(count=1200, what="hidden files"),
        LeftOut(count=3, what="files", why="their suffix .xcf is not one of images"),
        LeftOut(count=9, what="images of the split extra", why="`split_map` chooses others"),
    ),
    remarks=("1 of 30 images has alpha: all are read as RGB",),
    warnings=("this test split is not the published one", "3 test images are also training images."),
)


def with_account(run: Path, account: dict[str, Any] | None) -> None:
    dataset = json.loads((run / "manifest.json").read_text())["dataset"]
    change_record(run / "manifest.json", dataset=dataset | {"account": account})


def test_the_account_is_told_number_by_number(run_path: Path) -> None:
    with_account(run_path, ACCOUNT.to_json())
    told = section(run_path, "data").text
    for line in (
        "warningthis test split is not the published one",
        "read asclass folders",
        "train11,034 images, 1,000 to 1,234 per class, from folder train",
        "test210 images, 21 per class, from a fifth of each class of train, held out",
        "pixels12 bits in 16-bit PNG, divided by 4,095",
        "left outhidden files (1,200)",
        "left outfiles (3): their suffix .xcf is not one of images",
        "left outimages of the split extra (9): --split-map chooses others",
        "noted1 of 30 images has alpha: all are read as RGB",
        "classtraintest",
        "01,23421",
        "class 11,00021",
        "<b>21,10021",
        "a\\nb1,10021",
    ):
        assert f"\n{line}" in "\n".join(part.strip() for part in told.split("\n")), line
    assert "validation" not in told, "it has no images"


def test_warnings_stand_before_all_results(run_path: Path) -> None:
    with_account(run_path, ACCOUNT.to_json())
    page = render(read_run(run_path))
    first = page.index("<li>This test split is not the published one.</li>")
    assert (
        first < page.index("<li>3 test images are also training images.</li>") < page.index('<section id="accuracy">')
    )
    with_account(run_path, ACCOUNT.to_json() | {"warnings": []})
    assert 'id="warnings"' not in render(read_run(run_path))


def test_a_record_without_an_account_has_no_such_section(run_path: Path) -> None:
    assert 'id="data"' not in render(read_run(run_path))


def test_an_account_of_other_classes_has_no_table_of_them(run_path: Path) -> None:
    with_account(run_path, ACCOUNT.to_json() | {"class_names": ["a"]})
    told = section(run_path, "data").text
    assert "Images of each class" not in told
    assert "11,034 images" in told
