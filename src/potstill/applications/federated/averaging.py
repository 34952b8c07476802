"""Federated averaging: clients train the same network, each on its own images, and the server averages the weights.

McMahan, Moore, Ramage, Hampson and Agüera y Arcas, "Communication-Efficient Learning of Deep Networks from
Decentralized Data", AISTATS 2017 (arXiv:1602.05629), algorithm 1.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import Tensor

from potstill.applications.federated.partitions import partitioned
from potstill.data import ImageDataset
from potstill.engine.pupil import Pupil
from potstill.engine.schedule import Schedule
from potstill.evaluation.training import accuracy
from potstill.networks import ImageShape, InitialWeights, build_network
from potstill.runtime.errors import UserError
from potstill.runtime.progress import Pace
from potstill.runtime.streams import Streams
from potstill.schema import Record
from potstill.schema.federated import Averaging, Partition
from potstill.schema.fields import Amount, Count, Fraction
from potstill.units import Unit, Workplace

FLOAT_BYTES = 4
"""The bytes of a weight as it is sent, in float32."""

State = dict[str, Tensor]


@dataclass(frozen=True, kw_only=True)
class AveragingResult(Record):
    """What averaging has reached.

    Attributes:
        accuracies: on the test split, after each round.
        weights_bytes: the bytes of all weights of the network, in float32.
        sent: how often weights went from the server to a client; they went back as often.
        seconds: time for all rounds and tests.
        made_on: the machine, precision and versions, in words.
        failed: the reason if a training failed, otherwise None.
    """

    accuracies: list[Fraction] = field(default_factory=list)
    weights_bytes: Count = 0
    sent: Count = 0
    seconds: Amount = 0.0
    made_on: str = ""
    failed: str | None = None


@dataclass(frozen=True, kw_only=True)
class FederatedAveraging(Unit[AveragingResult]):
    """Average the weights of clients for some rounds, and test the average after each.

    Attributes:
        dataset: the SHA-256 of the prepared dataset, whose training images the clients share.
        partition: how they share them.
        partition_seed: the seed of the partition.
        averaging: rounds, and what a client does in each.
        network: the spec of the network.
        initial: the initial weights, as ``InitialWeights`` records them.
        seed: seed of all other draws.
        stream: the stream of the draws.
    """

    result: ClassVar[type[Record]] = AveragingResult
    version: ClassVar[int] = 2

    dataset: str
    partition: Partition
    partition_seed: int
    averaging: Averaging
    network: str
    initial: Mapping[str, Any]
    seed: int
    stream: tuple[str | int, ...]

    def run(self, workplace: Workplace) -> AveragingResult:
        """Train and test. A training that fails is a result too, which says why."""
        try:
            return self._averaged(workplace)
        except UserError as error:
            return AveragingResult(failed=error.problem)

    def is_final(self, result: AveragingResult) -> bool:
        """What failed is tried again when it is asked for again."""
        return result.failed is None

    def _averaged(self, workplace: Workplace) -> AveragingResult:
        started, pace = time.perf_counter(), Pace()
        dataset, streams = workplace.dataset(self.dataset), Streams(self.seed, self.stream)
        shares = partitioned(dataset.train.labels, dataset.class_count, self.partition, self.partition_seed)
        pupil = workplace.tool(
            "averaged network", (self.network, self.dataset), lambda: self._pupil(dataset, workplace)
        )
        pupil.begin(InitialWeights(**self.initial), [streams])
        state, accuracies, sent = pupil.state(), list[float](), 0
        for number in range(self.averaging.rounds):
            drawn = streams.child("round", number)
            chosen = self._chosen(shares, drawn)
            trained = [self._trained(pupil, state, dataset, shares[client], drawn.child(client)) for client in chosen]
            state = weighted_average(trained, [len(shares[client]) for client in chosen])
            sent += len(chosen)
            pupil.restore(state)
            accuracies.append(accuracy(pupil, dataset.test))
            if pace.due():
                left = pace.left(number + 1, self.averaging.rounds)
                workplace.progress(f"round {number + 1} of {self.averaging.rounds}, {accuracies[-1]:.1%}, {left}")
        return AveragingResult(
            accuracies=accuracies,
            weights_bytes=bytes_of_weights(state),
            sent=sent,
            seconds=time.perf_counter() - started,
            made_on=workplace.in_words,
        )

    def _pupil(self, like: ImageDataset, workplace: Workplace) -> Pupil:
        built = build_network(self.network, ImageShape(*like.shape), like.class_count, torch.Generator())
        return Pupil(built, workplace.compute)

    def _chosen(self, shares: Sequence[Tensor], drawn: Streams) -> list[int]:
        """The clients of a round, of those that have images; with the same fraction always as many."""
        able = [client for client, share in enumerate(shares) if len(share)]
        count = max(round(self.averaging.fraction * len(able)), 1)
        order = torch.randperm(len(able), generator=drawn.generator("clients"))[:count]
        return [able[place] for place in order.sort().values.tolist()]

    def _trained(self, pupil: Pupil, state: State, dataset: ImageDataset, share: Tensor, drawn: Streams) -> State:
        """What a client makes of the server's weights with its own images."""

        def check(_: int, loss: float) -> None:
            if not math.isfinite(loss):
                raise UserError(f"{self.network} diverged at a client", "use a smaller `local_rate`")

        pupil.restore(state)
        pupil.learn_on(
            dataset.train, local_schedule(self.averaging), drawn, after_epoch=check, taking_part=lambda _epoch: share
        )
        return pupil.state()


def local_schedule(averaging: Averaging) -> Schedule:
    """What a client does in a round: plain gradient descent in batches."""
    return Schedule(
        epochs=averaging.local_epochs,
        batch_size=averaging.local_batch,
        learning_rate=averaging.local_rate,
        momentum=0.0,
        weight_decay=0.0,
        decay="none",
    )


def bytes_of_weights(state: State) -> int:
    """The bytes of the weights of a network as they are sent, in float32; without counters, such as batches seen."""
    return FLOAT_BYTES * sum(tensor.numel() for tensor in state.values() if tensor.is_floating_point())


def weighted_average(states: Sequence[State], weights: Sequence[int]) -> State:
    """The average of the parameters and buffers of networks; of those that count, such as batches seen, the first.

    Args:
        states: of each network.
        weights: of each network, at least one above 0.
    """
    total = sum(weights)

    def averaged(name: str) -> Tensor:
        first = states[0][name]
        if not first.is_floating_point():
            return first
        parts = (weight / total * state[name].double() for state, weight in zip(states, weights, strict=True))
        return sum(parts, start=torch.zeros_like(first, dtype=torch.float64)).to(first.dtype)

    return {name: averaged(name) for name in states[0]}
