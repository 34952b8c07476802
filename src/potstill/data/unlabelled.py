"""Images without labels: found only where folders cannot be meant as classes, or where the user says so."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from potstill.data.assembly import check_pixels
from potstill.data.cache import read_cached
from potstill.data.catalogue import CATALOGUE, may_name_vectors
from potstill.data.choices import NO_CHOICES
from potstill.data.dataset import channel_statistics, fingerprint
from potstill.data.labeled_images import LabeledImages
from potstill.data.pixels import Kind
from potstill.data.raster import read_raster
from potstill.data.sources import SOURCES, Request
from potstill.data.sources.folder import ImageFolder
from potstill.data.sources.loose_images import LooseImages
from potstill.data.sources.vector_files import holds_vectors
from potstill.runtime.errors import UserError
from potstill.runtime.files import cache_folder, expanded
from potstill.runtime.progress import Progress, silent
from potstill.schema.account import Account

SIDE = 96
"""Height and width in pixels of the pictures of files that are not decoded otherwise."""


def find_unlabelled(spec: str | Path, *, insisted: bool = False) -> LooseImages | None:
    """Images without labels, if that is what a folder or an archive holds.

    Args:
        spec: as the user named it.
        insisted: whether the user says that folders are not classes. Otherwise images are found only if all of them lie
            directly in the folder or the archive, and nothing else in it may be a dataset.

    Returns:
        The images; None if these may be images with labels, or something else.

    Raises:
        UserError: the user says so, and this is not a folder or ``.zip``, or has no images or several splits.
    """
    path = expanded(spec)
    found = None if str(spec) in CATALOGUE else LooseImages.at(path)
    if insisted:
        if str(spec) in CATALOGUE:
            raise UserError(f"{spec} is a dataset with labels", "omit `unlabelled`")
        if found is None and not path.exists():
            raise UserError(f"{spec} does not exist", "check the path")
        if found is None:
            raise UserError(f"{spec} is not a folder or .zip of images, nor a file of vectors", "omit `unlabelled`")
        found.check()
        return found
    if found is None or (not found.is_archive and not any(child.is_file() for child in path.iterdir())):
        return None
    request = Request(str(spec), None, path)
    if any(kind.recognise(request) is not None for kind in SOURCES if kind is not ImageFolder):
        return None
    return found if found.is_flat else None


def may_be_unlabelled(spec: str | Path) -> bool:
    """Whether a user may insist that there are no labels: of a folder or ``.zip`` with images, or a file with vectors.

    Args:
        spec: as the user named it.

    Raises:
        UserError: it is damaged.
    """
    path = expanded(spec)
    if str(spec) in CATALOGUE:
        return False
    if may_name_vectors(path.name) and path.is_file():
        return holds_vectors(path)
    found = LooseImages.at(path)
    return found is not None and bool(found.parts)


@dataclass(frozen=True, eq=False)
class ImageFiles:
    """Images without labels that are decoded only to be looked at. They may differ in size.

    Attributes:
        source: where they are.
    """

    source: LooseImages

    def __len__(self) -> int:
        return len(self.source.parts)

    @property
    def class_names(self) -> tuple[str, ...]:
        """A single empty name."""
        return ("",)

    @property
    def class_sizes(self) -> tuple[int, ...]:
        """The number of all."""
        return (len(self),)

    @property
    def class_index(self) -> tuple[Tensor, ...]:
        """The indices of all, int64."""
        return (torch.arange(len(self)),)

    @cached_property
    def labels(self) -> Tensor:
        """int64 (N,): zeros."""
        return torch.zeros(len(self), dtype=torch.int64)

    def read(self, indices: slice) -> np.ndarray:
        """uint8 (n, 3, SIDE, SIDE): the central squares of some images.

        Raises:
            UserError: one cannot be read.
        """
        encoded = self.source.read(self.source.parts[indices])
        return np.stack([_picture(content, where) for content, where in encoded])


def _picture(content: bytes | Path, where: str) -> np.ndarray:
    raster = read_raster(content, where, image_size=SIDE, channels=3)
    if raster.pixels is None and raster.extent is not None:
        white: dict[Kind, float] = {raster.extent.kind: raster.extent.high or 1}  # judged by this image alone
        raster = read_raster(content, where, image_size=SIDE, channels=3, white=white)
    assert raster.pixels is not None, where
    return raster.pixels


@dataclass(frozen=True, eq=False)
class DecodedImages:
    """Images without labels, decoded.

    Attributes:
        images: all of them, of one class without a name.
        fingerprint: the SHA-256 that identifies them.
        account: how they were found and understood.
    """

    images: LabeledImages
    fingerprint: str
    account: Account


def load_unlabelled(
    source: LooseImages,
    *,
    image_size: int | None = None,
    cache: str | Path | None = "user",
    progress: Progress = silent,
) -> DecodedImages:
    """Decode images without labels, by the rules of datasets.

    Args:
        source: where they are.
        image_size: as for :func:`potstill.data.load_dataset`.
        cache: likewise.
        progress: likewise.

    Raises:
        UserError: an image is unreadable, or they differ in size and ``image_size`` is None, or there is no room.
    """
    folder = cache_folder("decoded") if cache == "user" else None if cache is None else Path(cache)
    raw = read_cached(source, folder, NO_CHOICES, image_size, None, progress)
    part = raw.splits["train"]
    check_pixels(part, source.name)
    mean, std = channel_statistics(part.images)
    images = LabeledImages(part.images, part.labels, raw.class_names, mean, std)
    return DecodedImages(images, fingerprint(raw, {}), raw.account)
