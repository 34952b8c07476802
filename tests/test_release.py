"""What a release says of itself in several places is the same in all of them."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def test_the_version_is_that_of_the_changelog_and_the_citation():
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert re.findall(r"(?m)^## \[(.+?)\]", changelog)[0] == PROJECT["version"]
    assert re.findall(r"(?m)^version: (.+)$", citation) == [PROJECT["version"]]


def test_the_commands_that_install_a_wheel_name_this_one():
    for file in ("README.md", "docs/quickstart.md"):
        named = re.findall(r"potstill-([\d.]+)-py3-none-any\.whl", (ROOT / file).read_text(encoding="utf-8"))
        assert named, file
        assert set(named) == {PROJECT["version"]}, file


def test_every_package_has_a_lowest_version():
    wanted = [
        *PROJECT["dependencies"],
        *(each for extra in PROJECT["optional-dependencies"].values() for each in extra),
    ]
    for requirement in map(Requirement, wanted):
        assert ">=" in {each.operator for each in requirement.specifier}, f"make lowest cannot try {requirement}"
