"""DD and LD compute what their papers write, from every kind of initial weights, whatever is kept for the way back."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from potstill.engine.unrolling import Keep
from potstill.methods import DD, LD, Method, Problem, State
from potstill.networks import InitialWeights
from potstill.networks.weights import snapshot, write_weights
from potstill.runtime.errors import UserError
from potstill.synthetic import SyntheticSet
from tests.small import NETWORK, problem
from tests.twins.bilevel import PlainDD, PlainLD


def states(given: Problem, method: Method, iterations: int) -> list[tuple[State, float]]:
    state, found = method.prepare(given), []
    for iteration in range(iterations):
        state, loss = method.step(given, state, iteration)
        found.append((state, loss))
    return found


def assert_moved_alike(state: State, name: str, theirs: Tensor, adam: torch.optim.Adam) -> None:
    """Gradients, by their mean, agree to 1e-9; what Adam moved less well: it divides small ones by their size."""
    gradients = state[f"{name}.first"], adam.state[theirs]["exp_avg"]
    assert gradients[0].dtype == gradients[1].dtype == torch.float64
    assert (gradients[0] - gradients[1]).abs().max() <= 1e-9 * gradients[1].abs().max()
    torch.testing.assert_close(state[name], theirs.detach(), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("keep", get_args(Keep))
@pytest.mark.parametrize(
    ("ipc", "options", "batches"),
    [
        (1, {}, 1),
        (4, {"passes": 2}, 4),
        (4, {"batches": 2, "passes": 1}, 2),
        (2, {"batches": 1, "decay_every": 1}, 1),
    ],
    ids=["one image", "an image a step", "two images a step", "halved every iteration"],
)
@pytest.mark.parametrize("network", [NETWORK, "lenet"])
def test_dd_equals_its_twin(network: str, ipc: int, options: dict[str, Any], batches: int, keep: Keep):
    given = problem(ipc=ipc, network=network, precision="float64")
    method = DD(batch_real=32, keep=keep, **options)
    twin, plain = PlainDD(given, method, batches), given.build_network(torch.Generator()).double()
    for iteration, (state, loss) in enumerate(states(given, method, 3)):
        plain.initialise(given.streams.child("iteration", iteration).generator("network"), method.scheme)
        assert loss == pytest.approx(twin.step(iteration, plain), rel=1e-9)
        assert_moved_alike(state, "images", twin.images, twin.adam)
        assert_moved_alike(state, "rates", twin.raw, twin.adam)


@pytest.mark.parametrize("network", [NETWORK, "lenet"])
def test_ld_equals_its_twin(network: str):
    given = problem(ipc=2, network=network, precision="float64")
    method = LD(batch_real=32, inner_steps=3, network_iterations=2)
    twin, plain = PlainLD(given, method), given.build_network(torch.Generator()).double()
    for iteration, (state, loss) in enumerate(states(given, method, 5)):
        assert loss == pytest.approx(twin.step(iteration, plain), rel=1e-9)
        assert_moved_alike(state, "labels", twin.v, twin.adam)


def test_ld_leaves_images_alone_and_its_labels_are_probabilities():
    given = problem(ipc=2)
    method = LD(batch_real=32)
    first, last = (method.result(given, state) for state in (method.prepare(given), states(given, method, 2)[-1][0]))
    assert last.images.equal(given.start.images)
    assert not last.labels.equal(first.labels)
    assert first.labels.gather(1, given.start.labels[:, None]).flatten().tolist() == pytest.approx([0.9] * 20)
    for labels in (first.labels, last.labels):
        torch.testing.assert_close(labels.sum(1), torch.ones(20))


def test_dd_learns_a_positive_rate_for_every_step_and_says_which_batches():
    given = problem(ipc=4)
    method = DD(batch_real=32, batches=2, passes=3)
    replay = method.result(given, states(given, method, 2)[-1][0]).replay
    assert replay is not None
    assert replay.rates.shape == (6,)
    assert (replay.rates > 0).all()
    assert replay.rates.unique().numel() > 1
    assert replay.batches == 2
    assert replay.initial.source == "random"


def test_replayed_batches_hold_equally_many_of_every_class():
    given = problem(ipc=4)
    made = DD(batch_real=32, batches=2, passes=3).result(given, DD(batches=2, passes=3).prepare(given))
    batches = made.replayed()
    assert len(batches) == 6
    for images, labels in batches:
        assert labels.tolist() == sorted([*range(10)] * 2)
        assert images.shape == (20, 1, 8, 8)
    assert torch.cat([images for images, _ in batches[:2]]).flatten(1).unique(dim=0).shape[0] == 40
    assert all(one[0].equal(other[0]) for one, other in zip(batches[:2], batches[2:4], strict=True))


def test_a_set_to_be_replayed_survives_its_file(tmp_path: Path):
    given, method = problem(ipc=2), DD(batch_real=32, initial="fixed")
    made = method.result(given, states(given, method, 1)[-1][0])
    made.save(tmp_path / "set")
    loaded = SyntheticSet.load(tmp_path / "set")
    assert loaded.fingerprint() == made.fingerprint()
    assert loaded.replay is not None
    assert made.replay is not None
    assert loaded.replay.rates.equal(made.replay.rates)
    assert (loaded.replay.batches, loaded.replay.initial) == (2, made.replay.initial)
    assert loaded.size_bytes == replace(made, replay=None).size_bytes + 6 * 4


def first_weights(source: str, given: Problem, seeds: range = range(20), *, held_out: bool = False) -> list[Tensor]:
    network, found = given.build_network(torch.Generator()), []
    for seed in seeds:
        initial = InitialWeights(source, seed=7)
        initial = initial.held_out(seed) if held_out else initial
        initial.draw(network, torch.Generator().manual_seed(seed))
        found.append(torch.cat([parameter.detach().flatten() for parameter in network.parameters()]))
    return found


def pretrained(folder: Path, given: Problem, count: int) -> list[Tensor]:
    """Weights on file as potstill experts writes them: before training, and after an epoch."""
    found = []
    for number in range(count):
        network = given.build_network(torch.Generator().manual_seed(number))
        before = snapshot(network)
        with torch.no_grad():
            for parameter in network.parameters():
                parameter += 1
        write_weights(folder / f"expert-{number}.safetensors", {0: before, 1: snapshot(network)}, {"network": NETWORK})
        found.append(torch.cat([parameter.detach().flatten() for parameter in network.parameters()]))
    return found


def test_random_weights_differ_and_fixed_ones_do_not():
    given = problem()
    random, fixed = first_weights("random", given), first_weights("fixed", given)
    assert not random[0].equal(random[1])
    assert all(weights.equal(fixed[0]) for weights in fixed)


def test_pre_trained_weights_are_drawn_from_a_folder_and_some_are_held_out(tmp_path: Path):
    given = problem()
    known = pretrained(tmp_path, given, 10)
    seen, kept = (first_weights(str(tmp_path), given, range(60), held_out=held_out) for held_out in (False, True))

    def which(weights: list[Tensor]) -> set[int]:
        return {next(number for number, one in enumerate(known) if one.equal(drawn)) for drawn in weights}

    assert which(seen) == set(range(8))
    assert which(kept[::2]) == {8}
    assert which(kept[1::2]) == {9}


def test_a_file_is_one_fixed_pre_trained_network(tmp_path: Path):
    given = problem()
    known = pretrained(tmp_path, given, 2)
    for held_out in (False, True):
        drawn = first_weights(str(tmp_path / "expert-1.safetensors"), given, held_out=held_out)
        assert all(weights.equal(known[1]) for weights in drawn)


def test_weights_of_another_network_are_refused_with_the_tensor_that_differs(tmp_path: Path):
    pretrained(tmp_path, problem(), 1)
    wider = problem(network="convnet:depth=2:width=12")
    with pytest.raises(UserError, match=r"do not fit: .*blocks.0.0.weight is \(8, 1, 3, 3\) there.*\(12, 1, 3, 3\)"):
        first_weights(str(tmp_path), wider)
    deeper = problem(network="convnet:depth=3:width=8")
    with pytest.raises(UserError, match="is absent there"):
        first_weights(str(tmp_path), deeper)


@pytest.mark.parametrize("content", [b"", b"not safetensors", None])
def test_files_that_hold_no_weights_are_refused(content: bytes | None, tmp_path: Path):
    if content is None:
        with pytest.raises(UserError, match="does not exist"):
            first_weights(str(tmp_path / "absent"), problem())
        with pytest.raises(UserError, match="holds no weights"):
            first_weights(str(tmp_path), problem())
        return
    (tmp_path / "expert-0.safetensors").write_bytes(content)
    with pytest.raises(UserError, match="truncated or not safetensors"):
        first_weights(str(tmp_path), problem())


@pytest.mark.parametrize("source", ["random", "fixed"])
def test_the_scheme_of_the_first_weights_is_the_methods_and_is_kept_with_the_set(source: str, tmp_path: Path):
    given = problem()
    for scheme in ("xavier", "kaiming"):
        method = DD(batch_real=32, initial=source, scheme=scheme)
        replay = method.result(given, method.prepare(given)).replay
        assert replay is not None
        assert InitialWeights(**replay.initial.to_json()) == replay.initial
        network = given.build_network(torch.Generator())
        replay.initial.draw(network, torch.Generator())
        bias = dict(network.named_parameters())["classifier.bias"]
        assert bias.any() == (scheme == "kaiming")
    with pytest.raises(UserError, match="unknown initialisation scheme 'he'; use kaiming or xavier"):
        InitialWeights(scheme="he")  # type: ignore[arg-type]


def test_weights_that_have_changed_since_are_refused(tmp_path: Path):
    given = problem()
    pretrained(tmp_path, given, 2)
    recorded = InitialWeights(**InitialWeights(str(tmp_path)).to_json())
    recorded.draw(given.build_network(torch.Generator()), torch.Generator())
    (tmp_path / "expert-1.safetensors").write_bytes((tmp_path / "expert-0.safetensors").read_bytes())
    changed = InitialWeights(**recorded.to_json())
    with pytest.raises(UserError, match="are not those that the set was distilled for"):
        changed.draw(given.build_network(torch.Generator()), torch.Generator())


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: DD(passes=0), "`passes=0` is too small"),
        (lambda: DD(batches=0), "`batches=0` is too small"),
        (lambda: DD(initial_rate=0.0), "`initial_rate=0.0` is not positive"),
        (lambda: LD(inner_steps=0), "`inner_steps=0` is too small"),
        (lambda: LD(certainty=1.0), r"`certainty=1.0` is not in \[0, 1\)"),
    ],
)
def test_settings_that_make_no_update_are_refused(make: Any, message: str):
    with pytest.raises(UserError, match=message):
        make()


def test_batches_must_divide_the_images():
    with pytest.raises(UserError, match="3 images per class cannot be divided into 2 equal batches; use"):
        DD(batches=2).prepare(problem(ipc=3))


def test_softplus_and_its_start_are_inverse():
    rates = F.softplus(DD(initial_rate=0.02).prepare(problem(ipc=2, precision="float64"))["rates"])
    assert rates.tolist() == pytest.approx([0.02] * 6, rel=1e-12)
