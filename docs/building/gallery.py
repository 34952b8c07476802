"""The directive ``gallery``: the sets in the folders of some records, each with its picture and what it is worth."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from potstill.report import wording
from potstill.report.figures import gallery_png
from potstill.report.images import read_images
from potstill.report.leaderboard import Row, cells_of, collected
from potstill.report.markdown import table
from potstill.schema.manifest import Manifest
from potstill.schema.run_folder import RunPaths

COLUMNS = ("recipe, network", "accuracy, %", "95 % interval", "random {held}, %", "published, %")
"""The columns of the leaderboard that are shown."""


class Gallery(SphinxDirective):
    """All sets in a folder, by dataset and images per class."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """A section for each dataset."""
        root = Path(self.env.srcdir)
        pictures = Path(self.env.doctreedir, "gallery")
        rows = collected([root / self.arguments[0]])
        runs = [RunPaths(file.parent) for file in sorted((root / self.arguments[0]).rglob("synthetic.safetensors"))]
        sets = {run.path: Manifest.read(run.manifest) for run in runs}
        page = Path(self.env.doc2path(self.env.docname)).parent
        lines: list[str] = []
        for dataset in sorted({each.dataset.name for each in sets.values()}):
            lines += [f"## {dataset}", ""]
            members = {path: each for path, each in sets.items() if each.dataset.name == dataset}
            for path, manifest in sorted(members.items(), key=lambda item: (item[1].set_bytes, str(item[0]))):
                self.env.note_dependency(RunPaths(path).synthetic)
                judged = [row for row in rows if row.of.folder == path]
                lines += exhibit(path, manifest, judged, pictures, root, page)
        return self.parse_text_to_nodes("\n".join(lines), allow_section_headings=True)


def exhibit(path: Path, manifest: Manifest, rows: list[Row], pictures: Path, root: Path, page: Path) -> Iterator[str]:
    """The lines of Markdown about one set; its picture is drawn, unless it holds vectors.

    Args:
        path: the folder of its run.
        manifest: of the run.
        rows: what it is worth, by recipe.
        pictures: the folder for the picture.
        root: the source folder.
        page: the folder of the page.
    """
    name = path.relative_to(root).as_posix()
    images = read_images(RunPaths(path).synthetic)
    title = f"{manifest.method.name}, {wording.images(len(images), images.kind)}"
    title += f" of {images.formation}×{images.formation} pictures" if images.formation > 1 else ""
    link = Path(os.path.relpath(path, page)).as_posix()
    yield from (f"### {title}: {path.name}", "")
    if images.kind == "image":
        picture = pictures / f"{name.replace('/', '-')}.png"
        picture.parent.mkdir(parents=True, exist_ok=True)
        picture.write_bytes(gallery_png(images, title))
        yield from (f"![{title}](/{Path(os.path.relpath(picture, root)).as_posix()})", "")
    if rows:
        titles, cells = cells_of(rows, COLUMNS)
        yield from table([titles, *cells]).splitlines()
    else:
        yield "Not evaluated by itself: the record says what it was made for."
    size = wording.size(manifest.set_bytes)
    yield from ("", f"[`{name}`]({link}) · [the set]({link}/synthetic.safetensors), {size}", "")


def setup(app: Sphinx) -> dict[str, bool]:
    """Called by Sphinx."""
    app.add_directive("gallery", Gallery)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
