"""From the output of a source to a dataset: checks, missing splits, normalisation, whitening."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from torch import Tensor

from potstill.data.catalogue import CatalogueEntry
from potstill.data.dataset import ImageDataset, channel_statistics, fingerprint
from potstill.data.images_on_disk import ImagesOnDisk, richer
from potstill.data.labeled_images import LabeledImages
from potstill.data.raw import RawDataset, Split
from potstill.data.shaping import richest
from potstill.data.sources.unread import few_classes
from potstill.data.splits import HeldOut, complete_splits
from potstill.data.whitening import Whitening, fit_whitening
from potstill.runtime.errors import UserError
from potstill.schema.account import Account, SplitAccount


def assemble(
    raw: RawDataset, name: str, entry: CatalogueEntry | None, fractions: HeldOut, *, zca: bool
) -> ImageDataset:
    """Make a dataset from the output of a source.

    Splits that were not published are held out of the training images; see
    :func:`~potstill.data.splits.complete_splits`. ZCA and, if the catalogue has none, mean and standard deviation are
    computed from the training images that remain.

    Args:
        raw: the decoded splits.
        name: the dataset's name in records.
        entry: its entry of the catalogue, if there is one.
        fractions: what is held out in place of splits that were not published.
        zca: whether to whiten.

    Raises:
        UserError: fewer than two classes, no training images, or splits of different shapes.
    """
    _check(raw, name)
    complete, held_out = complete_splits(_same_channels(raw.splits), fractions)
    train = complete["train"].images
    if entry is not None and entry.mean is not None and entry.std is not None:
        mean, std = entry.mean, entry.std
    else:
        mean, std = channel_statistics(train)
    whitening = _whitening(train, mean, std) if zca else None
    splits = {
        split: LabeledImages(part.images, part.labels, raw.class_names, mean, std, whitening)
        for split, part in complete.items()
    }
    return ImageDataset(
        name=name,
        train=splits["train"],
        validation=splits["validation"],
        test=splits["test"],
        flips=entry.flips if entry is not None else True,
        fingerprint=fingerprint(raw, held_out),
        account=_account(raw, splits, held_out, fractions),
    )


def _whitening(train: Tensor | ImagesOnDisk, mean: tuple[float, ...], std: tuple[float, ...]) -> Whitening:
    if not isinstance(train, ImagesOnDisk) and train.is_floating_point():
        raise UserError("whitening is for images, and these are vectors", "omit `zca`")
    if isinstance(train, ImagesOnDisk):
        raise UserError(
            "whitening is fitted to images in memory, and these stay on disk",
            "omit `zca`, or use a smaller `image_size`",
        )
    return fit_whitening(train, mean, std)


def _account(
    raw: RawDataset, splits: Mapping[str, LabeledImages], held_out: Mapping[str, Tensor], fractions: HeldOut
) -> Account:
    """The account of the splits as they are used: some were held out of the training images."""
    origins = {split.name: split.origin for split in raw.account.splits}
    if "test" not in origins and "validation" in origins:
        origins["test"] = f"{origins.pop('validation')}, the published validation split"
    shares = {"test": fractions.test, "validation": fractions.validation}
    for name in held_out:
        origins[name] = f"{shares[name]:.0%} of each class of train, held out"
    parts = [
        SplitAccount(name=name, origin=origins[name], class_sizes=splits[name].class_sizes, held_out=name in held_out)
        for name in ("train", "validation", "test")
    ]
    return replace(raw.account, splits=tuple(parts))


def _check(raw: RawDataset, name: str) -> None:
    """Refuse what is not a classification dataset.

    Raises:
        UserError: as :func:`assemble`.
    """
    if len(raw.class_names) < 2:
        raise few_classes(name)
    train = raw.splits.get("train")
    if train is None or len(train.labels) == 0:
        raise UserError(f"{name} has no training images", "add a split called train")
    check_pixels(train, name)
    for split, part in raw.splits.items():
        if part.images.shape[2:] != train.images.shape[2:] and len(part.labels):
            raise UserError(
                f"images differ in size: {name} has {_size(train)} in train but {_size(part)} in {split}",
                "resize them with `image_size`",
            )


def check_pixels(split: Split, name: str) -> None:
    """Refuse images of one pixel, which would be taken for vectors.

    Raises:
        UserError: these are such.
    """
    if split.images.shape[2:] == (1, 1) and not split.holds_vectors:
        raise UserError(
            f"the images of {name} are single pixels",
            "use larger images, or store vectors as floating-point numbers",
        )


def _size(split: Split) -> str:
    return f"{split.images.shape[3]}×{split.images.shape[2]}"


def _same_channels(splits: Mapping[str, Split]) -> dict[str, Split]:
    """The splits that have images, converted to the richest channels among them."""
    present = {name: split for name, split in splits.items() if len(split.labels)}
    if any(split.holds_vectors for split in present.values()):
        return present
    channels = richest(split.images.shape[1] for split in present.values())
    return {name: Split(richer(split.images, channels), split.labels) for name, split in present.items()}
