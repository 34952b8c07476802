"""Isolation from the user's own folders."""

from __future__ import annotations

from pathlib import Path

import pytest
from datasets import config as hub_config


@pytest.fixture(autouse=True)
def private_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads or fills the user's own folders."""
    monkeypatch.delenv("POTSTILL_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "user-cache"))
    monkeypatch.setattr(hub_config, "HF_DATASETS_CACHE", tmp_path / "hub-cache")
