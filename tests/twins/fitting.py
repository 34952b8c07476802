"""Training a network as any PyTorch script does: the plain twin of ``potstill.engine.fit``."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from potstill.augmentation import cutmix
from potstill.data import Examples
from potstill.engine.schedule import Schedule
from potstill.networks import Network
from potstill.runtime.streams import Streams


def fit(network: Network, examples: Examples, schedule: Schedule, streams: Streams) -> list[float]:
    """Train ``network`` in place, from the randomness that the fast path draws.

    Returns:
        The mean loss of each epoch.
    """
    network.initialise(streams.generator("network"))
    network.train()
    dtype = next(network.parameters()).dtype
    optimiser = _optimiser(network, schedule)
    average, steps = [parameter.detach().clone() for parameter in network.parameters()], 0
    means = []
    for epoch in range(schedule.epochs):
        rate = schedule.learning_rate
        if schedule.decay == "cut" and epoch > schedule.epochs // 2:
            rate = rate * 0.1
            if epoch == schedule.epochs // 2 + 1:
                optimiser = _optimiser(network, schedule)
        elif schedule.decay == "cosine":
            rate = rate * 0.5 * (1 + math.cos(math.pi * epoch / schedule.epochs))
        elif schedule.decay == "two-cuts":
            whole = math.floor if schedule.epochs >= 6 else math.ceil
            rate = rate * 0.2 ** ((epoch >= whole(schedule.epochs * 2 / 3)) + (epoch >= whole(schedule.epochs * 5 / 6)))
        elif schedule.decay == "halvings":
            whole = math.floor if schedule.epochs >= 5 else math.ceil
            milestones = [whole(fifth * schedule.epochs / 5) for fifth in (1, 2, 3, 4)]
            rate = rate / 2 ** len([milestone for milestone in milestones if epoch >= milestone])
        for group in optimiser.param_groups:
            group["lr"] = rate
        drawn, total = streams.child("epoch", epoch), 0.0
        order = torch.randperm(len(examples), generator=drawn.generator("order"))
        for number, batch in enumerate(order.split(schedule.batch_size)):
            images, labels = examples.normalised(batch), examples.labels[batch]
            if schedule.augmentation is not None:
                generator = drawn.generator("augmentation", number)
                draw = schedule.augmentation.draw(generator, len(batch), one_operation=schedule.one_operation)
                images = schedule.augmentation.apply(images, draw)
            if schedule.cutmix:
                labels = F.one_hot(labels, network.classes).float()
                chance = schedule.cutmix_probability
                images, labels = cutmix(images, labels, drawn.generator("cutmix", number), probability=chance)
            labels = labels.to(dtype) if labels.is_floating_point() else labels
            loss = F.cross_entropy(network(images.to(dtype)), labels)
            parameters = list(network.parameters())
            gradients = torch.autograd.grad(loss, parameters)
            if schedule.gsam_rho:
                gradients = gsam(network, images.to(dtype), labels, gradients, schedule.gsam_rho)
            for parameter, gradient in zip(parameters, gradients, strict=True):
                parameter.grad = gradient
            optimiser.step()
            steps += 1
            total += loss.item() * len(batch)
            with torch.no_grad():
                share = min(schedule.ema_decay, steps / (steps + 10))
                average = [share * a + (1 - share) * p for a, p in zip(average, network.parameters(), strict=True)]
        means.append(total / len(examples))
    if schedule.ema_decay:
        with torch.no_grad():
            for parameter, mean in zip(network.parameters(), average, strict=True):
                parameter.copy_(mean)
    return means


def gsam(
    network: Network, x: Tensor, y: Tensor, g: tuple[Tensor, ...], rho: float, alpha: float = 0.3
) -> tuple[Tensor, ...]:
    """Algorithm 1 of Zhuang et al.: g_p = grad f(w + rho g / |g|); g_p - alpha (g - its projection on g_p)."""
    flat = torch.cat([part.flatten() for part in g])
    with torch.no_grad():
        for parameter, part in zip(network.parameters(), g, strict=True):
            parameter += rho * part / flat.norm()
    g_p = torch.autograd.grad(F.cross_entropy(network(x), y), list(network.parameters()))
    with torch.no_grad():
        for parameter, part in zip(network.parameters(), g, strict=True):
            parameter -= rho * part / flat.norm()
    flat_p = torch.cat([part.flatten() for part in g_p])
    along = (flat @ flat_p) / (flat_p @ flat_p)
    return tuple(p - alpha * (part - along * p) for part, p in zip(g, g_p, strict=True))


def _optimiser(network: Network, schedule: Schedule) -> torch.optim.Optimizer:
    if schedule.optimiser == "adamw":
        return torch.optim.AdamW(network.parameters(), weight_decay=schedule.weight_decay)
    return torch.optim.SGD(network.parameters(), lr=1.0, momentum=schedule.momentum, weight_decay=schedule.weight_decay)
