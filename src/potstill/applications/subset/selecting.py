"""Choosing a part of a dataset or of vectors: from a rule and a budget to the record and the table of the chosen."""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from potstill.applications.subset.candidates import Candidates
from potstill.applications.subset.copies import copy_files
from potstill.applications.subset.neighbours import SHOWN, neighbours
from potstill.applications.subset.rules import BY_FEATURES, Rule, features_of, features_sha256, source_of
from potstill.applications.subset.worth import Judging, Trainings, measure_worth, trainings_of
from potstill.data import may_name_vectors
from potstill.evaluation import Session
from potstill.evaluation.session import Resources
from potstill.experts.feature_source import FeatureSource, NetworkSource
from potstill.networks import default_network
from potstill.networks.spec import names_pretrained
from potstill.runtime.errors import UserError, differing
from potstill.runtime.files import sha256, write_atomic
from potstill.runtime.lock import locked
from potstill.runtime.machine import machine_in_words
from potstill.runtime.streams import Streams
from potstill.schema.subset import Budget, Subset, Worth
from potstill.selection import SELECTIONS, Choice
from potstill.units import UnitLog


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

    A second call with the same arguments chooses and copies nothing again; it does only the trainings that are missing.

    Args:
        candidates: what may be chosen.
        rule: how to choose.
        budget: how much.
        out: the folder for ``selection.json`` and ``selected.csv``, a line for each that was chosen: its number in the
            published order, from 0, its class if there are labels and, where images are files, its file.
        judging: how to measure the choice beside as many random images of each class; None does not.
        copy: a new folder for copies of the chosen files.
        link: make symbolic links there, instead of copies.
        resources: device, executor and progress.

    Returns:
        The record.

    Raises:
        UserError: the rule, the budget or the measurement needs what there is not, the budget leaves a class empty or
            is more than there is, features do not match, or ``out`` is about something else.
    """
    rule, out = rule if isinstance(rule, Rule) else Rule(rule), Path(out)
    copy = None if copy is None else Path(copy)
    if not candidates.labelled:
        check_unlabelled(candidates.name, rule, budget, judging, vectors=candidates.holds_vectors)
    counts = budget.counts(candidates.members.class_sizes, candidates.members.class_names)
    trainings = None if judging is None else trainings_of(judging, candidates)
    asked, source = _asked(candidates, rule, budget, counts, resources)
    if copy is not None:
        _check_copied(candidates, copy, out)
    with locked(out / Subset.FILE):
        earlier = _on_record(asked, out)
        if copy is not None:
            _check_new(copy, earlier, link=link)
        if earlier is None:
            record, chosen = _chosen(asked, source, candidates, out, resources)
        else:
            record = earlier
            chosen = torch.searchsorted(candidates.places, torch.tensor(earlier.chosen_numbers(out)))
        if copy is not None and not copy.exists():
            record = _copied(record, chosen, candidates, copy, link=link)
            record.write(out / Subset.FILE)
        if trainings is not None:
            for worth in _worth(record, chosen, trainings, out, resources):
                record = replace(record, worth=worth)
                record.write(out / Subset.FILE)
    return record


def check_unlabelled(name: str, rule: Rule, budget: Budget, judging: Judging | None, *, vectors: bool) -> None:
    """Refuse what needs labels, where there are none.

    Args:
        name: what is chosen from, as the user named it.
        rule: how to choose.
        budget: how much.
        judging: how to measure the choice; None does not.
        vectors: whether these are vectors, which are features already.

    Raises:
        UserError: the rule or its features, the budget or a measurement needs labels.
    """
    without = f"{name} has no labels"
    if budget.per_class is not None:
        raise UserError(f"`ipc` is a number per class, and {without}", "use `count` or `fraction`")
    if judging is not None:
        raise UserError(f"measuring what a choice is worth needs labels, and {without}", "leave `worth` out")
    if rule.name != "random" and rule.name not in BY_FEATURES:
        raise UserError(
            f"{rule.name} looks at the training of a network, which needs labels, and {without}",
            f"use one of random, {', '.join(BY_FEATURES)}",
        )
    if rule.name == "random" or vectors:
        return
    features = rule.features
    if features is None or not (features == "pixels" or may_name_vectors(features) or names_pretrained(features)):
        raise UserError(
            f"{rule.name} needs features, and {without}, so no network can be trained for them"
            if features is None
            else f"`features={features}` needs labels, and {without}",
            "use `features=embeddings.npy` or another file of vectors, `features=timm:MODEL:weights=cached`, "
            "or `features=pixels`",
        )


def _check_copied(candidates: Candidates, folder: Path, out: Path) -> None:
    """Refuse copies of what is no file, and those that would lie among the results.

    Raises:
        UserError: there are no files to copy, or the folder is that of the record.
    """
    if candidates.files is None:
        raise UserError(f"{candidates.name} has no image files to copy", "use the numbers in the table")
    if folder.resolve() == out.resolve():
        raise UserError("`copy` and `out` name the same folder", "name a new folder for `copy`")


def _check_new(folder: Path, earlier: Subset | None, *, link: bool) -> None:
    """Refuse a folder for copies that holds something else.

    Raises:
        UserError: it exists and is not that of an earlier call.
    """
    done = earlier is not None and (earlier.copied_to, earlier.links) == (str(folder.resolve()), link)
    if folder.exists() and not done:
        raise UserError(f"{folder} already exists", "name a new folder for `copy`")


def _asked(
    candidates: Candidates, rule: Rule, budget: Budget, counts: tuple[int, ...], resources: Resources
) -> tuple[Subset, FeatureSource]:
    """The record without a choice, and the features and scores that the rule uses.

    Raises:
        UserError: the rule needs something that there is not.
    """
    network = rule.network
    if network is None:
        network = "" if candidates.dataset is None else default_network(candidates.dataset.shape)
    features = features_of(rule, candidates)
    source, matched_by = source_of(rule, network, features, candidates, resources)
    record = Subset(
        source=candidates.name,
        fingerprint=candidates.fingerprint,
        vectors=candidates.holds_vectors,
        total=len(candidates.places),
        held_out=candidates.held_out,
        rule=rule.name,
        features=features,
        features_sha256=features_sha256(source, features),
        matched=matched_by,
        network=network if isinstance(source, NetworkSource) else "",
        teacher_epochs=rule.teacher_epochs if features == "trained" else 0,
        budget=budget,
        seed=rule.seed,
        class_names=tuple(candidates.members.class_names),
        class_sizes=candidates.members.class_sizes,
        counts=counts,
    )
    return record, source


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
    nearest, farthest, compared = neighbours(source, candidates, chosen) if record.features else ([], [], 0)
    hardest = _hardest(source, candidates, chosen) if isinstance(source, NetworkSource) else []
    table = _table(candidates, chosen)
    write_atomic(out / record.table, table)
    record = replace(
        record,
        table_sha256=sha256(table),
        seconds=seconds,
        compared=compared,
        nearest=nearest,
        farthest=farthest,
        hardest=hardest,
        made_on=[machine_in_words()],
    )
    record.write(out / Subset.FILE)
    return record, chosen


def _copied(record: Subset, chosen: Tensor, candidates: Candidates, folder: Path, *, link: bool) -> Subset:
    """Copy the files of what was chosen, or link to them; the record with their folder."""
    files = [candidates.files[place] for place in chosen.tolist()] if candidates.files is not None else []
    copy_files(files, candidates.labels[chosen].tolist(), candidates.members.class_names, folder, link=link)
    return replace(record, copied_to=str(folder.resolve()), links=link)


def _worth(record: Subset, chosen: Tensor, trainings: Trainings, out: Path, resources: Resources) -> Iterator[Worth]:
    """Train networks on the choice and on random images.

    Yields:
        The results so far, with those of other networks on record, whenever there is a new one.

    Raises:
        UserError: the choice was measured by another recipe, or there is too little memory for it.
    """
    resources.progress("measuring what the choice is worth")
    session = Session(
        trainings.dataset,
        compute=resources.compute,
        seed=record.seed,
        executor=resources.executor,
        progress=resources.progress,
    )
    path, recipe, before = out / Subset.FILE, trainings.recipe, record.worth
    if before is not None and before.recipe != recipe:
        raise UserError(
            f"{path} was measured by the recipe {before.recipe.name}, not {recipe.name}", "choose another `out`"
        )
    for worth in measure_worth(
        session,
        chosen,
        record.counts,
        recipe=recipe,
        networks=trainings.networks,
        repeats=trainings.repeats,
        log=UnitLog.beside(path),
    ):
        known = {} if before is None else before.networks
        yield replace(worth, networks={**known, **worth.networks})


def _hardest(source: NetworkSource, candidates: Candidates, chosen: Tensor) -> list[int]:
    """The numbers of those that networks find hardest among the ones not chosen; none if epochs are missing."""
    if not source.every_epoch:
        return []
    margins = source.aum()
    margins[chosen] = torch.inf
    few = margins.topk(min(SHOWN, len(margins) - len(chosen)), largest=False).indices
    return candidates.places[few].tolist()


def _table(candidates: Candidates, chosen: Tensor) -> bytes:
    """The table of what was chosen, as CSV."""
    names, labels, files = candidates.members.class_names, candidates.labels, candidates.names
    labelled = candidates.labelled
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(["index", *(["class"] if labelled else []), *(["file"] if files is not None else [])])
    for place in chosen.tolist():
        row: list[object] = [int(candidates.places[place])]
        row += [names[int(labels[place])]] if labelled else []
        row += [files[place]] if files is not None else []
        rows.writerow(row)
    return text.getvalue().encode("utf-8", "surrogateescape")


def _on_record(asked: Subset, out: Path) -> Subset | None:
    """The record of an earlier call, if there is one.

    Raises:
        UserError: it is about another choice, or its table has changed.
    """
    path = out / Subset.FILE
    if not path.exists():
        return None
    there = Subset.read(path)
    if there.held_out != asked.held_out:
        changed = "none was held out for testing" if asked.held_out else f"{there.held_out:,} were held out for testing"
        raise UserError(f"for {path} {changed}", "choose another `out`, or use `worth` as before")
    if there.fingerprint != asked.fingerprint:
        raise UserError(f"{path} is about other images or vectors", "choose another `out`")
    # Files and folders are compared by their contents, below: a path can be written in several ways.
    if there.features != asked.features and {there.features, asked.features} & {"pixels", "trained"}:
        features = differing({"features": (there.features, asked.features)})
        raise UserError(f"{path} was made with other settings: {features}", "choose another `out`")
    pairs = {option: tuple(getattr(each, name) for each in (there, asked)) for option, name in _SETTINGS.items()}
    if differ := {option: (str(a), str(b)) for option, (a, b) in pairs.items() if a != b}:
        raise UserError(f"{path} was made with other settings: {differing(differ)}", "choose another `out`")
    if there.features_sha256 != asked.features_sha256:
        raise UserError(f"{asked.features} has changed since {path} was made", "restore it, or choose another `out`")
    return there


_SETTINGS = {
    "by": "rule",
    "network": "network",
    "teacher_epochs": "teacher_epochs",
    "seed": "seed",
    "budget": "budget",
}
"""What decides a choice, by the names of the options, and where the record has it."""
