"""The clients: what they are to send, and the union of it."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from potstill.applications import FederatedProtocol, Partition
from potstill.applications.federated.clients import Clients, bytes_in_8_bits, united
from potstill.data import with_classes
from potstill.evaluation.procedures import random_images
from potstill.runtime.streams import Streams
from potstill.synthetic import SyntheticSet
from tests.small import NETWORK, small_digits


def clients(**changes: object) -> Clients:
    protocol = FederatedProtocol(partition=Partition(clients=6, alpha=0.2), images_per_class=(2, 5), repeats=2)
    return Clients(small_digits(), replace(protocol, **changes), NETWORK)  # pyright: ignore[reportArgumentType]


def test_a_client_makes_its_set_of_its_own_images_of_classes_of_which_it_has_enough():
    made, data = clients(), small_digits()
    for repeat in range(2):
        for client in range(6):
            need, about = made.need(repeat, client), made.records[repeat][client]
            share = made.shares[repeat][client]
            labels = data.train.labels[share]
            assert about.class_sizes == torch.bincount(labels, minlength=10).tolist()
            assert about.images_per_class == (2, 5)[client % 2]
            enough = [label for label in range(10) if (labels == label).sum() >= about.images_per_class]
            if need is None:
                assert enough == about.sent == []
                continue
            assert need.data.class_names == tuple(data.class_names[label] for label in enough)
            kept = torch.cat([share[labels == label] for label in enough]).sort().values
            assert need.data.train.images.equal(data.train.images[kept])
            assert (len(need.data.validation), len(need.data.test)) == (0, 0), "there are no other images at a client"
            assert about.sent_images == about.images_per_class * len(enough)
            assert about.left_out == len(share) - len(kept)


def test_no_two_clients_draw_alike_and_each_share_has_a_fingerprint():
    drawn = [clients(seed=seed) for seed in (0, 1)]
    needs = [need for made in drawn for repeat in (0, 1) for client in range(6) if (need := made.need(repeat, client))]
    assert len({made.partition_seed(repeat) for made in drawn for repeat in (0, 1)}) == 4
    assert (
        len({need.seed for need in needs}) == len({(need.title, need.data.fingerprint) for need in needs}) == len(needs)
    )
    assert len({need.data.fingerprint for need in needs}) == len(needs)


def test_small_pictures_need_more_images():
    plain, formed = clients().records[0][0], clients(formation=2).records[0][0]
    assert set(formed.sent) < set(plain.sent)
    assert all(formed.class_sizes[label] >= 8 for label in formed.sent)
    needs = [clients(formation=2).need(0, client) for client in range(6)]
    assert {need.formation for need in needs if need is not None} == {2}


def images_of(classes: list[int], count: int) -> SyntheticSet:
    part = with_classes(small_digits(), classes)
    images, labels = random_images(part.train, count, Streams(0))
    return SyntheticSet(images=images, labels=labels, class_names=part.class_names, mean=part.mean, std=part.std)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.lists(st.integers(0, 9), min_size=1, max_size=3, unique=True), min_size=1, max_size=4))
def test_a_union_has_every_image_under_its_class(held: list[list[int]]):
    parts = [images_of(classes, 1 + number) for number, classes in enumerate(held)]
    union, data = united(parts, small_digits()), small_digits()
    assert union.class_names == data.class_names
    assert (union.mean, union.std) == (data.mean, data.std)
    assert union.labels.equal(union.labels.sort().values)
    sent = [(image, part.class_names[label]) for part in parts for image, label in zip(*part[:], strict=True)]
    found = [(image, union.class_names[label]) for image, label in zip(*union[:], strict=True)]
    order = [data.class_names.index(name) for _, name in sent]
    ordered = [sent[place] for place in sorted(range(len(sent)), key=order.__getitem__)]
    assert all(one.equal(other) and a == b for (one, a), (other, b) in zip(found, ordered, strict=True))
    assert union.size_bytes == len(union) * (4 * 64 + 8)
    assert bytes_in_8_bits(union) == len(union) * (64 + 1)


def test_learned_labels_keep_their_shares_and_give_none_to_classes_that_are_not_held():
    hard, part = images_of([7], 1), images_of([9, 2], 1)
    soft = replace(part, labels=torch.tensor([[0.75, 0.25], [0.6, 0.4]]))
    union = united([hard, soft], small_digits())
    assert union.labels.shape == (3, 10)
    assert union.hard_labels.tolist() == [7, 9, 9]
    assert union.labels[1, 9].item() == pytest.approx(0.75)
    assert union.labels[1, 2].item() == pytest.approx(0.25)
    assert union.labels.sum(1).tolist() == pytest.approx([1, 1, 1])
