"""What would make results misleading, one sentence each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from potstill.inspection.pixels import is_faint
from potstill.schema.account import Account, SplitAccount
from potstill.schema.inspection import Inspection
from potstill.schema.words import counted, listed, share

IMBALANCE = 10
"""The largest class has this many times the training images of the smallest before it is worth a warning."""


def warnings_about(inspection: Inspection, sizes: Mapping[str, int]) -> tuple[str, ...]:
    """The warnings that follow from an inspection.

    Args:
        inspection: everything but the warnings.
        sizes: the numbers of images that were published, by split; empty if they are not known.
    """
    splits = {split.name: split for split in inspection.splits}
    return (
        *_unpublished(splits, sizes),
        *_leaks(inspection),
        *_contradictions(inspection),
        *_classes(inspection.account, splits),
        *_pixels(inspection),
    )


def _unpublished(splits: Mapping[str, SplitAccount], sizes: Mapping[str, int]) -> Iterator[str]:
    """A catalogue dataset in other splits than the published ones."""
    if not sizes:
        return
    if "test" in sizes and ("test" not in splits or splits["test"].held_out):
        yield (
            f"this is not the published test split of {sizes['test']:,} images: results are not comparable with "
            "published ones"
        )
    for name, found in used_sizes(splits.values()).items():
        if name in sizes and found != sizes[name]:
            yield (
                f"{name} has {found:,} images, and {sizes[name]:,} were published: results are not comparable with "
                "published ones"
            )


def used_sizes(splits: Iterable[SplitAccount]) -> dict[str, int]:
    """The number of images by published split: images that were held out count where they come from."""
    sizes: dict[str, int] = {}
    for split in splits:
        name = "train" if split.held_out else split.name
        sizes[name] = sizes.get(name, 0) + split.images
    return sizes


def _leaks(inspection: Inspection) -> Iterator[str]:
    for found in inspection.repeated:
        if found.split == "test" != found.other:
            yield f"{found}: test accuracy is overestimated"


def _contradictions(inspection: Inspection) -> Iterator[str]:
    if found := inspection.contradictory:
        first, second = (inspection.account.class_names[place.label] for place in found.examples[0])
        images = counted(found.images, inspection.account.kind)
        yield (f"{images} occur with more than one label, such as {first} and {second}: at most one of them is right")


def _classes(account: Account, splits: Mapping[str, SplitAccount]) -> Iterator[str]:
    """Classes that are too small to learn or to test, and classes of very different sizes."""
    names, kind = account.class_names, account.kind
    train, test = splits["train"].class_sizes, splits["test"].class_sizes if "test" in splits else ()
    if single := [name for name, size in zip(names, train, strict=True) if size == 1]:
        yield f"{_classes_named(single)} a single training {kind}"
    if max(train) == 1 and not any(test):  # else it was asked for, as where all may be chosen
        yield f"there are no test {kind}s: accuracies cannot be measured"
    if test and (untested := [name for name, size in zip(names, test, strict=True) if not size]):
        yield f"{_classes_named(untested)} no test {kind}"
    smallest, largest = min(train), max(train)
    if smallest and largest >= IMBALANCE * smallest:
        least, most = names[train.index(smallest)], names[train.index(largest)]
        yield (
            f"classes are imbalanced by a factor of {largest / smallest:.0f}: {most} has {largest:,} training {kind}s, "
            f"{least} has {smallest:,}"
        )


def _classes_named(names: Sequence[str]) -> str:
    return f"the class {names[0]} has" if len(names) == 1 else f"{len(names):,} classes ({listed(names)}) have"


def _pixels(inspection: Inspection) -> Iterator[str]:
    for pixels in inspection.pixels:
        if is_faint(pixels):
            look = "nearly black" if pixels.highest < 128 else "nearly white" if pixels.lowest >= 128 else "nearly grey"
            yield (
                f"all pixels of {pixels.split} lie between {pixels.lowest} and {pixels.highest} of 255, so its images "
                f"are {look}: check how they were stored"
            )
    faint = {pixels.split for pixels in inspection.pixels if is_faint(pixels)}
    rest = sum(pixels.empty for pixels in inspection.pixels if pixels.split not in faint)
    if rest:
        images = sum(split.images for split in inspection.splits if split.name not in faint)
        verb = "has" if rest == 1 else "have"
        yield f"{rest:,} of {counted(images, 'image')} ({share(rest / images)}) {verb} hardly any contrast"
