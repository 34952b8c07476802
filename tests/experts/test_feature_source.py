"""Feature sources: pixels, a network trained for the purpose, stored experts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import pytest
import torch

from potstill.data import Whitening
from potstill.engine.features import FeatureExtractor
from potstill.experts.difficulty import el2n, grand
from potstill.experts.feature_source import Pixels, StoredExperts, TrainedNetworkSource, feature_source, grouped
from potstill.experts.plan import ExpertPlan, Score
from potstill.experts.train import train_experts
from potstill.networks import ImageShape, build_network
from potstill.networks.weights import snapshot, write_weights
from potstill.runtime import progress as pacing
from potstill.runtime.compute import CPU
from potstill.runtime.errors import UserError
from tests.experts.sources import stored, trained, training
from tests.small import NETWORK, digits, few, small_digits


def test_features_are_those_of_a_network_that_has_learned():
    real = small_digits().train
    made = trained(real, epochs=20)
    features, classes = made.features, real.labels
    assert features.shape == (200, 32)
    means = torch.stack([features[classes == c].mean(0) for c in range(10)])
    assert (torch.cdist(features, means).argmin(1) == classes).double().mean() > 0.8
    assert Pixels(real).features.equal(real.normalised().flatten(1))


@pytest.mark.parametrize("kind", ["pixels", "trained"])
def test_features_of_some_classes_at_a_time_are_those_of_all_at_once(kind: str, monkeypatch: pytest.MonkeyPatch):
    real = few(digits().train, (7, 4, 5, 30, 1, 8, 6, 3, 2, 9))
    made = Pixels(real) if kind == "pixels" else trained(real)
    whole = list(made.features_by_class())
    monkeypatch.setattr("potstill.experts.feature_source.FEATURE_VALUES", 11 * made._width)
    apart = list(made.features_by_class())
    assert [len(members) for members, _ in apart] == list(real.class_sizes)
    for (members, features), (all_members, all_features) in zip(apart, whole, strict=True):
        assert members.equal(all_members)
        torch.testing.assert_close(features, all_features, rtol=1e-6, atol=1e-6)


def test_classes_are_grouped_up_to_a_number_of_images():
    members = [torch.arange(size) for size in (3, 4, 5, 20, 1, 1)]
    assert [[len(index) for index in group] for group in grouped(members, 8)] == [[3, 4], [5], [20], [1, 1]]


def test_features_of_experts_are_the_first_ones_at_its_end(tmp_path: Path):
    data = small_digits()
    plan = ExpertPlan(network=NETWORK, count=2, epochs=3)
    train_experts(plan, data, tmp_path / "experts", CPU)
    made = stored(data.train, tmp_path / "experts")
    assert len(made.trajectories) == 2
    assert [len(trajectory()) for trajectory in made.trajectories] == [4, 4]
    network = build_network(NETWORK, ImageShape(1, 8, 8), 10, torch.Generator())
    network.load_state_dict(made.trajectories[0]()[-1])
    expected = network.eval().embed(data.train.normalised())
    torch.testing.assert_close(made.features, expected.detach(), rtol=1e-4, atol=1e-5)


def test_experts_of_other_images_tell_nothing(tmp_path: Path):
    data, folder = small_digits(), tmp_path / "experts"
    train_experts(ExpertPlan(network=NETWORK, count=1, epochs=2), data, folder, CPU)
    assert len(stored(data.train, folder, data.fingerprint).features) == len(data.train)
    with pytest.raises(UserError, match="have a different dataset"):
        _ = stored(data.train, folder, "other").features
    whitened = replace(data.train, whitening=Whitening(torch.eye(64), torch.zeros(64)))
    with pytest.raises(UserError, match="have a different whitening: False, not True"):
        stored(whitened, folder).forgetting()


@pytest.mark.slow
def test_scores_are_means_over_experts(tmp_path: Path):
    data = small_digits()
    train_experts(ExpertPlan(network=NETWORK, count=2, epochs=5), data, tmp_path / "experts", CPU)
    both = stored(data.train, tmp_path / "experts")
    singles = []
    for number in range(2):
        (tmp_path / str(number)).mkdir()
        name = f"expert-{number:04d}.safetensors"
        (tmp_path / str(number) / name).write_bytes((tmp_path / "experts" / name).read_bytes())
        singles.append(stored(data.train, tmp_path / str(number)))
    for score in (StoredExperts.el2n, StoredExperts.grand, StoredExperts.forgetting):
        mean = torch.stack([score(single).double() for single in singles]).mean(0)
        torch.testing.assert_close(score(both).double(), mean, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("score", [StoredExperts.forgetting, StoredExperts.aum, StoredExperts.el2n])
def test_one_network_takes_the_weights_of_all_epochs_in_turn(
    score: Callable[[StoredExperts], torch.Tensor], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """A new one would be compiled anew for each."""
    data = small_digits()
    train_experts(ExpertPlan(network=NETWORK, count=2, epochs=3), data, tmp_path / "experts", CPU)
    made, begin = [], FeatureExtractor.__init__

    def counted(*given: Any, **named: Any) -> None:
        made.append(given)
        begin(*given, **named)

    monkeypatch.setattr(FeatureExtractor, "__init__", counted)
    source = stored(data.train, tmp_path / "experts")
    score(source)
    assert len(made) == 1
    weights = source.trajectories[1]()[2]
    network = build_network(NETWORK, ImageShape(1, 8, 8), 10, torch.Generator())
    network.load_state_dict(weights)
    expected = network.eval()(data.train.normalised()).detach()
    torch.testing.assert_close(source._logits(weights), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("epochs", "read"), [(1, 1), (2, 1), (5, 1), (7, 1), (8, 2), (10, 2), (13, 3), (20, 4)])
def test_errors_and_gradients_are_taken_after_a_fifth_of_the_epochs(epochs: int, read: int, tmp_path: Path):
    real, shape = few(small_digits().train, (4, 4, 4)), ImageShape(1, 8, 8)
    networks = [build_network(NETWORK, shape, 3, torch.Generator().manual_seed(n)) for n in range(epochs + 1)]
    weights = {epoch: snapshot(network) for epoch, network in enumerate(networks)}
    write_weights(tmp_path / "expert-0000.safetensors", weights, {"network": NETWORK})
    made, early = stored(real, tmp_path), networks[read].eval()
    probabilities = early(real.normalised()).softmax(1).detach()
    torch.testing.assert_close(made.el2n(), el2n([probabilities], real.labels), rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(made.grand(), grand([early], real), rtol=1e-4, atol=1e-6)


def test_a_long_training_and_a_long_look_say_how_far_they_are(monkeypatch: pytest.MonkeyPatch):
    said: list[str] = []
    monkeypatch.setattr(pacing, "QUIET_SECONDS", 0)
    TrainedNetworkSource(replace(training(small_digits().train), progress=said.append), epochs=2).forgetting()
    assert [words.split(":")[0] for words in said] == [
        "training the selection's network, epoch 1 of 2",
        "training the selection's network, epoch 2 of 2",
        "testing the network of epoch 1 of 2",
        "testing the network of epoch 2 of 2",
    ]


@pytest.mark.parametrize("score", get_args(Score))
def test_pixels_tell_no_difficulty(score: Score):
    with pytest.raises(
        UserError, match="these features provide no measure of how hard an image is; use `features=trained`"
    ):
        Pixels(small_digits().train).score(score)


def test_forgetting_needs_epochs():
    with pytest.raises(UserError, match="forgetting events are counted between epochs"):
        trained(small_digits().train, epochs=1).forgetting()


def test_no_experts_where_there_are_none(tmp_path: Path):
    with pytest.raises(UserError, match="contains no experts"):
        _ = stored(small_digits().train, tmp_path).features


def test_another_seed_trains_another_teacher():
    real = small_digits().train
    one, same, other = (trained(real, seed=seed).features for seed in (0, 0, 1))
    assert one.equal(same)
    assert not one.equal(other)


def test_a_user_names_a_source(tmp_path: Path):
    means = training(small_digits().train)
    assert isinstance(feature_source("pixels", means), Pixels)
    made, others = feature_source("trained", means, 7), feature_source(str(tmp_path), means)
    assert isinstance(made, TrainedNetworkSource)
    assert made.epochs == 7
    assert isinstance(others, StoredExperts)
    assert others.folder == tmp_path


def test_scores_have_names(tmp_path: Path):
    made = trained(small_digits().train)
    for name in get_args(Score):
        assert made.score(name).equal(getattr(made, name)())
