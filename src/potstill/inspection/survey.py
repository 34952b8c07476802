"""Everything that is found out about a dataset, as a record."""

from __future__ import annotations

from dataclasses import replace

from potstill.data import CATALOGUE, ImageDataset
from potstill.inspection.duplicates import contradictory, grouped, repeated
from potstill.inspection.pixels import examine
from potstill.inspection.warnings import used_sizes, warnings_about
from potstill.schema.account import Account, SplitAccount
from potstill.schema.inspection import Inspection


def inspect(dataset: ImageDataset) -> Inspection:
    """Inspect a dataset: its splits and classes, its pixels, images that occur twice, and what to be wary of.

    Every image is hashed, at about 200 MB per second; this takes 24 bytes of memory per image.

    Args:
        dataset: the dataset, with images on any device.

    Returns:
        The record. ``print`` shows it as text, and the account in it has the warnings.
    """
    parts = {name: part for name, part in dataset.splits.items() if len(part)}
    groups = grouped(parts)
    entry = CATALOGUE.get(dataset.spec)
    sizes = entry.sizes if entry is not None and dataset.account is not None else {}
    record = dataset.record
    account = record.account or _account_of_tensors(dataset)
    found = Inspection(
        dataset=replace(record, account=account),
        mean=dataset.mean,
        std=dataset.std,
        pixels=tuple(examine(name, part) for name, part in parts.items() if not part.holds_vectors),
        repeated=tuple(replace(found, kind=account.kind) for found in repeated(groups)),
        contradictory=contradictory(groups),
        published=used_sizes(account.splits) == dict(sizes) if sizes else None,
    )
    # A dataset may come with warnings, its own or those of an earlier inspection.
    warnings = tuple(dict.fromkeys((*account.warnings, *warnings_about(found, sizes))))
    return replace(found, dataset=replace(found.dataset, account=replace(account, warnings=warnings)))


def _account_of_tensors(dataset: ImageDataset) -> Account:
    """The account of a dataset that was not loaded but made of tensors."""
    return Account(
        layout="tensors",
        class_names=dataset.class_names,
        splits=tuple(
            SplitAccount(name=name, origin="the caller", class_sizes=part.class_sizes)
            for name, part in dataset.splits.items()
        ),
        pixels="32 bits" if dataset.train.holds_vectors else "8 bits",
        kind="vector" if dataset.train.holds_vectors else "image",
    )
