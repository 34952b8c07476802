"""The page of a run, and how pages are rendered: everything in one file that opens offline."""

from __future__ import annotations

import base64
import hashlib
import re
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from potstill.report import wording
from potstill.report.figures import write_figures
from potstill.report.lead import chosen_set, result
from potstill.report.run import Run, load_run
from potstill.report.sections import SECTIONS
from potstill.runtime.errors import with_flags
from potstill.runtime.files import write_atomic
from potstill.runtime.text import visible
from potstill.runtime.writer import remove_unfinished


def write_report(run: str | Path) -> Path:
    """Write ``report.html`` and ``figures/*.png`` into the folder of a run or an imported set, from its records alone.

    The page is one file without references to others, so it opens offline. Each file is written atomically, and the
    same records give the same page.

    Args:
        run: the folder; or ``hf:OWNER/NAME`` for a set on the hub, whose page is written to a folder
            ``runs/OWNER--NAME``.

    Returns:
        The path of the page.

    Raises:
        UserError: a record is missing or damaged, a file cannot be written, or the hub cannot be reached.
    """
    records = read_run(run)
    page = render(records)
    remove_unfinished(records.paths.path)
    remove_unfinished(records.paths.path / "figures")
    write_figures(records)
    write_atomic(records.paths.report, page)
    return records.paths.report


def read_run(path: str | Path) -> Run:
    """Read the records of a run, or of a set without one: its own, and those that the sections show.

    Raises:
        UserError: a record is missing, damaged, or does not fit the others, and the error names the file; or the set
            has no folder of its own, or cannot be had from the hub.
    """
    return load_run(path, [section.record for section in SECTIONS if section.record is not None])


def render(run: Run) -> str:
    """The page of a run as HTML; sections with nothing to show are left out."""
    lead, *remarks = result(run)
    views = [(section.name, section.view(run)) for section in SECTIONS]
    return rendered(
        "report.html.jinja",
        dated="" if run.manifest is None else run.manifest.started[:10],
        title=_title(run),
        facts=_facts(run),
        lead=lead,
        remarks=remarks,
        warnings=_warnings(run),
        sections=[(name, view) for name, view in views if view is not None],
    )


def _warnings(run: Run) -> tuple[str, ...]:
    account = None if run.manifest is None else run.manifest.dataset.account
    return () if account is None else account.warnings


def _title(run: Run) -> str:
    images = wording.images(len(run.after), run.after.kind)
    return f"{run.method} distils {run.dataset} into {images}" if run.distilled else chosen_set(run)


def _facts(run: Run) -> list[str]:
    """The basic facts, for the line under the title."""
    channels, height, width = run.after.pixels.shape[1:]
    formation = run.after.formation
    sizes = sorted({len(members) for members in run.after.members})
    per_class = f"{sizes[0]}" if len(sizes) == 1 else f"{sizes[0]} to {sizes[-1]}"
    facts = [
        f"{len(run.after.class_names)} classes",
        f"{per_class} per class" + (f", {formation} × {formation} pictures in each" if formation > 1 else ""),
        f"{width} × {height} pixels" + ("" if channels == 1 else f", {channels} channels")
        if run.after.kind == "image"
        else f"{channels} numbers each",
    ]
    if run.distilled and "start" in run.config:
        facts.append(f"start: {run.config['start']}")
    if run.distilled and "network" in run.config:
        facts.append(f"network: {wording.network_title(str(run.config['network']))}")
    return facts if run.manifest is None else [*facts, f"seed {run.manifest.seed}"]


def rendered(template: str, **values: Any) -> str:
    """Render a template with the style sheet and the script: one file without references to other files.

    In every text on the page all characters are visible, whatever a class or a file calls itself.

    Args:
        template: the name of the template.
        values: the variables of the template, by name.

    Returns:
        The page as HTML.
    """
    templates = files("potstill.report") / "templates"
    script = (templates / "report.js").read_text(encoding="utf-8")
    return (
        _environment()
        .get_template(template)
        .render(
            script=Markup(script),
            script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
            style=Markup((templates / "report.css").read_text(encoding="utf-8")),
            **values,
        )
    )


@cache
def _environment() -> Environment:
    """The templates, each compiled when it is first used."""
    environment = Environment(
        loader=PackageLoader("potstill.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: visible(value) if type(value) is str else value,
    )
    environment.filters |= {
        "count": wording.count,
        "flags": with_flags,
        "lines": _lines,
        "sentence": wording.sentence,
        "unbroken": _unbroken,
    }
    return environment


def _unbroken(sentence: str) -> Markup:
    """The sentence with its intervals kept on one line."""
    return Markup(re.sub(r"\S*\d–\d\S*", r'<span class="unbroken">\g<0></span>', str(escape(visible(sentence)))))


def _lines(text: str) -> Markup:
    """A text of several lines, such as a file: its line breaks stay, all other characters are made visible."""
    return Markup("\n").join(map(visible, text.split("\n")))
