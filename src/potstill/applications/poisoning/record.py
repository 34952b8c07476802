"""The record of poisoning: what it must agree with, and what both attacks check of a dataset."""

from __future__ import annotations

from pathlib import Path

from potstill.applications.on_record import check_same
from potstill.data import ImageDataset
from potstill.evaluation.checks import check_images, check_test
from potstill.runtime.errors import UserError, unknown
from potstill.schema.poisoning import Poisoning


def class_named(dataset: ImageDataset, name: str, option: str) -> int:
    """The label of the class with a name.

    Args:
        dataset: the dataset.
        name: the name of the class.
        option: where it was given.

    Raises:
        UserError: there is no such class, or it has no test images.
    """
    check_test(dataset)
    check_images(dataset, "poisoning is")
    if name not in dataset.class_names:
        raise unknown(f"class for `{option}`", name, dataset.class_names, listing=f"potstill inspect {dataset.name}")
    label = dataset.class_names.index(name)
    if not dataset.test.class_sizes[label]:
        raise UserError(f"class {name} of {dataset.name} has no test images", f"use another class for `{option}`")
    return label


def check_earlier(path: Path, asked: Poisoning) -> None:
    """Make sure that a record on file, if there is one, is of the same protocol and data.

    Sources and networks may differ: what is on file of them is kept beside the record, trained and made.

    Raises:
        UserError: something else differs, and what.
    """
    if not path.exists():
        return
    stored = Poisoning.read(path)
    check_same(
        path,
        ([stored.dataset.fingerprint], [asked.dataset.fingerprint]),
        (_identity(stored), _identity(asked)),
    )


def _identity(record: Poisoning) -> dict[str, object]:
    """What decides the results of a record, by the names of the options."""
    return {
        "attack": record.protocol.kind,
        **vars(record.protocol),
        "recipe": record.recipe.to_json(),
        "networks": record.matched,
    }
