"""The fast paths of DM, DataDAM and ATOM compute what the papers write."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from potstill.engine import layout
from potstill.methods import ATOM, DM, DataDAM, Method, Problem, State
from potstill.methods.distribution.attention import summed_powers
from potstill.networks import Observation
from potstill.networks.weights import keep_weights, kept_weights, snapshot
from potstill.runtime.compute import supports_compilation
from tests.small import NETWORK, digits, few, problem
from tests.twins.matching import atom_loss, attention, channel_attention, datadam_loss, datadam_step, dm_loss, dm_step

# No max pooling after a norm: in the blank parts of digits it chooses among values that differ by rounding alone, and
# the gradient goes wherever the memory layout rounds up.
NETWORKS = [NETWORK, "convnet:depth=3:width=4:activation=sigmoid:pooling=none", "mlp:width=16", "lenet"]
BATCH_NORM = "convnet:depth=2:width=8:norm=batch"


def run(problem: Problem, method: Method, iterations: int) -> list[tuple[State, float]]:
    """The state and the loss after each iteration of the fast path."""
    state, states = method.prepare(problem), []
    for iteration in range(iterations):
        state, loss = method.step(problem, state, iteration)
        states.append((state, float(loss)))
    return states


def check_equal(problem: Problem, method: DM | DataDAM | ATOM, iterations: int = 2, tolerance: float = 1e-9) -> None:
    """Images, gradient (through the momentum) and loss after each iteration agree with the twin's."""
    images = method.prepare(problem)["images"]
    momentum = torch.zeros_like(images)
    network = None
    if isinstance(method, DataDAM | ATOM) and method.network_iterations > 1:
        network = problem.build_network(torch.Generator()).to(images.dtype).requires_grad_(False)
    for iteration, (state, loss) in enumerate(run(problem, method, iterations)):
        if isinstance(method, DM):
            images, momentum, expected = dm_step(problem, method, images, momentum, iteration)
        else:
            images, momentum, expected = datadam_step(problem, method, images, momentum, iteration, network)
        assert momentum.abs().max() > 0
        assert loss == pytest.approx(expected, rel=tolerance)
        assert_near(state["images.momentum"], momentum, tolerance)
        assert_near(state["images"], images, tolerance)


def assert_near(ours: Tensor, theirs: Tensor, tolerance: float) -> None:
    assert ours.dtype == theirs.dtype
    assert (ours - theirs).abs().max() <= tolerance * theirs.abs().max()


def written(problem: Problem, folder: Path) -> Path:
    """A file of weights of the problem's network, with other buffers than a new one has."""
    weights = snapshot(problem.build_network(torch.Generator().manual_seed(7)))
    weights = {name: tensor * 2 for name, tensor in weights.items()}
    return kept_weights(folder, keep_weights(folder, weights, {}))


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("augment", [True, False])
def test_dm_equals_its_twin(network: str, augment: bool):
    given = problem(ipc=3, network=network, precision="float64")
    check_equal(given, DM(batch_real=20, augment=augment))


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("augment", [True, False])
def test_datadam_equals_its_twin(network: str, augment: bool):
    given = problem(ipc=3, network=network, precision="float64")
    check_equal(given, DataDAM(batch_real=20, augment=augment))


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("powers", [(4.0, 4.0), (2.0, 1.0)])
def test_atom_equals_its_twin(network: str, powers: tuple[float, float]):
    given = problem(ipc=3, network=network, precision="float64")
    check_equal(given, ATOM(batch_real=20, power=powers[0], channel_power=powers[1]))


@pytest.mark.parametrize("kind", [DM, DataDAM, ATOM])
@pytest.mark.parametrize("network", [NETWORK, BATCH_NORM])
def test_some_classes_of_a_step_equal_those_of_the_twin(kind: type[DM | DataDAM | ATOM], network: str):
    check_equal(problem(ipc=3, network=network, precision="float64"), kind(batch_real=8, classes_per_step=3), 4)


@pytest.mark.parametrize("kind", [DM, DataDAM])
@pytest.mark.parametrize("radius", [0.0, 3.0, 1e6])
@pytest.mark.parametrize("network", [NETWORK, BATCH_NORM])
def test_networks_near_given_weights_are_those_of_the_twin(
    kind: type[DM | DataDAM], radius: float, network: str, tmp_path: Path
):
    given = problem(ipc=3, network=network, precision="float64")
    weights = written(given, tmp_path)
    check_equal(given, kind(batch_real=8, around=str(weights), radius=radius))


