"""DC and DSA compute what their papers write, on every schedule, with every distance."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from potstill.engine.layout import shrinking_chunks
from potstill.methods import DC, DSA, IDC, Problem
from potstill.methods.gradient import distance_gradients
from potstill.methods.gradient.alternating import interpolated
from potstill.methods.gradient.dc import PUBLISHED_LOOPS
from potstill.methods.gradient.distances import DISTANCES, DistanceName
from potstill.networks import ImageShape, build_network
from potstill.runtime.errors import UserError
from tests.small import NETWORK, digits, few, problem
from tests.twins import gradients as twin

BATCH_NORM = "convnet:depth=2:width=8:norm=batch"
NAMES: list[DistanceName] = ["layerwise", "euclidean", "cosine", "l1", "mse"]


def four_classes(**options: Any) -> Problem:
    """A problem of four classes with two images each, in double precision."""
    return problem(real=few(digits().train, (60,) * 4), ipc=2, precision="float64", **options)


def check_equal(given: Problem, method: DC | DSA, loops: tuple[int, int], iterations: int = 3) -> None:
    """Images, their gradient (through the momentum) and the loss agree with the twin's after each iteration."""
    state = method.prepare(given)
    images, momentum = state["images"], torch.zeros_like(state["images"])
    network = given.build_network(torch.Generator()).double()
    for iteration in range(iterations):
        state, loss = method.step(given, state, iteration)
        images, momentum, expected = twin.dc_step(given, method, images, momentum, iteration, network, loops)
        assert momentum.abs().max() > 0
        assert float(loss) == pytest.approx(expected, rel=1e-9)
        for ours, theirs in ((state["images.momentum"], momentum), (state["images"], images)):
            assert ours.dtype == theirs.dtype == torch.float64
            assert (ours - theirs).abs().max() <= 1e-9 * theirs.abs().max()


@pytest.mark.parametrize("distance", NAMES)
@pytest.mark.parametrize("network", [NETWORK, "mlp:width=16", "lenet", "convnet:depth=2:width=4:norm=layer"])
def test_dc_equals_its_twin(network: str, distance: DistanceName):
    given = four_classes(network=network)
    check_equal(given, DC(batch_real=12, distance=distance, outer_loops=1), (1, 0))


@pytest.mark.parametrize("distance", NAMES)
def test_dsa_equals_its_twin(distance: DistanceName):
    check_equal(four_classes(), DSA(batch_real=12, distance=distance, outer_loops=1), (1, 0))


@pytest.mark.parametrize("kind", [DC, DSA])
def test_some_classes_of_a_step_equal_those_of_the_twin(kind: type[DC | DSA]):
    method = kind(batch_real=8, classes_per_step=3, outer_loops=2, inner_epochs=1)
    check_equal(problem(ipc=2, precision="float64"), method, (2, 1), iterations=4)


@pytest.mark.slow
@pytest.mark.parametrize("kind", [DC, DSA])
def test_the_inner_loop_equals_its_twin(kind: type[DC | DSA]):
    method = kind(batch_real=8, outer_loops=3, inner_epochs=2, network_batch=7, network_learning_rate=0.1)
    check_equal(four_classes(), method, (3, 2), iterations=5)


@pytest.mark.parametrize("kind", [DC, DSA])
def test_batch_norm_takes_its_statistics_from_real_images_and_holds_them(kind: type[DC | DSA]):
    method = kind(batch_real=8, outer_loops=2, inner_epochs=1)
    check_equal(four_classes(network=BATCH_NORM), method, (2, 1), iterations=4)


def test_the_published_loops_are_the_default():
    method = DC(batch_real=8, network_learning_rate=0.05)
    check_equal(problem(ipc=1, precision="float64"), method, (1, 1), iterations=2)
    assert DC().loops(10) == (10, 50)
    assert DC(outer_loops=3).loops(10) == (3, 50)
    assert DC(inner_epochs=0).loops(10) == (10, 0)
    assert DC().default_iterations(10) == 10_000


def test_classes_may_be_smaller_than_the_batch():
    real = few(digits().train, (3, 16, 40))
    check_equal(problem(real=real, ipc=2, precision="float64"), DC(batch_real=16, outer_loops=1), (1, 0))


@pytest.mark.parametrize("ipc", PUBLISHED_LOOPS)
def test_published_loops(ipc: int):
    assert interpolated(PUBLISHED_LOOPS, ipc) == PUBLISHED_LOOPS[ipc]


@given(st.integers(1, 2000))
def test_loops_of_any_images_per_class_lie_between_the_published_ones(ipc: int):
    outer, inner = interpolated(PUBLISHED_LOOPS, ipc)
    assert outer >= 1
    assert inner >= 1
    below = [known for known in PUBLISHED_LOOPS if known <= ipc]
    above = [known for known in PUBLISHED_LOOPS if known >= ipc] or [100]
    for value, place in ((outer, 0), (inner, 1)):
        ends = PUBLISHED_LOOPS[max(below)][place], PUBLISHED_LOOPS[min(above)][place]
        assert min(ends) <= value or ipc > 100
        assert value <= max(ends) or (ipc > 100 and place == 0)


@pytest.mark.parametrize(
    ("options", "message"),
    [({"outer_loops": 0}, "`outer_loops=0` is too small"), ({"inner_epochs": -1}, "`inner_epochs=-1` is too small")],
)
def test_a_schedule_that_makes_no_update_is_refused(options: dict[str, Any], message: str):
    with pytest.raises(UserError, match=message):
        DC(**options)


