"""The page of a run: everything in one file that opens offline."""

from __future__ import annotations

import base64
import hashlib
import re
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from potstill.report import wording
from potstill.report.accuracy import accuracy_chart, comparisons
from potstill.report.confusion import confusions
from potstill.report.curves import curve_charts
from potstill.report.figures import write_figures
from potstill.report.gallery import make_gallery
from potstill.report.records import Run, read_run
from potstill.report.scores import Score
from potstill.runtime.files import write_atomic


def write_report(run: Path) -> Path:
    """Write ``report.html`` and ``figures/*.png`` into the folder of a run, from its records alone.

    The page is one file without any reference to another: it opens offline. Each file is written atomically, and the
    same records give the same page.

    Args:
        run: the folder.

    Returns:
        The path of the page.

    Raises:
        UserError: a record is missing or damaged, or a file cannot be written.
    """
    records = read_run(Path(run))
    page = render(records)
    write_figures(records)
    path = records.path / "report.html"
    write_atomic(path, page)
    return path


def render(run: Run) -> str:
    """The page of a run as HTML."""
    lead, *remarks = wording.result(run)
    return rendered(
        "report.html.jinja",
        run=run,
        manifest=run.manifest,
        dated=run.manifest.started[:10],
        title=f"{run.manifest.method.name} distils {run.manifest.dataset.name} to {wording.images(len(run.after))}",
        facts=_facts(run),
        lead=lead,
        remarks=remarks,
        chart=accuracy_chart(comparisons(run)),
        gallery=make_gallery(run.after, run.before),
        distilled=run.manifest.iterations_asked > 0,
        curves=curve_charts(run),
        confusions=confusions(run),
        costs=_costs(run),
        settings=_settings(run),
        paper=run.manifest.method.url if run.manifest.method.url.startswith(("https://", "http://")) else None,
    )


def rendered(template: str, **values: Any) -> str:
    """A template with its values, the style and the script: one file without any reference to another."""
    environment = Environment(
        loader=PackageLoader("potstill.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"count": wording.count, "unbroken": _unbroken}
    templates = files("potstill.report") / "templates"
    script = (templates / "report.js").read_text(encoding="utf-8")
    return environment.get_template(template).render(
        script=Markup(script),
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        style=Markup((templates / "report.css").read_text(encoding="utf-8")),
        **values,
    )


def _unbroken(sentence: str) -> Markup:
    """The sentence with its intervals kept on one line."""
    return Markup(re.sub(r"\S*\d–\d\S*", r'<span class="unbroken">\g<0></span>', str(escape(sentence))))


def _facts(run: Run) -> list[str]:
    """What a reader asks first, for the line under the title."""
    channels, height, width = run.manifest.dataset.shape
    sizes = sorted({len(members) for members in run.after.members})
    per_class = f"{sizes[0]}" if len(sizes) == 1 else f"{sizes[0]} to {sizes[-1]}"
    facts = [
        f"{run.manifest.dataset.classes} classes",
        f"{per_class} per class",
        f"{width} × {height} pixels" + ("" if channels == 1 else f", {channels} channels"),
    ]
    if "start" in run.config:
        facts.append(f"start: {run.config['start']}")
    if "network" in run.config:
        facts.append(f"network: {wording.network_title(str(run.config['network']))}")
    return [*facts, f"seed {run.manifest.seed}"]


def _costs(run: Run) -> list[tuple[str, str, str]]:
    """What the set cost: name, figure, remark."""
    manifest = run.manifest
    done = manifest.iterations_done
    pace = f"{wording.count(done)} iterations" if manifest.iterations_asked else "in one go"
    if done:
        pace += f", {wording.duration(manifest.seconds / done)} each"
    ratio = manifest.dataset.train_bytes / max(manifest.set_bytes, 1)
    smaller = f"{ratio:.3g} times as much" if ratio >= 1 else "less than the set"
    fewer = f"of {wording.count(manifest.dataset.train)} for training"
    costs = [
        ("Time to distil" if manifest.iterations_asked else "Time to choose", wording.duration(manifest.seconds), pace),
        (
            "Peak memory",
            wording.size(manifest.peak_memory_bytes) if manifest.peak_memory_bytes else "not told by the system",
            f"on {manifest.compute.get('device', 'the device')}",
        ),
        ("Images", wording.count(len(run.after)), fewer),
        (
            "Size of the set",
            wording.size(manifest.set_bytes),
            "32-bit pixels, labels and all else that is learned or needed to use them",
        ),
        (
            "Size of the training images",
            wording.size(manifest.dataset.train_bytes),
            f"8-bit pixels: {smaller}",
        ),
    ]
    if run.after.step_size is not None:
        costs.append(("Learned step size", f"{run.after.step_size:.4g}", "the learning rate to train on the set with"))
    return costs + _evaluation_costs(run)


def _evaluation_costs(run: Run) -> list[tuple[str, str, str]]:
    if run.evaluation is None:
        return []
    baselines = (entry for entries in run.evaluation.baselines.values() for entry in entries.values())
    entries = (*run.evaluation.networks.values(), *baselines)
    seconds = [entry.seconds for entry in entries if isinstance(entry, Score) and entry.seconds is not None]
    if not seconds:
        return []
    return [("Evaluation", wording.duration(sum(seconds)), "all networks, repeats and baselines")]


def _settings(run: Run) -> list[tuple[str, str]]:
    """What identifies the run, for the table of settings."""
    manifest = run.manifest
    chosen = "not recorded" if manifest.chosen_iteration is None else wording.count(manifest.chosen_iteration)
    done, asked = wording.count(manifest.iterations_done), wording.count(manifest.iterations_asked)
    rows = [
        ("status", manifest.status),
        ("started", manifest.started),
        ("seed", str(manifest.seed)),
        ("iterations", f"{done} of {asked}"),
        ("chosen iteration", chosen),
        ("dataset fingerprint", manifest.dataset.fingerprint),
        ("SHA-256 of the tensors", manifest.tensors_sha256),
        *manifest.machine.items(),
        *manifest.compute.items(),
    ]
    if run.evaluation:
        recipe = dict(run.evaluation.recipe)
        name = " ".join(recipe.pop(key) for key in ("name", "version") if key in recipe)
        details = ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in recipe.items())
        rows.append(("evaluation recipe", name + (f": {details}" if details else "")))
        rows.append(("evaluation seed", str(run.evaluation.seed)))
        rows.append(("initial weights", wording.initial_weights(run.evaluation.initial)))
    return rows
