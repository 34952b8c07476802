"""The data: how the dataset was understood when it was read, and what would make results misleading."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from potstill.report import wording
from potstill.report.images import class_titles
from potstill.report.run import Run, Section
from potstill.schema.account import Account, SplitAccount


@dataclass(frozen=True)
class View:
    """The account of a dataset.

    Attributes:
        rows: names and values; warnings, which also lead the page, come first.
        splits: the names of the splits that have images.
        classes: the name of each class and the number of its images in each of these splits.
    """

    rows: list[tuple[str, str]]
    splits: list[str]
    classes: list[tuple[str, list[str]]]


def view(run: Run) -> View | None:
    """How the dataset of a run was understood; None if an older record, or a set without a run, does not say."""
    account = None if run.manifest is None else run.manifest.dataset.account
    if account is None:
        return None
    splits = account.used_splits
    return View(
        rows=[*(("warning", warning) for warning in account.warnings), *account.facts],
        splits=[split.name for split in splits],
        classes=_classes(account, splits),
    )


def _classes(account: Account, splits: Sequence[SplitAccount]) -> list[tuple[str, list[str]]]:
    """The classes with their numbers; none if the record has not one for each class."""
    if not splits or any(len(split.class_sizes) != len(account.class_names) for split in splits):
        return []
    numbers = zip(*(split.class_sizes for split in splits), strict=True)
    return [
        (name, [wording.count(number) for number in row])
        for name, row in zip(class_titles(account.class_names), numbers, strict=True)
    ]


SECTION = Section("data", view)
