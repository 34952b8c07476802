"""Fixtures of the report's tests."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from browsing import ARGUMENTS
from run_folder import evaluation, make_run

if TYPE_CHECKING:
    from playwright.sync_api import Browser


@pytest.fixture
def run_path(tmp_path: Path) -> Path:
    """The folder of an evaluated run of two images of each digit."""
    return make_run(tmp_path / "run", per_class=2, evaluated=evaluation())


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    executable = os.environ.get("POTSTILL_CHROMIUM") or shutil.which("chromium")
    if executable is None:
        pytest.skip("no Chromium here: install it or set POTSTILL_CHROMIUM")
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=executable, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def complaints() -> list[str]:
    """Console messages and errors of the page."""
    return []


@pytest.fixture
def requests() -> list[str]:
    """What the page asked for, data URIs left out."""
    return []
