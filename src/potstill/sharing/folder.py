"""The files of a set in a dataset repository: the exact set, its copy in 8 bits, a card, a picture, its evaluations."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from potstill.data import CATALOGUE
from potstill.methods.registry import entries
from potstill.report import wording
from potstill.report.dataset_card import CardFacts, render_card
from potstill.report.figures import gallery_png
from potstill.report.images import read_images
from potstill.runtime.errors import UserError
from potstill.runtime.files import staged, write_atomic
from potstill.schema.evaluation import Evaluation
from potstill.schema.manifest import Manifest
from potstill.schema.published_results import published_result
from potstill.schema.set_file import made_by
from potstill.synthetic import SyntheticSet
from potstill.synthetic.export import rounding_errors, write_parquet
from potstill.synthetic.hub import SET_FILE, check_name

PICTURE, MANIFEST = "preview.png", "manifest.json"
EVALUATIONS = ("evaluation.json", "evaluation-*.json")
WRITTEN = (*EVALUATIONS, PICTURE)
"""Patterns of the files that one set has and another may not have; the others are always written, by the same names."""


def write_repository(run: str | Path, name: str, target: str | Path, *, licence: str = "") -> Path:
    """Write the files of a set as they will be on the hub, completely or, if anything fails, not at all.

    Args:
        run: the folder of a run with its evaluations, or the file of a set.
        name: ``OWNER/NAME`` on the hub.
        target: the new folder.
        licence: of the set, as the hub names licences, such as ``cc-by-4.0``; empty states none.

    Returns:
        ``target``: with ``README.md`` (the card), ``synthetic.safetensors`` (the exact set), ``data/`` (the images in 8
        bits, as parquet), ``preview.png``, and the evaluations of this set on the dataset that it was made from.

    Raises:
        UserError: there is no set, the name is not one that the hub allows, or the folder exists or cannot be written.
    """
    run, target, name = Path(run), Path(target), check_name(name)
    file = run / SET_FILE if run.is_dir() else run
    synthetic = SyntheticSet.load(file)
    if target.exists():
        raise UserError(f"{target} already exists", "choose another folder")
    beside = run if run.is_dir() else run.parent if run.name == SET_FILE else None
    evaluations = {path.name: each for path in _evaluations(beside) if _is_of(each := Evaluation.read(path), synthetic)}
    manifest = None
    if beside is not None and (path := beside / MANIFEST).exists():
        manifest = Manifest.read(path)
        manifest = manifest if manifest.tensors_sha256 == synthetic.fingerprint() else None
    with staged(target) as made:
        made.mkdir()
        write_parquet(synthetic.decoded(), made)
        synthetic.save(made / SET_FILE)
        picture = None if synthetic.holds_vectors else PICTURE
        if picture is not None:
            write_atomic(made / picture, gallery_png(read_images(made / SET_FILE), _title(synthetic)))
        for key, each in evaluations.items():
            each.write(made / key)
        facts = _facts(synthetic, name, licence, list(evaluations.values()), manifest)
        write_atomic(made / "README.md", render_card(facts, picture=picture))
    return target


def _evaluations(folder: Path | None) -> list[Path]:
    """The evaluations in the folder of a run, the main one first."""
    if folder is None:
        return []
    found = [path for pattern in EVALUATIONS for path in sorted(folder.glob(pattern))]
    return [path for path in found if path.is_file()]


def _is_of(evaluation: Evaluation, synthetic: SyntheticSet) -> bool:
    """Whether an evaluation is of this set, on the dataset that it was made from."""
    made_from = synthetic.provenance.get("dataset_fingerprint", evaluation.dataset_fingerprint)
    return (evaluation.set_sha256, evaluation.dataset_fingerprint) == (synthetic.fingerprint(), made_from)


def _title(synthetic: SyntheticSet) -> str:
    return f"{len(synthetic)} synthetic images"


def _facts(
    synthetic: SyntheticSet, name: str, licence: str, evaluations: Sequence[Evaluation], manifest: Manifest | None
) -> CardFacts:
    made = synthetic.provenance
    dataset, method = str(made.get("dataset", "")), made_by(made) or ""
    entry = entries().get(method)
    recorded = None if manifest is None else manifest.method
    catalogued = CATALOGUE.get(dataset)
    per_class, rest = divmod(len(synthetic), synthetic.class_count)
    comparable = not rest and not made.get("image_size") and synthetic.whitening is None
    title = entry.citation.title if entry else recorded.title if recorded else ""
    url = entry.citation.url if entry else recorded.url if recorded else ""
    return CardFacts(
        name=name,
        licence=licence,
        method=method,
        paper=(title, url),
        bibtex=entry.citation.bibtex() if entry else recorded.citation if recorded else "",
        dataset=(manifest.dataset.name if manifest is not None else dataset) or "an unnamed dataset",
        dataset_licence=catalogued.licence if catalogued is not None else "not known to Potstill",
        images=len(synthetic),
        classes=synthetic.class_count,
        shape=synthetic.shape,
        formation=synthetic.formation,
        soft=synthetic.has_soft_labels,
        set_bytes=synthetic.size_bytes,
        set_sha256=synthetic.fingerprint(),
        rounding=None if synthetic.holds_vectors else _rounding(synthetic),
        made=[] if manifest is None else _made(manifest),
        provenance=made,
        evaluations=evaluations,
        published=published_result(dataset, method, per_class, synthetic.formation) if comparable else None,
    )


def _rounding(synthetic: SyntheticSet) -> tuple[float, float]:
    errors = rounding_errors(synthetic.decoded())
    return errors.mean().item(), errors.max().item()


def _made(manifest: Manifest) -> list[tuple[str, str]]:
    machine = manifest.machine
    iterations = manifest.iterations.done
    return [
        *([("iterations", f"{iterations:,}")] if iterations else []),
        ("made in", wording.duration(manifest.seconds)),
        ("made on", f"{machine.get('processor', 'an unknown processor')}, Potstill {machine.get('potstill', '?')}"),
    ]
