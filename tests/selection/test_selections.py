"""Selections: what each chooses, within each class, and what it refuses."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from itertools import combinations
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from sklearn.cluster import KMeans
from torch import Tensor

from potstill.data import LabeledImages, Whitening
from potstill.engine.trainer import Trainer
from potstill.experts.difficulty import NeverLearned, el2n, forgetting_events, grand
from potstill.experts.teacher import Teacher
from potstill.experts.train import ExpertPlan, train_experts
from potstill.methods import METHODS, Start
from potstill.methods.coresets import Forgetting, OptimisedRandom
from potstill.networks import ImageShape, build_network
from potstill.networks.weights import snapshot, write_weights
from potstill.runtime import progress as pacing
from potstill.runtime.compute import CPU
from potstill.runtime.errors import UserError
from potstill.runtime.streams import Streams
from potstill.selection import SELECTIONS
from potstill.selection.choose import finite
from potstill.selection.herding import herding
from potstill.selection.k_center import k_center
from potstill.selection.k_means import k_means_centres, k_means_nearest
from potstill.selection.ranking import hardest, nearest_to_mean
from tests.selection import twins
from tests.small import NETWORK, digits, few, small_digits


def points(count: int, size: int, seed: int) -> Tensor:
    return torch.randn(count, size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def teacher(real: LabeledImages, source: str = "pixels", epochs: int = 3, seed: int = 0) -> Teacher:
    streams = Streams(seed).child("teacher")
    return Teacher(real, network=NETWORK, streams=streams, compute=CPU, flips=False, source=source, epochs=epochs)


some_points = st.tuples(st.integers(1, 12), st.integers(1, 4), st.integers(0, 10_000))


@given(some_points, st.integers(1, 12))
def test_herding_equals_its_twin(given_points: tuple[int, int, int], count: int):
    x = points(*given_points)
    count = min(count, len(x))
    assert herding(x, count).tolist() == twins.herding(x, count)


@given(some_points, st.integers(1, 12))
def test_k_center_equals_its_twin(given_points: tuple[int, int, int], count: int):
    x = points(*given_points)
    count = min(count, len(x))
    assert k_center(x, count).tolist() == twins.k_center(x, count)


@given(st.integers(0, 1000), st.integers(1, 4))
def test_k_center_is_at_most_twice_the_best(seed: int, count: int):
    x = points(8, 2, seed)
    best = min(twins.radius(x, torch.tensor(s)) for s in combinations(range(8), count))
    assert twins.radius(x, k_center(x, count)) <= 2 * best + 1e-9


@pytest.mark.parametrize("pick", [herding, k_center, nearest_to_mean, lambda x, n: k_means_nearest(x, n, 0)])
def test_equal_images_are_not_taken_twice(pick):  # type: ignore[no-untyped-def]
    x = torch.zeros(5, 3)
    x[3:] = 1
    assert sorted(pick(x, 5).tolist()) == [0, 1, 2, 3, 4]


@given(some_points, st.integers(1, 12))
def test_none_is_nearer_to_the_mean_than_the_nearest(given_points: tuple[int, int, int], count: int):
    x = points(*given_points)
    count = min(count, len(x))
    away = (x - x.mean(0)).norm(dim=1)
    chosen = nearest_to_mean(x, count)
    torch.testing.assert_close(away[chosen], away.sort().values[:count])
    assert len(chosen.unique()) == count


def test_herding_begins_with_the_nearest_and_then_makes_up_for_it():
    x = torch.tensor([[4.9], [4.8], [5.3]])  # around 5
    assert nearest_to_mean(x, 2).tolist() == [0, 1]
    assert herding(x, 2).tolist() == twins.herding(x, 2) == [0, 2]


def test_the_mean_of_all_that_herding_chose_comes_close_to_the_mean():
    x = points(200, 5, 0)
    errors = [(x[herding(x, count)].mean(0) - x.mean(0)).norm().item() for count in (1, 5, 25)]
    chance = (x[:25].mean(0) - x.mean(0)).norm().item()
    assert errors[0] > errors[1] > errors[2]
    assert errors[2] < 0.2 * chance


def test_k_means_equals_scikit_learns():
    x = points(60, 3, 0).float()
    oracle = KMeans(n_clusters=4, n_init=4, random_state=7).fit(x.numpy())  # type: ignore[arg-type]
    centres = k_means_centres(x, 4, 7)
    np.testing.assert_allclose(centres.numpy(), oracle.cluster_centers_, rtol=1e-5, atol=1e-6)
    nearest = k_means_nearest(x, 4, 7)
    assert nearest.tolist() == [int((x - centre).norm(dim=1).argmin()) for centre in centres]


def test_the_hardest_come_first_and_of_equals_the_first():
    assert hardest(torch.tensor([1.0, 3.0, 2.0, 3.0]), 3).tolist() == [1, 3, 2]


@pytest.mark.parametrize("name", [name for name, s in SELECTIONS.items() if s.choose and name != "optimised-random"])
def test_different_images_of_each_class_whatever_their_numbers(name: str):
    real = few(digits().train, (12, 40, 13))
    selection = SELECTIONS[name]
    assert selection.choose is not None
    looked_at = teacher(real, "trained" if selection.looks else "pixels")
    for count in (1, 3, 12):
        indices = selection.choose(looked_at, count, Streams(0))
        assert indices.dtype == torch.int64
        assert len(indices.unique()) == 3 * count
        assert real.labels[indices].tolist() == sorted([0, 1, 2] * count)


@pytest.mark.slow
@pytest.mark.parametrize("name", SELECTIONS)
def test_images_are_balanced_and_the_same_each_time(name: str, monkeypatch: pytest.MonkeyPatch):
    real = few(digits().train, (30, 40, 35))
    selection = SELECTIONS[name]
    made = [
        selection.images(teacher(real, "trained" if selection.looks else "pixels"), 2, Streams(0)) for _ in range(2)
    ]
    assert made[0].shape == (6, 1, 8, 8)
    assert made[0].dtype == torch.float32
    assert made[0].equal(made[1])


@pytest.mark.parametrize("name", [name for name in SELECTIONS if name != "average"])
def test_more_images_than_a_class_has_are_refused(name: str):
    with pytest.raises(UserError, match="class '1' has 3 images, fewer than 4 per class"):
        SELECTIONS[name].images(teacher(few(digits().train, (4, 3, 4))), 4, Streams(0))


def test_the_average_is_the_mean_image_of_each_class():
    real = few(digits().train, (4, 3, 5))
    images = SELECTIONS["average"].images(teacher(real), 2, Streams(0))
    for label in range(3):
        mean = real.normalised(real.class_index[label]).mean(0)
        torch.testing.assert_close(images[2 * label : 2 * label + 2], mean.expand(2, 1, 8, 8))


def test_the_centre_of_one_cluster_is_the_average():
    real = few(digits().train, (10, 12))
    centres, means = (SELECTIONS[name].images(teacher(real), 1, Streams(0)) for name in ("k-means", "average"))
    torch.testing.assert_close(centres, means, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_optimised_random_beats_most_random_choices():
    real = small_digits(train=30).train
    chosen = SELECTIONS["optimised-random"].images(teacher(real), 1, Streams(0))
    pixels = {image.numpy().tobytes() for image in real.normalised()}
    assert {image.numpy().tobytes() for image in chosen} <= pixels


@pytest.mark.slow
def test_optimised_random_needs_an_image_to_judge_by():
    real = small_digits(train=4).train
    assert len(SELECTIONS["optimised-random"].images(teacher(real), 3, Streams(0))) == 30
    with pytest.raises(UserError, match=r"class '0' has 4 images: with 4 chosen none is left .*use --ipc 3 or less"):
        SELECTIONS["optimised-random"].images(teacher(real), 4, Streams(0))
    with pytest.raises(UserError, match=r"class '1' has 1 images.*needs two images of each class"):
        SELECTIONS["optimised-random"].images(teacher(few(digits().train, (3, 1, 2))), 1, Streams(0))


def test_features_are_those_of_a_network_that_has_learned():
    real = small_digits().train
    made = teacher(real, "trained", epochs=20)
    features, classes = made.features, real.labels
    assert features.shape == (200, 32)
    means = torch.stack([features[classes == c].mean(0) for c in range(10)])
    assert (torch.cdist(features, means).argmin(1) == classes).double().mean() > 0.8
    assert teacher(real).features.equal(real.normalised().flatten(1))


def test_features_of_experts_are_the_first_ones_at_its_end(tmp_path: Path):
    data = small_digits()
    plan = ExpertPlan(network=NETWORK, count=2, epochs=3)
    train_experts(plan, data, tmp_path / "experts", CPU)
    made = teacher(data.train, str(tmp_path / "experts"))
    assert len(made.trajectories) == 2
    assert [len(trajectory()) for trajectory in made.trajectories] == [4, 4]
    network = build_network(NETWORK, ImageShape(1, 8, 8), 10, torch.Generator())
    network.load_state_dict(made.trajectories[0]()[-1])
    expected = network.eval().embed(data.train.normalised())
    torch.testing.assert_close(made.features, expected.detach(), rtol=1e-4, atol=1e-5)


def test_experts_of_other_images_tell_nothing(tmp_path: Path):
    data = small_digits()
    plan = ExpertPlan(network=NETWORK, count=1, epochs=2)
    train_experts(plan, data, tmp_path / "experts", CPU)
    looking = partial(Teacher, network=NETWORK, streams=Streams(0), compute=CPU, flips=False)
    source = str(tmp_path / "experts")
    assert len(looking(data.train, source=source, dataset_fingerprint=data.fingerprint).features) == len(data.train)
    with pytest.raises(UserError, match="are of another dataset"):
        _ = looking(data.train, source=source, dataset_fingerprint="other").features
    whitened = replace(data.train, whitening=Whitening(torch.eye(64), torch.zeros(64)))
    with pytest.raises(UserError, match="are of another whitening: theirs False, asked for True"):
        looking(whitened, source=source).forgetting()


@pytest.mark.slow
def test_scores_are_means_over_experts(tmp_path: Path):
    data = small_digits()
    train_experts(ExpertPlan(network=NETWORK, count=2, epochs=5), data, tmp_path / "experts", CPU)
    both = teacher(data.train, str(tmp_path / "experts"))
    singles = []
    for number in range(2):
        (tmp_path / str(number)).mkdir()
        name = f"expert-{number:04d}.safetensors"
        (tmp_path / str(number) / name).write_bytes((tmp_path / "experts" / name).read_bytes())
        singles.append(teacher(data.train, str(tmp_path / str(number))))
    for score in (Teacher.el2n, Teacher.grand, Teacher.forgetting):
        mean = torch.stack([score(single).double() for single in singles]).mean(0)
        torch.testing.assert_close(score(both).double(), mean, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("epochs", "read"), [(1, 1), (2, 1), (5, 1), (7, 1), (8, 2), (10, 2), (13, 3), (20, 4)])
def test_errors_and_gradients_are_looked_at_after_a_fifth_of_the_epochs(epochs: int, read: int, tmp_path: Path):
    real, shape = few(digits().train, (4, 4, 4)), ImageShape(1, 8, 8)
    networks = [build_network(NETWORK, shape, 3, torch.Generator().manual_seed(n)) for n in range(epochs + 1)]
    weights = {epoch: snapshot(network) for epoch, network in enumerate(networks)}
    write_weights(tmp_path / "expert-0000.safetensors", weights, {"network": NETWORK})
    made, early = teacher(real, str(tmp_path)), networks[read].eval()
    probabilities = early(real.normalised()).softmax(1).detach()
    torch.testing.assert_close(made.el2n(), el2n([probabilities], real.labels), rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(made.grand(), grand([early], real), rtol=1e-4, atol=1e-6)


def test_a_long_training_and_a_long_look_say_how_far_they_are(monkeypatch: pytest.MonkeyPatch):
    said: list[str] = []
    made = Teacher(
        small_digits().train,
        network=NETWORK,
        streams=Streams(0),
        compute=CPU,
        flips=False,
        source="trained",
        epochs=2,
        progress=said.append,
    )
    monkeypatch.setattr(pacing, "QUIET_SECONDS", 0)
    made.forgetting()
    assert [words.split(":")[0] for words in said] == [
        "training a network to choose by, epoch 1 of 2",
        "training a network to choose by, epoch 2 of 2",
        "looking at what epoch 1 of 2 told right",
        "looking at what epoch 2 of 2 told right",
    ]


def test_pixels_tell_no_difficulty():
    with pytest.raises(UserError, match="pixels do not tell how hard an image is; use --features trained"):
        teacher(small_digits().train).el2n()


def test_forgetting_needs_epochs():
    with pytest.raises(UserError, match="forgetting shows over epochs"):
        teacher(small_digits().train, "trained", epochs=1).forgetting()


def test_no_experts_where_there_are_none(tmp_path: Path):
    with pytest.raises(UserError, match="holds no experts"):
        _ = teacher(small_digits().train, str(tmp_path)).features


def test_el2n_by_hand():
    p = [torch.tensor([[0.5, 0.5], [0.0, 1.0]]), torch.tensor([[1.0, 0.0], [0.2, 0.8]])]
    expected = [(0.5**0.5 + 0) / 2, (0 + (0.2**2 + 0.2**2) ** 0.5) / 2]
    assert el2n(p, torch.tensor([0, 1])).tolist() == pytest.approx(expected)


def test_grand_is_the_length_of_each_images_own_gradient():
    real = few(digits().train, (3, 3, 3))
    networks = [build_network(NETWORK, ImageShape(1, 8, 8), 3, torch.Generator().manual_seed(s)) for s in (0, 1)]
    lengths = grand(networks, real)
    for i in range(len(real)):
        expected = []
        for network in networks:
            network.requires_grad_(True)
            loss = F.cross_entropy(network(real.normalised(torch.tensor([i]))), real.labels[i : i + 1])
            gradients = torch.autograd.grad(loss, list(network.parameters()))
            expected.append(torch.cat([g.flatten() for g in gradients]).norm().item())
        assert lengths[i].item() == pytest.approx(sum(expected) / 2, rel=1e-4)


def test_forgetting_by_hand():
    right = torch.tensor(
        [
            [1, 0, 0, 1],
            [0, 0, 1, 1],
            [1, 0, 1, 1],
            [0, 0, 1, 1],
        ]
    ).bool()
    assert forgetting_events(right).tolist() == [2, 4, 0, 0]
    assert forgetting_events(right, "easiest").tolist() == [2, 0, 0, 0]


@pytest.mark.parametrize("shape", [(4, 3), (4,)])
def test_features_that_are_not_finite_are_refused(shape: tuple[int, ...]):
    values = torch.zeros(shape)
    assert finite(values) is values
    values[2] = torch.nan
    values[3] = torch.inf
    with pytest.raises(UserError, match=r"image 2 has features that are not finite \(2 in all\)"):
        finite(values)


class Forgetful(Teacher):
    """A teacher that forgot the third image of each class once, and never learned the second."""

    def forgetting(self, never_learned: NeverLearned = "hardest") -> Tensor:
        right = torch.ones(3, len(self.real)).bool()
        for members in self.real.class_index:
            right[:, members[1]] = False
            right[1, members[2]] = False
        return forgetting_events(right, never_learned)


@pytest.mark.parametrize(("never_learned", "expected"), [("hardest", [1, 2]), ("easiest", [2, 0])])
def test_forgetting_takes_what_was_never_learned_first_or_last(never_learned: NeverLearned, expected: list[int]):
    real = few(digits().train, (4, 4))
    made = Forgetful(real, network=NETWORK, streams=Streams(0), compute=CPU, flips=False)
    chosen = Forgetting(never_learned=never_learned).selection().images(made, 2, Streams(0))
    assert chosen.equal(real.normalised(torch.cat([members[expected] for members in real.class_index])))


def test_optimised_random_tries_as_often_as_asked(monkeypatch: pytest.MonkeyPatch):
    fits: list[object] = []
    fit = Trainer.fit
    monkeypatch.setattr(Trainer, "fit", lambda *given, **named: fits.append(given) or fit(*given, **named))
    real = few(digits().train, (4, 4))
    OptimisedRandom(tries=3).selection().images(teacher(real), 1, Streams(0))
    assert len(fits) == 3


def test_every_selection_is_a_method_and_a_start():
    assert SELECTIONS.keys() <= METHODS.keys()
    assert set(get_args(Start)) == {"real", "noise", *SELECTIONS} - {"random"}
    assert all(METHODS[name]().default_iterations(1) == 0 for name in SELECTIONS)


def test_another_seed_trains_another_teacher():
    real = small_digits().train
    one, same, other = (teacher(real, "trained", seed=seed).features for seed in (0, 0, 1))
    assert one.equal(same)
    assert not one.equal(other)
    assert replace(real) is not real
