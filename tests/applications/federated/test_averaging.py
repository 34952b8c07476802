"""Federated averaging: the algorithm of the paper, its bytes, and that nothing but its unit decides."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from potstill.applications import Averaging, Partition
from potstill.applications.federated.averaging import FederatedAveraging, local_schedule, weighted_average
from potstill.applications.federated.partitions import partitioned
from potstill.engine.pupil import Pupil
from potstill.networks import RANDOM_WEIGHTS, build_network
from potstill.runtime.compute import CPU
from potstill.runtime.streams import Streams
from potstill.units import Materials, Workplace
from tests.small import small_digits

PARTITION = Partition(clients=3, alpha=0.5)
TWO = Averaging(rounds=2, local_epochs=1, local_batch=4, local_rate=0.3)
NETWORK = "mlp:width=8"


def unit(workplace: Workplace, **changes: object) -> FederatedAveraging:
    base = FederatedAveraging(
        dataset=workplace.materials.add(small_digits()),
        partition=PARTITION,
        partition_seed=1,
        averaging=TWO,
        network=NETWORK,
        initial=RANDOM_WEIGHTS.to_json(),
        seed=0,
        stream=("test",),
    )
    return replace(base, **changes)  # pyright: ignore[reportArgumentType]


def place() -> Workplace:
    return Workplace(Materials(), CPU)


def test_rounds_are_those_of_the_paper():
    """Two rounds written out: every client trains from the server's weights; the average is weighted by images."""
    data, streams = small_digits(), Streams(0, ("test",))
    shares = partitioned(data.train.labels, 10, PARTITION, 1)
    pupil = Pupil(build_network(NETWORK, data.shape, 10, torch.Generator()), CPU)
    pupil.begin(RANDOM_WEIGHTS, [streams])
    state, expected = pupil.state(), []
    for number in range(2):
        total = {name: torch.zeros_like(tensor, dtype=torch.float64) for name, tensor in state.items()}
        for client, share in enumerate(shares):
            pupil.restore(state)
            drawn = streams.child("round", number).child(client)
            order = torch.randperm(len(share), generator=drawn.child("epoch", 0).generator("order"))
            parameters = [weight.requires_grad_(True) for weight in pupil.network.parameters()]
            for batch in share[order].split(4):
                logits = pupil.network(data.train.normalised(batch))
                loss = torch.nn.functional.cross_entropy(logits, data.train.labels[batch])
                with torch.no_grad():
                    for weight, gradient in zip(parameters, torch.autograd.grad(loss, parameters), strict=True):
                        weight -= 0.3 * gradient
            for weight in parameters:
                weight.requires_grad_(False)
            for name, tensor in pupil.network.state_dict().items():
                total[name] += len(share) / len(data.train) * tensor.double()
        state = {name: tensor.float() for name, tensor in total.items()}
        pupil.restore(state)
        expected.append((pupil.predict(data.test) == data.test.labels).double().mean().item())
    workplace = place()
    assert unit(workplace).run(workplace).accuracies == pytest.approx(expected, abs=1e-6)


def test_weights_are_counted_in_both_directions():
    workplace = place()
    result = unit(workplace, partition=Partition(clients=4, alpha=1.0), averaging=replace(TWO, fraction=0.5)).run(
        workplace
    )
    weights = sum(weight.numel() for weight in build_network(NETWORK, (1, 8, 8), 10, torch.Generator()).parameters())
    assert result.weights_bytes == 4 * weights
    assert result.sent == 2 * 2, "half of four clients, in two rounds"
    assert len(result.accuracies) == 2


def test_the_bits_depend_on_the_unit_alone():
    one, other = place(), place()
    first = unit(one).run(one)
    unit(other, network="mlp:width=4").run(other)  # something else before
    again = unit(other).run(other)
    assert first.accuracies == again.accuracies
    assert unit(other, partition_seed=2).run(other).accuracies != first.accuracies
    assert unit(other).key == unit(one).key


def test_clients_without_images_never_take_part():
    workplace = place()
    few = unit(workplace, partition=Partition(clients=30, alpha=0.01), averaging=replace(TWO, rounds=1))
    shares = partitioned(small_digits().train.labels, 10, few.partition, 1)
    assert few.run(workplace).sent == sum(len(share) > 0 for share in shares) < 30


def test_an_average_is_weighted_and_counters_are_kept():
    first = {"weight": torch.tensor([0.0, 4.0]), "seen": torch.tensor(3)}
    second = {"weight": torch.tensor([4.0, 0.0]), "seen": torch.tensor(5)}
    made = weighted_average([first, second], [3, 1])
    assert made["weight"].tolist() == [1.0, 3.0]
    assert made["weight"].dtype == torch.float32
    assert made["seen"].item() == 3


def test_clients_descend_plainly():
    schedule = local_schedule(TWO)
    assert (schedule.momentum, schedule.weight_decay, schedule.decay, schedule.augmentation) == (0, 0, "none", None)
    assert [schedule.rate(epoch) for epoch in (0, 10)] == [0.3, 0.3]


def test_a_client_that_diverges_is_a_result_that_is_tried_again():
    workplace = place()
    wild = unit(workplace, averaging=replace(TWO, local_rate=1e30))
    result = wild.run(workplace)
    assert result.failed == "mlp:width=8 diverged at a client"
    assert not wild.is_final(result)
