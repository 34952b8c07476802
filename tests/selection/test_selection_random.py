"""Random images of each class."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from potstill.runtime.errors import UserError
from potstill.selection import random_indices
from tests.small import digits, few


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@given(st.integers(1, 12), st.integers(0, 1000))
def test_chooses_different_images_of_each_class_in_order(images_per_class: int, seed: int):
    real = few(digits().train, (12, 40, 13))
    indices = random_indices(real, images_per_class, generator(seed))
    assert indices.dtype == torch.int64
    assert len(indices.unique()) == 3 * images_per_class
    assert real.labels[indices].tolist() == sorted([0, 1, 2] * images_per_class)


def test_a_seed_chooses_and_another_chooses_otherwise():
    first, again, other = (random_indices(digits().train, 5, generator(seed)) for seed in (0, 0, 1))
    assert first.equal(again)
    assert not first.equal(other)


def test_a_class_with_too_few_images_is_named():
    real = few(digits().train, (4, 3, 4))
    assert random_indices(real, 3, generator()).shape == (9,)
    with pytest.raises(UserError, match=r"class '1' has 3 images, fewer than 4 per class; use --ipc 3 or less"):
        random_indices(real, 4, generator())
