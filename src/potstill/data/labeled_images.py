"""Labelled images: bytes on the device or on disk, labels, and an index of each class.

A vector of D numbers is an image of one pixel with D channels: float32 (D, 1, 1).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Protocol

import torch
from torch import Tensor

from potstill.data.class_sampler import ClassSampler
from potstill.data.images_on_disk import BLOCK_BYTES, ImagesOnDisk
from potstill.data.whitening import Whitening
from potstill.runtime.bounds import bytes_in_words
from potstill.runtime.errors import UserError
from potstill.schema.shapes import bytes_of, shape_in_words


class Examples(Protocol):
    """Labelled images that are accessed by index: a real or a synthetic set."""

    @property
    def labels(self) -> Tensor:
        """int64 (N,) classes, or float (N, classes) probabilities."""
        ...

    def __len__(self) -> int: ...

    def normalised(self, indices: Tensor | slice | None = None) -> Tensor:
        """float32 (n, C, H, W): the normalised images at ``indices``; all by default."""
        ...


@dataclass(frozen=True, eq=False)
class LabeledImages:
    """Images of one split with their labels.

    Attributes:
        stored: uint8 (N, C, H, W), on any device; or images on disk, which are read when they are asked for; or
            vectors, float32 (N, D, 1, 1), on any device.
        labels: int64 (N,), indices into ``class_names``, on the same device.
        class_names: the name of each class.
        mean: of each channel, of pixels scaled to [0, 1]; of vectors, of their numbers.
        std: of each channel, likewise.
        whitening: the ZCA transform that ``normalised`` applies, if any.

    Raises:
        UserError: images or labels have another type or shape, or labels are out of range.
    """

    stored: Tensor | ImagesOnDisk
    labels: Tensor
    class_names: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    whitening: Whitening | None = None

    def __post_init__(self) -> None:
        if isinstance(self.stored, Tensor) and not (_are_images(self.stored) or _are_vectors(self.stored)):
            raise UserError(
                f"images are {self.stored.dtype} {tuple(self.stored.shape)}",
                "pass them as torch.uint8 (N, C, H, W), vectors as torch.float32 (N, D, 1, 1)",
            )
        if self.labels.dtype != torch.int64 or self.labels.shape != (len(self),):
            raise UserError(
                f"labels are {self.labels.dtype} {tuple(self.labels.shape)} for {len(self)} images",
                "pass one class index per image, as torch.int64",
            )
        if (
            len(self.labels)
            and not self.labels.is_meta
            and not 0 <= self.labels.min() <= self.labels.max() < len(self.class_names)
        ):
            raise UserError(
                f"labels go from {self.labels.min()} to {self.labels.max()} for {len(self.class_names)} class names",
                "pass indices into the class names, counted from 0",
            )

    def __repr__(self) -> str:
        """One line with the counts and the shape, without the tensors."""
        return f"LabeledImages({len(self):,} {shape_in_words(self.shape)}, {self.class_count} classes)"

    def __len__(self) -> int:
        return len(self.stored)

    def __getitem__(self, index: int | slice | Tensor) -> tuple[Tensor, Tensor]:
        """The normalised image and the label at ``index``, or the images and labels at several.

        Raises:
            IndexError: there is no such image.
        """
        if isinstance(index, int):
            place = range(len(self))[index]
            return self.normalised(slice(place, place + 1))[0], self.labels[place]
        return self.normalised(index), self.labels[index]

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W) of one image."""
        return self.stored.shape[1], self.stored.shape[2], self.stored.shape[3]

    @property
    def device(self) -> torch.device:
        """Where the images are, or are moved to when they are read."""
        return self.stored.device

    @property
    def nbytes(self) -> int:
        """The bytes of all images."""
        return len(self) * bytes_of(self.shape)

    @property
    def holds_vectors(self) -> bool:
        """Whether these are vectors rather than images."""
        return isinstance(self.stored, Tensor) and self.stored.is_floating_point()

    @property
    def images(self) -> Tensor:
        """uint8 (N, C, H, W): all images, in memory.

        Raises:
            UserError: they stay on disk, because they do not fit in memory.
        """
        if isinstance(self.stored, Tensor):
            return self.stored
        raise UserError(
            f"this needs all {len(self):,} images in memory, {bytes_in_words(self.nbytes)}, but they stay on disk",
            "use fewer or smaller images, or more memory",
        )

    @property
    def class_count(self) -> int:
        """The number of classes, including those of which this split has no image."""
        return len(self.class_names)

    @property
    def class_sizes(self) -> tuple[int, ...]:
        """The number of images of each class."""
        return tuple(self._sizes.tolist())

    @property
    def class_index(self) -> tuple[Tensor, ...]:
        """The ascending int64 indices of the images of each class, on their device."""
        return self._index

    def to(self, device: torch.device | str) -> LabeledImages:
        """A copy on ``device``."""
        return replace(
            self,
            stored=self.stored.to(device),
            labels=self.labels.to(device),
            whitening=None if self.whitening is None else self.whitening.to(device),
        )

    def blocks(self) -> Iterator[Tensor]:
        """All images in order, some megabytes at a time: (n, C, H, W) as stored, on the images' device."""
        if isinstance(self.stored, Tensor):
            yield from self.stored.split(max(BLOCK_BYTES // max(self.stored[:1].nbytes, 1), 1))
        else:
            yield from self.stored.blocks()

    def take(self, indices: Tensor) -> LabeledImages:
        """The images at ``indices`` (int64 (n,)), in that order."""
        indices = indices.to(self.device, non_blocking=True)
        return replace(self, stored=self.stored[indices], labels=self.labels[indices])

    def read(self, indices: Tensor | slice) -> Tensor:
        """Some images as they are stored.

        Args:
            indices: a slice, or int64 (n,).

        Returns:
            (n, C, H, W) as stored, on the images' device.
        """
        if not isinstance(self.stored, Tensor):
            return self.stored[indices].read()
        if isinstance(indices, slice):
            return self.stored[indices]
        return self.stored.index_select(0, indices.to(self.device, non_blocking=True))

    def normalised(self, indices: Tensor | slice | None = None) -> Tensor:
        """Images as networks see them: (pixels / 255 - mean) / std, then whitened if the split has a whitening.

        Vectors are (numbers - mean) / std.

        Args:
            indices: a slice, or int64 indices of any shape; all images by default.

        Returns:
            float32 (n, C, H, W), n the number of indices, on the images' device.
        """
        chosen = self.read(indices.reshape(-1) if isinstance(indices, Tensor) else indices or slice(None))
        if self.holds_vectors:
            mean, std = self._centre
            return (chosen - mean).div_(std)
        scale, shift = self._affine
        # Two in-place passes over the one new buffer are twice as fast here as a broadcasting addcmul.
        result = chosen.float().mul_(scale).add_(shift)
        return result if self.whitening is None else self.whitening.apply(result)

    def clamped(self, images: Tensor) -> Tensor:
        """Normalised images (n, C, H, W), their pixels kept between black and white.

        Whitened ones and vectors have no such range, and are not changed.
        """
        if self.whitening is not None or self.holds_vectors:
            return images
        mean, std = (torch.tensor(values, dtype=torch.float64)[:, None, None] for values in (self.mean, self.std))
        return images.clamp((-mean / std).to(images), ((1 - mean) / std).to(images))

    def sample_per_class(self, count: int, generator: torch.Generator, classes: Tensor | None = None) -> Tensor:
        """Draw ``count`` images of each class, or of each of some classes, at random.

        Of a class with ``count`` images or more none is drawn twice. Of a smaller class of n images each is drawn
        floor(count / n) times, and a random choice of them once more.

        Args:
            count: the number of images per class.
            generator: a CPU generator: its state determines the images, whatever the device.
            classes: int64 (chosen,), on the CPU; None draws of all classes.

        Returns:
            int64 (classes, count): indices, on the images' device.

        Raises:
            ValueError: a class has no image in this split.
        """
        if min(self.class_sizes) == 0:
            raise ValueError(f"class {self.class_names[self.class_sizes.index(0)]!r} has no images to draw from")
        return self._sampler.draw(count, generator, classes).to(self.device, non_blocking=True)

    @cached_property
    def _index(self) -> tuple[Tensor, ...]:
        return self.labels.argsort(stable=True).split(list(self.class_sizes))

    @cached_property
    def _sizes(self) -> Tensor:
        return torch.bincount(self.labels.cpu(), minlength=self.class_count)

    @cached_property
    def _sampler(self) -> ClassSampler:
        return ClassSampler(self.labels, self._sizes)

    @cached_property
    def _centre(self) -> tuple[Tensor, Tensor]:
        """float32 (D, 1, 1) mean and standard deviation of vectors, on their device."""
        device = self.device
        mean, std = (torch.tensor(values, device=device)[:, None, None] for values in (self.mean, self.std))
        return mean, std

    @cached_property
    def _affine(self) -> tuple[Tensor, Tensor]:
        """float32 (C, 1, 1) scale and shift, on the images' device: normalised = bytes * scale + shift."""
        mean, std = (torch.tensor(values, dtype=torch.float64)[:, None, None] for values in (self.mean, self.std))
        device = self.device
        return (1 / (255 * std)).float().to(device), (-mean / std).float().to(device)


def _are_images(stored: Tensor) -> bool:
    return stored.dtype == torch.uint8 and stored.dim() == 4


def _are_vectors(stored: Tensor) -> bool:
    return stored.dtype == torch.float32 and stored.dim() == 4 and stored.shape[2:] == (1, 1)
