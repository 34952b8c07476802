"""What tests of several parts share."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING
from unittest.mock import patch

import pytest
import torch
from hypothesis import settings

from potstill.units import Crew
from potstill.units.processes import processes
from tests.report.browsing import ARGUMENTS
from tests.small import short_recipes

if TYPE_CHECKING:
    from playwright.sync_api import Browser

# Examples are judged by what they find: how long one takes depends on what else the machine is doing.
settings.register_profile("potstill", deadline=None)
settings.load_profile("potstill")


@pytest.fixture(scope="session")
def real_data_root() -> Path:
    """The folder of real datasets for development; tests that need it skip where it is absent."""
    named = os.environ.get("POTSTILL_DATA")
    root = Path(named) if named else Path(__file__).parents[2] / "shared" / "data"
    if not root.is_dir():
        pytest.skip("no real data here: set POTSTILL_DATA to a folder of them")
    return root


@pytest.fixture(scope="module")
def few_epochs() -> Iterator[None]:
    """No recipe trains on a small set for long: for modules in which it is no matter how well networks learn."""
    with patch("potstill.evaluation.recipes.RECIPES", short_recipes()):
        yield


@pytest.fixture
def traced_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is compiled is traced and taken apart, but no machine code is made of it: that takes long."""
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="aot_eager"))


@pytest.fixture(scope="session")
def crew() -> Iterator[Crew]:
    """A process that does units of work for all tests: it begins with the first that needs one."""
    with processes(1) as crew:
        yield crew


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Small tensors gain nothing from threads, and lose where other processes compete for the cores."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A headless Chromium."""
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
