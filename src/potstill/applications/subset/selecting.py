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

from potstill.applications.subset.candidates import Candidates, fingerprint_of
from potstill.applications.subset.copies import copy_files
from potstill.applications.subset.matching import matched
from potstill.applications.subset.neighbours import SHOWN, neighbours
from potstill.applications.subset.worth import measure_worth, recipe_of
from potstill.data import ImageDataset, ImageFiles, Vectors, may_name_vectors, read_vector_file
from potstill.evaluation import Session
from potstill.evaluation.checks import check_networks, check_repeats, check_test
from potstill.evaluation.session import LONG_WORK_PIXELS, Resources
from potstill.experts.embeddings import Embeddings
from potstill.experts.feature_source import (
    EPOCHS,
    FeatureSource,
    NetworkSource,
    Pixels,
    StoredExperts,
    Training,
    feature_source,
)
from potstill.experts.pretrained import PretrainedFeatures
from potstill.experts.unseen import Unseen
from potstill.networks import default_network
from potstill.networks.spec import names_pretrained
from potstill.runtime.bounds import check_least
from potstill.runtime.compute import settled
from potstill.runtime.errors import UserError, differing, unknown
from potstill.runtime.files import sha256, sha256_of_files, write_atomic
from potstill.runtime.lock import locked
from potstill.runtime.machine import machine_in_words
from potstill.runtime.streams import Streams
from potstill.schema.recipe import Recipe
from potstill.schema.shapes import is_vector
from potstill.schema.subset import Budget, Subset
from potstill.selection import SELECTIONS, Choice
from potstill.units import UnitLog

RULES = tuple(
    name for name, selection in SELECTIONS.items() if isinstance(selection, Choice) and name != "optimised-random"
)
"""The selections that choose any number of each class."""
BY_FEATURES = ("herding", "k-center", "facility-location", "k-means-nearest", "average-nearest", "moderate")
"""Those that need nothing but features, and so no labels."""


@dataclass(frozen=True)
class Rule:
    """How a part is chosen.

    Attributes:
        name: one of ``RULES``.
        features: what it looks at: ``pixels``, or the numbers of vectors; ``trained``, a network trained on the
            candidates; an ``.npy``, ``.npz`` or parquet file with a row for each candidate; a pretrained model,
            ``timm:MODEL:weights=WHERE``; or a folder of experts. None takes the numbers of vectors for the rules in
            ``BY_FEATURES``, and what the rule needs otherwise.
        network: the spec of the network that is trained; None takes that of the data, ``convnet`` or ``linear``.
        teacher_epochs: passes of that training.
        seed: seed of all random draws.

    Raises:
        UserError: the rule is unknown, or a network would be trained for too few epochs.
    """

    name: str
    _: KW_ONLY
    features: str | None = None
    network: str | None = None
    teacher_epochs: int = EPOCHS
    seed: int = 0

    def __post_init__(self) -> None:
        if self.name not in RULES:
            raise unknown("rule", self.name, RULES, listing=", ".join(RULES))
        check_least("teacher_epochs", self.teacher_epochs, 2 if self.name == "forgetting" else 1)


