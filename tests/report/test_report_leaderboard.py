"""One table of all evaluated sets: what each set is worth, beside random images and published results."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from potstill.report.images import read_images
from potstill.report.leaderboard import collected, lead, markdown, write_leaderboard
from potstill.runtime.errors import UserError
from potstill.schema.published_results import PER_CLASS, PUBLISHED, published_result
from tests.report.browsing import watched
from tests.report.run_folder import IMPORTED, change_record, entry, evaluation, make_run, make_set, write_record


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two runs: one whose set is worth more than random images, one whose is not, and one that was never judged."""
    for name, mean in (("good", 0.9), ("poor", 0.5)):
        make_run(tmp_path / "runs" / name)
        record = evaluation()
        record["networks"]["convnet"] = entry(mean)
        write_record(tmp_path / "runs" / name / "evaluation.json", record)
    make_run(tmp_path / "runs" / "unjudged")
    (tmp_path / "runs" / "unjudged" / "evaluation.json").unlink(missing_ok=True)
    return tmp_path / "runs"


def test_rows_are_sets_with_the_best_first(folder: Path):
    rows = collected([folder])
    assert [row.of.folder.name for row in rows] == ["good", "poor"]
    good = rows[0]
    assert (good.of.dataset, good.of.method, good.network, good.recipe) == ("digits", "dm", "convnet", "dsa-1000@1")
    assert good.result.mean == pytest.approx(0.9, abs=0.01)
    assert good.random is not None
    assert good.random.mean == pytest.approx(0.67, abs=0.03)
    assert good.of.labels == "hard"
    assert [row.verdict for row in rows] == ["above random images", "below random images"]


def test_every_recipe_that_judged_a_set_has_its_row_and_records_of_another_set_have_none(folder: Path):
    other = evaluation()
    other["recipe"]["name"] = "quick"
    write_record(folder / "good" / "evaluation-quick.json", other)
    assert [row.recipe for row in collected([folder / "good"])] == ["dsa-1000@1", "quick@1"]
    change_record(folder / "good" / "evaluation-quick.json", set_sha256="ab" * 32)
    assert [row.recipe for row in collected([folder / "good"])] == ["dsa-1000@1"]


def test_published_results_stand_beside_ours(folder: Path):
    manifest = json.loads((folder / "good" / "manifest.json").read_text())
    change_record(folder / "good" / "manifest.json", dataset={**manifest["dataset"], "name": "cifar10"})
    config = (folder / "good" / "config.toml").read_text()
    (row,) = collected([folder / "good"])
    assert row.of.ipc == int(config.split("ipc = ")[1].split()[0])
    assert row.published == published_result("cifar10", "dm", row.of.ipc)
    assert row.verdict == ("above the published" if row.published else "above random images")
    assert replace(row, published=None, random=None).verdict == ""


def test_published_results_are_found_by_formation_and_nothing_is_made_up():
    assert str(published_result("cifar10", "dm", 10)) == "48.9 ± 0.6"
    assert published_result("cifar10", "dm", 10, formation=2) is None
    assert str(published_result("mnist", "idc", 1, formation=2)) == "94.2"
    assert published_result("cifar10", "dm", 7) is None
    assert published_result("digits", "dm", 1) is None
    for rows in PUBLISHED.values():
        for row in rows.values():
            assert len(row) == len(PER_CLASS)
            assert all(result is None or 0 < result.mean < 100 for result in row)


def test_a_set_of_another_program_stands_beside_runs_under_the_name_of_its_file(folder: Path):
    imported = make_set(folder / "imported", IMPORTED)
    record = evaluation()
    record["networks"]["convnet"] = entry(0.7)
    write_record(imported / "evaluation.json", record)
    assert len(collected([folder])) == 2, "the record is that of another set"
    change_record(
        imported / "evaluation.json", set_sha256=read_images(imported / "synthetic.safetensors").tensors_sha256
    )
    theirs = "res_DM_digits_ConvNet_1ipc.pt (imported)"
    good, row, poor = collected([folder])
    assert (good.of.method, row.of.method, poor.of.method) == ("dm", theirs, "dm")
    assert (row.of.dataset, row.of.ipc, row.of.labels, row.of.size) == ("digits", 1, "hard", 10 * 64 * 4 + 10 * 8)
    assert r"| [res\_DM\_digits\_ConvNet\_1ipc.pt (imported)](imported) | 1 | hard |" in markdown([row], folder)
    (imported / "synthetic.safetensors").rename(imported / "mine.safetensors")
    assert len(collected([folder])) == 3, "the file of a set may have any name"
    (imported / "notes.safetensors").write_bytes(b"junk")
    assert len(collected([folder])) == 3, "what is no set has no row"
    change_record(imported / "evaluation.json", dataset_fingerprint="ab" * 32)
    assert len(collected([folder])) == 2, "the record is of another dataset"


