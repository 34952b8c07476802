"""Choosing a part of a dataset or of vectors: from a rule and a budget to the record and the table of the chosen."""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from potstill.applications.on_record import check_same
from potstill.applications.subset.candidates import Candidates
from potstill.applications.subset.copies import copy_files
from potstill.applications.subset.neighbours import SHOWN, neighbours
from potstill.applications.subset.worth import measure_worth, recipe_of
from potstill.data import Vectors, read_vectors
from potstill.evaluation import Session
from potstill.evaluation.session import Resources
from potstill.experts.feature_source import (
    EPOCHS,
    Embeddings,
    FeatureSource,
    NetworkSource,
    Pixels,
    StoredExperts,
    Training,
    feature_source,
)
from potstill.runtime.compute import settled
from potstill.runtime.errors import UserError, unknown
from potstill.runtime.files import sha256, write_atomic
from potstill.runtime.lock import locked
from potstill.runtime.machine import machine_in_words
from potstill.runtime.streams import Streams
from potstill.schema.subset import Budget, Subset
from potstill.selection import SELECTIONS, Choice
from potstill.units import UnitLog

RULES = tuple(
    name for name, selection in SELECTIONS.items() if isinstance(selection, Choice) and name != "optimised-random"
)
"""The selections that choose any number of each class."""
BY_FEATURES = ("herding", "k-center", "facility-location", "k-means-nearest", "average-nearest", "moderate")
"""Those that need nothing but features, and so no labels."""
LONG_TRAINING_PIXELS = 100_000_000


@dataclass(frozen=True)
class Rule:
    """How a part is chosen.

    Attributes:
        name: one of ``RULES``.
        features: what it looks at: ``pixels``; ``trained``, a network trained on the candidates; an ``.npy`` file with
            one row for each candidate; or a folder of experts. None takes the vectors themselves where there are no
            images, and what the rule needs otherwise.
        network: the spec of the network that is trained.
        teacher_epochs: passes of that training.
        seed: seed of all random draws.

    Raises:
        UserError: the rule is unknown.
    """

    name: str
    _: KW_ONLY
    features: str | None = None
    network: str = "convnet"
    teacher_epochs: int = EPOCHS
    seed: int = 0

    def __post_init__(self) -> None:
        if self.name not in RULES:
            raise unknown("rule", self.name, RULES, listing=", ".join(RULES))


@dataclass(frozen=True, kw_only=True)
class Judging:
    """How a choice is measured.

    Attributes:
        recipe: how networks are trained; see ``potstill list recipes``.
        networks: specs.
        repeats: trainings of each network, on the choice and on random images.
        epochs: instead of the recipe's number.
    """

    recipe: str = "quick"
    networks: Sequence[str] = ("convnet",)
    repeats: int = 5
    epochs: int | None = None


