"""Features that are given as vectors, such as the embeddings of another program."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property

import torch
from torch import Tensor

from potstill.data import LabeledImages, Vectors
from potstill.experts.feature_source import FeatureSource, Members
from potstill.runtime.errors import UserError
from potstill.runtime.progress import Progress, silent


class Embeddings(FeatureSource):
    """Vectors that are given for what is chosen from.

    Args:
        vectors: the vectors.
        members: what they stand for, with its classes; the vectors themselves by default.
        progress: callback for progress messages.

    Raises:
        ValueError: there is not one vector for each member.
    """

    def __init__(self, vectors: Vectors, members: Members | None = None, progress: Progress = silent) -> None:
        super().__init__(members or vectors, progress)
        if len(vectors) != len(self.members):
            raise ValueError(f"{len(vectors)} vectors for {len(self.members)} members")
        self.vectors = vectors

    @property
    def real(self) -> LabeledImages:
        """The images that the vectors stand for."""
        if isinstance(self.members, LabeledImages):
            return self.members
        raise UserError("vectors are not images", "choose another rule, or give the images too")

    def features_by_class(self) -> Iterator[tuple[Tensor, Tensor]]:
        """The vectors of each class, of the type of the file; those of a single class are not copied."""
        for index in self.members.class_index:
            yield index.cpu(), self.vectors.rows(index.cpu())

    @cached_property
    def features(self) -> Tensor:
        """(N, D): the vectors, of the type of the file."""
        return self.vectors.rows(torch.arange(len(self.vectors)))

    @property
    def _width(self) -> int:
        return self.vectors.values.shape[1]

    def _describe(self, images: LabeledImages) -> Tensor:
        raise ValueError("vectors are given, not computed")
