"""The pool: who is a member of which pipeline."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from potstill.applications.audit.pool import Pool
from potstill.runtime.errors import UserError
from potstill.schema.audit import AuditProtocol
from tests.small import digits, small_digits

FOUR = AuditProtocol(pool=200, shadows=4)


def test_each_image_is_a_member_of_one_of_each_pair():
    pool = Pool.of(digits(), FOUR)
    assert pool.members.shape == (4, 200)
    assert (pool.members[0] ^ pool.members[1]).all()
    assert (pool.members[2] ^ pool.members[3]).all()
    agreement = (pool.members[0] == pool.members[2]).double().mean().item()
    assert agreement == pytest.approx(0.5, abs=0.12), "pairs are independent"
    assert pool.members[0].double().mean().item() == pytest.approx(0.5, abs=0.12)


def test_the_pool_has_a_share_of_every_class_and_is_drawn_by_the_seed():
    data = digits()
    pool = Pool.of(data, FOUR)
    sizes = pool.dataset.train.class_sizes
    assert sum(sizes) == 200
    assert max(sizes) - min(sizes) <= 2
    again, other = Pool.of(data, FOUR), Pool.of(data, replace(FOUR, seed=1))
    assert again.members.equal(pool.members)
    assert not other.members.equal(pool.members)
    assert again.dataset.fingerprint == pool.dataset.fingerprint != other.dataset.fingerprint
    assert len(pool.dataset.test) == len(data.test)


def test_more_shadows_are_added_to_those_that_are_there():
    pool, larger = Pool.of(digits(), FOUR), Pool.of(digits(), replace(FOUR, shadows=6))
    assert larger.members[:4].equal(pool.members)


def test_a_small_dataset_is_all_in_the_pool():
    data = small_digits()
    assert Pool.of(data, AuditProtocol(shadows=2)).dataset is data


def test_a_half_holds_the_members():
    pool = Pool.of(digits(), FOUR)
    halves = [pool.half(shadow) for shadow in range(4)]
    for half, members in zip(halves, pool.members, strict=True):
        assert half.train.images.equal(pool.dataset.train.images[members])
        assert (half.mean, half.std) == (pool.dataset.mean, pool.dataset.std)
        assert len(half.test) == len(pool.dataset.test)
    assert len({half.fingerprint for half in halves}) == 4
    assert halves[0].account is not None
    assert halves[0].account.remarks[-1] == f"{int(pool.members[0].sum())} of 200 training images"
    assert torch.cat([halves[0].train.images, halves[1].train.images]).shape == pool.dataset.train.images.shape


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"shadows": 3}, "`shadows=3` is odd: pipelines come in pairs, .*; use `shadows=4`"),
        ({"shadows": 0}, "`shadows=0` is too small"),
        ({"pool": 0}, "`pool=0` is too small"),
        ({"pool": 5}, "5 images cannot be taken from"),
        ({"delta": -1.0}, r"`delta=-1.0` is not in \[0, 1\)"),
    ],
)
def test_impossible_pools_are_refused(change: dict[str, float], message: str):
    with pytest.raises(UserError, match=message):
        Pool.of(digits(), replace(FOUR, **change))  # pyright: ignore[reportArgumentType]


def test_a_half_without_enough_images_is_refused():
    pool = Pool.of(digits(), FOUR)
    fewest = min(min(pool.half(shadow).train.class_sizes) for shadow in range(4))
    pool.check_sizes(fewest)
    with pytest.raises(UserError, match=f"has only {fewest} images of class '.', and every set needs {fewest + 1}"):
        pool.check_sizes(fewest + 1)