@pytest.mark.parametrize("power", [1.0, 2.0, 4.0])
def test_datadam_equals_its_twin_at_every_power(power: float):
    check_equal(problem(precision="float64"), DataDAM(batch_real=8, power=power, mmd_weight=0.5, loss_scale=3.0))


def test_released_datadam_is_power_one_and_factor_one_hundred_whatever_is_asked_for():
    given = problem(precision="float64")
    released = DataDAM(batch_real=8, follow_released_code=True, power=7.0, loss_scale=0.5)
    check_equal(given, released)
    (ours, loss), *_ = run(given, released, 1)
    (plain, expected), *_ = run(problem(precision="float64"), DataDAM(batch_real=8, power=1.0, loss_scale=100.0), 1)
    assert loss == expected
    assert ours["images"].equal(plain["images"])


@pytest.mark.parametrize("kind", [DataDAM, ATOM])
def test_attention_matching_equals_its_twin_on_the_schedule_of_algorithm_1(kind: type[DataDAM | ATOM]):
    method = kind(
        batch_real=8,
        network_iterations=3,
        synthetic_steps=2,
        network_steps=4,
        network_learning_rate=0.1,
        network_batch=7,
    )
    check_equal(problem(precision="float64"), method, iterations=5)


def test_training_the_network_changes_what_is_matched():
    trained = DataDAM(batch_real=8, network_iterations=3, network_steps=4, network_learning_rate=0.1)
    frozen = replace(trained, network_steps=0)
    losses = [[loss for _, loss in run(problem(), method, 4)] for method in (trained, frozen)]
    assert losses[0][0] == losses[1][0]
    assert losses[0][1] != losses[1][1]


def test_a_network_that_lives_longer_is_the_same_one_until_its_end():
    given = problem()
    states = [state for state, _ in run(given, DataDAM(batch_real=8, network_iterations=2), 4)]
    same = [
        all(one[name].equal(other[name]) for name in one if name.startswith("network."))
        for one, other in pairwise(states)
    ]
    assert same == [True, False, True]


@pytest.mark.parametrize("method", [DM(batch_real=8), DataDAM(batch_real=8, network_iterations=2, network_steps=1)])
def test_batch_norm_sees_all_classes_together(method: DM | DataDAM):
    check_equal(problem(ipc=3, network=BATCH_NORM, precision="float64"), method)


