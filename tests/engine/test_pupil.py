"""A network that is trained on: it goes on from its weights, and may learn from what it was before."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from potstill.engine.chunked import cross_entropy
from potstill.engine.pupil import Pupil, knowledge_loss
from potstill.engine.schedule import Schedule
from potstill.engine.trainer import Trainer
from potstill.networks import RANDOM_WEIGHTS, ImageShape, Network, build_network
from potstill.runtime.compute import CPU, Compute
from potstill.runtime.streams import Streams
from tests.small import CPU64, NETWORK, small_digits

SCHEDULE = Schedule(epochs=2, batch_size=32, learning_rate=0.05)


def built(network: str = NETWORK) -> Network:
    return build_network(network, ImageShape(1, 8, 8), 10, torch.Generator())


def pupil(network: str = NETWORK, compute: Compute = CPU) -> Pupil:
    return Pupil(built(network), compute)


def test_learning_on_from_the_start_is_ordinary_training():
    data, streams = small_digits().train, Streams(3)
    one, other = Trainer(built(), CPU), pupil()
    one.fit(data, SCHEDULE, streams)
    other.begin(RANDOM_WEIGHTS, [streams])
    losses: list[float] = []
    other.learn_on(data, SCHEDULE, streams, after_epoch=lambda _epoch, loss: losses.append(loss))
    assert all(theirs.equal(ours) for theirs, ours in zip(one.weights, other.weights, strict=True))
    assert len(losses) == 2


def test_learning_on_goes_on_from_the_weights_and_a_state_is_restored_to_the_bit():
    data = small_digits().train
    learner = pupil(network="convnet:depth=2:width=4:norm=batch")
    learner.begin(RANDOM_WEIGHTS, [Streams(0)])
    learner.learn_on(data, SCHEDULE, Streams(1))
    state = learner.state()
    kept = {name: tensor.clone() for name, tensor in state.items()}
    ends = []
    for _ in range(2):
        learner.learn_on(data, SCHEDULE, Streams(2))
        ends.append(learner.state())
        learner.restore(state)
        assert all(learner.state()[name].equal(tensor) for name, tensor in kept.items())
    assert all(ends[0][name].equal(ends[1][name]) for name in kept)
    assert not all(ends[0][name].equal(kept[name]) for name in kept)


@pytest.mark.parametrize("temperature", [1.0, 2.0])
def test_the_loss_is_that_of_the_paper(temperature: float):
    """Cross-entropy with the labels, plus that of the softened answers of the network as it was."""
    data = small_digits().train
    images, labels = data.normalised(slice(0, 7)).double(), data.labels[:7]
    teacher = pupil(compute=CPU64)
    teacher.begin(RANDOM_WEIGHTS, [Streams(0)])
    logits = torch.randn(7, 10, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    found = knowledge_loss(teacher.before(), temperature)(logits, (images, labels))
    old = F.softmax(teacher.network(images) / temperature, dim=1)
    by_hand = -(old * F.log_softmax(logits / temperature, dim=1)).sum() + F.cross_entropy(
        logits, labels, reduction="sum"
    )
    assert found.item() == pytest.approx(by_hand.item())
    assert cross_entropy(logits, (images, labels)).item() == F.cross_entropy(logits, labels, reduction="sum").item()


def test_the_teacher_stays_as_it_was():
    data = small_digits().train
    learner = pupil()
    learner.begin(RANDOM_WEIGHTS, [Streams(0)])
    before, images = learner.before(), data.normalised(slice(0, 5))
    answers = before.logits(images).clone()
    learner.learn_on(data, SCHEDULE, Streams(1), temperature=2.0)
    assert before.logits(images).equal(answers)
    assert not learner.before().logits(images).equal(answers)


def test_knowledge_keeps_a_network_closer_to_what_it_was():
    """Trained on wrong labels, a network with knowledge distillation answers more like before."""
    data = small_digits()
    learner = pupil()
    learner.begin(RANDOM_WEIGHTS, [Streams(0)])
    learner.learn_on(data.train, Schedule(epochs=20, batch_size=32, learning_rate=0.05), Streams(1))
    state, agreeing = learner.state(), {}
    before = learner.predict(data.test)
    wrong = replace(data.train, labels=(data.train.labels + 1) % 10)
    for temperature in (None, 2.0):
        learner.restore(state)
        learner.learn_on(
            wrong, Schedule(epochs=5, batch_size=32, learning_rate=0.05), Streams(2), temperature=temperature
        )
        agreeing[temperature] = (learner.predict(data.test) == before).double().mean().item()
    assert agreeing[2.0] > agreeing[None]