def test_vectors_are_called_vectors(folder: Path):
    """Beside images both are named, each in its own table."""
    record = json.loads((folder / "good" / "manifest.json").read_text())
    dataset = {**record["dataset"], "name": "points", "shape": [64, 1, 1]}
    change_record(folder / "good" / "manifest.json", dataset=dataset)
    (poor, good) = rows = collected([folder])
    assert (poor.of.kind, good.of.kind) == ("image", "vector")
    text = markdown(rows, folder)
    assert lead(rows).startswith("1 of 2 results that have random images or vectors beside them lie above these")
    assert text.count("| random images, % |") == text.count("| random vectors, % |") == 1
    assert "image" not in markdown([good], folder)
    assert replace(good, result=poor.result).verdict == "below random vectors"


def test_names_cannot_break_the_table(folder: Path):
    manifest = json.loads((folder / "good" / "manifest.json").read_text())
    dataset = {**manifest["dataset"], "name": "x <img src=y>\n\n[click](z)"}
    change_record(
        folder / "good" / "manifest.json", dataset=dataset, method={**manifest["method"], "name": "a|b<script>"}
    )
    text = markdown(collected([folder / "good"]), folder)
    assert r"## x \<img src=y\>" in text
    assert "\n[click]" not in text
    assert r"a\|b\<script\>" in text
    assert "<script>" not in text.replace("\\<", "")


def test_only_what_an_interval_of_the_difference_shows_counts_as_above_random_images(folder: Path):
    assert lead(collected([folder])).startswith("1 of 2 results")
    record = evaluation()
    record["networks"]["convnet"] = entry(0.69, spread=0.03)
    write_record(folder / "poor" / "evaluation.json", record)
    rows = collected([folder])
    assert rows[1].verdict == "not apart from random images"
    assert lead(rows).startswith("1 of 2 results")
    record = evaluation()
    for results in (record["networks"], record["baselines"]["random"]):
        results["convnet"] = entry(results["convnet"]["mean"], repeats=1)
    write_record(folder / "good" / "evaluation.json", record)
    assert lead(collected([folder / "good"])).startswith("No result stands beside random images")


def test_networks_that_knew_something_and_other_datasets_have_no_row(folder: Path):
    before = json.loads((folder / "good" / "evaluation.json").read_text())
    change_record(folder / "good" / "evaluation.json", initial={"source": "experts", "seed": 0, "sha256": "ab" * 32})
    with pytest.raises(UserError, match="no evaluated set"):
        collected([folder / "good"])
    write_record(folder / "good" / "evaluation.json", before | {"dataset_fingerprint": "cd" * 32})
    with pytest.raises(UserError, match="no evaluated set"):
        collected([folder / "good"])


def test_manifests_of_other_things_are_passed_over_and_folders_counted_once(folder: Path):
    (folder / "site").mkdir()
    (folder / "site" / "manifest.json").write_text('{"name": "a web application"}')
    assert len(collected([folder, folder / "good"])) == 2


def test_a_damaged_configuration_is_named(folder: Path):
    config = folder / "good" / "config.toml"
    config.write_text('formation = "x"\n' + config.read_text())
    with pytest.raises(UserError, match=r"config\.toml: formation"):
        collected([folder])


def test_links_of_strange_folders_are_quoted(folder: Path):
    (folder / "good").rename(folder / "my run (2)")
    assert "](my%20run%20%282%29)" in markdown(collected([folder]), folder)


def test_what_is_no_folder_with_evaluated_runs_is_refused(folder: Path, tmp_path: Path):
    with pytest.raises(UserError, match="is not a directory"):
        collected([tmp_path / "nowhere"])
    with pytest.raises(UserError, match="there is no evaluated set in"):
        collected([folder / "unjudged"])


@pytest.fixture
def page(browser: Browser, folder: Path, complaints: list[str], requests: list[str]) -> Iterator[Page]:
    write_leaderboard([folder], folder)
    page = watched(browser, complaints, requests)
    page.goto((folder / "leaderboard.html").as_uri())
    yield page
    page.close()


@pytest.mark.browser
def test_the_page_has_every_row_and_asks_for_nothing_else(
    page: Page, folder: Path, complaints: list[str], requests: list[str]
):
    page.wait_for_load_state("networkidle")
    assert complaints == []
    assert requests == [(folder / "leaderboard.html").as_uri()]
    assert page.locator("tbody tr").count() == 2
    assert page.locator("tbody tr").last.inner_text().endswith("below random images")
    assert page.locator("tbody a").first.get_attribute("href") == "good"


@pytest.mark.browser
@pytest.mark.parametrize("width", [360, 1280])
def test_nothing_runs_over_the_edge(page: Page, width: int):
    page.set_viewport_size({"width": width, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= width