@pytest.mark.parametrize("method", [DM(batch_real=9), DataDAM(batch_real=9)])
@pytest.mark.parametrize("chunk", [1, 7, 1000])
def test_chunks_of_any_size_change_nothing(method: DM | DataDAM, chunk: int, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(layout, "CPU_CHUNK_PIXELS", chunk * 8 * 8)
    check_equal(problem(ipc=3, precision="float64"), method, iterations=1)


@pytest.mark.parametrize("method", [DM(batch_real=16), DataDAM(batch_real=16)])
def test_classes_may_be_smaller_than_the_batch(method: DM | DataDAM):
    real = few(digits().train, (3, 16, 40))
    check_equal(problem(real=real, ipc=2, precision="float64"), method)


@pytest.mark.parametrize("method", [DM(batch_real=12), DataDAM(batch_real=12)])
def test_mirroring_is_augmentation_where_it_keeps_the_class(method: DM | DataDAM):
    check_equal(problem(precision="float64", flips=True), method, iterations=4)


@pytest.mark.parametrize("method", [DM(batch_real=12), DataDAM(batch_real=12)])
def test_single_precision_is_near_the_twin(method: DM | DataDAM):
    check_equal(problem(ipc=2), method, iterations=1, tolerance=1e-4)


@pytest.mark.slow
@pytest.mark.skipif(not supports_compilation(torch.device("cpu")), reason="no C++ compiler")
def test_compiled_equals_eager():
    method, network = DM(batch_real=16), "convnet:depth=1:width=4"
    (eager, loss), *_ = run(problem(network=network), method, 1)
    (compiled, compiled_loss), *_ = run(problem(network=network, compilation=True), method, 1)
    assert compiled_loss == pytest.approx(loss, rel=1e-4)
    assert_near(compiled["images.momentum"], eager["images.momentum"], 1e-4)


# The twins themselves, on numbers worked out by hand.


class Identity(torch.nn.Module):
    """A network of two blocks whose first map and embedding are the image itself."""

    def embed(self, images: Tensor):
        return images.flatten(1)

    def observe(self, images: Tensor):
        return Observation((images, images), self.embed(images), self.embed(images))


def test_twin_of_dm_is_the_distance_of_means():
    real = [torch.tensor([[[[1.0, 3.0]]], [[[3.0, 5.0]]]]), torch.tensor([[[[0.0, 1.0]]]])]
    synthetic = [torch.tensor([[[[1.0, 1.0]]]]), torch.tensor([[[[0.0, 0.0]]]])]
    assert dm_loss(Identity(), real, synthetic).item() == pytest.approx((2 - 1) ** 2 + (4 - 1) ** 2 + 1)  # type: ignore[arg-type]


def test_twin_of_datadam_by_hand():
    real, synthetic = [torch.tensor([[[[3.0, -4.0]]]])], [torch.tensor([[[[1.0, 0.0]]]])]
    sam = (9 / 337**0.5 - 1) ** 2 + (16 / 337**0.5) ** 2  # attention (9, 16) / |(9, 16)| against (1, 0)
    mmd = (3 - 1) ** 2 + 4**2
    loss = datadam_loss(Identity(), real, synthetic, power=2.0, balance=0.1, factor=10.0)  # type: ignore[arg-type]
    assert loss.item() == pytest.approx(10 * (sam + 0.1 * mmd))


def test_twin_of_atom_by_hand():
    maps = torch.tensor([[[[3.0, -4.0]], [[0.0, 5.0]]]])
    assert channel_attention(maps, 2.0).tolist() == [pytest.approx([2**-0.5, 2**-0.5])]
    assert channel_attention(maps, 1.0).tolist() == [pytest.approx([7 / 74**0.5, 5 / 74**0.5])]
    real, synthetic = [torch.tensor([[[[3.0, -4.0]]]])], [torch.tensor([[[[1.0, 0.0]]]])]
    powers = {"power": 2.0, "channel_power": 2.0}
    mixed = atom_loss(Identity(), real, synthetic, **powers, balance=0.1, factor=10.0)  # type: ignore[arg-type]
    spatial = datadam_loss(Identity(), real, synthetic, power=2.0, balance=0.1, factor=10.0)  # type: ignore[arg-type]
    assert mixed == spatial  # a single channel always has all the attention
    two = [torch.cat([images, 2 * images], 1) for images in (real[0], synthetic[0].flip(3))]
    assert channel_attention(two[0], 4.0).equal(channel_attention(2 * two[0], 4.0))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("dims", [(1,), (2, 3)])
@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_the_fourth_power_has_the_bits_of_plain_operations(
    dtype: torch.dtype, dims: tuple[int, ...], memory_format: torch.memory_format
):
    maps = torch.randn(4, 3, 5, 6, generator=torch.Generator().manual_seed(0)).to(dtype=dtype)
    maps = maps.contiguous(memory_format=memory_format).requires_grad_()
    plain = (maps.float() if dtype == torch.bfloat16 else maps).square().square().sum(dims)
    both = [F.normalize(powers.flatten(1), dim=1) for powers in (summed_powers(maps, 4.0, dims), plain)]
    assert both[0].equal(both[1])
    weights = torch.arange(120.0)[: both[0].numel()].view_as(both[0]).to(both[0].dtype)
    ours, theirs = (torch.autograd.grad((attended * weights).sum(), maps)[0] for attended in both)
    assert ours.dtype == dtype
    assert ours.equal(theirs)


@pytest.mark.parametrize(("of", "size"), [(attention, 30), (channel_attention, 3)])
def test_twins_of_attention_have_unit_length(of: Callable[[Tensor, float], Tensor], size: int):
    maps = torch.randn(4, 3, 5, 6, generator=torch.Generator().manual_seed(0))
    assert of(maps, 4.0).shape == (4, size)
    torch.testing.assert_close(of(maps, 4.0).norm(dim=1), torch.ones(4))
