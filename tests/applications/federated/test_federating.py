"""Federated learning: what clients send, what it is compared with, and that it goes on where it stopped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from potstill.applications import Averaging, Federated, FederatedProtocol, Partition, federate
from potstill.applications.federated import averaging
from potstill.applications.federated.clients import Clients
from potstill.data import ImageDataset
from potstill.engine.trainer import Trainer
from potstill.evaluation import Recipe, Resources
from potstill.methods import DM
from potstill.networks import build_network
from potstill.runtime.compute_choice import ComputeChoice
from potstill.runtime.errors import UserError
from potstill.runtime.events import read_events
from potstill.schema.federated import CENTRAL, FEDAVG, ONE_SHOT
from potstill.schema.privacy import STATISTICS, Privacy
from potstill.synthetic import SyntheticSet
from tests.killed import Killed, killed_after
from tests.small import small_digits

pytestmark = pytest.mark.slow

ON_CPU = ComputeChoice(device="cpu", precision="float32", compile="off")
RECIPE = Recipe(name="test", summary="", epochs=10, full_epochs=3, learning_rate=0.05, augmentation="none")
TWO = FederatedProtocol(partition=Partition(clients=2, alpha=0.2), images_per_class=(2,), repeats=2, iterations=2)
ROUNDS = Averaging(rounds=2, local_epochs=1, one_shot_epochs=2)
NETWORK = "mlp:width=16"
WAYS = ["dm", "random", "k-means", FEDAVG, ONE_SHOT, CENTRAL]


def learned(out: Path, data: ImageDataset | None = None, **options: Any) -> Federated:
    given: dict[str, Any] = {
        "protocol": TWO,
        "averaging": ROUNDS,
        "methods": ["dm"],
        "networks": [NETWORK],
        "recipe": RECIPE,
    } | options
    return federate(data or small_digits(), out, resources=Resources(compute=ON_CPU), **given)


def timeless(record: Federated) -> Federated:
    """The record without what depends on the clock and on who did the trainings."""
    learners = [replace(each, seconds=[0.0] * len(each.seconds)) for each in record.learners]
    return replace(record, learners=learners, ways=[replace(way, seconds=0.0) for way in record.ways], made_on=[])


def test_clients_send_sets_once_beside_all_that_it_is_compared_with(tmp_path: Path):
    record = learned(tmp_path, networks=[NETWORK, "convnet:depth=2:width=4"])
    assert Federated.read(tmp_path / Federated.FILE) == record
    assert [way.name for way in record.ways] == WAYS
    assert [(each.way, each.network) for each in record.learners] == [
        (way, network) for way in WAYS for network in record.networks
    ]
    sent = [sum(client.sent_images for client in repeat) for repeat in record.clients]
    assert sent[0] != sent[1], "each repeat has a partition of its own"
    for way in record.ways[:3]:
        assert way.images == sent
        assert way.bytes == [images * (4 * 64 + 8) for images in sent], "images and labels as they are stored"
        assert way.bytes_in_8_bits == [images * (64 + 1) for images in sent]
    for learner in record.learners:
        assert len(learner.accuracies) == 2
        weights = build_network(learner.network, (1, 8, 8), 10, torch.Generator()).state_dict().values()
        a_round = 2 * 4 * sum(tensor.numel() for tensor in weights)
        up = {FEDAVG: [2 * a_round] * 2, ONE_SHOT: [a_round] * 2, CENTRAL: []}
        assert learner.bytes_up == up.get(learner.way, record.ways[0].bytes)
        assert learner.bytes_down == (learner.bytes_up if learner.way in up else [0, 0])
        assert [len(course) for course in learner.rounds] == {FEDAVG: [2, 2], ONE_SHOT: [1, 1]}.get(learner.way, [])
    gains = {each.way for each in record.standings if each.gain is not None}
    assert gains
    assert gains <= {"dm", "k-means"}
    assert all(each.of_central == 1 for each in record.standings if each.way == CENTRAL)
    assert len(record.made_on) == 1
    units = [event["unit"] for event in read_events(tmp_path / "federated.units.jsonl")]
    averaged = {(unit["stream"][-1], unit["partition_seed"]) for unit in units if "partition_seed" in unit}
    clients = Clients(small_digits(), TWO, NETWORK)
    assert averaged == {(repeat, clients.partition_seed(repeat)) for repeat in (0, 1)}, (
        "weights are averaged over the same clients that send sets"
    )


def test_each_client_distils_its_own_images_and_the_server_sees_the_union(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    seen: list[SyntheticSet] = []
    fit = Trainer.fit

    def watched(trainer: Trainer, examples: Any, *given: Any, **named: Any) -> None:
        if isinstance(examples, SyntheticSet):
            seen.append(examples)
        fit(trainer, examples, *given, **named)

    monkeypatch.setattr(Trainer, "fit", watched)
    record = learned(tmp_path, protocol=replace(TWO, repeats=1))
    for union, way in zip(seen, ("dm", "random", "k-means"), strict=True):
        parts = [
            SyntheticSet.load(tmp_path / "clients" / f"{way}-repeat1-client{client + 1}" / "synthetic.safetensors")
            for client, about in enumerate(record.clients[0])
            if about.sent
        ]
        held = [[record.class_names[label] for label in client.sent] for client in record.clients[0] if client.sent]
        assert [list(part.class_names) for part in parts] == held
        assert len(union) == sum(map(len, parts))
        assert union.images.sum().item() == pytest.approx(sum(part.images.sum().item() for part in parts), rel=1e-4)


def test_clients_may_take_turns_in_methods_and_numbers(tmp_path: Path):
    record = learned(
        tmp_path, methods=["dm", "dm + average"], protocol=replace(TWO, repeats=1, images_per_class=(2, 1))
    )
    assert [way.name for way in record.sets] == ["dm", "dm + average", "random", "k-means"]
    assert [client.images_per_class for client in record.clients[0]] == [2, 1]
    runs = {path.name for path in (tmp_path / "clients").iterdir()}
    assert runs >= {"dm-repeat1-client1", "average-repeat1-client2", "dm-repeat1-client2"}
    assert "average-repeat1-client1" not in runs
    assert record.learner("dm", NETWORK) != record.learner("dm + average", NETWORK)
    assert not (tmp_path / "weights").exists(), "there are no rounds for which weights would be kept"


def test_images_may_hold_several_pictures(tmp_path: Path):
    record = learned(tmp_path, protocol=replace(TWO, formation=2, repeats=1), methods=["random"])
    assert record.ways[0].bytes == [images * (4 * 64 + 8) for images in record.ways[0].images]
    part = SyntheticSet.load(tmp_path / "clients" / "random-repeat1-client1" / "synthetic.safetensors")
    assert part.formation == 2


def test_all_ways_start_from_the_same_weights(tmp_path: Path):
    """A learning rate that changes nothing shows them."""
    still = replace(RECIPE, learning_rate=1e-30, weight_decay=0.0)
    protocol = replace(TWO, refine=1)
    record = learned(tmp_path, protocol=protocol, recipe=still, averaging=replace(ROUNDS, local_rate=1e-30))
    assert [each.way for each in record.learners] == [*WAYS[:3], "refined dm", *WAYS[3:]]
    for repeat in range(2):
        assert len({learner.accuracies[repeat] for learner in record.learners}) == 1


def test_a_client_with_one_class_and_one_with_nothing_are_no_obstacle(tmp_path: Path):
    data = small_digits()
    record = learned(tmp_path, protocol=replace(TWO, partition=Partition(clients=6, alpha=0.05), repeats=1, seed=5))
    clients = record.clients[0]
    assert any(client.classes == 1 and client.sent for client in clients)
    assert any(not client.sent for client in clients)
    assert sum(client.images for client in clients) == len(data.train)
    assert all(learner.usable for learner in record.learners)


def test_a_guarantee_is_as_strong_as_that_of_the_weakest_client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def guarded(_: DM, sizes: Sequence[int], __: int) -> Privacy:
        return Privacy(
            epsilon=100 / sum(sizes),
            delta=1e-5,
            sampling_rate=0.1,
            clip=1.0,
            noise_multiplier=1.5,
            queries=10,
            accountant="one of ours",
            public=(STATISTICS,),
        )

    monkeypatch.setattr(DM, "privacy", guarded)
    monkeypatch.setattr(DM, "default_start", "noise")
    record = learned(tmp_path, methods=["dm", "dm+average"], protocol=replace(TWO, repeats=1))
    held = [sum(client.class_sizes[label] for label in client.sent) for client in record.clients[0]]
    assert record.ways[0].privacy is not None
    assert record.ways[0].privacy.epsilon == 100 / min(held)
    assert [way.privacy for way in record.ways[1:4]] == [None] * 3


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Federated:
    """What was never interrupted."""
    return learned(tmp_path_factory.mktemp("whole"))


@pytest.mark.parametrize("after", [0, 5])
def test_what_was_killed_goes_on_with_the_same_bits(
    after: int, whole: Federated, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    trainings = killed_after(after, monkeypatch)
    with pytest.raises(Killed):
        learned(tmp_path / "cut")
    resumed = learned(tmp_path / "cut")
    assert timeless(resumed) == timeless(whole)
    assert len(trainings) == 8 + 1, "nothing is trained twice but what was cut short"
    assert learned(tmp_path / "cut") == resumed, "also the seconds are those on record"
    assert len(trainings) == 9


def test_averaging_that_was_killed_begins_again_and_ends_the_same(
    whole: Federated, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    average, rounds = averaging.weighted_average, list[int]()

    def mortal(states: Any, weights: Any) -> Any:
        rounds.append(len(states))
        if len(rounds) == 2:
            raise Killed
        return average(states, weights)

    monkeypatch.setattr(averaging, "weighted_average", mortal)
    with pytest.raises(Killed):
        learned(tmp_path / "cut")
    assert timeless(learned(tmp_path / "cut")) == timeless(whole)
    assert len(rounds) == 2 + 2 * (2 + 1)


def test_ways_and_repeats_are_added_without_training_the_others_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    first = learned(tmp_path)
    trainings = killed_after(10**6, monkeypatch)
    more = learned(tmp_path, methods=["dm", "average"])
    assert len(trainings) == 2
    assert more.learner("dm", NETWORK) == first.learner("dm", NETWORK)
    longer = learned(tmp_path, protocol=replace(TWO, repeats=3))
    assert len(trainings) == 2 + 4, "three sets and all images, in the third repeat"
    assert longer.learners[0].accuracies[:2] == first.learners[0].accuracies
    assert [way.kind for way in learned(tmp_path, averaging=Averaging(rounds=0)).ways] == [*["sets"] * 3, "central"]


def test_rounds_of_sets_are_added_beside_all_that_is_on_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    networks = [NETWORK, "mlp:width=8"]
    once = replace(TWO, repeats=1)
    first = learned(tmp_path, protocol=once, networks=networks)
    trainings = killed_after(10**6, monkeypatch)
    record = learned(tmp_path, protocol=replace(once, refine=2), networks=networks)
    assert len(trainings) == 2, "one for each round"
    assert Federated.read(tmp_path / Federated.FILE) == record
    assert [way.name for way in record.ways] == [*WAYS[:3], "refined dm", *WAYS[3:]]
    refined = [each for each in record.learners if each.way == "refined dm"]
    assert [each.network for each in refined] == [NETWORK], "the one that methods match"
    assert [each for each in record.learners if each not in refined] == first.learners
    assert [way for way in record.ways if way.kind != "refined"] == first.ways
    standing = record.standing("refined dm", NETWORK)
    assert standing is not None
    assert standing.of_central is not None
    assert standing.gain is None, "its bytes are not those of random images"
    assert record.sets == first.sets
    assert record.refined == [record.ways[3]]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"protocol": replace(TWO, seed=1)}, r"made with other settings: `seed` \(0 there, 1 here\)"),
        ({"protocol": replace(TWO, images_per_class=(1, 2))}, r"other settings: `ipc` \(2 there, 1\+2 here\)"),
        ({"protocol": replace(TWO, partition=Partition(clients=4, alpha=0.2))}, "other settings: `clients`"),
        ({"recipe": replace(RECIPE, epochs=11)}, "made with other settings: `recipe`"),
        ({"networks": ["mlp:width=8"]}, r"other settings: `networks` \(mlp:width=16 there, mlp:width=8 here\)"),
        ({"data": replace(small_digits(), fingerprint="other")}, "is about other images"),
    ],
)
def test_a_record_of_something_else_is_not_mixed(change: dict[str, Any], message: str, tmp_path: Path):
    with pytest.MonkeyPatch.context() as patch:
        killed_after(0, patch)
        with pytest.raises(Killed):
            learned(tmp_path, methods=["random"])
    record = Federated.read(tmp_path / Federated.FILE)
    with pytest.raises(UserError, match=message):
        learned(tmp_path, **change)
    assert Federated.read(tmp_path / Federated.FILE) == record


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"protocol": replace(TWO, partition=Partition(clients=201))}, "201 clients are more than the 200 training"),
        ({"protocol": replace(TWO, images_per_class=(500,))}, "no client has enough images .* `ipc=20` or less"),
        ({"protocol": replace(TWO, images_per_class=(0,))}, "`ipc=0` is too small"),
        ({"protocol": replace(TWO, images_per_class=())}, "`ipc` names no number"),
        ({"protocol": replace(TWO, repeats=0)}, "`repeats=0` is too small"),
        ({"averaging": replace(ROUNDS, fraction=1.5)}, "`fraction=1.5` is more than all clients"),
        ({"averaging": replace(ROUNDS, fraction=0.0)}, "`fraction=0.0` is not positive"),
        ({"averaging": replace(ROUNDS, rounds=-1)}, "`rounds=-1` is too small"),
        ({"protocol": replace(TWO, refine=-1)}, "`refine=-1` is too small"),
        ({"protocol": replace(TWO, refine=1, radius=-1.0)}, "`radius=-1.0` is too small"),
        (
            {"protocol": replace(TWO, refine=1), "methods": ["dm", "dc"]},
            "dc does not match networks near given",
        ),
        ({"methods": ["dmm"]}, "unknown method 'dmm'; did you mean 'dm'"),
        ({"methods": ["dm+dmm"]}, "unknown method 'dmm'"),
        ({"methods": ["dm", "dm"]}, "the method 'dm' is named twice"),
        ({"methods": ["absent/run.safetensors"]}, "absent/run.safetensors"),
        ({"networks": []}, "no network is named"),
        ({"networks": ["convent"]}, "unknown network 'convent'"),
        (
            {"recipe": "tuned-300"},
            "tunes learning rates on validation images, of which a union of several",
        ),
        ({"recipe": "replay"}, "replays learned steps"),
        ({"recipe": "soft-label"}, "trains at a learned rate"),
    ],
)
def test_impossible_requests_are_refused_before_anything_is_done(options: dict[str, Any], message: str, tmp_path: Path):
    with pytest.raises(UserError, match=message):
        learned(tmp_path, **options)
    assert not (tmp_path / Federated.FILE).exists()


def test_a_set_that_was_made_before_is_not_a_clients(tmp_path: Path):
    part = small_digits().train
    path = tmp_path / "set.safetensors"
    SyntheticSet.from_indices(part, torch.stack([index[:1] for index in part.class_index]).flatten()).save(path)
    with pytest.raises(UserError, match="is a set, not made from a client's images; name methods"):
        learned(tmp_path / "out", methods=[str(path)])
