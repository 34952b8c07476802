"""The images of the sets that are compared, read from their files as far as these are still there."""

from __future__ import annotations

from pathlib import Path

from potstill.report.images import ImageSet, unchanged_images
from potstill.report.strips import Shown, Strips, make_strips
from potstill.schema.comparison import ComparedSet, Comparison
from potstill.schema.run_folder import RunPaths


def compared_images(record: Comparison, folder: Path) -> Strips | None:
    """The images of the sets of a comparison.

    Args:
        record: the comparison.
        folder: the folder of its record, from which the paths of the sets start.

    Returns:
        The first image of each class of each set; None if no set is there as it was compared.
    """
    found = {item.name: images for item in record.sets if (images := _images(item, folder)) is not None}
    absent = [item.name for item in record.sets if item.name not in found]
    gone = f"Not shown, because the set was changed or removed: {', '.join(absent)}."
    return make_strips({name: Shown(images) for name, images in found.items()}, [gone] if absent else [])


def _images(item: ComparedSet, folder: Path) -> ImageSet | None:
    """The images of a set, if its file still has the set that was compared, and if it is one of images."""
    if not item.folder:
        return None
    file = folder / item.file if item.file else RunPaths(folder / item.folder).synthetic
    images = unchanged_images(file, item.set_sha256)
    return images if images is not None and images.kind == "image" else None
