"""Sets that were distilled for certain steps: judged by those steps, from the weights that they are for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from potstill.engine.trainer import Trainer
from potstill.evaluation import RECIPES, default_recipe, evaluate, training_schedule, validation_accuracy
from potstill.experts.plan import ExpertPlan
from potstill.experts.train import train_experts
from potstill.networks import ImageShape, InitialWeights, build_network
from potstill.networks.weights import snapshot, write_weights
from potstill.runtime.compute import CPU
from potstill.runtime.errors import UserError
from potstill.runtime.streams import Streams
from potstill.selection import random_indices
from potstill.synthetic import Replay, SyntheticSet
from tests.small import NETWORK, digits, few, on_cpu, small_digits

pytestmark = pytest.mark.slow

RATES = [0.1, 0.02, 0.3, 0.1]


def to_be_replayed(initial: InitialWeights, *, rates: list[float] = RATES, batches: int = 2) -> SyntheticSet:
    given = digits().train
    plain = SyntheticSet.from_indices(given, random_indices(given, 4, torch.Generator().manual_seed(0)))
    return replace(plain, replay=Replay(rates=torch.tensor(rates), batches=batches, initial=initial))


def test_the_steps_are_taken_in_their_order_each_with_its_rate():
    fixed = InitialWeights("fixed", seed=3)
    given = to_be_replayed(fixed)
    plain = build_network(NETWORK, ImageShape(1, 8, 8), 10, torch.Generator().manual_seed(3))
    for step, rate in enumerate(RATES):
        half = [images[step % 2 * 2 : step % 2 * 2 + 2] for images in given.images.chunk(10)]
        labels = torch.arange(10).repeat_interleave(2)
        loss = F.cross_entropy(plain(torch.cat(half)), labels)
        gradients = torch.autograd.grad(loss, list(plain.parameters()))
        with torch.no_grad():
            for parameter, gradient in zip(plain.parameters(), gradients, strict=True):
                parameter -= rate * gradient
    trainer = Trainer(build_network(NETWORK, ImageShape(1, 8, 8), 10, torch.Generator()), CPU)
    trainer.replay(given.replayed(), fixed, Streams(0))
    for ours, theirs in zip(trainer.network.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-6)


def test_such_a_set_is_replayed_unless_another_recipe_is_asked_for():
    given = to_be_replayed(InitialWeights())
    assert default_recipe(given) == "replay"
    plain = replace(given, replay=None)
    assert default_recipe(plain) == "dsa-1000"
    paced = replace(plain, step_size=torch.tensor(0.02))
    assert default_recipe(paced) == "trajectory-1000"
    assert default_recipe(replace(paced, labels=F.one_hot(given.labels, 10).float())) == "soft-label"
    assert evaluate(given, on_cpu(digits()), networks=[NETWORK], repeats=2, baselines=()).recipe.name == "replay"


def test_random_images_take_the_same_steps():
    result = evaluate(
        to_be_replayed(InitialWeights()), on_cpu(digits()), networks=[NETWORK], repeats=2, baselines=["random"]
    )
    for measured in (result.networks[NETWORK], result.baselines["random"][NETWORK]):
        assert measured.repeats == 2
        assert measured.epochs == 2
        assert measured.curve_epochs == []


def test_steps_that_diverge_are_no_result():
    given = to_be_replayed(InitialWeights(), rates=[1e20] * 6)
    result = evaluate(given, on_cpu(digits()), networks=[NETWORK], repeats=1, baselines=["random", "initial"])
    for measured in (result.networks[NETWORK], result.baselines["random"][NETWORK]):
        assert measured.failed == f"{NETWORK} diverged in its training"
    assert result.baselines["initial"][NETWORK].usable


def test_what_holds_no_chance_is_not_repeated():
    given = to_be_replayed(InitialWeights("fixed"))
    baselines = ["random", "initial"]
    result = evaluate(given, on_cpu(digits()), networks=[NETWORK], repeats=3, baselines=baselines)
    assert result.networks[NETWORK].repeats == 1
    assert result.baselines["random"][NETWORK].repeats == 3
    assert result.baselines["initial"][NETWORK].repeats == 1


def test_of_few_pretrained_networks_one_is_held_out_and_not_repeated(tmp_path: Path):
    plan = ExpertPlan(network=NETWORK, count=3, epochs=1, last_only=True)
    train_experts(plan, small_digits(), tmp_path / "experts", CPU)
    given = to_be_replayed(InitialWeights(str(tmp_path / "experts")))
    result = evaluate(given, on_cpu(digits()), networks=[NETWORK], repeats=3, baselines=["initial"])
    assert (result.networks[NETWORK].repeats, result.baselines["initial"][NETWORK].repeats) == (1, 1)


@pytest.mark.parametrize("recipe", ["replay", "dc-300"])
def test_held_out_networks_take_turns_and_none_counts_twice(recipe: str, ten_experts: str):
    given = to_be_replayed(InitialWeights(ten_experts))
    options = {"recipe": recipe, "networks": [NETWORK], "repeats": 5}
    if recipe != "replay":
        options["recipe"] = replace(RECIPES[recipe], name="short", epochs=2)
    session = on_cpu(replace(digits(), train=few(digits().train, (20,) * 10)), initial=ten_experts)
    result = evaluate(given, session, baselines=["random", "initial", "herding"], **options)
    assert len(set(result.networks[NETWORK].accuracies)) == len(result.networks[NETWORK].accuracies) == 2
    untrained = result.baselines["initial"][NETWORK].accuracies
    assert len(untrained) == 2
    assert untrained[0] != untrained[1]
    assert result.baselines["random"][NETWORK].repeats == 5
    assert result.baselines["herding"][NETWORK].repeats == 2


def test_repeats_with_chance_in_them_are_not_cut_short(pretrained: str):
    given = replace(to_be_replayed(InitialWeights()), replay=None)
    recipe = replace(RECIPES["dsa-1000"], name="short", epochs=2)
    result = evaluate(
        given, on_cpu(digits(), initial=pretrained), recipe=recipe, networks=[NETWORK], repeats=3, baselines=[]
    )
    assert result.networks[NETWORK].repeats == 3
    assert len(set(result.networks[NETWORK].accuracies)) > 1


def test_a_set_without_steps_cannot_be_replayed():
    plain = replace(to_be_replayed(InitialWeights()), replay=None)
    with pytest.raises(UserError, match="no learned steps to replay"):
        plain.replayed()
    with pytest.raises(UserError, match="no learned steps to replay"):
        evaluate(plain, on_cpu(digits()), recipe="replay", networks=[NETWORK])


def test_validation_replays_too():
    given = to_be_replayed(InitialWeights(), rates=[0.3] * 40)
    once = replace(given, replay=Replay(rates=torch.tensor([1e-6]), batches=1, initial=InitialWeights()))
    learned, hardly = (
        validation_accuracy(some, digits(), network=NETWORK, streams=Streams(0), compute=CPU) for some in (given, once)
    )
    assert learned > hardly + 0.2


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A network that knows the digits, on file."""
    folder = tmp_path_factory.mktemp("pretrained")
    trainer = Trainer(build_network(NETWORK, ImageShape(1, 8, 8), 10, torch.Generator()), CPU)
    trainer.fit(
        digits().train,
        replace(training_schedule(RECIPES["quick"], flips=False, full=True), learning_rate=0.1),
        Streams(0),
    )
    write_weights(folder / "expert-0000.safetensors", {20: snapshot(trainer.network)}, {})
    return str(folder / "expert-0000.safetensors")


