"""Names from outside, made visible: what a file, a folder or a record calls itself never steers the terminal."""

from __future__ import annotations

import re
import unicodedata

LONGEST_WORD = 240
"""Characters of a word that are shown; a longer one loses its middle."""

INVISIBLE = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Unicode categories that are escaped: control, format (text direction), surrogates, line and paragraph separators."""

JOINERS = "\u200c\u200d"
"""Format characters that stay, because ordinary words of some languages need them."""


def visible(text: str) -> str:
    """One line that shows every character of a text: line breaks, escape sequences and the like are spelled out.

    Args:
        text: a message with names of files, classes or networks in it.

    Returns:
        The text with control, direction and undecodable characters as in a Python string (``\\n``, ``\\x1b``,
        ``\\u202e``), and with the middle of words of more than ``LONGEST_WORD`` characters left out.
    """
    if not text.isascii() or not text.isprintable():
        text = "".join(map(_visible_character, text))
    return _OVERLONG.sub(_without_middle, text)


def _visible_character(character: str) -> str:
    if character in JOINERS or unicodedata.category(character) not in INVISIBLE:
        return character
    return character.encode("unicode_escape").decode("ascii")


_OVERLONG = re.compile(rf"\S{{{LONGEST_WORD + 1},}}")


def _without_middle(word: re.Match[str]) -> str:
    kept = LONGEST_WORD // 2
    return f"{word[0][:kept]}…{word[0][-kept:]}"
