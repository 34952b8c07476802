"""Links from pages to the records themselves: folders get a page that lists their files, and all files are published.

Every file of ``records`` lies on the site where it lies in the repository, so that links between them stay as they are.
Where Sphinx makes a page of that name, ``leaderboard.html``, its page is the one that is there.
"""

from __future__ import annotations

import html
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx

from potstill.report.wording import size

PUBLISHED = "records"


def _keep_links(app: Sphinx, document: nodes.document) -> None:
    """Links to what is published but no page of Sphinx are kept as they were written."""
    page = Path(app.srcdir, app.env.docname)
    for kind in (addnodes.pending_xref, addnodes.download_reference):
        for link in list(document.findall(kind)):
            if link.get("reftype") != "myst" or link.get("refdomain"):
                continue
            target = link["reftarget"]
            there = (page.parent / target).resolve()
            if target and there.exists() and there.is_relative_to(Path(app.srcdir, PUBLISHED).resolve()):
                address = f"{target.rstrip('/')}/index.html" if there.is_dir() else target
                link.replace_self(nodes.reference("", "", *link.children, refuri=address, internal=True))


def _folder_pages(app: Sphinx) -> Iterator[tuple[str, dict[str, Any], str]]:
    """A page for each folder: its name, what the template needs, the template."""
    root = Path(app.srcdir)
    for folder in sorted(path for path in (root / PUBLISHED).rglob("*") if path.is_dir()):
        name = folder.relative_to(root).as_posix()
        yield f"{name}/index", {"title": name, "body": _listing(folder, name)}, "page.html"


def _listing(folder: Path, name: str) -> str:
    rows = []
    for each in sorted(folder.iterdir(), key=lambda path: (path.is_file(), path.name)):
        label = html.escape(each.name)
        address, note = (f"{label}/index.html", "") if each.is_dir() else (label, size(each.stat().st_size))
        rows.append(f'<tr><td><a href="{address}">{label}</a></td><td>{note}</td></tr>')
    table = f'<div class="table-wrapper"><table class="docutils"><tbody>{"".join(rows)}</tbody></table></div>'
    return f"<h1>{html.escape(name)}</h1>{table}"


def _publish(app: Sphinx, failure: Exception | None) -> None:
    """Copy the files of the records, except those that are pages."""
    if failure is None and app.builder.format == "html":
        pages = shutil.ignore_patterns("*.md", "*.html")
        shutil.copytree(Path(app.srcdir, PUBLISHED), Path(app.outdir, PUBLISHED), ignore=pages, dirs_exist_ok=True)


def setup(app: Sphinx) -> dict[str, bool]:
    """Called by Sphinx."""
    app.connect("doctree-read", _keep_links, priority=400)  # before downloads are collected
    app.connect("html-collect-pages", _folder_pages)
    app.connect("build-finished", _publish)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
