"""Links from pages to the records themselves: all their files are published, and one page lists them by folder.

Every file in ``records`` has the same place on the site as in the repository, so links between them stay as they are.
A link to a folder leads to its part of the list. If Sphinx makes a page with the name of a file, ``leaderboard.html``,
the site has the page.
"""

from __future__ import annotations

import html
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx

from potstill.report.wording import size

PUBLISHED, LIST = "records", "files"


def _keep_links(app: Sphinx, document: nodes.document) -> None:
    """Links to published files that are not pages of Sphinx are kept as written, except those to folders."""
    page, published = Path(app.srcdir, app.env.docname), Path(app.srcdir, PUBLISHED).resolve()
    for kind in (addnodes.pending_xref, addnodes.download_reference):
        for link in list(document.findall(kind)):
            if link.get("reftype") != "myst" or link.get("refdomain"):
                continue
            target = link["reftarget"]
            there = (page.parent / target).resolve()
            if not target or not there.exists() or not there.is_relative_to(published):
                continue
            if there.is_dir():
                listed = Path(os.path.relpath(published / f"{LIST}.html", page.parent.resolve())).as_posix()
                target = f"{listed}#{there.relative_to(published).as_posix()}"
            link.replace_self(nodes.reference("", "", *link.children, refuri=target, internal=True))


def _list_page(app: Sphinx) -> Iterator[tuple[str, dict[str, Any], str]]:
    """The page that lists all files: its name, what the template needs, the template."""
    root = Path(app.srcdir, PUBLISHED)
    folders = sorted(path for path in root.rglob("*") if path.is_dir())
    parts = "".join(_listing(folder, folder.relative_to(root).as_posix()) for folder in folders)
    title = "Files of the records"
    yield f"{PUBLISHED}/{LIST}", {"title": title, "body": f"<h1>{title}</h1>{parts}"}, "page.html"


def _listing(folder: Path, name: str) -> str:
    """The part of a folder: its files and their sizes."""
    name, rows = html.escape(name), []
    for each in sorted(path for path in folder.iterdir() if path.is_file()):
        label = html.escape(each.name)
        rows.append(f'<tr><td><a href="{name}/{label}">{label}</a></td><td>{size(each.stat().st_size)}</td></tr>')
    table = f'<div class="table-wrapper"><table class="docutils"><tbody>{"".join(rows)}</tbody></table></div>'
    return f'<section id="{name}"><h2>{name}</h2>{table if rows else ""}</section>'


def _publish(app: Sphinx, failure: Exception | None) -> None:
    """Copy the files of the records, except those that are pages."""
    if failure is None and app.builder.format == "html":
        pages = shutil.ignore_patterns("*.md", "*.html")
        shutil.copytree(Path(app.srcdir, PUBLISHED), Path(app.outdir, PUBLISHED), ignore=pages, dirs_exist_ok=True)


def setup(app: Sphinx) -> dict[str, bool]:
    """Called by Sphinx."""
    app.connect("doctree-read", _keep_links, priority=400)  # before downloads are collected
    app.connect("html-collect-pages", _list_page)
    app.connect("build-finished", _publish)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
