"""Checks before any training: whether a set, a dataset and the request fit together."""

from __future__ import annotations

from collections.abc import Sequence

from potstill.data import ImageDataset
from potstill.runtime.errors import UserError
from potstill.synthetic import SyntheticSet


def check_fits(synthetic: SyntheticSet, dataset: ImageDataset) -> None:
    """Make sure that a set was distilled from such a dataset, and that the dataset has test images.

    Raises:
        UserError: image shape, classes, normalisation or whitening differ, and which of them; or there are no test
            images.
    """
    check_test(dataset)
    pairs = {
        "image shape": (tuple(synthetic.shape), tuple(dataset.shape)),
        "classes": (synthetic.class_names, dataset.class_names),
        "mean": (_rounded(synthetic.mean), _rounded(dataset.mean)),
        "std": (_rounded(synthetic.std), _rounded(dataset.std)),
        "whitening": (synthetic.whitening is not None, dataset.train.whitening is not None),
    }
    for what, (ours, theirs) in pairs.items():
        if ours != theirs:
            raise UserError(
                f"the set does not fit dataset {dataset.name!r}: its {what} is {ours}, the dataset's {theirs}",
                "evaluate it on the dataset and with the options that it was distilled from",
            )


def check_test(dataset: ImageDataset) -> None:
    """Make sure that the dataset has test images.

    Raises:
        UserError: the test split is empty.
    """
    if not len(dataset.test):
        raise UserError(f"{dataset.name} has no test images", "use a dataset with more images, or with a test split")


def check_validation(dataset: ImageDataset, purpose: str) -> None:
    """Make sure that the dataset has validation images.

    Args:
        dataset: the dataset.
        purpose: what they are needed for, such as ``"choose learning rates by"``; ends the error message.

    Raises:
        UserError: the validation split is empty.
    """
    if not len(dataset.validation):
        raise UserError(f"{dataset.name} has no validation images to {purpose}", "use a larger dataset")


def check_repeats(repeats: int) -> None:
    """Make sure that there is at least one repeat.

    Raises:
        UserError: fewer than one repeat.
    """
    if repeats < 1:
        raise UserError("there must be at least one repeat", "use --repeats 1 or more")


def check_unchanged(synthetic: SyntheticSet, dataset: ImageDataset, place: str) -> None:
    """Make sure that a dataset has not changed since a set was made from it.

    Args:
        synthetic: the set, whose provenance may hold the fingerprint of its dataset; without one nothing is checked.
        dataset: loaded from ``place``.
        place: the name or location of the dataset, for the error message.

    Raises:
        UserError: the fingerprints differ.
    """
    if synthetic.provenance.get("dataset_fingerprint") not in (None, dataset.fingerprint):
        raise UserError(
            f"dataset {place!r} has changed since the set was made from it: its test images may be in the set",
            f"restore it, or evaluate on it as it is now with --dataset {place}",
        )


def normalised_alike(dataset: ImageDataset, synthetic: SyntheticSet) -> ImageDataset:
    """A copy of a set's dataset, normalised with the set's own mean and standard deviation.

    Networks that are trained on the set must see test images normalised like the images of the set, whatever the
    statistics of the copy. A whitened dataset is returned unchanged.
    """
    return dataset if synthetic.whitening is not None else dataset.normalised_by(synthetic.mean, synthetic.std)


def _rounded(values: Sequence[float]) -> tuple[float, ...]:
    return tuple(round(value, 5) for value in values)
