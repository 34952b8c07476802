"""Partitions: which training image is at which client. Every image is at exactly one of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import Tensor

from potstill.runtime.bounds import at_least, positive
from potstill.runtime.errors import UserError
from potstill.runtime.streams import Streams
from potstill.schema.federated import Partition, PartitionKind

Divide = Callable[[list[Tensor], Partition, Streams], list[Tensor]]
"""From the shuffled indices of the images of each class to the indices of each client."""


def partitioned(labels: Tensor, classes: int, partition: Partition, seed: int) -> list[Tensor]:
    """Divide images among clients. The result depends on the arguments alone.

    Args:
        labels: int64 (N,): the class of each image.
        classes: the number of classes.
        partition: the clients and the rule.
        seed: of all draws.

    Returns:
        For each client the indices of its images, int64 (n,), ascending; a client may have none.

    Raises:
        UserError: there are more clients than images, or the rule does not suit the number of classes or images.
    """
    _check(len(labels), classes, partition)
    streams = Streams(seed, ("partition", partition.kind))
    labels = labels.cpu()
    members = [
        index[torch.randperm(len(index), generator=streams.generator("class", label))]
        for label, index in enumerate((labels == label).nonzero().flatten() for label in range(classes))
    ]
    return [share.sort().values for share in RULES[partition.kind](members, partition, streams)]


def _dirichlet(members: list[Tensor], partition: Partition, streams: Streams) -> list[Tensor]:
    """Divide each class by proportions from a symmetric Dirichlet distribution (Hsu et al., 2019, by class)."""
    shares: list[list[Tensor]] = [[] for _ in range(partition.clients)]
    for label, index in enumerate(members):
        generator = np.random.default_rng(streams.derived_seed("proportions", label))
        proportions = generator.dirichlet([partition.alpha] * partition.clients)
        ends = np.rint(proportions.cumsum() * len(index)).astype(int)
        for share, part in zip(shares, index.tensor_split(ends[:-1].tolist()), strict=True):
            share.append(part)
    return [torch.cat(share) for share in shares]


def _classes(members: list[Tensor], partition: Partition, streams: Streams) -> list[Tensor]:
    """Give each client equally many classes, and divide a class equally among those who have it."""
    order = torch.randperm(len(members), generator=streams.generator("classes")).tolist()
    dealt = [order[turn % len(order)] for turn in range(partition.clients * partition.per_client)]
    shares: list[list[Tensor]] = [[] for _ in range(partition.clients)]
    for label, index in enumerate(members):
        holders = [turn // partition.per_client for turn, given in enumerate(dealt) if given == label]
        for holder, part in zip(holders, index.tensor_split(len(holders)), strict=True):
            shares[holder].append(part)
    return [torch.cat(share) for share in shares]


def _shards(members: list[Tensor], partition: Partition, streams: Streams) -> list[Tensor]:
    """Sort images by class, cut them into shards, and give each client some of them (McMahan et al., 2017)."""
    shards = torch.cat(members).tensor_split(partition.clients * partition.per_client)
    order = torch.randperm(len(shards), generator=streams.generator("shards")).split(partition.per_client)
    return [torch.cat([shards[number] for number in given.tolist()]) for given in order]


def _iid(members: list[Tensor], partition: Partition, streams: Streams) -> list[Tensor]:
    """Deal images at random, whatever their classes."""
    everything = torch.cat(members)
    order = torch.randperm(len(everything), generator=streams.generator("order"))
    return list(everything[order].tensor_split(partition.clients))


RULES: Mapping[PartitionKind, Divide] = {"dirichlet": _dirichlet, "classes": _classes, "shards": _shards, "iid": _iid}


def _check(images: int, classes: int, partition: Partition) -> None:
    at_least(partition, clients=1, per_client=1)
    positive(partition, "alpha")
    clients, per_client = partition.clients, partition.per_client
    if clients > images:
        problem = f"{clients:,} clients are more than the {images:,} training examples that they share"
        raise UserError(problem, f"use `clients={images}` or less")
    if partition.kind == "shards" and clients * per_client > images:
        most = images // clients
        raise UserError(
            f"{images:,} training examples cannot be cut into {clients * per_client:,} shards, {per_client} for each "
            f"of {clients} clients",
            f"use `per_client={most}` or less",
        )
    if partition.kind == "classes" and not classes <= clients * per_client <= clients * classes:
        least = -(-classes // clients)
        problem = "leaves classes without a client" if per_client < least else f"is more than the {classes} classes"
        raise UserError(f"`per_client={per_client}` {problem}", f"use `per_client={least}` to {classes}")
