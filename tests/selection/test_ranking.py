"""Choosing by a value."""

from __future__ import annotations

import pytest
import torch

from potstill.runtime.errors import UserError
from potstill.selection.ranking import finite, hardest


def test_the_hardest_come_first_and_of_equals_the_first():
    assert hardest(torch.tensor([1.0, 3.0, 2.0, 3.0]), 3).tolist() == [1, 3, 2]


@pytest.mark.parametrize("shape", [(4, 3), (4,)])
def test_features_that_are_not_finite_are_refused(shape: tuple[int, ...]):
    values = torch.zeros(shape)
    assert finite(values) is values
    values[2] = torch.nan
    values[3] = torch.inf
    with pytest.raises(UserError, match=r"image 2 has features that are not finite \(2 in all\)"):
        finite(values)
