"""The page of a set that is not in the folder of a run: what it and its evaluations say, and nothing else."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from run_folder import IMPORTED, make_set, write_record

from potstill.report import read_run, write_report
from potstill.report.page import render
from potstill.runtime.errors import UserError
from potstill.schema.set_file import SetMetadata


def texts(page: str) -> str:
    body = re.sub(r"<svg.*?</svg>|<script.*?</script>", " ", page[page.index("<body>") :], flags=re.DOTALL)
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", body)).replace("\u00a0", " ")


def test_the_page_shows_the_set_and_what_was_measured(tmp_path: Path):
    folder = make_set(tmp_path / "theirs", IMPORTED)
    page = write_report(folder).read_text()
    said = texts(page)
    assert "10 images of digits, imported" in said
    assert "ConvNet reaches 88" in said
    assert "all training images" in said
    assert "Where the set is from" in said
    assert "imported from res_DM_digits_ConvNet_1ipc.pt" in said
    assert page.count('class="after"') == 10
    assert re.findall('<section id="([a-z]+)"', page) == [
        "accuracy",
        "images",
        "learning",
        "confusion",
        "cost",
        "settings",
    ]
    for absent in ("Peak memory", "Time to", "Repeat this run", "config.toml", "None"):
        assert absent not in said
    assert {path.name for path in (folder / "figures").iterdir()} >= {"after.png", "accuracy.png", "confusion.png"}
    assert "report.html" in {path.name for path in folder.iterdir()}


def test_a_set_that_records_nothing_of_itself_has_a_page(tmp_path: Path):
    run = read_run(make_set(tmp_path / "theirs", {}))
    assert (run.method, run.dataset, run.origin, run.train) == ("", "", "", None)
    assert run.evaluation is not None, "without a dataset on record any is its own"
    assert "<h1>10 images</h1>" in render(run)


def test_results_of_an_earlier_set_and_of_another_dataset_are_left_out(tmp_path: Path):
    folder = make_set(tmp_path / "theirs", IMPORTED)
    record = json.loads((folder / "evaluation.json").read_text())
    write_record(folder / "evaluation.json", record | {"dataset_fingerprint": "0" * 64})
    assert "measured on another dataset: evaluation.json" in render(read_run(folder))
    write_record(folder / "evaluation.json", record | {"set_sha256": "0" * 64})
    assert "Left out because the set was replaced afterwards" in render(read_run(folder))


def test_a_folder_and_the_set_in_it_are_one(tmp_path: Path):
    folder = make_set(tmp_path / "theirs", IMPORTED)
    assert render(read_run(folder / "synthetic.safetensors")) == render(read_run(folder))


def test_a_file_beside_others_has_no_page(tmp_path: Path):
    make_set(tmp_path, IMPORTED, "one.safetensors")
    assert SetMetadata.of_file(tmp_path / "one.safetensors").provenance == IMPORTED
    with pytest.raises(
        UserError, match=r"one\.safetensors is a file, .*; name the folder .* as synthetic\.safetensors"
    ):
        read_run(tmp_path / "one.safetensors")
