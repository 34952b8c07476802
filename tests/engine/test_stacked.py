"""StackedNetworks: each of several networks learns what the plain loop teaches it alone."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from potstill.augmentation import condensation_augmentation
from potstill.data import Examples
from potstill.engine.fit import fit
from potstill.engine.schedule import Schedule
from potstill.engine.stacked import StackedNetworks
from potstill.engine.trainer import Trainer
from potstill.runtime.compute import CPU, Compute
from potstill.runtime.streams import Streams
from tests.engine.test_fit import BATCH_NORM, SCHEDULE, SIAMESE, examples, network, parameters_of
from tests.small import CPU64, NETWORK
from tests.twins import fitting

SEEDS = (3, 4, 7)


def trained(
    given: Examples, schedule: Schedule, spec: str = NETWORK, compute: Compute = CPU64, count: int = len(SEEDS)
) -> StackedNetworks:
    cohort = StackedNetworks(network(spec), compute, count)
    fit(cohort, given, schedule, [Streams(seed) for seed in SEEDS[:count]])
    return cohort


def check_equals_twins(given: Examples, schedule: Schedule, spec: str = NETWORK) -> None:
    heard: list[list[float]] = []
    cohort = StackedNetworks(network(spec), CPU64, len(SEEDS))
    streams = [Streams(seed) for seed in SEEDS]
    fit(cohort, given, schedule, streams, after_epoch=lambda epoch, losses: heard.append(losses))
    for place, (seed, member) in enumerate(zip(SEEDS, cohort.members(), strict=True)):
        twin = network(spec).double()
        expected = fitting.fit(twin, given, schedule, Streams(seed))
        torch.testing.assert_close(parameters_of(member.network), parameters_of(twin), rtol=1e-9, atol=1e-9)
        for ours, theirs in zip(member.network.buffers(), twin.buffers(), strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-9)
        assert [losses[place] for losses in heard] == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(
    "schedule",
    [
        SCHEDULE,
        replace(SCHEDULE, epochs=5, decay="cut"),
        replace(SCHEDULE, optimiser="adamw", learning_rate=0.01),
        replace(SCHEDULE, cutmix=True),
        replace(SCHEDULE, ema_decay=0.5),
        replace(SCHEDULE, gsam_rho=0.05),
        replace(SCHEDULE, augmentation=SIAMESE),
        replace(SCHEDULE, augmentation=condensation_augmentation(), one_operation=False),
    ],
    ids=["plain", "cut", "adamw", "cutmix", "averaged", "flatter", "augmented", "an operation an image"],
)
def test_each_equals_the_plain_loop(schedule: Schedule):
    check_equals_twins(examples(), schedule)


@pytest.mark.parametrize("spec", ["mlp:width=16", "lenet", BATCH_NORM, "convnet:depth=1:width=4:norm=layer"])
def test_each_equals_the_plain_loop_for_every_kind_of_network(spec: str):
    check_equals_twins(examples(), SCHEDULE, spec)


def test_soft_labels_equal_the_plain_loop():
    check_equals_twins(examples(soft=True), SCHEDULE)


@pytest.mark.parametrize("spec", [NETWORK, BATCH_NORM])
def test_low_precision_is_near_and_kept_in_single(spec: str):
    low = trained(examples(), SCHEDULE, spec, Compute(torch.device("cpu"), "bfloat16"))
    for ours, exact in zip(low.members(), trained(examples(), SCHEDULE, spec).members(), strict=True):
        snapshot, expected = ours.snapshot(), exact.snapshot()
        assert not all(tensor.equal(tensor.bfloat16().float()) for tensor in snapshot.values()), "the master weights"
        for name, tensor in snapshot.items():
            torch.testing.assert_close(tensor, expected[name], rtol=0, atol=0.05)


@pytest.mark.slow
@pytest.mark.usefixtures("traced_only")
def test_compiled_is_what_it_is_without():
    plain, fast = (
        trained(examples(), replace(SCHEDULE, epochs=1), compute=Compute(torch.device("cpu"), "float32", compiles))
        for compiles in (False, True)
    )
    for ours, theirs in zip(fast.members(), plain.members(), strict=True):
        torch.testing.assert_close(parameters_of(ours.network), parameters_of(theirs.network), rtol=1e-4, atol=1e-5)


def test_those_beside_a_network_change_nothing_but_rounding():
    results = [trained(examples(), SCHEDULE, count=count) for count in (1, 3)]
    alone, first = (parameters_of(next(cohort.members()).network) for cohort in results)
    torch.testing.assert_close(alone, first, rtol=1e-12, atol=1e-12)


def test_a_member_predicts_with_its_own_weights():
    given = examples(60)
    cohort = trained(given, replace(SCHEDULE, epochs=6), compute=CPU)
    for seed, member in zip(SEEDS, cohort.members(), strict=True):
        alone = Trainer(network(), CPU)
        alone.fit(given, replace(SCHEDULE, epochs=6), Streams(seed))
        assert (member.predict(given) == alone.predict(given)).double().mean() > 0.95


def test_it_can_be_used_again_from_the_beginning():
    cohort, results = StackedNetworks(network(BATCH_NORM), CPU, 2), []
    for seed in (0, 1, 0):
        fit(cohort, examples(), SCHEDULE, [Streams(seed), Streams(seed + 10)])
        results.append([tuple(member.snapshot().values()) for member in cohort.members()])
    for first, again, other in zip(results[0], results[2], results[1], strict=True):
        assert all(a.equal(b) for a, b in zip(first, again, strict=True))
        assert not all(a.equal(b) for a, b in zip(first, other, strict=True))
