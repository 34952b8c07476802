"""RDED: real crops that a teacher finds easy, put together to images without any optimisation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from potstill.experts.feature_source import FeatureSource
from potstill.methods.citations import Citation
from potstill.methods.coresets import TaughtCoreset
from potstill.methods.problem import Problem
from potstill.methods.state import State
from potstill.runtime.bounds import at_least
from potstill.runtime.errors import UserError
from potstill.runtime.streams import Streams
from potstill.selection.random import check_enough
from potstill.synthetic import put_together, tile_size


@dataclass(frozen=True, kw_only=True)
class RDED(TaughtCoreset):
    """Mosaics of the easiest crops: real crops that a teacher classifies best, put together without optimisation.

    Peng Sun et al., "On the Diversity and Realism of Distilled Dataset: An Efficient Dataset Distillation Paradigm",
    CVPR 2024 (arXiv:2312.03526). Of some real images of each class, several crops of the size of a tile of the
    formation are drawn; the one with the lowest cross-entropy under the teacher stands for the image, and the crops of
    the images with the lowest are the tiles of the set. Without a formation a crop is the whole image. A crop is scored
    as it is used, enlarged to the size of an image; the authors' program surrounds it with zeros.

    The paper has a teacher label every augmented view of a set; here labels are the classes.

    Attributes:
        candidates: real images per class of which crops are drawn, or all if there are fewer.
        crops: crops of each image.
    """

    name: ClassVar[str] = "rded"
    citation: ClassVar[Citation] = Citation(
        title="On the Diversity and Realism of Distilled Dataset: An Efficient Dataset Distillation Paradigm",
        authors="Sun, Peng and Shi, Bei and Yu, Daiwei and Lin, Tao",
        venue="IEEE/CVF Conference on Computer Vision and Pattern Recognition (CVPR)",
        year=2024,
        url="https://arxiv.org/abs/2312.03526",
        key="sun2024rded",
    )

    candidates: int = 300
    crops: int = 5

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(self, candidates=1, crops=1)

    def prepare(self, problem: Problem) -> State:
        """The mosaics, float32 (classes * ipc, C, H, W).

        Raises:
            UserError: these are vectors, a class has too few real images, or the features have no networks.
        """
        if problem.real.holds_vectors:
            raise UserError("rded cuts pictures, and these are vectors", "use another method")
        check_enough(problem.real, problem.pictures_per_class)
        if self.candidates < problem.pictures_per_class:
            raise UserError(
                f"`candidates={self.candidates}` are fewer than the {problem.pictures_per_class} pictures of a class",
                f"use `candidates={problem.pictures_per_class}` or more",
            )
        teacher, formation = self.source(problem), problem.start.formation
        streams, tiles = problem.streams.child("selection"), []
        for label, members in enumerate(problem.real.class_index):
            own = streams.child("class", label)
            order = torch.randperm(len(members), generator=own.generator("candidates"))[: self.candidates]
            images = problem.real.normalised(members[order.to(members.device)]).cpu()
            tiles.append(self._tiles(teacher, images, label, formation, problem.pictures_per_class, own))
        return {"images": put_together(torch.cat(tiles), formation, problem.real.shape[1:])}

    def _tiles(
        self, teacher: FeatureSource, images: Tensor, label: int, formation: int, count: int, streams: Streams
    ) -> Tensor:
        """The tiles (count, C, h, w) of a class, from its candidates (n, C, H, W); the easiest first."""
        size = tile_size(images.shape[2], images.shape[3], formation)
        rounds = self.crops if formation > 1 else 1
        crops = torch.stack([random_crops(images, size, streams.generator("crops", turn)) for turn in range(rounds)])
        scores = teacher.cross_entropies(_enlarged(crops.flatten(0, 1), images), label).view(rounds, len(images))
        best = scores.argmin(0)
        of_each = scores.gather(0, best[None])[0]
        chosen = of_each.argsort(stable=True)[:count]
        return crops[best[chosen], chosen]


def random_crops(images: Tensor, size: tuple[int, int], generator: torch.Generator) -> Tensor:
    """One crop of each image, at a random place.

    Args:
        images: (n, C, H, W).
        size: (h, w) of a crop.
        generator: a CPU generator.

    Returns:
        (n, C, h, w).
    """
    (height, width), (rows, columns) = images.shape[2:], size
    tops = torch.randint(height - rows + 1, (len(images),), generator=generator)
    lefts = torch.randint(width - columns + 1, (len(images),), generator=generator)
    places = zip(images, tops.tolist(), lefts.tolist(), strict=True)
    return torch.stack([image[:, top : top + rows, left : left + columns] for image, top, left in places])


def _enlarged(crops: Tensor, like: Tensor) -> Tensor:
    if crops.shape[2:] == like.shape[2:]:
        return crops
    return F.interpolate(crops, size=like.shape[2:], mode="bilinear", align_corners=False)
