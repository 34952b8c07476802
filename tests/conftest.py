"""What tests of several parts share."""

from __future__ import annotations

import asyncio
import gc
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING
from unittest.mock import patch

import numpy as np
import pytest
import torch
from hypothesis import settings

from potstill.data.sources.digits import read_digits
from potstill.units import Crew
from potstill.units.processes import processes
from tests.forks import CONTEXT
from tests.report.browsing import ARGUMENTS
from tests.small import short_recipes

if TYPE_CHECKING:
    from playwright.sync_api import Browser

# Examples are judged by what they find: how long one takes depends on what else the machine is doing.
settings.register_profile("potstill", deadline=None)
settings.load_profile("potstill")


def pytest_collection_finish() -> None:
    """What has been imported stays: the search for garbage need not go through a million objects again and again."""
    gc.freeze()


@pytest.fixture(scope="session")
def real_data_root() -> Path:
    """The folder of real datasets for development; tests that need it skip where it is absent."""
    named = os.environ.get("POTSTILL_DATA")
    root = Path(named) if named else Path(__file__).parents[2] / "shared" / "data"
    if not root.is_dir():
        pytest.skip("no real data here: set POTSTILL_DATA to a folder of them")
    return root


@pytest.fixture(scope="session", autouse=True)
def fsync() -> Iterator[Callable[[int], None]]:
    """``os.fsync``, which waits for the disk: all that is written here may be lost with the power."""
    fsync = os.fsync
    with patch("os.fsync", lambda handle: None):
        yield fsync


@pytest.fixture(scope="session", autouse=True)
def digits_read_once() -> Iterator[None]:
    """The file of the digits is read once, not for each of hundreds of commands."""
    with patch("potstill.data.sources.digits.read_digits", cache(read_only_digits)):
        yield


def read_only_digits() -> tuple[np.ndarray, ...]:
    """What is read, so that no test can change it for the others."""
    arrays = read_digits()
    for array in arrays:
        array.setflags(write=False)
    return arrays


@pytest.fixture(scope="module")
def few_epochs() -> Iterator[None]:
    """No recipe trains on a small set for long: for modules in which it is no matter how well networks learn."""
    with patch("potstill.evaluation.recipes.RECIPES", short_recipes()):
        yield


@pytest.fixture
def traced_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is compiled is traced and taken apart, but no machine code is made of it: that takes long."""
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="aot_eager"))


@pytest.fixture
def forked_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Worker processes begin as copies of one that has imported PyTorch."""
    monkeypatch.setattr("potstill.units.processes.CONTEXT", CONTEXT)


@pytest.fixture(scope="session")
def crew() -> Iterator[Crew]:
    """A process that does units of work for all tests: it begins with the first that needs one."""
    with ExitStack() as stack:
        with patch("potstill.units.processes.CONTEXT", CONTEXT):
            crew = stack.enter_context(processes(1))
        yield crew


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Small tensors gain nothing from threads, and lose where other processes compete for the cores."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def chromium() -> Iterator[tuple[Browser, asyncio.AbstractEventLoop]]:
    """A headless Chromium, started once, and the event loop that speaks with it."""
    executable = os.environ.get("POTSTILL_CHROMIUM") or shutil.which("chromium")
    if executable is None:
        pytest.skip("no Chromium here: install it or set POTSTILL_CHROMIUM")
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as driver:
        browser, loop = driver.chromium.launch(executable_path=executable, args=ARGUMENTS), asyncio.get_running_loop()
        asyncio._set_running_loop(None)  # other tests have event loops of their own
        yield browser, loop
        asyncio._set_running_loop(loop)
        browser.close()


@pytest.fixture
def browser(chromium: tuple[Browser, asyncio.AbstractEventLoop]) -> Iterator[Browser]:
    """A headless Chromium, which has no page open."""
    browser, loop = chromium
    asyncio._set_running_loop(loop)
    yield browser
    for context in browser.contexts:
        context.close()
    asyncio._set_running_loop(None)


@pytest.fixture
def complaints() -> list[str]:
    """Console messages and errors of the page."""
    return []


@pytest.fixture
def requests() -> list[str]:
    """What the page asked for, data URIs left out."""
    return []
