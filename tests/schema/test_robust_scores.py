"""Label and augmentation robust scores: by hand, and in fractions."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from potstill.schema.robustness import augmentation_robust_score, label_robust_score, normalised

fractions = st.floats(0, 1)


def test_scores_by_hand():
    """HLR = 0.9 - 0.5, IOR = 0.6 - 0.4: alpha = 0.1 - 0.2; (e^-0.1 - e^-1) / (e - e^-1) = 0.22846."""
    assert label_robust_score(full=0.9, synthetic_hard=0.5, synthetic=0.6, random=0.4) == pytest.approx(
        0.22846, abs=1e-5
    )
    # beta = 0.5 * 0.2 + 0.5 * 0.1 = 0.15
    expected = (math.exp(0.15) - math.exp(-1)) / (math.e - math.exp(-1))
    assert augmentation_robust_score(0.6, 0.4, 0.5, 0.4) == pytest.approx(expected)


def test_the_ends_of_the_scale():
    assert normalised(-1) == 0
    assert normalised(1) == pytest.approx(1)
    with pytest.raises(ValueError, match="accuracies are fractions, not percent"):
        normalised(20.0)


@given(fractions, fractions, fractions, fractions)
def test_scores_of_fractions_are_fractions(a: float, b: float, c: float, d: float):
    assert 0 <= label_robust_score(a, b, c, d) <= 1 + 1e-12
    assert 0 <= augmentation_robust_score(a, b, c, d) <= 1 + 1e-12
