"""The page of an inspection as a reader has it: in a browser, offline, on screens of all widths."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from browsing import watched

from potstill.inspection import inspect
from potstill.report import write_inspection
from tests.inspection.small_datasets import dataset, noise, split

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def page_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of twelve classes of 8×8, with long names, leaks and contradictions."""
    names = ["airplane", "a name that is rather long and has no break anywhere", "x" * 90, *"3456789ab"]
    labels = [label for label in range(12) for _ in range(9)]
    train = split(noise(len(labels), shape=(3, 8, 8)), labels, names)
    other = noise(len(labels), 1, shape=(3, 8, 8))
    other[:5] = train.images[6:11]
    data = dataset(train, replace(train, stored=other))
    return write_inspection(inspect(data), data, tmp_path_factory.mktemp("inspection"))


@pytest.fixture
def page(browser: Browser, page_path: Path, complaints: list[str], requests: list[str]) -> Iterator[Page]:
    page = watched(browser, complaints, requests)
    page.goto(page_path.as_uri())
    yield page
    page.close()


def test_only_the_page_is_requested_and_every_picture_is_shown(
    page: Page, page_path: Path, complaints: list[str], requests: list[str]
) -> None:
    page.wait_for_load_state("networkidle")
    assert complaints == []
    assert requests == [page_path.as_uri()]
    assert page.locator("img").evaluate_all("images => images.every(image => image.naturalWidth === 8)")


def test_pixels_are_crisp_and_equally_large(page: Page) -> None:
    for place in ("#sheet img", "#exhibits img"):
        image = page.locator(place).first
        assert image.evaluate("image => getComputedStyle(image).imageRendering") == "pixelated"
        assert image.evaluate("image => image.getBoundingClientRect().width % image.naturalWidth") == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 768, 1280])
def test_the_page_fits_the_screen(page: Page, width: int, scheme: str) -> None:
    page.set_viewport_size({"width": width, "height": 740})
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    assert page.evaluate("document.documentElement.scrollWidth") == width
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (sum(int(part) for part in background[4:-1].split(",")) < 384) == (scheme == "dark")


def test_it_needs_no_script(browser: Browser, page_path: Path) -> None:
    page = browser.new_page(java_script_enabled=False)
    page.goto(page_path.as_uri())
    assert page.locator("#warnings li").first.is_visible()
    assert page.locator("#sheet img").first.is_visible()
    assert page.get_by_text("airplane").first.is_visible()
    page.close()
