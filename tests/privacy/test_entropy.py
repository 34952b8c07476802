"""Secret draws: distributed as they should be, and never the same twice."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import binom, kstest, norm

from potstill.privacy import entropy, gaussian, poisson_sample
from potstill.privacy.entropy import uniform
from potstill.testing import known_entropy

TOO_RARE = 1e-9
"""A test that fails by chance less often than once in a billion runs."""


def test_noise_is_standard_normal_and_independent():
    drawn = gaussian(4, 25_000)
    assert (drawn.shape, drawn.dtype) == ((4, 25_000), torch.float64)
    assert kstest(drawn.flatten().numpy(), norm.cdf).pvalue > TOO_RARE
    assert np.corrcoef(drawn.numpy())[np.triu_indices(4, 1)] == pytest.approx(0, abs=6 / np.sqrt(25_000))
    assert np.corrcoef(drawn[0, 1:], drawn[0, :-1])[0, 1] == pytest.approx(0, abs=6 / np.sqrt(25_000))


def test_a_poisson_sample_includes_each_item_at_the_rate():
    count, rate = 20_000, 0.03
    chosen = poisson_sample(count, rate)
    assert TOO_RARE < binom.cdf(len(chosen), count, rate) < 1 - TOO_RARE
    assert chosen.equal(chosen.unique())
    assert chosen.max() < count
    assert len(poisson_sample(50, 1.0)) == 50
    assert len(poisson_sample(50, 0.0)) == 0
    assert kstest(chosen.double().numpy() / count, "uniform").pvalue > TOO_RARE


def test_uniform_draws_use_all_53_bits():
    drawn = uniform(1_000)
    assert ((drawn * 2.0**53) % 2).mean().item() == pytest.approx(0.5, abs=0.1)
    assert 0 <= drawn.min() < drawn.max() < 1


def test_no_seed_repeats_a_draw():
    drawn = []
    for _ in range(2):
        torch.manual_seed(0)
        np.random.seed(0)  # noqa: NPY002 - the generator that a seed could reach
        drawn.append((gaussian(3), poisson_sample(500, 0.5)))
    assert not drawn[0][0].equal(drawn[1][0])
    assert not drawn[0][1].equal(drawn[1][1])


def test_known_draws_end_with_their_block():
    with known_entropy():
        first = gaussian(3)
        with known_entropy():  # goes on where the outer block is
            assert not gaussian(3).equal(first)
    with known_entropy():
        assert gaussian(3).equal(first)
    assert not gaussian(3).equal(first)
    assert entropy.random_bytes(8) != entropy.random_bytes(8)
