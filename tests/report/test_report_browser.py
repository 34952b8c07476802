"""The page as a reader has it: in a browser, offline."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from browsing import contrasts, watched
from run_folder import evaluation, make_run, write_record
from test_report_data import ACCOUNT, with_account
from test_report_uses import FOUND, ROBUSTNESS

from potstill.report import read_run, write_report

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def run_folder_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    names = ("airplane", "a name that is rather long and has no break anywhere", "<b>&", *"3456789")
    path = make_run(tmp_path_factory.mktemp("runs") / "run", per_class=10, names=names, evaluated=evaluation())
    for record in (ROBUSTNESS, FOUND):
        write_record(path / record.FILE, record.to_json())
    with_account(path, ACCOUNT.to_json())
    write_report(path)
    return path


@pytest.fixture
def page(browser: Browser, run_folder_path: Path, complaints: list[str], requests: list[str]) -> Iterator[Page]:
    page = watched(browser, complaints, requests)
    page.goto((run_folder_path / "report.html").as_uri())
    yield page
    page.close()


def visible_share(page: Page) -> list[float]:
    """Which share of the width of each image after distillation is shown."""
    script = """images => images.map(image => {
        const cut = getComputedStyle(image).clipPath.match(/inset\\((.*?)\\)/)[1].split(" ");
        return 1 - parseFloat(cut[1] ?? cut[0]) / 100;
    })"""
    return page.locator(".pair .after").evaluate_all(script)


def test_only_the_page_is_requested_and_nothing_complains(
    page: Page, run_folder_path: Path, complaints: list[str], requests: list[str]
) -> None:
    page.wait_for_load_state("networkidle")
    page.locator("#wipe").fill("30")
    assert complaints == []
    assert requests == [(run_folder_path / "report.html").as_uri()]
    assert page.locator("img").evaluate_all("images => images.every(image => image.naturalWidth > 0)")


def test_the_slider_wipes_every_pair(page: Page) -> None:
    assert set(visible_share(page)) == {1.0}
    page.locator("#wipe").fill("30")
    shares = visible_share(page)
    assert len(shares) == 100
    assert shares == pytest.approx([0.3] * 100)


def test_the_slider_is_worked_with_keys(page: Page) -> None:
    slider = page.get_by_label("Before and after", exact=True)
    slider.focus()
    page.keyboard.press("Home")
    assert set(visible_share(page)) == {0.0}
    page.keyboard.press("ArrowRight")
    assert visible_share(page) == pytest.approx([0.01] * 100)
    assert slider.get_attribute("aria-valuetext") == "1 % after"
    assert slider.evaluate("slider => getComputedStyle(slider).outlineStyle") == "solid"


def test_pixels_are_crisp_and_equally_large(page: Page) -> None:
    image = page.locator(".pair .after").first
    assert image.evaluate("image => getComputedStyle(image).imageRendering") == "pixelated"
    assert image.evaluate("image => image.getBoundingClientRect().width % image.naturalWidth") == 0


def test_the_table_holds_the_figures_of_the_evaluation(page: Page, run_folder_path: Path) -> None:
    read = read_run(run_folder_path).evaluation
    assert read is not None
    table = page.locator("#accuracies").inner_text().replace("\u00a0", " ")
    entries = [*read.networks.values(), *(entry for row in read.baselines.values() for entry in row.values())]
    scores = [entry for entry in entries if entry.usable]
    assert len(scores) == 5
    for score in scores:
        assert score.interval is not None
        assert f"{100 * score.mean:.1f} %" in table
        assert f"{100 * score.interval[0]:.1f}–{100 * score.interval[1]:.1f}" in table
    assert "failed: the loss stopped being finite in epoch 12" in table
    convnet = read.networks["convnet"]
    cells = page.locator("table.confusion").first.locator("td:not(.n)").all_inner_texts()
    assert [0 if cell == "·" else int(cell) for cell in cells] == [count for row in convnet.confusion for count in row]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 768, 1280])
def test_the_page_fits_the_screen(page: Page, width: int, scheme: str) -> None:
    page.set_viewport_size({"width": width, "height": 740})
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    for details in page.locator("details").all():
        details.evaluate("details => { details.open = true; }")
    assert page.evaluate("document.documentElement.scrollWidth") == width
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (sum(int(part) for part in background[4:-1].split(",")) < 384) == (scheme == "dark")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [375, 1280])
def test_text_stands_out_from_its_background(page: Page, scheme: str, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 740})
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    page.evaluate("document.querySelectorAll('details').forEach(details => { details.open = true; })")
    measured = contrasts(page)
    assert len(measured) > 200
    assert [text for ratio, text in measured if ratio < 4.5] == []


WIDE = """() => [...document.querySelectorAll(".scroll")].map(box => [
    box.scrollWidth > box.clientWidth + 1, box.previousElementSibling.checkVisibility(), box.tabIndex === 0])"""
"""Of each table: whether it is too wide, whether it says so, and whether the keyboard can scroll it."""


@pytest.mark.parametrize("width", [375, 1280])
def test_a_table_that_scrolls_sideways_says_so(page: Page, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 740})
    page.evaluate("document.querySelectorAll('details').forEach(details => { details.open = true; })")
    page.wait_for_timeout(100)
    tables = page.evaluate(WIDE)
    assert len(tables) == 6
    assert all(wide == told == reached for wide, told, reached in tables)
    assert any(wide for wide, _, _ in tables) == (width == 375)


def test_on_a_phone_accuracies_are_a_list_and_class_names_stay_in_view(page: Page) -> None:
    page.set_viewport_size({"width": 375, "height": 740})
    page.wait_for_timeout(100)
    wide, told, _ = page.evaluate(WIDE)[0]
    assert not wide
    assert not told
    row = page.locator("#accuracies .distilled").first
    assert row.evaluate("row => getComputedStyle(row.cells[2], '::before').content") == '"95\u00a0% interval "'
    matrix = page.locator(".scroll:has(table.confusion)").first
    matrix.evaluate("box => { box.scrollLeft = 1000; }")
    name, box = matrix.locator("tbody th").first.bounding_box(), matrix.bounding_box()
    assert name is not None
    assert box is not None
    assert name["x"] == pytest.approx(box["x"], abs=1)
    assert name["width"] < 130


def test_print_shows_both_images_of_a_pair(page: Page) -> None:
    page.emulate_media(media="print")
    assert page.locator("#wipe").is_hidden()
    first = page.locator(".pair").first
    before, after = first.locator(".before").bounding_box(), first.locator(".after").bounding_box()
    assert before is not None
    assert after is not None
    assert before["x"] + before["width"] <= after["x"]


def test_nothing_is_folded_on_paper(page: Page) -> None:
    folded = page.locator("details:not([open])")
    before = folded.count()
    assert before
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert folded.count() == 0
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert folded.count() == before


def test_a_block_is_copied(page: Page) -> None:
    page.locator("#citation").get_by_role("button", name="Copy").click()
    assert page.locator("#citation button").inner_text() in ("Copied", "Selected")
