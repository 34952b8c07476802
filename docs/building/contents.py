"""The contents of the site are the lists of links in ``docs/index.md`` and ``records/README.md``.

A code host shows these lists as they are; Sphinx asks for the same in a directive of its own, which is added here while
a page is read. A page that no list names is missing from the contents, and Sphinx warns about it.
"""

from __future__ import annotations

import posixpath
import re

from sphinx.application import Sphinx

LISTS = ("docs/index", "records/README")
ENTRY = re.compile(r"(?m)^(?:-|\|) \[([^\]]+)\]\(([^):#]+)\.(?:md|ipynb)\)")


def with_contents(text: str, folder: str) -> str:
    """A page with the contents that its lists of links stand for.

    Args:
        text: Markdown. Each section with a list or table whose entries begin with links to pages becomes a part of the
            contents, named by its heading.
        folder: of the page, relative to the source folder.
    """
    parts = re.split(r"(?m)^(?=##? )", text)
    return "".join(part + _contents(part, folder) for part in parts)


def _contents(section: str, folder: str) -> str:
    pages = [f"{title} </{posixpath.normpath(f'{folder}/{page}')}>" for title, page in ENTRY.findall(section)]
    if not pages:
        return ""
    heading = re.match("## (.+)", section)
    caption = [f":caption: {heading[1]}"] if heading else []
    return "\n".join(["", "```{toctree}", ":hidden:", *caption, "", *pages, "```", "", ""])


def _read(app: Sphinx, name: str, source: list[str]) -> None:
    if name in LISTS:
        source[0] = with_contents(source[0], posixpath.dirname(name))


def setup(app: Sphinx) -> dict[str, bool]:
    """Called by Sphinx."""
    app.connect("source-read", _read)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
