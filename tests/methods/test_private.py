"""Private methods: real images are read for the accounted queries and never again, clipped, noised, and secretly so."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from unittest.mock import patch

import pytest
import torch
from torch import Tensor

from potstill.data import LabeledImages
from potstill.methods import DPDM, Problem, State, private
from potstill.methods import problem as problems
from potstill.methods.private import dp_dm
from potstill.privacy import Mechanism
from potstill.runtime.errors import UserError
from potstill.testing import known_entropy
from tests.small import digits, few, problem
from tests.twins.private import class_augmented, clipped_embedding, dp_dm_step, query_network, reference_of

SMALL: dict[str, Any] = {"epsilon": 5.0, "delta": 1e-4, "queries": 4, "group": 40}


@pytest.fixture(autouse=True)
def quick_accounting(monkeypatch: pytest.MonkeyPatch):
    """An accountant that takes no time; the real one is tested in ``tests/privacy`` and with whole runs."""
    monkeypatch.setattr(private, "calibrated", lambda epsilon, delta, rate, queries: Mechanism(1.7, rate, queries))
    monkeypatch.setattr(private, "spent", lambda mechanism, delta: 1.0)
    monkeypatch.setattr(private, "accountant", lambda: "none")


class Counted(LabeledImages):
    """Images that count how often their pixels are read, and how many at most."""

    reads = largest = 0

    def normalised(self, indices: Tensor | slice | None = None) -> Tensor:
        found = super().normalised(indices)
        Counted.reads, Counted.largest = Counted.reads + 1, max(Counted.largest, len(found))
        return found


def counted(given: Problem) -> Problem:
    Counted.reads = Counted.largest = 0
    real = given.real
    return replace(given, real=Counted(real.images, real.labels, real.class_names, real.mean, real.std))


def without_images(given: Problem) -> Problem:
    """The problem with real images that are all of one value."""
    return replace(given, real=replace(given.real, stored=torch.full_like(given.real.images, 77)))


def noiseless(given: Problem, method: DPDM, *, everyone: bool = True) -> Tensor:
    """The sums of all queries without noise, of all images if ``everyone``."""
    with (
        patch.object(dp_dm, "gaussian", torch.zeros),
        patch.object(dp_dm, "poisson_sample", lambda n, rate: torch.arange(n) if everyone else torch.arange(0)),
    ):
        return method.prepare(given)["sums"]


def test_real_images_are_read_once_for_each_query_that_is_accounted_for_and_never_again():
    given, method = counted(problem(ipc=2)), DPDM(**SMALL)
    state = method.prepare(given)
    promised = method.privacy(given.real.class_sizes, 0)
    assert promised.queries == method.queries == Counted.reads
    for iteration in range(3 * method.queries):
        state, _ = method.step(given, state, iteration)
    method.result(given, state)
    assert promised.queries == Counted.reads


def test_iterations_depend_on_the_real_images_through_the_noisy_sums_alone():
    given, method = problem(ipc=2), DPDM(**SMALL)
    state = method.prepare(given)
    ours, theirs = state, state
    for iteration in range(3):
        ours, _ = method.step(given, ours, iteration)
        theirs, _ = method.step(without_images(problem(ipc=2)), theirs, iteration)
    assert ours["images"].equal(theirs["images"])
    assert ours["sums"].equal(state["sums"])


def test_the_noise_has_the_standard_deviation_that_is_accounted_for():
    given = problem(network="convnet:depth=2:width=64", real=few(digits().train, (40,) * 10))
    method = DPDM(**{**SMALL, "queries": 8, "clip": 0.7})
    with patch.object(dp_dm, "poisson_sample", lambda n, rate: torch.arange(n)):
        noise = method.prepare(given)["sums"].double() - noiseless(given, method).double()
    promised = method.privacy(given.real.class_sizes, 0)
    assert noise.numel() == 8 * 10 * 256
    assert (noise.std() / (promised.noise_multiplier * promised.clip)).item() == pytest.approx(1, abs=0.03)
    assert (noise.mean() / noise.std()).item() == pytest.approx(0, abs=0.04)


def test_an_image_is_included_at_the_rate_of_its_class():
    real = few(digits().train, (100, 50, 80))
    given, method = problem(real=real), DPDM(**{**SMALL, "delta": 1e-3})
    asked: list[tuple[int, float]] = []
    with patch.object(dp_dm, "poisson_sample", lambda n, rate: asked.append((n, rate)) or torch.arange(0)):
        method.prepare(given)
    assert asked == [(100, 0.4), (50, 0.8), (80, 0.5)] * method.queries
    assert method.privacy(real.class_sizes, 0).sampling_rate == 0.8


@pytest.mark.parametrize("clip", [1.0, 0.2])
def test_one_image_more_moves_each_sum_of_its_class_by_the_clip_at_most_and_no_other(clip: float):
    everyone = few(digits().train, (50, 50, 50))
    wild = replace(everyone, stored=everyone.images.clone())
    wild.images[0] = torch.randint(0, 256, wild.images[0].shape, generator=torch.Generator().manual_seed(0)).byte()
    without = wild.take(torch.arange(1, len(wild)))
    method = DPDM(**{**SMALL, "delta": 1e-3, "clip": clip, "augment": False})
    start = problem(real=wild)
    both = [noiseless(replace(start, real=real), method).double() for real in (wild, without)]
    moved = (both[0] - both[1]).norm(dim=2)
    assert moved[:, 0].max() <= clip * (1 + 1e-5)
    assert moved[:, 0].min() > 0.5 * clip  # the bound is reached, so that it could be broken
    assert moved[:, 1:].max() == 0


def test_a_query_that_draws_no_image_is_noise():
    assert noiseless(problem(), DPDM(**SMALL), everyone=False).abs().max() == 0


SEVEN = 7 * 8 * 8
"""The values of seven images of digits."""


@pytest.mark.parametrize("augment", [True, False])
def test_a_query_of_many_images_reads_some_at_a_time(augment: bool, monkeypatch: pytest.MonkeyPatch):
    given = counted(problem(precision="float64", real=few(digits().train, (45, 41, 52))))
    method = DPDM(**{**SMALL, "delta": 1e-3, "queries": 2, "augment": augment})
    together = noiseless(given, method)
    assert Counted.largest == 138
    given = counted(given)
    monkeypatch.setattr(problems, "VALUES_AT_ONCE", SEVEN)
    torch.testing.assert_close(noiseless(given, method), together, rtol=1e-12, atol=1e-12)
    assert Counted.largest == 7


def test_the_planned_memory_does_not_grow_with_images_that_are_not_read_together(monkeypatch: pytest.MonkeyPatch):
    given = problem()
    few_images, many = (DPDM(**{**SMALL, "group": group}).planned_bytes(given) for group in (40, 400))
    assert few_images < many
    monkeypatch.setattr(problems, "VALUES_AT_ONCE", SEVEN)
    few_images, more = (DPDM(**{**SMALL, "group": group}).planned_bytes(given) for group in (40, 400))
    assert few_images == more < many


@pytest.mark.parametrize("augment", [True, False])
def test_the_sums_and_the_iterations_equal_their_twin(augment: bool):
    given = problem(ipc=3, precision="float64", real=few(digits().train, (45, 41, 52)))
    method = DPDM(**{**SMALL, "delta": 1e-3, "queries": 3, "augment": augment})
    sums = noiseless(given, method)
    for query in range(method.queries):
        network = query_network(given, query, torch.float64)
        reference = reference_of(given, query, network, torch.float64)
        for label, members in enumerate(given.real.class_index):
            real = class_augmented(given, method, query, label, given.real.normalised(members).double())
            expected = sum(clipped_embedding(network, image, reference, method.clip) for image in real)
            assert (sums[query, label] - expected).abs().max() < 1e-12 * len(members)
    state = method.prepare(given)
    images, zeros = state["images"], torch.zeros_like(state["images"])
    moments = zeros, zeros
    for iteration in range(5):
        state, loss = method.step(given, state, iteration)
        images, moments, expected = dp_dm_step(given, method, state["sums"], images, moments, iteration)
        assert loss == pytest.approx(expected, rel=1e-10)
        assert (state["images"] - images).abs().max() < 1e-9


def test_two_runs_with_one_seed_draw_other_noise_and_other_images():
    given, method = problem(), DPDM(**SMALL)

    def sums() -> State:
        return {"sums": method.prepare(given)["sums"]}

    assert not sums()["sums"].equal(sums()["sums"])
    with patch.object(dp_dm, "gaussian", torch.zeros):
        assert not sums()["sums"].equal(sums()["sums"])
    with known_entropy():
        known = sums()["sums"]
    with known_entropy():
        assert sums()["sums"].equal(known)


@pytest.mark.parametrize(
    ("used", "epsilon", "recorded"), [(1.234501, 5.0, 1.2346), (1.234501, 1.23456, 1.23456), (5.0, 5.0, 5.0)]
)
def test_the_recorded_epsilon_is_at_least_what_is_spent_and_at_most_what_was_promised(
    used: float, epsilon: float, recorded: float, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(private, "spent", lambda mechanism, delta: used)
    promised = DPDM(**{**SMALL, "epsilon": epsilon}).privacy((100,) * 10, 0)
    assert used <= promised.epsilon == recorded


def test_an_accountant_that_spends_more_than_was_promised_is_a_fault(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(private, "spent", lambda mechanism, delta: 5.0001)
    with pytest.raises(RuntimeError, match=r"the noise for epsilon 5\.0 spends 5\.0001 by none"):
        DPDM(**SMALL).privacy((100,) * 10, 0)


@pytest.mark.parametrize(
    ("settings", "problem_"),
    [
        ({"delta": 0.002}, r"delta=0\.002.*not below 1/1,000.*delta=0\.0001"),
        ({"delta": 0.001}, r"delta=0\.001.*not below"),
        ({"group": 101}, r"group=101.*more than the 100 training examples of the smallest class"),
        ({"epsilon": 0.0}, r"epsilon=0\.0.*not positive"),
        ({"epsilon": float("nan")}, "epsilon=nan.*not a finite number"),
        ({"delta": -1e-5}, "delta=-1e-05.*not positive"),
        ({"clip": 0.0}, r"clip=0\.0.*not positive"),
        ({"queries": 0}, "queries=0.*too small"),
    ],
)
def test_what_is_no_guarantee_is_refused(settings: dict[str, Any], problem_: str):
    with pytest.raises(UserError, match=problem_):
        DPDM(**{**SMALL, **settings}).privacy((100,) * 10, 0)