def select(
    candidates: Candidates,
    rule: str | Rule,
    budget: Budget,
    out: str | Path,
    *,
    judging: Judging | None = None,
    copy: str | Path | None = None,
    link: bool = False,
    resources: Resources = Resources(),  # noqa: B008 (a frozen value)
) -> Subset:
    """Choose a part of what there is, each class by itself, and perhaps measure what the part is worth.

    A second call with the same arguments chooses nothing again, and does only those trainings that are missing.

    Args:
        candidates: what may be chosen.
        rule: how to choose.
        budget: how much.
        out: the folder for ``selection.json`` and ``selected.csv``, a line for each that was chosen: its number in the
            published order, from 0, its class and, where images are files, its file.
        judging: how to measure the choice beside as many random images of each class; None does not.
        copy: a new folder for copies of the chosen files.
        link: make symbolic links there, instead of copies.
        resources: device, executor and progress.

    Returns:
        The record.

    Raises:
        UserError: the rule needs what there is not, the budget leaves a class empty or is more than there is, features
            do not match, or ``out`` is about something else.
    """
    rule = rule if isinstance(rule, Rule) else Rule(rule)
    out = Path(out)
    names = candidates.members.class_names
    counts = budget.counts(candidates.members.class_sizes, names)
    if judging is not None:
        _check_judged(candidates)
        recipe_of(judging.recipe, judging.epochs)
    if copy is not None:
        _check_copied(candidates, Path(copy))
    features = _features_of(rule, candidates)
    trains = features == "trained"
    record = Subset(
        source=candidates.name,
        fingerprint=candidates.fingerprint,
        total=len(candidates.places),
        held_out=candidates.held_out,
        rule=rule.name,
        features=features,
        network=rule.network if trains else "",
        teacher_epochs=rule.teacher_epochs if trains else 0,
        budget=budget,
        seed=rule.seed,
        class_names=tuple(names),
        class_sizes=candidates.members.class_sizes,
        counts=counts,
    )
    source = _source(rule, features, candidates, resources)
    with locked(out / Subset.FILE):
        earlier = _on_record(record, out)
        if earlier is None:
            record, chosen = _chosen(record, source, candidates, out, resources)
        else:
            record, chosen = earlier, _read_table(out / earlier.table, candidates)
        if copy is not None:
            files = [candidates.files[place] for place in chosen.tolist()] if candidates.files is not None else []
            copy_files(files, candidates.labels[chosen].tolist(), names, Path(copy), link=link)
        if judging is not None and candidates.dataset is not None:
            resources.progress("measuring what the choice is worth")
            session = Session(
                candidates.dataset,
                compute=resources.compute,
                seed=rule.seed,
                executor=resources.executor,
                progress=resources.progress,
            )
            for worth in measure_worth(
                session,
                chosen,
                counts,
                recipe=recipe_of(judging.recipe, judging.epochs),
                networks=judging.networks,
                repeats=judging.repeats,
                log=UnitLog.beside(out / Subset.FILE),
            ):
                record = replace(record, worth=worth)
                record.write(out / Subset.FILE)
    return record


def _check_judged(candidates: Candidates) -> None:
    """Refuse to measure what networks cannot be trained on.

    Raises:
        UserError: there are no images.
    """
    if candidates.dataset is None:
        raise UserError(
            f"{candidates.name} holds vectors, and only choices from images are measured",
            "leave `worth` out, or name the dataset and give the file as `features`",
        )


def _check_copied(candidates: Candidates, folder: Path) -> None:
    if candidates.files is None:
        raise UserError(f"{candidates.name} has no image files to copy", "use the numbers in the table")
    if folder.exists():
        raise UserError(f"{folder} already exists", "name a new folder for `copy`")


def _features_of(rule: Rule, candidates: Candidates) -> str:
    """What the rule looks at, as the record says it.

    Raises:
        UserError: it needs something that there is not.
    """
    vectors = isinstance(candidates.members, Vectors)
    if rule.name == "random":
        return ""
    if not vectors:
        return rule.features or ("trained" if SELECTIONS[rule.name].needs_network else "pixels")
    if rule.name not in BY_FEATURES:
        raise UserError(
            f"{rule.name} trains networks on images, and {candidates.name} holds vectors",
            f"use `by={'` or `by='.join(BY_FEATURES[:3])}`",
        )
    if rule.features is not None:
        raise UserError("vectors are features already", "leave `features` out")
    return candidates.name


def _source(rule: Rule, features: str, candidates: Candidates, resources: Resources) -> FeatureSource:
    """The features and scores that the rule uses."""
    members, progress = candidates.members, resources.progress
    if isinstance(members, Vectors):
        return Embeddings(members, progress=progress)
    if features.lower().endswith(".npy"):
        return Embeddings(_for_candidates(read_vectors(features), candidates), members, progress)
    if features in ("", "pixels"):
        return Pixels(members, progress)
    assert candidates.dataset is not None
    pixels = rule.teacher_epochs * len(members) * members.shape[1] * members.shape[2]
    compute = settled(resources.compute, long_run=pixels >= LONG_TRAINING_PIXELS)
    training = Training(
        real=members.to(compute.device),
        network=rule.network,
        streams=Streams(rule.seed, ("subset", "teacher")),
        compute=compute,
        flips=candidates.dataset.flips,
        progress=progress,
    )
    source = feature_source(features, training, rule.teacher_epochs)
    if isinstance(source, StoredExperts):
        source.check()
    return source


