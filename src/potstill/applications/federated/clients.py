"""The clients: what each of them has, what it is to make of it, and the union of what all of them send."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
import torch.nn.functional as F
from torch import Tensor

from potstill.applications.federated.partitions import partitioned
from potstill.applications.set_sources import Need
from potstill.data import ImageDataset, share_of
from potstill.runtime.streams import Streams
from potstill.schema.federated import Client, FederatedProtocol
from potstill.synthetic import SyntheticSet

PURPOSE = "federated"
"""The name of the stream of all trainings."""


@dataclass(frozen=True)
class Clients:
    """The clients of all repeats.

    Attributes:
        dataset: the dataset, of which clients have the training images.
        protocol: the partition, and what is sent.
        matched: the network that methods match.
    """

    dataset: ImageDataset
    protocol: FederatedProtocol
    matched: str

    def partition_seed(self, repeat: int) -> int:
        """The seed of the partition of a repeat."""
        return self.streams(repeat).derived_seed("partition")

    def streams(self, repeat: int) -> Streams:
        """The randomness of all trainings of a repeat."""
        return Streams(self.protocol.seed, (PURPOSE, "repeat", repeat))

    @cached_property
    def shares(self) -> list[list[Tensor]]:
        """For each repeat and client the indices of its training images.

        Raises:
            UserError: the images cannot be divided in this way.
        """
        labels, classes, partition = self.dataset.train.labels, self.dataset.class_count, self.protocol.partition
        repeats = range(self.protocol.repeats)
        return [partitioned(labels, classes, partition, self.partition_seed(repeat)) for repeat in repeats]

    @cached_property
    def records(self) -> list[list[Client]]:
        """The clients of each repeat, as the record has them."""
        return [[self._record(client, share) for client, share in enumerate(shares)] for shares in self.shares]

    def _record(self, client: int, share: Tensor) -> Client:
        sizes = torch.bincount(self.dataset.train.labels.cpu()[share], minlength=self.dataset.class_count)
        return Client(
            class_sizes=sizes.tolist(),
            images_per_class=self.protocol.share(client),
            pictures=self.protocol.formation**2,
        )

    def need(self, repeat: int, client: int) -> Need | None:
        """What a client is to send; None if it has too few images of any class.

        A class of which it has fewer images than it would send is left out: a method cannot begin from them, and they
        would be sent as they are.
        """
        share, about = self.shares[repeat][client], self.records[repeat][client]
        if not about.sent:
            return None
        labels = self.dataset.train.labels.cpu()[share]
        return Need(
            title=f"repeat{repeat + 1}-client{client + 1}",
            data=share_of(self.dataset, share[torch.isin(labels, torch.tensor(about.sent))]),
            images_per_class=about.images_per_class,
            network=self.matched,
            iterations=self.protocol.iterations,
            seed=self.streams(repeat).derived_seed("client", client),
            formation=self.protocol.formation,
        )


def united(sets: Sequence[SyntheticSet], like: ImageDataset) -> SyntheticSet:
    """The union of sets of some of the classes each.

    Args:
        sets: at least one; each has classes of ``like``, all have one formation.
        like: the dataset of all classes.

    Returns:
        A set with the classes of ``like``, ordered by class. If one of the sets has probabilities as labels, so has the
        union: a client gives none to classes that it does not have.
    """
    images, hard = torch.cat([each.images for each in sets]), torch.cat([_hard(each, like) for each in sets])
    order = hard.argsort(stable=True)
    soft = any(each.has_soft_labels for each in sets)
    labels = torch.cat([_soft(each, like) for each in sets]) if soft else hard
    whitening = like.train.whitening
    return SyntheticSet(
        images=images[order],
        labels=labels[order],
        class_names=like.class_names,
        mean=like.mean,
        std=like.std,
        whitening=None if whitening is None else whitening.to("cpu"),
        formation=sets[0].formation,
    )


def bytes_sent(synthetic: SyntheticSet) -> int:
    """The bytes of the images and labels of a set; how they are normalised is agreed beforehand."""
    return synthetic.images.nbytes + synthetic.labels.nbytes


def bytes_in_8_bits(synthetic: SyntheticSet) -> int:
    """The bytes of a set if each value of a pixel, and each class or probability of a label, took one."""
    return synthetic.images.numel() + synthetic.labels.numel()


def _places(part: SyntheticSet, like: ImageDataset) -> Tensor:
    return torch.tensor([like.class_names.index(name) for name in part.class_names])


def _hard(part: SyntheticSet, like: ImageDataset) -> Tensor:
    return _places(part, like)[part.hard_labels]


def _soft(part: SyntheticSet, like: ImageDataset) -> Tensor:
    """The labels as probabilities of all classes (N, classes)."""
    own = part.labels if part.has_soft_labels else F.one_hot(part.labels, part.class_count).float()
    return torch.zeros(len(part), like.class_count).index_copy(1, _places(part, like), own)
