"""From the encoded images of a dataset to uint8 (N, C, H, W) for each split, in memory.

What depends on all images is decided here, once for all splits: the number that is white, and whether alpha is kept.
"""

from __future__ import annotations

import threading
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple, TypeVar

import numpy as np
from PIL import Image
from torch import Tensor

from potstill.data.found import Content
from potstill.data.pixels import ScaledSplits, WhiteLevels, judge, measure
from potstill.data.raster import Raster, read_raster
from potstill.data.shaping import stack_images
from potstill.runtime.bounds import bytes_in_words, memory_bytes
from potstill.runtime.errors import UserError
from potstill.runtime.machine import core_count

CHUNK = 64  # images per task: enough to hide the cost of handing them to a thread
CHUNK_BYTES = 2**23  # encoded bytes from which a task is not enlarged
WAITING = 64  # the most tasks between the reader and the decoders
WAITING_BYTES = 2**28  # the encoded bytes from which the reader waits for the decoders

T = TypeVar("T", bound=tuple[Any, ...])
R = TypeVar("R")

Named = tuple[Content, str]  # an image before it is decoded, and its name in errors


class _Decoded(NamedTuple):
    """A decoded image; ``content`` is kept only if it must be decoded again, with what white is."""

    raster: Raster
    content: Content | None
    where: str


def decode_splits(
    encoded: Mapping[str, Iterable[Named]], *, image_size: int | None = None, channels: int | None = None
) -> ScaledSplits:
    """Decode the images of all splits, several at a time.

    Grey images keep one channel. Palette, CMYK and other colour spaces become RGB. Numbers other than bytes are scaled
    as :func:`potstill.data.pixels.judge` decides. Alpha, also that of a palette or of a transparent colour, is kept if
    most images have it. If the images of a split differ in channels, all get those of the richest: grey is repeated,
    missing alpha is opaque. Of animations the first frame is read.

    Args:
        encoded: for each split, and for each of its images, what is to be decoded and its name in errors.
        image_size: the side in pixels: the shorter side is resized to it (bilinear, antialiased), then the central
            square is cut out; None keeps the size.
        channels: 1 or 3 converts every image to grey or RGB; None keeps the channels.

    Raises:
        UserError: an image is unreadable, truncated or has NaN pixels, the range of the pixels is unclear, sizes differ
            within a split and ``image_size`` is None, or the images do not fit in memory.
    """
    budget = _Budget(memory_bytes())

    def first_pass(chunk: list[Named]) -> list[_Decoded]:
        decoded = []
        for content, where in chunk:
            raster = read_raster(content, where, image_size=image_size, channels=channels)
            budget.spend(raster)
            decoded.append(_Decoded(raster, content if raster.pixels is None else None, where))
        return decoded

    with decoders() as pool:
        found = {split: list(in_order(pool, first_pass, images)) for split, images in encoded.items()}
        count = sum(map(len, found.values()))
        remarks = (
            *animation_remarks(_counted(found, lambda raster: raster.animated)),
            *flattening_remarks(_counted(found, lambda raster: raster.flattened), count),
        )
        without_alpha, alpha_remarks = judge_alpha(_counted(found, lambda raster: has_alpha(raster.shape[0])), count)
        scale = _judge_deep(found)
        if scale is not None:
            second_pass = partial(_scaled, scale, budget, image_size, channels)
            found = {split: list(in_order(pool, second_pass, images)) for split, images in found.items()}
    splits = {split: _stack(images, without_alpha) for split, images in found.items()}
    if scale is None:
        scale = judge({split: [measure(images.numpy(), split)] for split, images in splits.items() if len(images)})
    return ScaledSplits(splits, scale.words, (*remarks, *alpha_remarks))


def _scaled(
    scale: WhiteLevels, budget: _Budget, image_size: int | None, channels: int | None, images: list[_Decoded]
) -> list[_Decoded]:
    """Decode again the images for which white had to be judged first."""
    scaled = []
    for image in images:
        if image.content is None:
            scaled.append(image)
            continue
        raster = read_raster(image.content, image.where, image_size=image_size, channels=channels, white=scale.white)
        budget.spend(raster)
        scaled.append(_Decoded(raster, None, image.where))
    return scaled


