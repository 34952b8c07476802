"""Names of classes and networks in PNG figures: which fonts can draw them, and what stands for those that none can."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from functools import cache

from potstill.runtime.text import visible

DRAWN_FIRST = "DejaVu Sans"
"""The font of Matplotlib, which is always there."""

OTHER_FONTS = (
    "Noto Sans CJK JP", "Noto Sans CJK SC", "Noto Sans CJK TC", "Noto Sans CJK KR", "Noto Sans JP", "Noto Sans SC",
    "Noto Sans KR", "Source Han Sans", "WenQuanYi Zen Hei", "WenQuanYi Micro Hei", "IPAexGothic", "IPAGothic",
    "TakaoGothic", "VL Gothic", "Droid Sans Fallback", "Hiragino Sans", "PingFang SC", "Apple SD Gothic Neo",
    "Yu Gothic", "MS Gothic", "Microsoft YaHei", "SimHei", "Malgun Gothic", "Arial Unicode MS", "Noto Sans",
    "Noto Sans Symbols", "Noto Sans Symbols 2", "Symbola", "Noto Emoji",
)  # fmt: skip
"""Fonts for other scripts, as systems have them; those that are installed are used where the first one lacks a sign."""

JOINED = frozenset({"R", "AL", "AN"})
"""Directions of scripts that Matplotlib would draw backwards and unjoined."""


def drawable_names(names: Sequence[str], most: int = 28) -> list[str]:
    """Names of classes as a figure can show them.

    Args:
        names: the names by the number of their class.
        most: the number of columns after which a name is cut; ideographs take two.

    Returns:
        The names, cut; a name that no font here can draw is replaced by the number of its class.
    """
    shown = [visible(name).strip() for name in names]
    return [cut(name, most) if drawable(name) else f"class {index}" for index, name in enumerate(shown)]


def drawable(name: str) -> bool:
    """Whether figures can show a text: every character is in a font, and none needs an order or shape of its own."""
    fonts = [_characters(family) for family in font_families()]
    return bool(name) and all(
        unicodedata.bidirectional(character) not in JOINED
        and unicodedata.category(character) != "Mc"
        and any(ord(character) in font for font in fonts)
        for character in name
    )


def cut(text: str, most: int) -> str:
    """The beginning of a text, with an ellipsis if it takes more than ``most`` columns."""
    if columns(text) <= most:
        return text
    kept = ""
    for character in text:
        if columns(kept + character) > most - 1:
            break
        kept += character
    return kept.rstrip() + "…"


def columns(text: str) -> int:
    """The width of a text in columns: two for an ideograph, one for any other character."""
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in text)


def font_file(text: str) -> str:
    """The file of the first font that has a sign for every character of a text; if none has, that of the first font."""
    from matplotlib.font_manager import findfont

    fitting = (family for family in font_families() if {*map(ord, text)} <= _characters(family))
    return findfont(next(fitting, DRAWN_FIRST))


@cache
def font_families() -> tuple[str, ...]:
    """The families that are installed, in the order in which they are asked for a character."""
    from matplotlib.font_manager import fontManager

    installed = set(fontManager.get_font_names())
    return (DRAWN_FIRST, *(family for family in OTHER_FONTS if family in installed))


@cache
def _characters(family: str) -> frozenset[int]:
    """The code points that a font has signs for."""
    from matplotlib.font_manager import findfont
    from matplotlib.ft2font import FT2Font

    return frozenset(FT2Font(findfont(family)).get_charmap())
