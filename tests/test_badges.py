"""The badges of README.md say what pyproject.toml says."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
TRUE = {
    "licence": PROJECT["license"],
    "python": f"{PROJECT['requires-python'].removeprefix('>=')} or newer",
}


def test_badges_are_of_what_is_known_here_and_true():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    shown = dict(re.findall(r"!\[\w+: (.+?)\]\(docs/images/(\w+)\.svg\)", readme))
    assert {name: words for words, name in shown.items()} == TRUE
    for name, words in TRUE.items():
        assert f">{words}</text>" in (ROOT / "docs" / "images" / f"{name}.svg").read_text(encoding="utf-8")


def test_no_badge_is_asked_of_a_service():
    assert not re.search(r"!\[[^]]*\]\(https?:", (ROOT / "README.md").read_text(encoding="utf-8"))
