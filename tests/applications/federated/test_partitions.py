"""Partitions: every image is at exactly one client, and the rules divide as they say."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from potstill.applications.federated.partitions import partitioned
from potstill.runtime.errors import UserError
from potstill.schema.federated import Partition

KINDS = ("dirichlet", "classes", "shards", "iid")
labelled = st.lists(st.integers(0, 3), min_size=12, max_size=60).map(torch.tensor)
partitions = st.builds(
    Partition,
    clients=st.integers(2, 6),
    kind=st.sampled_from(KINDS),
    alpha=st.sampled_from([1e-300, 1e-3, 0.1, 1.0, 1e6]),
    per_client=st.just(2),
)


def evenly(images: int, classes: int) -> Tensor:
    return torch.arange(images) % classes


@settings(max_examples=100, deadline=None)
@given(labelled, partitions, st.integers(0, 3))
def test_every_image_is_at_exactly_one_client(labels: Tensor, partition: Partition, seed: int):
    shares = partitioned(labels, 4, partition, seed)
    assert len(shares) == partition.clients
    assert torch.cat(shares).sort().values.tolist() == list(range(len(labels)))
    assert all(share.equal(share.sort().values) for share in shares)
    again = partitioned(labels.clone(), 4, replace(partition), seed)
    assert all(one.equal(other) for one, other in zip(shares, again, strict=True)), "nothing else decides"


@pytest.mark.parametrize("kind", KINDS)
def test_another_seed_divides_in_another_way(kind: str):
    one, other = (partitioned(evenly(100, 4), 4, Partition(clients=4, kind=kind), seed) for seed in (0, 1))  # pyright: ignore[reportArgumentType]
    assert any(not a.equal(b) for a, b in zip(one, other, strict=True))


def sizes(labels: Tensor, shares: list[Tensor], classes: int) -> Tensor:
    """(clients, classes)."""
    return torch.stack([torch.bincount(labels[share], minlength=classes) for share in shares])


def test_the_smaller_alpha_the_more_clients_differ():
    labels = evenly(2000, 4)
    unlike = [
        (sizes(labels, partitioned(labels, 4, Partition(clients=5, alpha=alpha), 0), 4) / 500).max(0).values.mean()
        for alpha in (0.01, 0.5, 10.0, 1e5)
    ]
    assert unlike == sorted(unlike, reverse=True)
    assert unlike[0] > 0.9, "almost all of a class is at one client"
    assert unlike[-1] == pytest.approx(0.2, abs=0.01), "a fifth of each class is at each client"


def test_a_client_may_have_one_class_or_nothing():
    labels = evenly(400, 4)
    found = sizes(labels, partitioned(labels, 4, Partition(clients=20, alpha=0.01), 0), 4)
    assert (found.sum(1) == 0).any()
    assert ((found > 0).sum(1) == 1).any()


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 12), st.integers(1, 4))
def test_clients_have_as_many_classes_as_asked(clients: int, per_client: int):
    if clients * per_client < 4:
        return
    labels = evenly(240, 4)
    found = sizes(
        labels, partitioned(labels, 4, Partition(clients=clients, kind="classes", per_client=per_client), 0), 4
    )
    assert ((found > 0).sum(1) == per_client).all()
    holders = (found > 0).sum(0)
    assert holders.max() - holders.min() <= 1, "classes have about as many holders"
    for label in range(4):
        held = found[:, label][found[:, label] > 0]
        assert held.max() - held.min() <= 1, "who divide them equally"


def test_shards_are_cut_from_images_sorted_by_class():
    labels = evenly(400, 4)
    found = sizes(labels, partitioned(labels, 4, Partition(clients=8, kind="shards"), 0), 4)
    assert (found.sum(1) == 50).all()
    assert ((found > 0).sum(1) <= 2).all(), "sixteen shards of 25 images, four of each class"
    assert set(found.flatten().tolist()) <= {0, 25, 50}


def test_independent_shares_are_alike():
    labels = evenly(4000, 4)
    found = sizes(labels, partitioned(labels, 4, Partition(clients=4, kind="iid"), 0), 4)
    assert (found.sum(1) == 1000).all()
    assert (found - 250).abs().max() < 60
    assert not (found == 250).all(), "images are dealt, whatever their classes"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"clients": 41}, "41 clients are more than the 40 training examples that they share; use `clients=40`"),
        ({"clients": 0}, "`clients=0` is too small"),
        ({"alpha": 0.0}, "`alpha=0.0` is not positive"),
        ({"alpha": float("nan")}, "alpha"),
        ({"kind": "shards", "per_client": 5}, "40 training examples cannot be cut into 50 shards.* `per_client=4`"),
        ({"kind": "classes", "per_client": 5}, "`per_client=5` is more than the 4 classes; use `per_client=1` to 4"),
        ({"kind": "classes", "clients": 3, "per_client": 1}, "`per_client=1` leaves classes without a client"),
        ({"per_client": 0}, "`per_client=0` is too small"),
    ],
)
def test_what_cannot_be_divided_is_refused(change: dict[str, object], message: str):
    with pytest.raises(UserError, match=message):
        partitioned(evenly(40, 4), 4, replace(Partition(), **change), 0)  # pyright: ignore[reportArgumentType]
