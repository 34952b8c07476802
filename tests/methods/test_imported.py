"""Methods are found by their name or by where they are; what cannot be used is refused with the reason."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import potstill
from potstill.methods import METHODS, DataDAM, find_method, method_name
from potstill.runtime.errors import UserError

DATACLASS = "@dataclass(frozen=True, kw_only=True)\n"
HEADER = """
from dataclasses import dataclass
from typing import ClassVar
from potstill.methods import DM, Method
"""
BODIES = {
    "absent": ("", r"unknown method of theirs 'Theirs'; .*see the module theirs"),
    "misspelt": (
        f"{DATACLASS}class Their(DM): 'd'",
        "did you mean 'Their'",
    ),
    "no class": ("Theirs = 3", "it is not a class that derives from potstill.methods.Method"),
    "another class": ("class Theirs: pass", "it is not a class that derives from potstill.methods.Method"),
    "abstract": (
        f"{DATACLASS}class Theirs(Method): 'd'",
        "it does not define default_iterations, prepare",
    ),
    "undecorated": ("class Theirs(DM): extra: int = 1", "not a frozen dataclass; decorate the class itself"),
    "no citation": (
        f"{DATACLASS}class Theirs(DM):\n    citation: ClassVar[int] = 3",
        "lacks a name",
    ),
    "no default": (
        f"{DATACLASS}class Theirs(DM):\n    extra: int",
        "settings extra have no default",
    ),
    "raises": ("raise RuntimeError('two\\nlines')", "importing 'theirs' failed: RuntimeError: two lines"),
    "exits": ("raise SystemExit(3)", "importing 'theirs' failed: SystemExit: 3"),
    "lacks a module": ("import nowhere_at_all", "importing 'theirs' failed: ModuleNotFoundError: .*nowhere_at_all"),
    "no syntax": ("class", "importing 'theirs' failed: SyntaxError"),
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    sys.modules.pop("theirs", None)


@pytest.mark.parametrize("name", BODIES)
def test_what_cannot_be_used_is_refused_in_one_line(name: str, folder: Path):
    body, message = BODIES[name]
    (folder / "theirs.py").write_text(f"{HEADER}{body}\n")
    with pytest.raises(UserError, match=message) as error:
        find_method("theirs:Theirs")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("reference", ["a b:C", "a:", ":C", "a:b.C", "a..b:C", "os;x:C"])
def test_a_reference_is_a_module_and_a_class(reference: str):
    with pytest.raises(UserError, match="does not name a method; write their_package"):
        find_method(reference)


@pytest.mark.parametrize(("module", "absent"), [("no_such_thing", "no_such_thing"), ("no_such.thing", "no_such")])
def test_an_absent_module_is_named_with_the_way_to_find_it(module: str, absent: str):
    with pytest.raises(UserError, match=f"there is no module '{absent}'; .*PYTHONPATH=. for the current directory"):
        find_method(f"{module}:C")


def test_a_usable_method_is_found_by_the_name_that_it_has(folder: Path):
    body = "@dataclass(frozen=True, kw_only=True)\nclass Theirs(DM):\n    'd'\n    extra: int = 1"
    (folder / "theirs.py").write_text(f"{HEADER}{body}\n")
    found = find_method("theirs:Theirs")
    assert found is sys.modules["theirs"].Theirs
    assert found.name == "dm", "a name that is taken stays the other's"
    assert method_name(found) == "theirs:Theirs"
    assert method_name(METHODS["dm"]) == "dm"


def test_registered_methods_have_names_of_their_own_and_are_public():
    for name, method in METHODS.items():
        assert method_name(method) == method.name == name
        assert find_method(name) is method
        assert getattr(potstill, method.__name__) is method
        assert method.__name__ in dir(potstill)
    assert potstill.DataDAM is DataDAM
    with pytest.raises(AttributeError, match="no attribute 'Nonsense'"):
        _ = potstill.Nonsense  # type: ignore[attr-defined]


def test_methods_that_learn_come_first_in_the_order_of_their_years():
    years = [method.citation.year for method in METHODS.values() if method().default_iterations(1)]
    assert years == sorted(years)
    assert list(METHODS)[: len(years)] == [name for name in METHODS if METHODS[name]().default_iterations(1)]
