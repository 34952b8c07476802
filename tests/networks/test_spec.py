from __future__ import annotations

import inspect

import pytest

from potstill.networks import NETWORKS, entries, options_of, parse
from potstill.runtime.errors import UserError


def test_parse_splits_family_and_options():
    assert parse("resnet18") == ("resnet18", {})
    assert parse(" convnet:depth=4:norm=batch ") == ("convnet", {"depth": "4", "norm": "batch"})


@pytest.mark.parametrize("part", ["depth", "depth=", "=4", ""])
def test_parse_names_what_is_not_an_option(part):
    with pytest.raises(UserError, match=f"'{part}' is not an option; write family:option=value"):
        parse(f"convnet:width=8:{part}")


def test_parse_refuses_an_option_given_twice():
    with pytest.raises(UserError, match="gives 'depth' twice"):
        parse("convnet:depth=3:depth=4")


def test_options_are_those_of_the_constructor():
    options = options_of(NETWORKS["convnet"])
    assert list(options) == ["depth", "width", "activation", "norm", "pooling"]
    assert (options["depth"].default, options["depth"].choices) == (None, ())
    assert (options["width"].default, options["width"].allowed) == (128, "a whole number from 1 to 10000")
    assert options["pooling"].default == "avg"
    assert options["pooling"].allowed == "none | max | avg"


@pytest.mark.parametrize("family", NETWORKS.values(), ids=NETWORKS.keys())
def test_every_default_can_be_written_out(family):
    for option in options_of(family).values():
        if option.default is not None:
            assert option.read(str(option.default), "family") == option.default


@pytest.mark.parametrize("name", NETWORKS)
def test_an_entry_is_what_the_class_says(name: str):
    assert entries()[name].options == options_of(NETWORKS[name])
    assert f"{entries()[name].summary}." == (inspect.getdoc(NETWORKS[name]) or "").split("\n")[0]
