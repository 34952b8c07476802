"""The notebooks as they are in the repository: small, and without what an execution left behind."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "docs" / "notebooks").glob("*.ipynb"))


def cells(path: Path, kind: str) -> list[dict[str, Any]]:
    """The cells of a kind."""
    return [each for each in json.loads(path.read_text(encoding="utf-8"))["cells"] if each["cell_type"] == kind]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_no_outputs_are_kept(path: Path):
    assert cells(path, "code")
    for cell in cells(path, "code"):
        assert cell["outputs"] == []
        assert cell["execution_count"] is None


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_everything_they_read_is_bundled(path: Path):
    code = "".join(line for cell in cells(path, "code") for line in cell["source"])
    assert set(re.findall(r"load_dataset\(\s*(.*?)[,)]", code)) <= {'"digits"', '"photos"'}
    assert set(re.findall(r"dataset=(.*?)[,)]", code)) <= {'"digits"', '"photos"', "dataset"}
    assert "http" not in code


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_their_links_lead_somewhere(path: Path):
    text = "".join(line for cell in cells(path, "markdown") for line in cell["source"])
    for target in re.findall(r"\]\(([^)\s#]+)", text):
        assert (path.parent / target).exists(), target
