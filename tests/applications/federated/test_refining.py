"""Rounds near the server's weights: who starts from what, what is sent, and that nothing is lost or done twice."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from potstill.applications import FederatedProtocol, Partition
from potstill.applications.federated import sending
from potstill.applications.federated.clients import Clients
from potstill.applications.federated.refining import Refining, RoundOfTraining
from potstill.applications.federated.sending import SetWay, bytes_sent, united
from potstill.applications.on_record import described
from potstill.distillation import RunFolder
from potstill.engine.pupil import Pupil
from potstill.engine.trainer import Trainer
from potstill.evaluation import Recipe, Session
from potstill.evaluation.schedules import training_schedule
from potstill.networks import RANDOM_WEIGHTS, InitialWeights, build_network
from potstill.networks.weights import WeightsFile, kept_weights, snapshot
from potstill.runtime.compute import CPU
from potstill.runtime.compute_choice import ComputeChoice
from potstill.runtime.errors import UserError
from potstill.runtime.events import read_events
from potstill.runtime.reading import read_toml
from potstill.runtime.streams import Streams
from potstill.schema.federated import Averaging, Federated, Learner, Way
from potstill.synthetic import SyntheticSet
from potstill.units import Crew, UnitLog
from tests.killed import Killed, killed_after
from tests.small import small_digits

pytestmark = pytest.mark.slow

ON_CPU = ComputeChoice(device="cpu", precision="float32", compile="off")
RECIPE = Recipe(name="test", summary="", epochs=4, full_epochs=3, learning_rate=0.05, augmentation="none")
TWO = FederatedProtocol(
    partition=Partition(clients=3, alpha=0.2), images_per_class=(2,), repeats=1, iterations=1, refine=2, radius=0.5
)
NETWORK = "mlp:width=16"


def refined(
    folder: Path,
    protocol: FederatedProtocol = TWO,
    recipe: Recipe = RECIPE,
    methods: Sequence[str] = ("dm",),
    executor: str | Crew = "here",
) -> list[tuple[list[Way], list[Learner]]]:
    """What is known after each round."""
    data = small_digits()
    ways = [SetWay.of(name, ON_CPU) for name in methods]
    clients = Clients(data, protocol, NETWORK)
    asked = Federated(
        protocol=protocol,
        averaging=Averaging(),
        dataset=described(data),
        class_names=list(data.class_names),
        recipe=recipe,
        matched=NETWORK,
        networks=[NETWORK],
        clients=clients.records,
        ways=[way.refined for way in ways],
    )
    made = Refining(asked, clients, ways, folder)
    made.check()
    session = Session(data, compute=CPU, executor=executor)
    return list(made.rounds(session, CPU, UnitLog.beside(folder / "federated.json")))


def timeless(rounds: list[tuple[list[Way], list[Learner]]]) -> list[tuple[list[Way], list[Learner]]]:
    return [
        (
            [replace(way, seconds=0.0) for way in ways],
            [replace(learner, seconds=[]) for learner in learners],
        )
        for ways, learners in rounds
    ]


def trainings(folder: Path) -> list[dict[str, Any]]:
    """The trainings on record, in order: unit and result."""
    return [{**event["unit"], **event["result"]} for event in read_events(folder / "federated.units.jsonl")]


def runs(folder: Path, number: int) -> list[Path]:
    """The clients' runs of a round of the first repeat."""
    return sorted(folder.glob(f"clients/dm-repeat1-client*-round{number}-*"))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two rounds that were never interrupted."""
    folder = tmp_path_factory.mktemp("whole")
    refined(folder)
    return folder


def test_the_first_round_starts_from_the_weights_of_all_other_ways_and_each_next_from_the_last(whole: Path):
    first, second = trainings(whole)
    network = build_network(NETWORK, small_digits().shape, 10, torch.Generator())
    RANDOM_WEIGHTS.draw(network, Streams(0, ("federated", "repeat", 0)).generator("network"))
    begun = WeightsFile(kept_weights(whole / "weights", first["initial"]["sha256"])).read()
    assert all(tensor.equal(begun[name]) for name, tensor in snapshot(network).items())
    assert second["initial"]["sha256"] == first["weights"]
    assert first["stream"] != second["stream"]


def test_clients_match_near_the_weights_of_the_server(whole: Path):
    starts, seeds = [], list[int]()
    for number, training in enumerate(trainings(whole), start=1):
        for run in runs(whole, number):
            config = read_toml(run / "config.toml")[1]
            assert config["method"]["around"] == str(kept_weights(whole / "weights", training["initial"]["sha256"]))
            assert config["method"]["radius"] == 0.5
            seeds.append(config["seed"])
        starts.append(SyntheticSet.load(RunFolder(runs(whole, number)[0]).start).images)
    assert len(seeds) == len(set(seeds)) == 2 * 3
    assert not starts[0].equal(starts[1]), "sets are made anew, of other images"


def test_the_server_trains_on_from_the_weights_on_the_union(whole: Path):
    """A round written out."""
    data, (_, second) = small_digits(), trainings(whole)
    sets = [SyntheticSet.load(run / "synthetic.safetensors") for run in runs(whole, 2)]
    union = united(sets, data)
    assert union.fingerprint() == second["images"]
    pupil = Pupil(build_network(NETWORK, data.shape, 10, torch.Generator()), CPU)
    streams = Streams(0, ("federated", "repeat", 0, "round", 1))
    pupil.begin(InitialWeights(str(kept_weights(whole / "weights", second["initial"]["sha256"]))), [streams])
    pupil.learn_on(union.decoded(), training_schedule(RECIPE, flips=data.flips), streams)
    found = WeightsFile(kept_weights(whole / "weights", second["weights"])).read()
    assert all(tensor.equal(found[name]) for name, tensor in pupil.snapshot().items())
    assert (pupil.predict(data.test) == data.test.labels).double().mean().item() == second["accuracy"]


def test_sets_go_up_and_weights_go_down_in_every_round(whole: Path):
    rounds, weights = refined(whole), build_network(NETWORK, (1, 8, 8), 10, torch.Generator()).parameters()
    a_network, results = 4 * sum(weight.numel() for weight in weights), trainings(whole)
    for number, ([way], [learner]) in enumerate(rounds, start=1):
        sets = [SyntheticSet.load(run / "synthetic.safetensors") for n in range(number) for run in runs(whole, n + 1)]
        assert (way.name, way.kind, learner.way) == ("refined dm", "refined", "refined dm")
        assert way.images == [sum(map(len, sets))]
        assert learner.bytes_up == way.bytes == [sum(map(bytes_sent, sets))]
        assert learner.bytes_down == [number * 3 * a_network]
        assert learner.rounds == [[result["accuracy"] for result in results[:number]]]
        assert learner.accuracies == [results[number - 1]["accuracy"]]


def test_only_clients_that_send_something_receive_weights(tmp_path: Path):
    partition = Partition(clients=8, alpha=0.05)
    protocol = replace(TWO, partition=partition, refine=1, images_per_class=(8,))
    [(_, [learner])] = refined(tmp_path, protocol, methods=["dm+datadam"])
    senders = sum(bool(client.sent) for client in Clients(small_digits(), protocol, NETWORK).records[0])
    weights = build_network(NETWORK, (1, 8, 8), 10, torch.Generator()).parameters()
    assert 0 < senders < 8
    assert learner.bytes_down == [senders * 4 * sum(weight.numel() for weight in weights)]
    assert {path.name.split("-")[0] for path in (tmp_path / "clients").iterdir()} == {"dm", "datadam"}


@pytest.mark.parametrize("after", [0, 1])
def test_what_was_killed_in_a_training_goes_on_with_the_same_bits(
    after: int, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    begun = killed_after(after, monkeypatch)
    with pytest.raises(Killed):
        refined(tmp_path)
    assert timeless(refined(tmp_path)) == timeless(refined(whole))
    assert len(begun) == 2 + 1, "nothing is trained twice but what was cut short"
    assert same_weights(tmp_path, whole)


def test_what_was_killed_while_a_client_distils_goes_on_with_the_same_bits(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    run, begun = sending.make_sets, list[int]()

    def mortal(requests: Any, *rest: Any) -> Any:
        begun.append(len(requests))
        if len(begun) == 2:
            run(requests[:1], *rest)
            raise Killed
        return run(requests, *rest)

    monkeypatch.setattr(sending, "make_sets", mortal)
    with pytest.raises(Killed):
        refined(tmp_path)
    made = runs(tmp_path, 2)[0] / "synthetic.safetensors"
    written = made.stat().st_mtime_ns
    assert timeless(refined(tmp_path)) == timeless(refined(whole))
    assert made.stat().st_mtime_ns == written, "what was made is not made again"
    assert same_weights(tmp_path, whole)


def test_another_process_makes_and_trains_the_same(whole: Path, crew: Crew, tmp_path: Path):
    assert timeless(refined(tmp_path, executor=crew)) == timeless(refined(whole))
    assert same_weights(tmp_path, whole)


def test_weights_that_are_gone_are_named(whole: Path, tmp_path: Path):
    shutil.copytree(whole, tmp_path, dirs_exist_ok=True)
    shutil.rmtree(tmp_path / "weights")
    with pytest.raises(UserError, match=r"the weights of repeat 1, round 1 of refined dm are gone from .*weights"):
        refined(tmp_path)


def same_weights(one: Path, other: Path) -> bool:
    found = [sorted(path.name for path in (folder / "weights").iterdir()) for folder in (one, other)]
    return found[0] == found[1]


def test_rounds_are_added_and_a_folder_may_move(whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    begun = killed_after(10**6, monkeypatch)
    first = refined(tmp_path / "here", replace(TWO, refine=1))
    assert len(begun) == 1
    shutil.move(tmp_path / "here", tmp_path / "there")
    made = {run: (run / "manifest.json").stat().st_mtime_ns for run in (tmp_path / "there" / "clients").iterdir()}
    more = refined(tmp_path / "there")
    assert len(begun) == 1 + 1, "the first round is on record"
    assert more[0][1] == first[0][1]
    assert all((run / "manifest.json").stat().st_mtime_ns == written for run, written in made.items())
    assert timeless(more) == timeless(refined(whole))


def test_another_radius_makes_other_sets_beside_the_first(whole: Path, tmp_path: Path):
    shutil.copytree(whole, tmp_path, dirs_exist_ok=True)
    refined(tmp_path, replace(TWO, refine=1, radius=3.0))
    one, other = (SyntheticSet.load(run / "synthetic.safetensors") for run in runs(tmp_path, 1)[:2])
    assert len(runs(tmp_path, 1)) == 2 * 3
    assert not one.images.equal(other.images)


def test_weights_that_have_changed_are_refused(whole: Path, tmp_path: Path):
    shutil.copytree(whole / "weights", tmp_path / "weights")
    first, second = trainings(whole)
    path = kept_weights(tmp_path / "weights", first["weights"])
    path.write_bytes(kept_weights(tmp_path / "weights", second["weights"]).read_bytes())
    log = (whole / "federated.units.jsonl").read_text().splitlines()[0]
    (tmp_path / "federated.units.jsonl").write_text(log + "\n")
    with pytest.raises(UserError, match=r"the weights in .* are not those"):
        refined(tmp_path)


def test_a_round_that_fails_is_told_and_tried_again(whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with monkeypatch.context() as patch:
        trained = RoundOfTraining.trained

        def failing(unit: RoundOfTraining, *rest: Any) -> tuple[Trainer, int]:
            if unit.stream[-1] == 1:
                raise UserError(f"{unit.network} diverged", "use another recipe")
            return trained(unit, *rest)

        patch.setattr(RoundOfTraining, "trained", failing)
        rounds = refined(tmp_path)
    assert rounds[-1][1] == [Learner(way="refined dm", network=NETWORK, failed="mlp:width=16 diverged")]
    assert timeless(refined(tmp_path)) == timeless(refined(whole))


@pytest.mark.parametrize(
    ("methods", "message"),
    [
        (["dc"], "dc does not match networks near given weights, which `refine` requires; use a method that does"),
        (["dm", "dm+herding"], "herding does not match networks near given weights, which `refine` requires"),
        (["datadam:network_iterations=2"], "`network_iterations=2` trains a network, .*, which `refine` requires"),
    ],
)
def test_methods_that_cannot_are_refused_before_anything_is_made(methods: list[str], message: str, tmp_path: Path):
    with pytest.raises(UserError, match=message):
        refined(tmp_path, methods=methods)
    assert not list(tmp_path.iterdir())
