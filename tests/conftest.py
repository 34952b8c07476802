"""What tests of several parts share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

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
