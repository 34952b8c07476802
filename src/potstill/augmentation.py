"""Augmentation of batches of images: Siamese operations, for matching and for training, and CutMix, for training.

Images are (N, C, H, W) in normalised units, so that the zeros that enter at the border are the mean colour.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from potstill.runtime.errors import unknown

OPERATIONS = ("color", "crop", "cutout", "flip", "scale", "rotate")
_DRAWN_PER_SAMPLE = 11  # uniforms per sample: color 3, crop 2, cutout 2, flip 1, scale 2, rotate 1


@dataclass(frozen=True)
class Draw:
    """The parameters of one call: ``count`` independent sets.

    Attributes:
        operations: int64 (count,), indices into the operations of the augmentation; ignored in a sequence.
        uniforms: float32 (count, 11) in [0, 1), of which each operation uses its own columns.
    """

    operations: Tensor
    uniforms: Tensor

    @staticmethod
    def concatenate(draws: Sequence[Draw]) -> Draw:
        """The sets of all ``draws``, one after another."""
        return Draw(torch.cat([draw.operations for draw in draws]), torch.cat([draw.uniforms for draw in draws]))

    def rows(self, index: Tensor | slice) -> Draw:
        """The sets at some indices."""
        return Draw(self.operations[index], self.uniforms[index])


@dataclass(frozen=True, kw_only=True)
class SiameseAugmentation:
    """The DSA family of operations, with the strengths of the published program.

    Parameters are drawn once and applied to both real and synthetic images: Zhao and Bilen, "Dataset Condensation with
    Differentiable Siamese Augmentation", ICML 2021 (arXiv:2102.08259).

    Attributes:
        operations: those of ``OPERATIONS`` that are used, in the order of a sequence; none leaves images unchanged.
        sequence: whether to apply all of them in order, instead of one drawn at random.
        always: those that are applied to every image before the others, in this order.
        brightness: the width of the additive uniform shift, in normalised units.
        saturation: colours are scaled about their grey by U(0, saturation).
        contrast: images are scaled about their mean by U(contrast, contrast + 1).
        crop: the largest shift, as a fraction of the side.
        cutout: the side of the blanked square, as a fraction of the side.
        scale: height and width are scaled by independent factors from U(1/scale, scale).
        rotation: the largest angle in degrees, in either direction.

    Raises:
        UserError: there is no such operation.
    """

    operations: tuple[str, ...] = OPERATIONS
    sequence: bool = False
    always: tuple[str, ...] = ()
    brightness: float = 1.0
    saturation: float = 2.0
    contrast: float = 0.5
    crop: float = 0.125
    cutout: float = 0.5
    scale: float = 1.2
    rotation: float = 15.0

    def __post_init__(self) -> None:
        for name in self.always + self.operations:
            if name not in OPERATIONS:
                raise unknown("augmentation", name, OPERATIONS, listing="color, crop, cutout, flip, scale, rotate")

    def draw(self, generator: torch.Generator, count: int, *, one_operation: bool = False) -> Draw:
        """Draw ``count`` sets of parameters.

        Args:
            generator: a CPU generator.
            count: the number of sets; ``apply`` uses each for equally many neighbouring images.
            one_operation: whether all sets share one operation, as in published training of networks.
        """
        operations = torch.randint(max(len(self.operations), 1), (1 if one_operation else count,), generator=generator)
        uniforms = torch.rand(count, _DRAWN_PER_SAMPLE, generator=generator)
        return Draw(operations.expand(count), uniforms)

    def apply(self, images: Tensor, draw: Draw) -> Tensor:
        """Augment ``images`` (N, C, H, W) with ``draw``; differentiable in the images.

        N must be a multiple of the number of sets: N / count neighbouring images share a set. For matching, draw one
        set per class, and apply it to the real and to the synthetic images, each ordered by class.

        Vectors, which are images of one pixel, are not augmented: the operations are for pictures.

        Raises:
            ValueError: N is not a multiple of the number of sets.
        """
        if not self.always + self.operations or images.shape[2:] == (1, 1):
            return images
        share = len(images) // len(draw.operations)
        if share * len(draw.operations) != len(images):
            raise ValueError(
                f"{len(images)} images cannot be divided evenly among {len(draw.operations)} sets of parameters"
            )
        uniforms = draw.uniforms.to(images.device, images.dtype, non_blocking=True).repeat_interleave(share, dim=0)
        for name in self.always + self.operations if self.sequence else self.always:
            images = self._operation(name)(images, uniforms)
        if self.sequence or not self.operations:
            return images
        present = draw.operations.unique()
        if len(present) == 1:
            return self._operation(self.operations[int(present)])(images, uniforms)
        chosen = draw.operations.repeat_interleave(share)
        parts, places = [], []
        for index in present.tolist():
            place = (chosen == index).nonzero().flatten().to(images.device, non_blocking=True)
            parts.append(self._operation(self.operations[index])(images[place], uniforms[place]))
            places.append(place)
        return torch.cat(parts)[torch.cat(places).argsort()]

    def _operation(self, name: str) -> Callable[[Tensor, Tensor], Tensor]:
        return getattr(self, f"_{name}")

    def _color(self, images: Tensor, u: Tensor) -> Tensor:
        images = images + (_per_image(u[:, 0]) - 0.5) * self.brightness
        grey = images.mean(dim=1, keepdim=True)
        images = (images - grey) * (_per_image(u[:, 1]) * self.saturation) + grey
        mean = images.mean(dim=(1, 2, 3), keepdim=True)
        return (images - mean) * (_per_image(u[:, 2]) + self.contrast) + mean

    def _crop(self, images: Tensor, u: Tensor) -> Tensor:
        n, _, height, width = images.shape
        reach_y, reach_x = int(height * self.crop + 0.5), int(width * self.crop + 0.5)
        top, left = _whole(u[:, 3], 2 * reach_y + 1), _whole(u[:, 4], 2 * reach_x + 1)
        padded = F.pad(images, (reach_x, reach_x, reach_y, reach_y))
        rows = top[:, None] + torch.arange(height, device=images.device)
        columns = left[:, None] + torch.arange(width, device=images.device)
        sample = torch.arange(n, device=images.device)[:, None, None]
        return padded.permute(0, 2, 3, 1)[sample, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)

    def _cutout(self, images: Tensor, u: Tensor) -> Tensor:
        height, width = images.shape[2:]
        in_rows = _within_square(u[:, 5], height, int(height * self.cutout + 0.5))
        in_columns = _within_square(u[:, 6], width, int(width * self.cutout + 0.5))
        return images * ~(in_rows[:, None, :, None] & in_columns[:, None, None, :])

    def _flip(self, images: Tensor, u: Tensor) -> Tensor:
        return torch.where(_per_image(u[:, 7]) < 0.5, images.flip(3), images)

    def _scale(self, images: Tensor, u: Tensor) -> Tensor:
        least = 1 / self.scale
        factors = u[:, 8:10] * (self.scale - least) + least
        matrix = images.new_zeros(len(images), 2, 3)
        matrix[:, 0, 0], matrix[:, 1, 1] = factors[:, 0], factors[:, 1]
        return _resample(images, matrix)

    def _rotate(self, images: Tensor, u: Tensor) -> Tensor:
        angle = (u[:, 10] - 0.5) * 2 * math.radians(self.rotation)
        aspect = images.shape[2] / images.shape[3]  # grid coordinates run from -1 to 1 along either side
        matrix = images.new_zeros(len(images), 2, 3)
        matrix[:, 0, 0] = matrix[:, 1, 1] = angle.cos()
        matrix[:, 0, 1], matrix[:, 1, 0] = -angle.sin() * aspect, angle.sin() / aspect
        return _resample(images, matrix)


NO_AUGMENTATION = SiameseAugmentation(operations=())


def siamese_augmentation(*, flips: bool, sequence: bool = False) -> SiameseAugmentation:
    """The published operations.

    Args:
        flips: whether to include mirroring; False where it changes the class, as with digits.
        sequence: whether to apply all of them in order, instead of one drawn at random.
    """
    return SiameseAugmentation(operations=tuple(o for o in OPERATIONS if flips or o != "flip"), sequence=sequence)


def condensation_augmentation() -> SiameseAugmentation:
    """The augmentation with which the DC paper trains networks on digits: crops by 4 of 28 pixels, scales, rotations.

    The released program draws one of them for every image.
    """
    return SiameseAugmentation(operations=("crop", "scale", "rotate"), crop=1 / 7, scale=1.2, rotation=45.0)


def strong_augmentation(*, flips: bool) -> SiameseAugmentation:
    """The augmentation with which IDC trains networks: mirroring and colours, then a shift, a scale or a rotation.

    Kim et al., ICML 2022 (arXiv:2205.14959). The released program leaves out the cutout of DSA where CutMix is used.

    Args:
        flips: whether to include mirroring; False where it changes the class, as with digits.
    """
    always = ("flip", "color") if flips else ("color",)
    return SiameseAugmentation(operations=("crop", "scale", "rotate"), always=always)


def matching_augmentation(*, cutout: bool = True) -> SiameseAugmentation:
    """The augmentation under which IDC and its followers match: colours and a shift, one after the other.

    Args:
        cutout: whether to blank a square after them.
    """
    return SiameseAugmentation(operations=("color", "crop", "cutout") if cutout else ("color", "crop"), sequence=True)


def cutmix(
    images: Tensor, labels: Tensor, generator: torch.Generator, *, probability: float = 1.0
) -> tuple[Tensor, Tensor]:
    """Replace a box of each image by that of another image of the batch, and the same share of its label.

    Yun et al., "CutMix: Regularization Strategy to Train Strong Classifiers with Localizable Features", ICCV 2019
    (arXiv:1905.04899), with lambda ~ U(0, 1) and one box per batch, as there. A box is cut off at the
    border; the share of the label is that of the pixels that are really replaced. Vectors are not mixed.

    Args:
        images: (N, C, H, W).
        labels: probabilities (N, classes).
        generator: a CPU generator.
        probability: of mixing anything; otherwise the batch is returned as it is.

    Returns:
        The mixed images (N, C, H, W) and labels (N, classes).
    """
    height, width = images.shape[2:]
    if (height, width) == (1, 1):
        return images, labels
    kept, row, column = torch.rand(3, generator=generator).tolist()
    if probability < 1 and torch.rand((), generator=generator).item() >= probability:
        return images, labels
    order = torch.randperm(len(images), generator=generator).to(images.device, non_blocking=True)
    half = math.sqrt(1 - kept) / 2
    top, bottom = _interval(row, half, height)
    left, right = _interval(column, half, width)
    mixed = images.clone()
    mixed[:, :, top:bottom, left:right] = images[order, :, top:bottom, left:right]
    share = (bottom - top) * (right - left) / (height * width)
    return mixed, (1 - share) * labels + share * labels[order]


def _per_image(values: Tensor) -> Tensor:
    return values[:, None, None, None]


def _whole(uniforms: Tensor, count: int) -> Tensor:
    """Whole numbers in [0, count) from uniforms in [0, 1)."""
    return (uniforms * count).long().clamp_(max=count - 1)


def _within_square(uniforms: Tensor, side: int, cut: int) -> Tensor:
    """Bool (N, side): the positions that are covered by a cut of length ``cut`` about a uniformly drawn centre."""
    start = _whole(uniforms, side + 1 - cut % 2)[:, None] - cut // 2
    position = torch.arange(side, device=uniforms.device)
    return (position >= start) & (position < start + cut)


def _resample(images: Tensor, matrix: Tensor) -> Tensor:
    grid = F.affine_grid(matrix, list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, mode="bilinear", padding_mode="zeros", align_corners=False)


def _interval(centre: float, half: float, side: int) -> tuple[int, int]:
    """The first pixel of an interval and the first one after it; ``centre`` and ``half`` are fractions of ``side``."""
    first, end = (int(min(max(centre + sign * half, 0), 1) * side + 0.5) for sign in (-1, 1))
    return first, end
