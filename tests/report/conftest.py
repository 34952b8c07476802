"""Fixtures of the report's tests."""

from __future__ import annotations

from pathlib import Path

import pytest
from run_folder import evaluation, make_run


@pytest.fixture
def run_path(tmp_path: Path) -> Path:
    """The folder of an evaluated run of two images of each digit."""
    return make_run(tmp_path / "run", per_class=2, evaluated=evaluation())
