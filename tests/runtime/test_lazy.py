"""Package roots import a name when it is used, and say so to ``dir``, to type checkers and to everyone else."""

import pkgutil
import subprocess
import sys
from importlib import import_module
from importlib.util import find_spec

import pytest

import potstill
from potstill.runtime.lazy import class_syntax, declared_values, located, public_names

ROOTS = [
    "potstill",
    *(
        f"potstill.{each.name}"
        for each in pkgutil.iter_modules(potstill.__path__)
        if public_names(f"potstill.{each.name}")
    ),
]


def test_most_packages_are_such_roots():
    assert {"potstill.data", "potstill.methods", "potstill.evaluation", "potstill.report"} < set(ROOTS)
    assert len(ROOTS) > 12


@pytest.mark.parametrize("root", ROOTS)
def test_a_root_offers_the_names_that_it_lists(root: str):
    package = import_module(root)
    for name, location in public_names(root).items():
        assert getattr(package, name) is located(location)
        assert name in dir(package)
    assert set(vars(package)["__all__"]) <= public_names(root).keys()


@pytest.mark.parametrize("root", ROOTS)
def test_no_name_is_that_of_a_module_of_its_package(root: str):
    assert [name for name in public_names(root) if find_spec(f"{root}.{name}") is not None] == []


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match=r"module 'potstill\.data' has no attribute 'nonsense'"):
        _ = import_module("potstill.data").nonsense


def test_importing_the_roots_imports_nothing_else():
    program = f"import sys, {', '.join(ROOTS)}; print(*sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    loaded = {name for name in done.stdout.split() if name.startswith("potstill")}
    assert loaded == {*ROOTS, "potstill.runtime", "potstill.runtime.lazy"}
    assert "torch" not in done.stdout.split()


def test_a_star_offers_the_names_of_another_root_without_listing_them():
    assert public_names("potstill")["DM"] == "potstill.methods.distribution.dm:DM"
    assert "DM" not in vars(potstill)["__all__"]


def test_what_a_class_declares_is_read_from_its_source():
    syntax = class_syntax("potstill.methods.distribution.dm:DM")
    assert syntax is not None
    assert declared_values(syntax).keys() == {"name", "citation"}
    assert class_syntax("potstill.methods.base:Start") is None
