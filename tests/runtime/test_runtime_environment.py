"""The environment variables that Potstill reads."""

from __future__ import annotations

from pathlib import Path

import pytest

from potstill.runtime import environment


def test_data_root_is_what_is_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("POTSTILL_DATA", "~/sets")
    assert environment.data_root() == Path.home() / "sets"


@pytest.mark.parametrize("value", [None, ""])
def test_data_root_may_be_absent(value: str | None, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("POTSTILL_DATA", raising=False)
    if value is not None:
        monkeypatch.setenv("POTSTILL_DATA", value)
    assert environment.data_root() is None


def test_cache_folder_follows_the_platform(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert environment.cache_folder() == tmp_path / "potstill"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert environment.cache_folder() == Path.home() / ".cache" / "potstill"