def gradients_of(seed: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    shapes = [(4, 3, 3, 3), (4,), (5, 8), (5,), (2, 3, 4)]
    return [torch.randn(shape, generator=generator, dtype=torch.float64) for shape in shapes]


@pytest.mark.parametrize("name", NAMES)
def test_distances_equal_their_twins(name: DistanceName):
    real, synthetic = gradients_of(0), [part.requires_grad_() for part in gradients_of(1)]
    ours, theirs = DISTANCES[name](real, synthetic), twin.DISTANCES[name](real, synthetic)
    assert ours.item() == pytest.approx(theirs.item(), rel=1e-12)
    grads = [torch.autograd.grad(value, synthetic, allow_unused=True) for value in (ours, theirs)]
    for mine, other in zip(*grads, strict=True):
        assert (mine is None) == (other is None)
        if mine is not None and other is not None:
            torch.testing.assert_close(mine, other, rtol=1e-10, atol=1e-14)


def test_distances_by_hand():
    real = [torch.tensor([[3.0, 4.0], [0.0, 2.0]]), torch.tensor([1.0])]
    synthetic = [torch.tensor([[4.0, 3.0], [2.0, 0.0]]), torch.tensor([-1.0])]
    assert DISTANCES["layerwise"](real, synthetic).item() == pytest.approx((1 - 24 / 25) + 1, rel=1e-5)
    assert DISTANCES["euclidean"](real, synthetic).item() == pytest.approx(2 + 8 + 4)
    assert DISTANCES["cosine"](real, synthetic).item() == pytest.approx(1 - (24 - 1) / 30, rel=1e-5)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("spec", [NETWORK, "mlp:width=16"])
def test_all_classes_in_one_pass_equal_one_after_another(name: DistanceName, spec: str):
    network = build_network(spec, ImageShape(1, 8, 8), 4, torch.Generator().manual_seed(0)).double()
    generator = torch.Generator().manual_seed(1)
    images = torch.randn(4, 3, 1, 8, 8, generator=generator, dtype=torch.float64)
    targets = [
        [torch.randn(p.shape, generator=generator, dtype=torch.float64) for p in network.parameters()] for _ in range(4)
    ]
    with shrinking_chunks() as halve:
        results = [
            distance_gradients(network, images, torch.arange(4), targets, name, batched=batched)
            for batched in (True, False)
        ]
        assert halve()
        results.append(distance_gradients(network, images, torch.arange(4), targets, name, batched=True))
    for other in results[1:]:
        torch.testing.assert_close(results[0][0], other[0], rtol=1e-10, atol=0)
        torch.testing.assert_close(results[0][1], other[1], rtol=1e-8, atol=1e-12)


@pytest.mark.parametrize("kind", [DC, DSA])
def test_single_precision_is_near(kind: type[DC | DSA]):
    method, moved = kind(batch_real=16, outer_loops=1), []
    for precision in ("float32", "float64"):
        given = problem(ipc=2, precision=precision)
        state, loss = method.step(given, method.prepare(given), 0)
        moved.append((state["images.momentum"].double(), loss))
    assert float(moved[0][1]) == pytest.approx(float(moved[1][1]), rel=1e-4)
    assert (moved[0][0] - moved[1][0]).abs().max() <= 1e-3 * moved[1][0].abs().max()


def test_augmentation_and_start_are_what_sets_the_two_apart():
    assert DC().default_start == "noise"
    assert DSA().default_start == "real"
    assert DC().augmentation(problem()).operations == ()
    assert "flip" not in DSA().augmentation(problem()).operations
    assert "flip" in DSA().augmentation(replace(problem(), flips=True)).operations


@pytest.mark.parametrize("distance", ["l1", "mse"])
@pytest.mark.parametrize("cutmix", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("network", [NETWORK, BATCH_NORM])
def test_idc_equals_its_twin(distance: DistanceName, cutmix: float, network: str):
    given = four_classes(network=network)
    method = IDC(batch_real=12, distance=distance, outer_loops=3, network_images=20, network_batch=8, cutmix=cutmix)
    method = method.resolved(2)
    state = method.prepare(given)
    images, momentum = state["images"], torch.zeros_like(state["images"])
    plain = given.build_network(torch.Generator()).double()
    optimiser = torch.optim.SGD(plain.parameters(), lr=0.01, momentum=0.9, weight_decay=5e-4)
    for iteration in range(5):
        state, loss = method.step(given, state, iteration)
        images, momentum, expected = twin.idc_step(given, method, images, momentum, iteration, plain, optimiser)
        assert float(loss) == pytest.approx(expected, rel=1e-9)
        assert (state["images"] - images).abs().max() <= 1e-9 * images.abs().max()


def test_the_published_settings_of_idc_depend_on_dataset_and_images_per_class():
    mnist, cifar = IDC().resolved(10, "mnist"), IDC().resolved(1, "cifar10")
    assert (mnist.distance, mnist.learning_rate, mnist.outer_loops) == ("l1", pytest.approx(1e-3), 100)
    assert (cifar.distance, cifar.learning_rate) == ("mse", pytest.approx(0.008))
    assert IDC(distance="cosine").resolved(10).learning_rate == pytest.approx(0.1)
    assert IDC(optimiser="adam").resolved(10).learning_rate == 0.05
    assert IDC().default_iterations(1) == 200_000
