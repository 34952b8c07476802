"""Markdown of texts from elsewhere, which cannot bring markup of their own."""

from __future__ import annotations

import re
from collections.abc import Sequence

from potstill.runtime.text import visible


def plain(text: str) -> str:
    """A text from elsewhere, in one visible line without Markdown or HTML of its own."""
    safe = visible(text)
    for sign in "\\`*_[]<>#":
        safe = safe.replace(sign, f"\\{sign}")
    return safe


def table(rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; the first row is its head."""
    head, *rest = rows
    lines = [head, ["---"] * len(head), *rest]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def fenced(kind: str, text: str) -> str:
    """A block of code; its fence is longer than any run of backticks in it."""
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", text)), default=0))
    return f"{fence}{kind}\n{text}\n{fence}"