@dataclass(frozen=True, kw_only=True)
class Judging:
    """How a choice is measured.

    Attributes:
        recipe: how networks are trained; see ``potstill list recipes``. None takes ``quick``, for vectors
            ``probe-1000``.
        networks: specs; None takes the network of the data, ``convnet`` or ``linear``.
        repeats: trainings of each network, on the choice and on random images.
        epochs: instead of the recipe's number.
    """

    recipe: str | None = None
    networks: Sequence[str] | None = None
    repeats: int = 5
    epochs: int | None = None

    def for_dataset(self, dataset: ImageDataset) -> tuple[Recipe, Sequence[str]]:
        """The recipe and the networks of the trainings.

        Raises:
            UserError: the recipe is unknown or not for real images, or there is not one epoch.
        """
        usual = "probe-1000" if is_vector(dataset.shape) else "quick"
        recipe = recipe_of(self.recipe, self.epochs, usual)
        return recipe, (default_network(dataset.shape),) if self.networks is None else self.networks


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
    names = candidates.members.class_names
    if not candidates.labelled:
        check_unlabelled(candidates.name, rule, budget, judging, vectors=candidates.holds_vectors)
    counts = budget.counts(candidates.members.class_sizes, names)
    trainings = None if judging is None else _check_judged(judging, candidates)
    network = rule.network
    if network is None:
        network = "" if candidates.dataset is None else default_network(candidates.dataset.shape)
    features = _features_of(rule, candidates)
    source, rows = _source(rule, network, features, candidates, resources)
    learned = isinstance(source, NetworkSource)
    record = Subset(
        source=candidates.name,
        fingerprint=candidates.fingerprint,
        vectors=candidates.holds_vectors,
        total=len(candidates.places),
        held_out=candidates.held_out,
        rule=rule.name,
        features=features,
        features_sha256=_features_sha256(source, features),
        matched=rows,
        network=network if learned else "",
        teacher_epochs=rule.teacher_epochs if features == "trained" else 0,
        budget=budget,
        seed=rule.seed,
        class_names=tuple(names),
        class_sizes=candidates.members.class_sizes,
        counts=counts,
    )
    copy = None if copy is None else Path(copy)
    if copy is not None:
        _check_copied(candidates, copy, out)
    with locked(out / Subset.FILE):
        earlier = _on_record(record, out)
        if copy is not None:
            _check_new(copy, earlier, link=link)
        if earlier is None:
            record, chosen = _chosen(record, source, candidates, out, resources)
        else:
            record = earlier
            chosen = torch.searchsorted(candidates.places, torch.tensor(earlier.chosen_numbers(out)))
        if copy is not None and not copy.exists():
            files = [candidates.files[place] for place in chosen.tolist()] if candidates.files is not None else []
            copy_files(files, candidates.labels[chosen].tolist(), names, copy, link=link)
            record = replace(record, copied_to=str(copy.resolve()), links=link)
            record.write(out / Subset.FILE)
        if judging is not None and trainings is not None and candidates.dataset is not None:
            recipe, networks = trainings
            resources.progress("measuring what the choice is worth")
            session = Session(
                candidates.dataset,
                compute=resources.compute,
                seed=rule.seed,
                executor=resources.executor,
                progress=resources.progress,
            )
            before = record.worth
            if before is not None and before.recipe != recipe:
                raise UserError(
                    f"{out / Subset.FILE} was measured by the recipe {before.recipe.name}, not {recipe.name}",
                    "choose another `out`",
                )
            for worth in measure_worth(
                session,
                chosen,
                counts,
                recipe=recipe,
                networks=networks,
                repeats=judging.repeats,
                log=UnitLog.beside(out / Subset.FILE),
            ):
                known = {} if before is None else before.networks
                record = replace(record, worth=replace(worth, networks={**known, **worth.networks}))
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
        raise UserError(f"`ipc` is a number of each class, and {without}", "use `count` or `fraction`")
    if judging is not None:
        raise UserError(f"what a choice is worth is measured by labels, and {without}", "leave `worth` out")
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
            f"{rule.name} needs features, and {without}, so that no network is trained for them"
            if features is None
            else f"`features={features}` needs labels, and {without}",
            "use `features=embeddings.npy` or another file of vectors, `features=timm:MODEL:weights=cached`, "
            "or `features=pixels`",
        )


def _check_judged(judging: Judging, candidates: Candidates) -> tuple[Recipe, Sequence[str]]:
    """Refuse to measure what networks cannot be trained on, before anything is done.

    Returns:
        The recipe and the networks of the trainings.

    Raises:
        UserError: there is no dataset or no test split, or the recipe, a network or the number of repeats will not do.
    """
    if candidates.dataset is None:
        raise UserError(
            f"{candidates.name} is a file of vectors, none of which are for testing",
            "leave `judging` out, or make the candidates with `Candidates.of_dataset`",
        )
    check_repeats(judging.repeats)
    check_test(candidates.dataset)
    recipe, networks = judging.for_dataset(candidates.dataset)
    check_networks(networks, candidates.dataset)
    return recipe, networks