def _for_candidates(vectors: Vectors, candidates: Candidates) -> Vectors:
    """The rows of the candidates, of a file that has a row for each published training image.

    Raises:
        UserError: it has another number of rows.
    """
    published = len(candidates.places) + candidates.held_out
    if len(vectors) != published:
        raise UserError(
            f"{vectors.where} has {len(vectors):,} rows for {published:,} published training images",
            "store one row for each, in their order",
        )
    if not candidates.held_out:
        return vectors
    return replace(vectors, values=vectors.values[candidates.places.numpy()], labels=candidates.labels)


def _chosen(
    record: Subset, source: FeatureSource, candidates: Candidates, out: Path, resources: Resources
) -> tuple[Subset, Tensor]:
    """Choose; the record with what came of it, which is written, and the positions, ascending."""
    started = time.perf_counter()
    selection = SELECTIONS[record.rule]
    assert isinstance(selection, Choice)
    resources.progress(f"choosing by {record.rule}")
    chosen = selection.choose(source, record.counts, Streams(record.seed, ("subset", record.rule))).sort().values
    seconds = time.perf_counter() - started
    resources.progress("comparing what was not chosen with what was")
    nearest, farthest = neighbours(source, candidates, chosen) if record.features else ([], [])
    table = _table(candidates, chosen)
    write_atomic(out / record.table, table)
    record = replace(
        record,
        table_sha256=sha256(table),
        seconds=seconds,
        nearest=nearest,
        farthest=farthest,
        hardest=_hardest(source, candidates, chosen) if record.features == "trained" else [],
        made_on=[machine_in_words()],
    )
    record.write(out / Subset.FILE)
    return record, chosen


def _hardest(source: FeatureSource, candidates: Candidates, chosen: Tensor) -> list[int]:
    """The numbers of those that the network finds hardest among the ones that were not chosen."""
    assert isinstance(source, NetworkSource)
    margins = source.aum()
    margins[chosen] = torch.inf
    few = margins.topk(min(SHOWN, len(margins) - len(chosen)), largest=False).indices
    return candidates.places[few].tolist()


def _table(candidates: Candidates, chosen: Tensor) -> bytes:
    """The table of what was chosen, as CSV."""
    names, labels = candidates.members.class_names, candidates.labels
    labelled = tuple(names) != ("",)
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(["index", *(["class"] if labelled else []), *(["file"] if candidates.files is not None else [])])
    for place in chosen.tolist():
        row: list[object] = [int(candidates.places[place])]
        row += [names[int(labels[place])]] if labelled else []
        row += [candidates.files[place]] if candidates.files is not None else []
        rows.writerow(row)
    return text.getvalue().encode("utf-8", "surrogateescape")


def _read_table(path: Path, candidates: Candidates) -> Tensor:
    """The positions of what the table of an earlier call has."""
    text = path.read_bytes().decode("utf-8", "surrogateescape")
    indices = torch.tensor([int(row["index"]) for row in csv.DictReader(io.StringIO(text))])
    return torch.searchsorted(candidates.places, indices)


def _on_record(asked: Subset, out: Path) -> Subset | None:
    """The record of an earlier call, if there is one.

    Raises:
        UserError: it is about another choice, or its table has changed.
    """
    path = out / Subset.FILE
    if not path.exists():
        return None
    there = Subset.read(path)
    settings = ({name: _in_words(each, name) for name in _SETTINGS} for each in (there, asked))
    check_same(path, ([there.fingerprint], [asked.fingerprint]), (next(settings), next(settings)))
    table = out / there.table
    if not table.exists() or sha256(table.read_bytes()) != there.table_sha256:
        raise UserError(f"{table} is not the table that {path} describes", "restore it, or choose another `out`")
    return there


_SETTINGS = {
    "by": "rule",
    "features": "features",
    "network": "network",
    "teacher_epochs": "teacher_epochs",
    "seed": "seed",
    "budget": "budget",
    "held_out": "held_out",
}
"""What decides a choice, by the names of the options, and where the record has it."""


def _in_words(record: Subset, option: str) -> str:
    return str(getattr(record, _SETTINGS[option]))
