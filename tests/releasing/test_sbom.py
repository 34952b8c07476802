"""The bill of materials: complete, valid, the same again, and never of other versions than the pinned ones."""

from __future__ import annotations

import hashlib
import json
import tomllib
import zipfile
from email.message import Message
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from releasing.pins import Pin, read_pins

pytestmark = pytest.mark.slow
PROJECT = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]


@pytest.fixture(scope="module")
def sbom() -> ModuleType:
    """Imported where it is used, for that takes two seconds."""
    return import_module("releasing.sbom")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel of nothing but the metadata that pyproject.toml makes."""
    metadata = Message()
    for name in ("name", "version"):
        metadata[name.title()] = PROJECT[name]
    metadata["License-Expression"] = PROJECT["license"]
    for requirement in PROJECT["dependencies"]:
        metadata["Requires-Dist"] = requirement
    for extra, requirements in EXTRAS.items():
        metadata["Provides-Extra"] = extra
        for requirement in requirements:
            metadata["Requires-Dist"] = f"{requirement}; extra == '{extra}'"
    file = tmp_path_factory.mktemp("dist") / f"potstill-{PROJECT['version']}-py3-none-any.whl"
    with zipfile.ZipFile(file, "w") as archive:
        entry = zipfile.ZipInfo(f"potstill-{PROJECT['version']}.dist-info/METADATA", (2026, 1, 2, 3, 4, 6))
        archive.writestr(entry, metadata.as_string())
    return file


@pytest.fixture(scope="module")
def text(sbom: ModuleType, wheel: Path) -> str:
    return sbom.write_sbom(wheel).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def components(text: str) -> dict[str, dict[str, Any]]:
    return {each["name"]: each for each in json.loads(text)["components"]}


def names(requirements: list[str]) -> set[str]:
    return {canonicalize_name(Requirement(each).name) for each in requirements}


def test_it_is_cyclonedx_and_of_this_wheel(wheel: Path, text: str):
    bill = json.loads(text)
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.6")
    subject = bill["metadata"]["component"]
    assert (subject["name"], subject["version"]) == ("potstill", PROJECT["version"])
    assert subject["hashes"] == [{"alg": "SHA-256", "content": hashlib.sha256(wheel.read_bytes()).hexdigest()}]
    assert subject["licenses"][0]["license"]["id"] == PROJECT["license"]
    assert bill["metadata"]["timestamp"].startswith("2026-01-02T03:04:06")


def test_the_same_wheel_has_the_same_bill(sbom: ModuleType, wheel: Path, text: str):
    assert sbom.bill_of_materials(wheel) + "\n" == text


def test_what_is_asked_for_is_listed_and_extras_are_optional(components: dict[str, dict[str, Any]]):
    required, optional = names(PROJECT["dependencies"]), set().union(*map(names, EXTRAS.values()))
    assert {name: components[name]["scope"] for name in required} == dict.fromkeys(required, "required")
    assert {name: components[name]["scope"] for name in optional} == dict.fromkeys(optional, "optional")
    assert "tqdm" in components, "what datasets needs"
    assert "werkzeug" in components, "what tensorboard needs"
    assert "pytest" not in components


def test_hashes_are_the_pinned_ones_and_torch_has_none(sbom: ModuleType, components: dict[str, dict[str, Any]]):
    pins = read_pins()
    for name, component in components.items():
        assert component["version"] == pins[name].version
        stored = [
            each["content"] for reference in component.get("externalReferences", []) for each in reference["hashes"]
        ]
        assert sorted(stored) == list(pins[name].hashes)
    assert [name for name in components if not pins[name].hashes] == ["torch"]
    assert components["torch"]["properties"] == [{"name": "potstill:hashes", "value": sbom.BUILDS_DIFFER}]


def test_every_package_declares_a_licence(components: dict[str, dict[str, Any]]):
    assert [name for name, component in components.items() if not component.get("licenses")] == []


def test_who_needs_whom(text: str):
    needs = {each["ref"].partition("@")[0]: each.get("dependsOn", []) for each in json.loads(text)["dependencies"]}
    direct = {each.partition("@")[0].rpartition("/")[2] for each in needs["pkg:pypi/potstill"]}
    assert direct == names(PROJECT["dependencies"]).union(*map(names, EXTRAS.values()))
    assert any(each.startswith("pkg:pypi/markupsafe@") for each in needs["pkg:pypi/jinja2"])


def test_what_is_no_cyclonedx_is_not_written(
    sbom: ModuleType, tmp_path: Path, text: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(sbom, "bill_of_materials", lambda wheel: text.replace('"scope": "required"', '"scope": "own"'))
    with pytest.raises(ValueError, match=r"^no valid CycloneDX: 'own' is not one of"):
        sbom.write_sbom(tmp_path / "potstill-1-py3-none-any.whl")
    assert list(tmp_path.iterdir()) == []


def test_another_version_than_the_pinned_one_is_refused(sbom: ModuleType, wheel: Path, monkeypatch: pytest.MonkeyPatch):
    pins = read_pins() | {"rich": Pin("rich", "0.1", ("0" * 64,))}
    monkeypatch.setattr(sbom, "read_pins", lambda: pins)
    with pytest.raises(ValueError, match=r"^rich .+ is installed, and 0\.1 is pinned$"):
        sbom.write_sbom(wheel)


@pytest.mark.parametrize(
    ("declared", "found"),
    [
        ({"License-Expression": "MIT OR Apache-2.0", "License": "no"}, ["MIT OR Apache-2.0"]),
        ({"Classifier": "License :: OSI Approved :: BSD License", "License": "no"}, ["BSD License"]),
        ({"License": "BSD"}, ["BSD"]),
        ({"License": "Permission is hereby granted, free of charge, to any person " * 9}, []),
        ({}, []),
    ],
)
def test_licences_as_declared(sbom: ModuleType, declared: dict[str, str], found: list[str]):
    metadata = Message()
    for name, value in declared.items():
        metadata[name] = value
    assert [getattr(each, "value", None) or getattr(each, "name", None) for each in sbom._licences(metadata)] == found
