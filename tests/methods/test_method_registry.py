"""What the list of methods says without importing them is what the classes say."""

import inspect

import pytest

from potstill.methods import CORESETS, METHODS, RDED, find_citation
from potstill.methods.imported import is_concrete
from potstill.methods.registry import entries
from potstill.runtime.errors import UserError
from potstill.runtime.lazy import located, public_names


@pytest.mark.parametrize("name", METHODS)
def test_an_entry_is_what_the_class_says(name: str):
    method, entry = METHODS[name], entries()[name]
    assert (method.name, method.citation) == (name, entry.citation)
    assert f"{entry.summary}." == (inspect.getdoc(method) or "").split("\n")[0]
    assert find_citation(name) is entry.citation


def test_every_concrete_method_that_the_package_offers_is_registered():
    offered = [located(location) for location in public_names("potstill.methods").values()]
    assert {each for each in offered if is_concrete(each)} == set(METHODS.values())
    assert len(METHODS) == len(list(METHODS))


def test_methods_that_choose_images_come_last_in_their_own_order():
    chosen = [*CORESETS, RDED]
    assert list(METHODS.values())[-len(chosen) :] == chosen


def test_an_unknown_method_has_no_citation():
    assert "nonsense" not in METHODS
    with pytest.raises(UserError, match="nonsense"):
        find_citation("nonsense")
