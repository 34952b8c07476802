"""The pool: the images that an audit asks about, and which of them each pipeline is made from."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from potstill.data import ImageDataset, with_fewer_images, with_members
from potstill.evaluation.training import evenly_spaced
from potstill.runtime.bounds import at_least, below_one
from potstill.runtime.errors import UserError
from potstill.runtime.streams import Streams
from potstill.schema.audit import AuditedDataset, AuditProtocol

PURPOSE = "audit"
"""The name of the stream of all draws."""

POPULATION = 5000
"""The most test images that are scored."""


@dataclass(frozen=True, eq=False)
class Pool:
    """Images, and for each pipeline which of them are members.

    Attributes:
        dataset: its training images are those of the pool, its test images the population.
        members: bool (shadows, n). Rows 2k and 2k + 1 are complements, rows of different pairs independent. So each
            image is a member with probability 1/2, and of half of the pipelines.
    """

    dataset: ImageDataset
    members: Tensor

    @classmethod
    def of(cls, dataset: ImageDataset, protocol: AuditProtocol) -> Pool:
        """Draw the pool, and the members of each pipeline.

        Args:
            dataset: the dataset.
            protocol: the size of the pool, the number of pipelines, and the seed.

        Raises:
            UserError: the number of pipelines is odd, or a number is too small.
        """
        at_least(protocol, pool=1, shadows=2, images_per_class=1, iterations=0)
        below_one(protocol, "delta")
        if protocol.shadows % 2:
            raise UserError(
                f"`shadows={protocol.shadows}` is odd: pipelines come in pairs, a random half and its complement",
                f"use `shadows={protocol.shadows + 1}`",
            )
        pool = with_fewer_images(dataset, min(protocol.pool, len(dataset.train)), protocol.seed)
        streams = Streams(protocol.seed, (PURPOSE, "members"))
        tossed = [
            torch.rand(len(pool.train), generator=streams.generator(pair)) < 0.5
            for pair in range(protocol.shadows // 2)
        ]
        return cls(pool, torch.stack([side for coins in tossed for side in (coins, ~coins)]))

    def half(self, shadow: int) -> ImageDataset:
        """The dataset with the members of a pipeline as its training images."""
        return with_members(self.dataset, self.members[shadow].nonzero().flatten())

    def check_sizes(self, pictures_per_class: int) -> None:
        """Make sure that every pipeline has enough members of each class.

        Args:
            pictures_per_class: real images of each class that a set needs.

        Raises:
            UserError: one has too few.
        """
        labels, names = self.dataset.train.labels.cpu(), self.dataset.class_names
        sizes = torch.stack([torch.bincount(labels[row], minlength=len(names)) for row in self.members])
        fewest = int(sizes.min())
        if fewest < pictures_per_class:
            label = int(sizes.min(0).values.argmin())
            raise UserError(
                f"a half of the pool has only {fewest} images of class {names[label]!r}, and every set needs "
                f"{pictures_per_class}",
                "use a larger `pool`, or fewer `images_per_class`",
            )

    @property
    def described(self) -> AuditedDataset:
        """The pool as the record has it."""
        population = evenly_spaced(self.dataset.test, POPULATION)
        return AuditedDataset(
            name=self.dataset.name,
            fingerprint=self.dataset.fingerprint,
            pool=len(self.dataset.train),
            population=0 if population is None else len(population),
        )
