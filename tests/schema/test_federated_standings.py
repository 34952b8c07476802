"""Where each way of federated learning stands: shares of central training, gains, and what FedAvg takes for as much."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from potstill.runtime.errors import UserError
from potstill.schema.federated import (
    CENTRAL,
    FEDAVG,
    Averaging,
    Client,
    FederatedProtocol,
    Learner,
    rounds_to,
    standings,
)
from potstill.schema.fields import Fields


def learner(way: str, *accuracies: float, **fields: Any) -> Learner:
    return Learner(way=way, network="mlp", accuracies=list(accuracies), **fields)


AVERAGED = learner(
    FEDAVG,
    0.8,
    0.9,
    rounds=[[0.3, 0.5, 0.8], [0.4, 0.7, 0.9]],
    bytes_up=[300, 300],
    bytes_down=[300, 300],
)


def test_a_way_is_measured_by_central_training_by_random_images_and_by_rounds():
    learners = [
        learner("dm", 0.6, 0.6, bytes_up=[10, 20]),
        learner("random", 0.4, 0.5, bytes_up=[10, 20]),
        AVERAGED,
        learner(CENTRAL, 0.8, 1.0),
    ]
    dm, random, fedavg, central = standings(learners, ["dm", "random"])
    assert dm.of_central == pytest.approx((0.75 + 0.6) / 2)
    assert dm.gain is not None
    assert dm.gain.mean == pytest.approx(0.15)
    assert (dm.fedavg_rounds, dm.fedavg_bytes) == (2, 2 * 600 / 3), "the mean after two rounds is 0.6"
    assert (random.gain, fedavg.gain, central.gain) == (None, None, None)
    assert (random.fedavg_rounds, fedavg.fedavg_rounds, central.fedavg_rounds) == (2, 3, None)
    assert central.of_central == 1
    assert learners[0].bytes == 15


def test_a_share_of_central_training_may_exceed_it():
    ways = [learner("dm", 0.9, 0.95), learner(CENTRAL, 0.8, 0.8)]
    [dm, _] = standings(ways, ["dm"])
    assert dm.of_central_ci95 is not None
    assert dm.of_central_ci95[1] > 1.2
    [dm, _] = standings([learner("dm", 0.9, 0.96), learner(CENTRAL, 0.3, 0.3)], ["dm"])
    assert dm.of_central is not None
    assert dm.of_central_ci95 is not None
    assert dm.of_central_ci95[0] < dm.of_central < dm.of_central_ci95[1]


def test_what_is_not_there_is_not_compared():
    [alone] = standings([learner("dm", 0.6, 0.7), Learner(way="k-means", network="mlp", failed="no")], ["dm"])
    assert (alone.of_central, alone.gain, alone.fedavg_rounds, alone.fedavg_bytes) == (None, None, None, None)


def test_gains_are_corrected_for_their_number():
    ways = [learner("random", 0.4, 0.5, 0.45)]
    one = standings([*ways, learner("dm", 0.6, 0.65, 0.63)], ["random", "dm"])
    two = standings(
        [*ways, learner("dm", 0.6, 0.65, 0.63), learner("k-means", 0.5, 0.55, 0.52)], ["random", "dm", "k-means"]
    )
    assert one[1].gain is not None
    assert two[1].gain is not None
    assert two[1].gain.p == one[1].gain.p
    assert two[1].gain.p_corrected > one[1].gain.p_corrected


def test_rounds_are_counted_from_one():
    assert [rounds_to(AVERAGED, accuracy) for accuracy in (0.0, 0.35, 0.36, 0.85, 0.86)] == [1, 1, 2, 3, None]


def test_a_client_sends_classes_of_which_it_has_enough():
    client = Client(class_sizes=[0, 1, 2, 7], images_per_class=2)
    assert (client.images, client.classes) == (10, 3)
    assert (client.sent, client.sent_images, client.left_out) == ([2, 3], 4, 1)
    formed = Client(class_sizes=[0, 1, 2, 7], images_per_class=1, pictures=4)
    assert (formed.sent, formed.sent_images, formed.left_out) == ([3], 1, 3)


def test_clients_take_numbers_in_turn():
    protocol = FederatedProtocol(images_per_class=(10, 1))
    assert [protocol.share(client) for client in range(4)] == [10, 1, 10, 1]
    assert Averaging() == Averaging.from_json(Fields.of(Path("x"), Averaging().to_json()))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"mean": 0.9}, "mean is not 0.85"),
        ({"bytes_up": [1]}, "bytes_up is not a list with an item for each accuracy"),
        ({"rounds": [[0.1], [0.1, 0.2]]}, "rounds is not lists of as many rounds"),
        ({"rounds": [[], []]}, "rounds is not lists of as many rounds"),
        ({"accuracies": [1.5, 0.9]}, r"accuracies\[0\] is not a fraction"),
    ],
)
def test_a_learner_that_contradicts_itself_is_refused(change: dict[str, Any], message: str):
    values = json.loads(json.dumps(AVERAGED.to_json())) | change
    with pytest.raises(UserError, match=message):
        Learner.from_json(Fields.of(Path("federated.json"), values))
