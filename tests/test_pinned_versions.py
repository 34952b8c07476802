"""The packages that make and continuous integration install: each one version, its files known by their hashes."""

from __future__ import annotations

import re
import tomllib
from importlib.metadata import PackageNotFoundError, version
from itertools import combinations
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[1]
HASHED = ["constraints.txt", "constraints-tests.txt", "constraints-docs.txt"]
UNHASHED = "constraints-torch.txt"


def entries(file: str) -> list[str]:
    """The requirements of a file with their hashes, one string each."""
    lines = (ROOT / file).read_text(encoding="utf-8").replace("\\\n", " ").splitlines()
    return [line for line in lines if line and not line.lstrip().startswith(("#", "--only-binary"))]


def pins(file: str) -> dict[str, Requirement]:
    """The requirements of a file by the names of their packages."""
    requirements = [Requirement(entry.partition("--hash")[0]) for entry in entries(file)]
    return {canonicalize_name(requirement.name): requirement for requirement in requirements}


def pinned_version(requirement: Requirement) -> Version:
    (only,) = requirement.specifier
    assert only.operator == "==", requirement
    return Version(only.version)


def wanted() -> list[Requirement]:
    """Everything that pyproject.toml asks for."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    lists = [
        project["build-system"]["requires"],
        project["project"]["dependencies"],
        *project["project"].get("optional-dependencies", {}).values(),
        *project["dependency-groups"].values(),
    ]
    return [Requirement(text) for texts in lists for text in texts]


@pytest.mark.parametrize("file", HASHED)
def test_every_line_is_one_version_with_its_hashes(file: str):
    assert entries(file)
    for entry in entries(file):
        assert re.fullmatch(r"[a-z0-9-]+==[^ ;,*]+( ; [^\\]+?)?( +--hash=sha256:[0-9a-f]{64})+ *", entry), entry


@pytest.mark.parametrize("file", HASHED)
def test_no_package_is_built_while_it_is_installed(file: str):
    assert "\n--only-binary :all:\n" in (ROOT / file).read_text(encoding="utf-8")


def test_torch_alone_has_no_hashes():
    assert list(pins(UNHASHED)) == ["torch"]
    assert "torch" not in {name for file in HASHED for name in pins(file)}


@pytest.mark.parametrize("requirement", wanted(), ids=str)
def test_what_the_project_asks_for_is_pinned(requirement: Requirement):
    name = canonicalize_name(requirement.name)
    found = [pins(file)[name] for file in (*HASHED, UNHASHED) if name in pins(file)]
    assert found, f"run: make constraints ({name} is not pinned)"
    assert all(pinned_version(pin) in requirement.specifier for pin in found), "run: make constraints"


def test_the_files_agree():
    for first, second in combinations([pins(file) for file in HASHED], 2):
        for name in first.keys() & second.keys():
            assert first[name].specifier == second[name].specifier


def test_what_is_installed_is_what_is_pinned():
    for file in (*HASHED, UNHASHED):
        for name, requirement in pins(file).items():
            try:
                installed = Version(version(name))
            except PackageNotFoundError:
                continue
            assert installed.public == str(pinned_version(requirement)), f"{name} {installed}, pinned in {file}"
