"""Names from outside never steer the terminal."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from potstill.runtime.errors import UserError
from potstill.runtime.text import LONGEST_WORD, visible


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("two\nlines\r\n", r"two\nlines\r\n"),
        ("\x1b[2Jgone\x07\x9b31m", r"\x1b[2Jgone\x07\x9b31m"),
        ("\u202egnp.exe", r"\u202egnp.exe"),
        ("a\u2028b\u2029c\u200bd\ufeff", r"a\u2028b\u2029c\u200bd\ufeff"),
        ("\U000e0041", r"\U000e0041"),
        (os.fsdecode(b"caf\xe9"), r"caf\udce9"),
    ],
)
def test_what_cannot_be_seen_is_spelled_out(name: str, shown: str):
    assert visible(name) == shown


@pytest.mark.parametrize("name", ["cat", "Straße, 猫 and 👩‍🔬", "می‌خواهم", r"C:\new", "3 × √2 – ½"])
def test_ordinary_names_stay(name: str):
    assert visible(name) == name


@given(st.text(st.characters(exclude_categories=[])))
def test_a_visible_text_is_one_line_that_can_be_printed(text: str):
    shown = visible(text)
    assert len(shown.splitlines()) <= 1
    shown.encode()
    assert visible(shown) == shown


def test_an_overlong_name_loses_its_middle():
    shown = visible(f"there is no {'x' * 5000}y here")
    assert shown.startswith("there is no xxx")
    assert shown.endswith("xy here")
    assert len(shown) == len("there is no  here") + LONGEST_WORD + 1


def test_errors_are_made_visible_once_for_all():
    error = UserError("class 'a\x1b[0m\nb' is empty", "remove\n it")
    assert str(error) == r"class 'a\x1b[0m\nb' is empty; remove\n it"
    assert (error.problem, error.remedy) == (r"class 'a\x1b[0m\nb' is empty", r"remove\n it")
