"""Training a network as any PyTorch script does: the plain twin of ``potstill.training.fit.Trainer``."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from potstill.networks import Network
from potstill.runtime.randomness import Streams
from potstill.training.fit import Examples, Schedule


def fit(network: Network, examples: Examples, schedule: Schedule, streams: Streams) -> list[float]:
    """Train ``network`` in place, from the randomness that the fast path draws.

    Returns:
        The mean loss of each epoch.
    """
    network.initialise(streams.generator("network"))
    network.train()
    dtype = next(network.parameters()).dtype
    optimiser = _sgd(network, schedule, schedule.learning_rate)
    means = []
    for epoch in range(schedule.epochs):
        if epoch == schedule.cut_epoch:
            optimiser = _sgd(network, schedule, schedule.learning_rate * 0.1)
        drawn, total = streams.child("epoch", epoch), 0.0
        order = torch.randperm(len(examples), generator=drawn.generator("order"))
        for number, batch in enumerate(order.split(schedule.batch_size)):
            images = examples.normalised(batch)
            if schedule.augmentation is not None:
                generator = drawn.generator("augmentation", number)
                draw = schedule.augmentation.draw(generator, len(batch), one_operation=True)
                images = schedule.augmentation.apply(images, draw)
            labels = examples.labels[batch]
            labels = labels.to(dtype) if labels.is_floating_point() else labels
            loss = F.cross_entropy(network(images.to(dtype)), labels)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            total += loss.item() * len(batch)
        means.append(total / len(examples))
    return means


def _sgd(network: Network, schedule: Schedule, learning_rate: float) -> torch.optim.SGD:
    return torch.optim.SGD(
        network.parameters(), lr=learning_rate, momentum=schedule.momentum, weight_decay=schedule.weight_decay
    )
