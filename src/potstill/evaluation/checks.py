"""Checks before any training: whether a set, a dataset and the request fit together."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from potstill.data import ImageDataset
from potstill.networks import ImageShape, InitialWeights, build_network, default_network
from potstill.runtime.bounds import check_least
from potstill.runtime.errors import UserError
from potstill.schema.evaluation import MOST_CONFUSED
from potstill.schema.recipe import Recipe
from potstill.schema.shapes import kind_of
from potstill.synthetic import SyntheticSet


def check_fits(synthetic: SyntheticSet, dataset: ImageDataset) -> None:
    """Make sure that a set was distilled from such a dataset, and that the dataset has test images.

    Raises:
        UserError: it is not a set; image shape, classes, normalisation or whitening differ, and which of them; or there
            are no test images.
    """
    check_set(synthetic)
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
            if what == "classes":
                what, ours, theirs = _first_difference(synthetic.class_names, dataset.class_names)
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
        kind = kind_of(dataset.shape)
        raise UserError(f"{dataset.name} has no test {kind}s", f"use a dataset with more {kind}s, or with a test split")


def check_confusions(dataset: ImageDataset) -> None:
    """Make sure that the dataset has few enough classes to count which is taken for which.

    Raises:
        UserError: there are more than ``MOST_CONFUSED``.
    """
    if dataset.class_count > MOST_CONFUSED:
        raise UserError(
            f"{dataset.name} has {dataset.class_count:,} classes, and confusions are counted for at most "
            f"{MOST_CONFUSED:,}",
            "use a dataset with fewer classes",
        )


def check_images(dataset: ImageDataset, what: str) -> None:
    """Make sure that a dataset has images rather than vectors.

    Args:
        dataset: the dataset.
        what: what needs them, such as ``"audits are"``; begins the error message.

    Raises:
        UserError: it holds vectors.
    """
    if dataset.train.holds_vectors:
        raise UserError(f"{what} for images, and {dataset.name} holds vectors", "use a dataset of images")


def check_validation(dataset: ImageDataset, purpose: str) -> None:
    """Make sure that the dataset has validation images.

    Args:
        dataset: the dataset.
        purpose: what they are needed for, such as ``"choose learning rates by"``; ends the error message.

    Raises:
        UserError: the validation split is empty.
    """
    if not len(dataset.validation):
        kind = kind_of(dataset.shape)
        raise UserError(f"{dataset.name} has no validation {kind}s to {purpose}", "use a larger dataset")


def check_set(synthetic: SyntheticSet) -> None:
    """Make sure that a set is one, rather than the name of a run or of a file.

    Raises:
        UserError: it is something else.
    """
    if not isinstance(synthetic, SyntheticSet):
        raise UserError(f"{synthetic!r} is not a synthetic set", "load it first: potstill.SyntheticSet.load(FILE)")


def check_names(option: str, names: Sequence[str]) -> None:
    """Make sure that names are a sequence of texts: one text alone would be taken for its letters.

    Args:
        option: what takes them, for the error message.
        names: the names.

    Raises:
        UserError: they are not.
    """
    if isinstance(names, str) or not all(isinstance(name, str) for name in names):
        raise UserError(f"{option} are {names!r}, not a sequence of names", f"write {option}=('NAME',), for example")


def check_networks(networks: Sequence[str], dataset: ImageDataset, weights: InitialWeights | None = None) -> None:
    """Build every network once, so that a wrong name or unsuitable weights are found before any training.

    Args:
        networks: their specs.
        dataset: the images that they are built for.
        weights: the initial weights that they are to have; None checks none.

    Raises:
        UserError: none is named, one is unknown, or images or weights do not suit it.
    """
    check_names("networks", networks)
    if not networks:
        raise UserError("no network is named", f"use `networks={default_network(dataset.shape)}`, for example")
    for name in networks:
        built = build_network(name, ImageShape(*dataset.shape), dataset.class_count, torch.Generator())
        if weights is not None:
            weights.held_out(0).draw(built, torch.Generator())


def check_trainings(
    synthetic: SyntheticSet,
    dataset: ImageDataset,
    recipe: Recipe,
    networks: Sequence[str],
    repeats: int,
    weights: InitialWeights | None = None,
) -> None:
    """Make sure that networks can be trained on a set by a recipe and tested, before any of them is.

    Args:
        synthetic: the set.
        dataset: the dataset that they are tested on.
        recipe: how they are trained.
        networks: their specs.
        repeats: the trainings of each.
        weights: as for :func:`check_networks`.

    Raises:
        UserError: as for :func:`check_fits` and :func:`check_networks`; there are no repeats, or no validation images
            to choose the recipe's learning rate by.
    """
    check_fits(synthetic, dataset)
    check_repeats(repeats)
    if recipe.learning_rate_grid:
        check_validation(dataset, "choose learning rates by")
    check_networks(networks, dataset, weights)


def check_learned_rate(recipe: Recipe, sets: Sequence[SyntheticSet]) -> None:
    """Make sure that a recipe that trains at a set's own learning rate meets at least one set that has one.

    Raises:
        UserError: none of the sets has a learned rate.
    """
    if recipe.learned_rate and all(synthetic.step_size is None for synthetic in sets):
        raise UserError(
            f"recipe {recipe.name!r} trains at the learning rate that was learned with the set, but this set has none",
            "use `recipe=dsa-1000`, for example",
        )


def check_exchangeable(recipe: Recipe) -> None:
    """Make sure that a recipe can train networks on any number of images.

    Raises:
        UserError: it replays learned steps.
    """
    if recipe.replay:
        raise UserError(
            f"recipe {recipe.name!r} replays learned steps, which are for the images of the set alone",
            "use another, such as `recipe=dsa-1000`",
        )


def check_repeats(repeats: int) -> None:
    """Make sure that there is at least one repeat.

    Raises:
        UserError: fewer than one repeat.
    """
    check_least("repeats", repeats, 1)


def check_unchanged(synthetic: SyntheticSet, dataset: ImageDataset, place: str) -> None:
    """Make sure that a dataset has not changed since a set was made from it.

    Args:
        synthetic: the set, whose provenance may hold the fingerprint of its dataset; without one nothing is checked.
        dataset: loaded from ``place``.
        place: the name or location of the dataset, for the error message.

    Raises:
        UserError: the fingerprints differ.
    """
    if not may_be_from(synthetic, dataset):
        raise UserError(
            f"dataset {place!r} has changed since the set was made from it: its test images may be in the set",
            f"restore it, or evaluate on it as it is now with `dataset={place}`",
        )


def may_be_from(synthetic: SyntheticSet, dataset: ImageDataset) -> bool:
    """Whether a set may have been made from a dataset: False if its provenance has another fingerprint."""
    return synthetic.provenance.get("dataset_fingerprint") in (None, dataset.fingerprint)


def normalised_alike(dataset: ImageDataset, synthetic: SyntheticSet) -> ImageDataset:
    """A copy of a set's dataset, normalised with the set's own mean and standard deviation.

    Networks that are trained on the set must see test images normalised like the images of the set, whatever the
    statistics of the copy. Where either is whitened, the dataset is returned unchanged.
    """
    whitened = synthetic.whitening is not None or dataset.train.whitening is not None
    return dataset if whitened else dataset.normalised_by(synthetic.mean, synthetic.std)


def is_normalised_like(synthetic: SyntheticSet, dataset: ImageDataset) -> bool:
    """Whether a set has the mean and standard deviation of a dataset."""
    ours, theirs = ((_rounded(each.mean), _rounded(each.std)) for each in (synthetic, dataset))
    return ours == theirs


def _first_difference(ours: Sequence[str], theirs: Sequence[str]) -> tuple[str, object, object]:
    """What differs between two lists of class names: their number, or the first class that has two names."""
    if len(ours) != len(theirs):
        return "number of classes", len(ours), len(theirs)
    place = next(index for index, (one, other) in enumerate(zip(ours, theirs, strict=True)) if one != other)
    return f"class {place}", repr(ours[place]), repr(theirs[place])


def _rounded(values: Sequence[float]) -> tuple[float, ...]:
    return tuple(round(value, 5) for value in values)
