"""Search spaces: the built-in ones, those of files, and what is wrong with others."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import torch

from potstill.applications.architecture_search.spaces import (
    LARGEST,
    SPACES,
    candidates_in,
    read_space,
    space_named,
    specs_of,
)
from potstill.networks import ImageShape, build_network
from potstill.networks.spec import parse
from potstill.runtime.errors import UserError

SPACE = {"small": "mlp:width=4", "net": "convnet:depth=2:width=8"}


def test_the_space_of_the_coursework():
    space = SPACES["convnet-22"]
    assert len(space) == 22
    for spec in space.values():
        build_network(spec, ImageShape(1, 28, 28), 10, torch.Generator())


def test_the_grid_of_720_has_every_combination_once():
    space = SPACES["convnet-720"]
    options = [tuple(parse(spec)[1].items()) for spec in space.values()]
    assert len(space) == len(set(options)) == 4 * 4 * 5 * 3 * 3 == 720
    values = {name: {dict(each)[name] for each in options} for name, _ in options[0]}
    assert values == {
        "depth": {"1", "2", "3", "4"},
        "width": {"32", "64", "128", "256"},
        "norm": {"none", "batch", "layer", "instance", "group"},
        "activation": {"sigmoid", "relu", "leaky"},
        "pooling": {"none", "max", "avg"},
    }
    assert space["D3-W128-instance-relu-avg"] == "convnet:depth=3:width=128:norm=instance:activation=relu:pooling=avg"


def test_of_the_grid_those_networks_are_skipped_that_do_not_fit():
    narrow = {name: spec for name, spec in SPACES["convnet-720"].items() if "W32" in name and "relu" in name}
    assert not any(each.skipped for each in candidates_in(narrow, ImageShape(3, 16, 16), 10).values())
    few = candidates_in(narrow, ImageShape(1, 8, 8), 10)
    skipped = [name for name, each in few.items() if each.skipped]
    assert len(skipped) == 5 * 2, "depth 4 with pooling"
    assert all(name.startswith("D4") and not name.endswith("none") for name in skipped)


def test_a_candidate_is_counted_or_skipped_before_any_training():
    shape = ImageShape(1, 8, 8)
    found = candidates_in({**SPACE, "deep": "convnet:depth=9:width=4"}, shape, 10)
    assert list(found) == ["small", "net", "deep"]
    assert found["deep"].skipped
    assert "too small for a convnet of depth 9" in str(found["deep"].failed)
    for name, spec in SPACE.items():
        built = build_network(spec, shape, 10, torch.Generator())
        assert found[name].parameters == sum(each.numel() for each in built.parameters())
        assert not found[name].skipped


@pytest.mark.parametrize("suffix", ["json", "toml"])
def test_a_file_of_specs_by_name(suffix: str, tmp_path: Path):
    path = tmp_path / f"space.{suffix}"
    toml = "".join(f"{name} = {json.dumps(spec)}\n" for name, spec in SPACE.items())
    path.write_text(json.dumps(SPACE) if suffix == "json" else toml)
    assert space_named(str(path)) == read_space(path) == SPACE
    assert list(read_space(path)) == list(SPACE), "in the order of the file"
    assert space_named("convnet-720") == "convnet-720"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[]", "is not an object of networks by name"),
        ("{}", "the search space is empty"),
        ('{"a": 3}', "candidate 'a' is not the spec of a network"),
        ('{"a": {"spec": "mlp"}}', "candidate 'a' is not the spec of a network"),
        ('{"a": "convent"}', "candidate 'a': unknown network 'convent'; did you mean 'convnet'"),
        ('{"a": "mlp", "b": "convnet:depth"}', "candidate 'b': network 'convnet:depth': 'depth' is not an option"),
        ('{"a": "convnet:depth=0"}', "candidate 'a': network 'convnet' does not support depth='0'"),
        ('{"a": "mlp:colour=red"}', "candidate 'a': network 'mlp' has no option 'colour'"),
        ('{" ": "mlp"}', "' ' is not a name for a candidate"),
        (json.dumps({"n" * 101: "mlp"}), "is not a name for a candidate; use 1 to 100 characters"),
        ('{"a": "mlp", "a": "mlp"}', "the key 'a' appears twice"),
        ('{"a": "mlp"', "is not valid JSON"),
        (json.dumps({f"{n}": "mlp" for n in range(LARGEST + 1)}), "the search space has 10,001 candidates"),
    ],
)
def test_a_mistake_in_a_file_names_it_in_one_line(content: str, message: str, tmp_path: Path):
    path = tmp_path / "space.json"
    path.write_text(content)
    with pytest.raises(UserError, match=re.escape(message)) as error:
        space_named(str(path))
    assert error.value.problem.startswith(str(path))
    assert "\n" not in str(error.value)


def test_an_unknown_space_is_refused():
    with pytest.raises(UserError, match="unknown search space 'convnet-23'; did you mean 'convnet-22'"):
        space_named("convnet-23")
    with pytest.raises(UserError, match=r"cannot read absent\.toml"):
        space_named("absent.toml")
    with pytest.raises(UserError, match="candidate 'a': unknown network 'nothing'"):
        specs_of({"a": "nothing"})
