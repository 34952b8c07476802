"""The built site as files: what its pages link to, load and define."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

LOADED = {"img": "src", "script": "src", "source": "src", "iframe": "src", "link": "href"}
"""The elements whose addresses a browser asks for by itself, and where they name them."""


@dataclass
class Page(HTMLParser):
    """What a page refers to.

    Attributes:
        links: the addresses that a reader can follow.
        loaded: the addresses that a browser loads with the page.
        names: what a fragment can lead to.
    """

    links: list[str] = field(default_factory=list)
    loaded: list[str] = field(default_factory=list)
    names: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what an element refers to."""
        found = {name: value for name, value in attrs if value is not None}
        self.names |= {found[name] for name in ("id", "name") if name in found}
        if tag == "a" and "href" in found:
            self.links.append(found["href"])
        if tag in LOADED and LOADED[tag] in found and found.get("rel") not in ("next", "prev", "canonical"):
            self.loaded.append(found[LOADED[tag]])


@cache
def read_page(path: Path) -> Page:
    """A page of the site."""
    page = Page()
    page.feed(path.read_text(encoding="utf-8"))
    return page


def leads_nowhere(page: Path, address: str) -> bool:
    """Whether an address on a page names a file or a place in a file that is not there."""
    parts = urlsplit(address)
    if parts.scheme or parts.netloc:
        return False
    there = (page.parent / unquote(parts.path)).resolve() if parts.path else page
    if not there.is_file():
        return True
    return bool(parts.fragment) and there.suffix == ".html" and unquote(parts.fragment) not in read_page(there).names
