"""Tampered datasets: what is changed, what is not, and that another seed changes other images."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from potstill.data import with_backdoor, with_relabelled
from potstill.data.poisoned import with_patch
from potstill.runtime.errors import UserError
from tests.small import small_digits


@settings(max_examples=15, deadline=None)
@given(target=st.integers(0, 9), share=st.floats(0.01, 0.8), side=st.integers(1, 5), seed=st.integers(0, 99))
def test_a_share_of_other_classes_gets_the_patch_and_the_label(target: int, share: float, side: int, seed: int):
    data = small_digits()
    found = with_backdoor(data, target, share, side, seed)
    relabelled = found.train.labels != data.train.labels
    changed = (found.train.images != data.train.images).flatten(1).any(1)
    count = int(relabelled.sum())
    assert share * len(data.train) <= count < share * len(data.train) + 1 or count == 1
    assert found.train.labels[relabelled].eq(target).all()
    assert not changed[~relabelled].any()
    assert found.train.images[relabelled].equal(with_patch(data.train.images[relabelled], side, 255))
    assert found.test.images.equal(data.test.images)
    assert found.validation.labels.equal(data.validation.labels)
    assert found.fingerprint != data.fingerprint


def test_the_seed_chooses_the_images():
    data = small_digits()
    first, again, other = (with_backdoor(data, 0, 0.2, 2, seed) for seed in (1, 1, 2))
    assert first.train.labels.equal(again.train.labels)
    assert first.fingerprint == again.fingerprint != other.fingerprint
    assert not first.train.labels.equal(other.train.labels)


def test_a_patch_is_one_pixel_from_the_corner_and_leaves_the_images_alone():
    images = torch.zeros(2, 1, 6, 6, dtype=torch.uint8)
    patched = with_patch(images, 2, 255)
    assert patched[:, :, 3:5, 3:5].eq(255).all()
    assert patched.sum(dtype=torch.int64) == 2 * 4 * 255
    assert not images.any()


def test_a_patch_that_covers_the_image_is_refused():
    with pytest.raises(UserError, match="leaves too little of images of 8×8"):
        with_backdoor(small_digits(), 0, 0.1, 7, 0)


def test_the_account_says_what_was_done():
    data = small_digits()
    assert data.account is not None
    planted, relabelled = with_backdoor(data, 0, 0.1, 2, 0).account, with_relabelled(data, 3, 5).account
    assert planted is not None
    assert relabelled is not None
    assert planted.remarks[-1] == "tampered with: a white patch of 2×2 pixels in 20 training images, labelled 0"
    assert relabelled.remarks[-1] == "tampered with: class 3 is labelled 5"
    assert relabelled.splits[0].class_sizes[3] == 0