def _judge_deep(found: Mapping[str, list[_Decoded]]) -> WhiteLevels | None:
    """What white is, if some images hold numbers other than plain bytes."""
    if not any(image.raster.extent for images in found.values() for image in images):
        return None
    return judge(
        {
            split: [image.raster.extent or measure(_pixels(image), image.where) for image in images]
            for split, images in found.items()
        }
    )


def _counted(found: Mapping[str, list[_Decoded]], holds: Callable[[Raster], bool]) -> int:
    """Of how many images something holds."""
    return sum(holds(image.raster) for images in found.values() for image in images)


def has_alpha(channels: int) -> bool:
    """Whether the last of so many channels is alpha."""
    return channels in (2, 4)


def judge_alpha(count: int, images: int) -> tuple[bool, tuple[str, ...]]:
    """Whether alpha is dropped, and the decision in words: if only some images have it, the majority decides.

    Args:
        count: the number of images with alpha.
        images: the number of all images.
    """
    if count in (0, images):
        return False, ()
    dropped = 2 * count <= images
    without = "half of them" if 2 * count == images else "most"
    kept = "the others are taken as opaque, since most have it"
    return dropped, (_alpha(count, images, f"it is dropped, since {without} have none" if dropped else kept),)


def flattening_remarks(count: int, images: int) -> tuple[str, ...]:
    """In words, whether the alpha of some images was dropped because of the channels that were asked for."""
    return (_alpha(count, images, "it is dropped, since the dataset is published without"),) if count else ()


def _alpha(count: int, images: int, outcome: str) -> str:
    return f"{count:,} of {images:,} images {'has' if count == 1 else 'have'} alpha: {outcome}"


def animation_remarks(count: int) -> tuple[str, ...]:
    """In words, whether some images have several frames."""
    if not count:
        return ()
    return (f"{count:,} {'image has' if count == 1 else 'images have'} several frames, of which the first is read",)


def _stack(images: list[_Decoded], without_alpha: bool) -> Tensor:
    named = []
    while images:
        image = images.pop()
        pixels = _pixels(image)
        named.append((pixels[:-1] if without_alpha and has_alpha(pixels.shape[0]) else pixels, image.where))
    named.reverse()
    return stack_images(named)


def _pixels(image: _Decoded) -> np.ndarray:
    assert image.raster.pixels is not None, image.where
    return image.raster.pixels


@dataclass
class _Budget:
    """The memory for decoded images, so that a few kilobytes of black do not fill it."""

    limit: float
    spent: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def spend(self, raster: Raster) -> None:
        if raster.pixels is None:
            return
        with self.lock:
            self.spent += raster.pixels.nbytes
        if self.spent > self.limit:
            raise UserError(
                f"the decoded images need more than the {bytes_in_words(self.limit)} of memory that is available",
                "resize them with `image_size`, or use fewer",
            )


@contextmanager
def decoders() -> Iterator[Executor]:
    """Threads that decode; after an error nothing more is started. Pillow's warnings are not for the user."""
    with warnings.catch_warnings(), ThreadPoolExecutor(max_workers=core_count()) as pool:
        warnings.simplefilter("ignore")
        try:
            yield pool
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def in_order(pool: Executor, decode: Callable[[list[T]], list[R]], images: Iterable[T]) -> Iterator[R]:
    """Decode images in parallel, in order; unlike ``pool.map`` this keeps only some encoded images in memory."""
    waiting: deque[tuple[Future[list[R]], int]] = deque()
    size = 0
    for chunk, chunk_size in _chunks(images):
        waiting.append((pool.submit(decode, chunk), chunk_size))
        size += chunk_size
        while len(waiting) > WAITING or (size > WAITING_BYTES and waiting):
            future, done = waiting.popleft()
            yield from future.result()
            size -= done
    for future, _ in waiting:
        yield from future.result()


def _chunks(images: Iterable[T]) -> Iterator[tuple[list[T], int]]:
    """What one task decodes, and its encoded bytes."""
    chunk: list[T] = []
    size = 0
    for image in images:
        chunk.append(image)
        size += sum(map(_bytes_of, image))
        if len(chunk) == CHUNK or size > CHUNK_BYTES:
            yield chunk, size
            chunk, size = [], 0
    if chunk:
        yield chunk, size


def _bytes_of(part: object) -> int:
    """The memory that a part of an image takes before it is decoded."""
    if isinstance(part, Image.Image):
        return part.width * part.height * len(part.getbands())
    return len(part) if isinstance(part, bytes) else 0
