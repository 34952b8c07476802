"""The site as a reader has it: in a browser, offline, on a telephone and in the dark."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.report.browsing import watched

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = [pytest.mark.browser, pytest.mark.slow]

PAGES = [
    "docs/index.html",
    "docs/command-line.html",
    "docs/gallery.html",
    "docs/notebooks/your-own-folder.html",
    "docs/api/methods.html",
    "records/README.html",
    "records/leaderboard.html",
    "records/speed.html",
    "records/files.html",
]
SIDEWAYS = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


@pytest.mark.parametrize("name", PAGES)
def test_no_page_scrolls_sideways_or_asks_for_anything_elsewhere(
    name: str, site: Path, browser: Browser, complaints: list[str], requests: list[str]
):
    page = watched(browser, complaints, requests)
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto((site / name).as_uri(), wait_until="networkidle")
    assert page.evaluate(SIDEWAYS) <= 0
    assert page.locator("img").evaluate_all("images => images.every(image => image.naturalWidth > 0)")
    assert complaints == []
    assert [address for address in requests if not address.startswith("file:")] == []
    page.close()


def test_wide_tables_can_be_scrolled(site: Path, browser: Browser):
    page = browser.new_page(viewport={"width": 390, "height": 844})
    page.goto((site / "records/leaderboard.html").as_uri())
    box = page.locator(".table-wrapper").first
    assert box.evaluate("box => box.scrollWidth > box.clientWidth")
    assert box.evaluate("box => { box.scrollLeft = 50; return box.scrollLeft; }") == 50
    page.close()


def test_it_follows_the_colours_of_the_system(site: Path, browser: Browser):
    page = browser.new_page(color_scheme="dark")
    page.goto((site / "docs/quickstart.html").as_uri())
    colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert max(int(part) for part in colour.strip("rgba()").split(",")[:3]) < 64
    page.close()


def test_commands_can_be_copied(site: Path, browser: Browser):
    page = browser.new_page()
    page.goto((site / "docs/quickstart.html").as_uri())
    assert page.locator("button.copybtn").count() == page.locator("div.highlight pre").count()
    page.close()
