"""Errors that a person can mend."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from potstill.runtime.errors import Diverged, UserError, differing, unknown, with_flags


def test_a_user_error_is_one_line_of_problem_and_remedy():
    error = UserError("x.npz does not exist", "check the path")
    assert str(error) == "x.npz does not exist; check the path"
    assert (error.problem, error.remedy) == ("x.npz does not exist", "check the path")


def test_divergence_is_reported_as_a_user_error():
    assert issubclass(Diverged, UserError)


@pytest.mark.parametrize("written", ["datdam", "DataDAM", "datadamm"])
def test_unknown_suggests_the_nearest_name(written: str):
    error = unknown("method", written, ["dm", "datadam", "random"], listing="potstill list methods")
    assert str(error) == f"unknown method {written!r}; did you mean 'datadam'? see potstill list methods"


def test_unknown_suggests_nothing_where_nothing_is_near():
    error = unknown("method", "zzzzzz", ["dm", "datadam"], listing="potstill list methods")
    assert str(error) == "unknown method 'zzzzzz'; see potstill list methods"


def test_unknown_accepts_names_that_can_be_read_only_once():
    assert "'dm'" in unknown("method", "dn", iter(["dm", "mtt"]), listing="the list").remedy


def test_settings_that_differ_have_both_values():
    settings = {"iterations": (300, 200), "zca": (False, True), "label_column": (None, "fine"), "parts": ((1, 2), (3,))}
    assert differing(settings) == (
        "`iterations` (300 there, 200 here), `zca` (off there, on here), `label_column` (none there, fine here), "
        "`parts` (1,2 there, 3 here)"
    )
    assert differing({"space": ({"small": "mlp"}, "convnet-22")}) == "`space`", "a whole space is not printed"


@given(st.lists(st.text("abcé", min_size=1), max_size=4), st.text("abcA '", max_size=6))
def test_unknown_names_only_what_exists(known: list[str], written: str):
    remedy = unknown("network", written, known, listing="the list").remedy
    assert remedy == "see the list" or remedy in {f"did you mean {name!r}? see the list" for name in known}


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("use `batch_real=1` or more", "use --batch-real 1 or more"),
        ("leave `start` out", "leave --start out"),
        ("use `resume=True`, or another `out`", "use --resume, or another --out"),
        ("use `augment=False`", "use --no-augment"),
        ("use `dataset=mhist:a folder`", "use --dataset mhist:a folder"),
        ("`a-file.png` and a `", "`a-file.png` and a `"),
    ],
)
def test_options_are_flags_on_the_command_line(written: str, shown: str):
    assert with_flags(written) == shown