@pytest.fixture(scope="module")
def ten_experts(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A folder of networks, two of which are held out."""
    folder = tmp_path_factory.mktemp("experts") / "ten"
    plan = ExpertPlan(network=NETWORK, count=10, epochs=1, last_only=True)
    train_experts(plan, small_digits(), folder, CPU)
    return str(folder)


def test_any_recipe_may_begin_with_pre_trained_weights(pretrained: str):
    given = replace(to_be_replayed(InitialWeights()), replay=None)
    recipe = replace(RECIPES["dc-300"], name="short", epochs=3)
    options = {"recipe": recipe, "networks": [NETWORK], "repeats": 1}
    anew, further = (
        evaluate(given, on_cpu(digits(), initial=initial), baselines=["initial"], **options)
        for initial in ("random", pretrained)
    )
    assert further.baselines["initial"][NETWORK].mean > 0.8 > anew.baselines["initial"][NETWORK].mean
    assert further.networks[NETWORK].mean > anew.networks[NETWORK].mean + 0.3
    assert further.protocol != anew.protocol


def test_weights_that_do_not_fit_are_refused_before_anything_is_trained(pretrained: str):
    with pytest.raises(UserError, match="do not fit"):
        evaluate(
            to_be_replayed(InitialWeights()), on_cpu(digits(), initial=pretrained), recipe="quick", networks=["lenet"]
        )