def _check_copied(candidates: Candidates, folder: Path, out: Path) -> None:
    """Refuse copies of what is no file, and those that would lie among the results.

    Raises:
        UserError: there are no files to copy, or the folder is that of the record.
    """
    if candidates.files is None:
        raise UserError(f"{candidates.name} has no image files to copy", "use the numbers in the table")
    if folder.resolve() == out.resolve():
        raise UserError("`copy` and `out` name one folder", "name a new folder for `copy`")


def _check_new(folder: Path, earlier: Subset | None, *, link: bool) -> None:
    """Refuse a folder for copies that holds something else.

    Raises:
        UserError: it exists and is not that of an earlier call.
    """
    done = earlier is not None and (earlier.copied_to, earlier.links) == (str(folder.resolve()), link)
    if folder.exists() and not done:
        raise UserError(f"{folder} already exists", "name a new folder for `copy`")


def _features_of(rule: Rule, candidates: Candidates) -> str:
    """What the rule looks at, as the record says it.

    Raises:
        UserError: it needs something that there is not.
    """
    members, by_features = candidates.members, rule.name in BY_FEATURES
    vectors = isinstance(members, Vectors)
    if rule.name == "random":
        if rule.features is not None:
            raise UserError("random looks at no features", "leave `features` out")
        return ""
    if vectors and not by_features:
        raise UserError(
            f"{rule.name} trains networks on a dataset, and {candidates.name} is a file of vectors",
            "make the candidates with `Candidates.of_dataset`",
        )
    if vectors and rule.features is not None:
        raise UserError("vectors are features already", "leave `features` out")
    if vectors:
        return candidates.name
    learns = SELECTIONS[rule.name].needs_network and not (by_features and candidates.holds_vectors)
    features = rule.features or ("trained" if learns else "pixels")
    if not by_features and (features == "pixels" or may_name_vectors(features) or names_pretrained(features)):
        raise UserError(
            f"{rule.name} looks at the training of a network, not at `features={features}`",
            "use `features=trained` or a folder of experts",
        )
    return features


def _features_sha256(source: FeatureSource, features: str) -> str:
    """What tells one file of features, or folder of experts, from another."""
    if isinstance(source, StoredExperts):
        return sha256_of_files(source.files)
    if isinstance(source, PretrainedFeatures):
        return sha256_of_files([source.weights])
    return fingerprint_of(source.vectors) if isinstance(source, Embeddings) and may_name_vectors(features) else ""


def _source(
    rule: Rule, network: str, features: str, candidates: Candidates, resources: Resources
) -> tuple[FeatureSource, str]:
    """The features and scores that the rule uses; and in words how the rows of a file were matched."""
    members, progress = candidates.members, resources.progress
    if isinstance(members, Vectors):
        return Embeddings(members, progress=progress), ""
    if may_name_vectors(features):
        rows, words = matched(read_vector_file(features), candidates)
        return Embeddings(rows, members, progress), words
    if isinstance(members, ImageFiles):
        return Unseen(members, progress), ""
    if features in ("", "pixels"):
        return Pixels(members, progress), ""
    usual, of_experts = candidates.usual_fingerprint, features != "trained" and not names_pretrained(features)
    if candidates.dataset is not None:
        check_networks((network,), candidates.dataset)
    pixels = rule.teacher_epochs * len(members) * members.shape[1] * members.shape[2]
    compute = settled(resources.compute, long_run=pixels >= LONG_WORK_PIXELS)
    training = Training(
        real=members.to(compute.device),
        network=network,
        streams=Streams(rule.seed, ("subset", "teacher")),
        compute=compute,
        flips=candidates.dataset is not None and candidates.dataset.flips,
        dataset_fingerprint=None if not of_experts or usual is None else usual(),
        progress=progress,
    )
    source = feature_source(features, training, rule.teacher_epochs)
    if isinstance(source, StoredExperts):
        source.check()
    return source, ""


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
    # Of two files or folders their contents count, below: a path can be written in several ways.
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
