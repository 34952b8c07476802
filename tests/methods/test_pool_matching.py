"""DANCE and NCFM match under mixtures of a pool, and compute what the papers write."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from potstill.experts import ExpertPlan, train_experts
from potstill.experts.pool import ExpertPool, mixed
from potstill.methods import DANCE, NCFM, Problem
from potstill.methods.distribution.characteristic import characteristic_distance
from potstill.methods.distribution.pool import PoolMatching
from potstill.methods.representative import REPRESENTATIVE
from potstill.networks.weights import WeightsFile, weight_files
from potstill.runtime.compute import CPU
from potstill.runtime.errors import UserError
from tests.small import problem, small_digits, small_experts
from tests.twins.pool import characteristic_loss, pool_step


def made(kind: type[PoolMatching], **settings: object) -> PoolMatching:
    return kind(**{"experts": small_experts(), "batch_real": 12, "frequencies": 32, **settings})


def check_equal(given: Problem, method: PoolMatching, iterations: int = 3) -> None:
    """Images and loss after each iteration agree with the twin's, whose optimiser is PyTorch's."""
    method = method.resolved(given.images_per_class)
    state = method.prepare(given)
    images = state["images"].clone()
    optimiser = (
        torch.optim.Adam([images], lr=method.settled_learning_rate)
        if method.optimiser == "adam"
        else torch.optim.SGD([images], lr=method.settled_learning_rate, momentum=method.momentum)
    )
    for iteration in range(iterations):
        before = state["images"]
        state, loss = method.step(given, state, iteration)
        assert float(loss) == pytest.approx(pool_step(given, method, images, optimiser, iteration), rel=1e-9)
        assert (state["images"] - before).abs().max() > 1e-4
        torch.testing.assert_close(state["images"], images.detach(), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("kind", [DANCE, NCFM])
@pytest.mark.parametrize("optimiser", ["sgd", "adam"])
def test_equals_its_twin(kind: type[PoolMatching], optimiser: str):
    check_equal(problem(ipc=2, precision="float64"), made(kind, optimiser=optimiser))


@pytest.mark.parametrize("settings", [{"augment": False}, {"calibration": 0.0}, {"calibration": 3.0}, {"clamp": False}])
@pytest.mark.parametrize("kind", [DANCE, NCFM])
def test_equals_its_twin_with_other_settings(kind: type[PoolMatching], settings: dict[str, object]):
    check_equal(problem(ipc=2, precision="float64"), made(kind, classes_per_step=4, **settings))


@pytest.mark.parametrize("weights", [(0.5, 0.5), (0.9, 0.1), (0.1, 0.9)])
def test_the_weights_of_amplitude_and_phase_are_those_of_the_twin(weights: tuple[float, float]):
    alpha, beta = weights
    check_equal(problem(precision="float64"), made(NCFM, amplitude_weight=alpha, phase_weight=beta), 2)


def test_dance_with_the_other_distance_is_ncfm():
    given = problem(precision="float64")
    both = [made(NCFM, optimiser="sgd"), made(DANCE, distance="characteristic")]
    states = [method.step(given, method.prepare(given), 0)[0]["images"] for method in both]
    assert states[0].equal(states[1])


def test_with_equal_weights_the_distance_is_that_of_complex_numbers():
    generator = torch.Generator().manual_seed(0)
    parts = [torch.randn(3, 50, generator=generator, dtype=torch.float64) for _ in range(4)]
    phi, psi = torch.complex(*parts[:2]), torch.complex(*parts[2:])
    found = characteristic_distance((parts[0], parts[1]), (parts[2], parts[3]), 0.5, 0.5)
    torch.testing.assert_close(found, (phi - psi).abs().mean(1).sum() / 2**0.5)


def test_equal_distributions_are_no_distance_apart_and_have_a_gradient():
    means = tuple(torch.zeros(2, 5, requires_grad=True) for _ in range(2))
    distance = characteristic_distance(tuple(part.detach() for part in means), means, 0.5, 0.5)
    assert distance < 1e-5
    assert all(part.isfinite().all() for part in torch.autograd.grad(distance, means))


def test_twin_of_the_characteristic_loss_by_hand():
    real, synthetic = [torch.tensor([[2.0, 0.0]])], [torch.tensor([[0.0, 3.0]])]  # of unit length (1, 0) and (0, 1)
    t = torch.tensor([[0.0, torch.pi]], dtype=torch.float64)  # phi = 1, psi = exp(i pi) = -1
    loss = characteristic_loss([r.double() for r in real], [s.double() for s in synthetic], t, 0.5, 0.5)
    assert loss.item() == pytest.approx(2 / 2**0.5)
    only_amplitude = characteristic_loss([r.double() for r in real], [s.double() for s in synthetic], t, 1.0, 0.0)
    assert only_amplitude.item() == pytest.approx(0, abs=1e-7)


def test_mixtures_lie_between_untrained_and_trained_weights():
    pool = ExpertPool([WeightsFile(path) for path in weight_files(Path(small_experts()))])
    entry = pool.draw(torch.Generator().manual_seed(0))
    assert entry.initial.keys() == entry.trained.keys()
    for share, expected in ((0.0, entry.trained), (1.0, entry.initial)):
        torch.testing.assert_close(mixed(entry, share), expected, check_dtype=False)
    halfway = mixed(entry, 0.5)
    assert all(
        torch.allclose(2 * halfway[name], entry.initial[name].double() + entry.trained[name]) for name in halfway
    )


@pytest.mark.parametrize("kind", [DANCE, NCFM])
def test_representative_images_are_chosen_every_so_many_iterations(kind: type[PoolMatching]):
    given = problem()
    method = made(kind, batches="representative", clustering_interval=3, clustering_candidates=20)
    state, kept = method.prepare(given), []
    for iteration in range(4):
        state, _ = method.step(given, state, iteration)
        kept.append(state[REPRESENTATIVE])
    assert kept[0].equal(kept[2])
    assert not kept[2].equal(kept[3])


def test_moduli_that_are_equal_have_a_gradient():
    means = tuple(torch.zeros(2, 5, requires_grad=True) for _ in range(2))
    distance = characteristic_distance(tuple(part.detach() for part in means), means, 1.0, 0.0)
    assert all(part.isfinite().all() for part in torch.autograd.grad(distance, means))


def test_every_network_of_the_pool_is_drawn():
    pool, generator = ExpertPool([WeightsFile(path) for path in weight_files(Path(small_experts()))]), torch.Generator()
    assert len({pool.draw(generator.manual_seed(seed)).file.path for seed in range(20)}) == 2


def test_the_published_step_grows_with_the_images_per_class():
    assert DANCE().resolved(10).learning_rate == pytest.approx(1.6)
    assert DANCE(learning_rate=0.3).resolved(10).learning_rate == 0.3
    assert NCFM().resolved(10).learning_rate == NCFM().resolved(1).learning_rate


def test_pixels_stay_between_black_and_white():
    given = problem(ipc=2)
    images = given.start_images
    clamped = given.real.clamped(50 * images)
    bytes_of = (clamped * given.real.std[0] + given.real.mean[0]) * 255
    assert bytes_of.min().item() == pytest.approx(0, abs=1e-3)
    assert bytes_of.max().item() == pytest.approx(255, abs=1e-3)
    torch.testing.assert_close(given.real.clamped(images), images)
    method, state = made(DANCE, learning_rate=5.0), made(DANCE).prepare(given)
    for iteration in range(2):
        state, _ = method.step(given, state, iteration)
    result = method.result(given, state).images
    assert result.equal(given.real.clamped(result))
    free, _ = replace(method, clamp=False).step(given, method.prepare(given), 0)
    assert not free["images"].equal(given.real.clamped(free["images"]))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"experts": ""}, "`experts` is not given"),
        ({"experts": "nowhere"}, "there are no experts in nowhere"),
        ({"frequencies": 0}, "`frequencies=0` is too small"),
        ({"amplitude_weight": 0.0, "phase_weight": 0.0}, "are both 0"),
        ({"calibration": -1.0}, "`calibration=-1.0` is too small"),
    ],
)
def test_what_cannot_be_is_refused(settings: dict[str, object], message: str):
    with pytest.raises(UserError, match=message):
        made(DANCE, **settings).prepare(problem())


def test_a_pool_of_another_network_or_dataset_is_refused():
    with pytest.raises(UserError, match="have a different network"):
        made(DANCE).prepare(problem(network="convnet:depth=1:width=4"))
    with pytest.raises(UserError, match="have a different dataset"):
        made(DANCE).prepare(replace(problem(), dataset_fingerprint="another"))


def test_a_pool_without_initial_weights_is_refused(tmp_path: Path):
    plan = ExpertPlan(network="convnet:depth=1:width=4", count=1, epochs=1, last_only=True)
    train_experts(plan, small_digits(), tmp_path / "last", CPU)
    given = problem(network="convnet:depth=1:width=4", real=small_digits().train)
    with pytest.raises(UserError, match="not those before training"):
        made(DANCE, experts=str(tmp_path / "last")).prepare(given)


def test_a_pool_of_ends_is_enough(tmp_path: Path):
    plan = ExpertPlan(network="convnet:depth=1:width=4", count=1, epochs=3, ends_only=True)
    train_experts(plan, small_digits(), tmp_path / "ends", CPU)
    every = replace(plan, ends_only=False)
    train_experts(every, small_digits(), tmp_path / "every", CPU)
    (ends,), (all_epochs,) = (
        [WeightsFile(path) for path in weight_files(tmp_path / name)] for name in ("ends", "every")
    )
    assert ends.epochs == [0, 3]
    for epoch in ends.epochs:
        torch.testing.assert_close(ends.read(epoch), all_epochs.read(epoch), rtol=0, atol=0)
    given = problem(network="convnet:depth=1:width=4", real=small_digits().train)
    method = made(DANCE, experts=str(tmp_path / "ends"))
    assert method.step(given, method.prepare(given), 0)[1] > 0
