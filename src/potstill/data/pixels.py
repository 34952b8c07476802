"""From stored numbers of any type to bytes: which number is white is judged once for the whole dataset."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from torch import Tensor

from potstill.runtime.errors import UserError

BITS = (8, 10, 12, 14, 16)
"""The depths that cameras and scanners have; a container of 16 bits often holds fewer."""
DARKEST_SPLIT = 16
"""What must be scaled must be clear: no split may be darker than this fraction of white."""
UPPER_BYTE_OF_16_BITS = 2**6
"""The least upper byte of a set that uses all 16 bits, and not only 14."""

Kind = Literal["bytes", "truth values", "integers", "floats", "upper bytes"]
"""How pixels are stored; ``upper bytes`` are all that Pillow keeps of 16-bit colour."""


@dataclass(frozen=True)
class Extent:
    """The range of the numbers stored for some images.

    Attributes:
        kind: how they are stored.
        container: the same in the words of the file, such as ``16-bit PNG`` or ``uint16``.
        low: the smallest number.
        high: the largest.
        where: the name of the images in errors.
    """

    kind: Kind
    container: str
    low: float
    high: float
    where: str

    @property
    def words(self) -> str:
        """The range, such as ``0 to 4,063``."""
        return f"{self.low:,.7g} to {self.high:,.7g}"


@dataclass(frozen=True)
class WhiteLevels:
    """What white is, by the kind of number, and the decision in words for the account."""

    white: Mapping[Kind, float]
    words: str


@dataclass(frozen=True, eq=False)
class ScaledSplits:
    """The images of a dataset in bytes, or its vectors.

    Attributes:
        splits: uint8 (N, C, H, W) for each split; of vectors, float32 (N, D, 1, 1).
        pixels: what was stored and how it was scaled, in words.
        remarks: further decisions, one sentence each.
    """

    splits: Mapping[str, Tensor]
    pixels: str
    remarks: tuple[str, ...] = ()


def measure(values: np.ndarray, where: str, container: str | None = None) -> Extent:
    """The extent of pixels of any number type.

    Args:
        values: the pixels, at least one.
        where: their name in errors.
        container: how they are stored, in words; by default the name of their type.

    Raises:
        UserError: they are not numbers, or some are NaN or infinite.
    """
    kind = _kind(values.dtype, where)
    if kind == "floats" and not (finite := np.isfinite(values)).all():
        first = tuple(int(index) for index in np.argwhere(~finite)[0])
        raise UserError(f"{where} has NaN or infinite pixels (the first at {first})", "repair the image or remove it")
    low, high = (values.min().item(), values.max().item()) if values.size else (0, 0)
    return Extent(kind, container or str(values.dtype), low, high, where)


def judge(splits: Mapping[str, Sequence[Extent]]) -> WhiteLevels:
    """Decide for a whole dataset which number is white.

    Bytes stay as they are. Other integers, and floats above 255, are taken for the fewest of ``BITS`` that hold the
    largest of them; floats up to 1 for shares of white, and up to 255 for bytes.

    Args:
        splits: the extents of the images of each split.

    Raises:
        UserError: every pixel is 0, a number is out of range, or a split is so dark that its range must differ.
    """
    everything = [extent for extents in splits.values() for extent in extents]
    if everything and not any(extent.high for extent in everything):
        raise UserError(f"every pixel of {everything[0].where} is 0, as is every other pixel", "check the images")
    white: dict[Kind, float] = {}
    words = []
    kinds: list[Kind] = [extent.kind for extent in everything]
    for kind in dict.fromkeys(kinds):
        of_kind = [extent for extent in everything if extent.kind == kind]
        whole = _whole(of_kind)
        white[kind] = _white(whole, of_kind)
        words.append(_in_words(whole, white[kind]))
        if kind not in ("bytes", "truth values"):
            _check_darkness(splits, kind, white[kind])
    return WhiteLevels(white, "; ".join(words))


def to_bytes(values: np.ndarray, white: float, where: str) -> np.ndarray:
    """Scale pixels so that ``white`` becomes 255.

    Args:
        values: pixels of any number type, in [0, white].
        white: as judged by :func:`judge` for their kind.
        where: their name in errors.

    Returns:
        uint8 of the same shape.

    Raises:
        UserError: pixels lie outside [0, white].
    """
    kind = _kind(values.dtype, where)
    if kind == "bytes":
        return values
    if kind == "truth values":
        return values.astype(np.uint8) * 255
    extent = measure(values, where)
    if extent.low < 0 or extent.high > white:
        raise UserError(f"pixels of {where} lie in [{extent.low:g}, {extent.high:g}]", "rescale them to 8 bits")
    if kind == "integers":
        table = np.rint(np.arange(int(white) + 1) * (255 / white)).astype(np.uint8)
        return table[values]
    return np.rint(values * (255 / white)).astype(np.uint8)


def _kind(dtype: np.dtype, where: str) -> Kind:
    if dtype == np.uint8:
        return "bytes"
    if dtype == np.bool_:
        return "truth values"
    if np.issubdtype(dtype, np.integer):
        return "integers"
    if np.issubdtype(dtype, np.floating):
        return "floats"
    raise UserError(f"pixels of {where} are not numbers ({dtype})", "store uint8")


def _whole(extents: Sequence[Extent]) -> Extent:
    containers = ", ".join(sorted({extent.container for extent in extents}))
    darkest, brightest = min(extents, key=lambda extent: extent.low), max(extents, key=lambda extent: extent.high)
    return Extent(brightest.kind, containers, darkest.low, brightest.high, brightest.where)


def _white(whole: Extent, extents: Iterable[Extent]) -> float:
    """The number that is white, of all pixels of one kind."""
    if whole.kind in ("bytes", "truth values"):
        return 255 if whole.kind == "bytes" else 1
    if whole.low < 0:
        where = next(extent.where for extent in extents if extent.low < 0)
        raise UserError(f"pixels of {where} lie in [{whole.low:g}, {whole.high:g}]", "rescale them to [0, 255]")
    if whole.kind == "upper bytes":
        if whole.high < UPPER_BYTE_OF_16_BITS:
            raise UserError(
                f"colour images such as {whole.where} use only some of the 16 bits of their files, "
                "of which the lower 8 cannot be read",
                "convert them to 8 bits",
            )
        return 255
    if whole.kind == "floats" and whole.high <= 1:
        return 1
    if whole.kind == "floats" and whole.high < 2:
        raise UserError(
            f"pixels of {whole.where} lie in [{whole.low:g}, {whole.high:g}], which is neither [0, 1] nor [0, 255]",
            "clip or rescale them",
        )
    white = next((2**bits - 1 for bits in BITS if whole.high <= 2**bits - 1), None)
    if white is None:
        raise UserError(
            f"pixels of {whole.where} lie in [{whole.low:g}, {whole.high:g}], beyond 16 bits",
            "rescale them to [0, 255]",
        )
    return white


def _in_words(whole: Extent, white: float) -> str:
    if whole.kind == "bytes":
        return f"8 bits ({whole.words})"
    if whole.kind == "truth values":
        return "true and false, as white and black"
    if whole.kind == "upper bytes":
        return f"the upper 8 bits of {whole.container} ({whole.words})"
    if whole.kind == "floats" and white == 1:
        return f"{whole.words} in {whole.container}, times 255"
    bits = round(np.log2(white + 1))
    scaling = "kept" if white == 255 else f"divided by {white:,}, times 255"
    return f"{bits} bits ({whole.words}) in {whole.container}, {scaling}"


def _check_darkness(splits: Mapping[str, Sequence[Extent]], kind: Kind, white: float) -> None:
    """Refuse a dataset of which one split seems to have another range than the others, or which is all dark."""
    for split, extents in splits.items():
        of_kind = [extent for extent in extents if extent.kind == kind]
        if of_kind and (whole := _whole(of_kind)).high * DARKEST_SPLIT < white:
            raise UserError(
                f"the pixels of {split} lie in [{whole.low:g}, {whole.high:g}] ({whole.where}), "
                f"which is all dark if {white:g} is white",
                "rescale the images of all splits to the same range, [0, 255]",
            )
