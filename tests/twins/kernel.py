"""FRePo as its paper writes it: whole networks with PyTorch's Adam, an explicit inverse, autograd through everything.

This is the plain twin of ``methods.frepo``, with labels that are softmaxes of logits.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from potstill.augmentation import siamese_augmentation
from potstill.methods import FRePo, Problem
from potstill.networks import Network


@dataclass
class Member:
    """A network of the pool with its optimiser and its age."""

    network: Network
    optimiser: torch.optim.Adam
    age: int


def new_member(problem: Problem, method: FRePo, generator: torch.Generator, age: int) -> Member:
    """A network with new weights."""
    network = problem.build_network(torch.Generator()).double().train()
    network.initialise(generator)
    return Member(network, torch.optim.Adam(network.parameters(), lr=method.network_learning_rate), age)


def new_pool(problem: Problem, method: FRePo) -> list[Member]:
    """Networks of all ages."""
    return [
        new_member(problem, method, problem.streams.generator("pool", i), method.most_steps * i // method.networks)
        for i in range(method.networks)
    ]


def centred(labels: Tensor) -> Tensor:
    """Labels less 1 / classes."""
    return labels - 1 / labels.shape[1]


def frepo_loss(network: Network, real: Tensor, targets: Tensor, images: Tensor, labels: Tensor, ridge: float) -> Tensor:
    """1/2n sum_i || f(x_i) f(S)ᵀ (K + lambda tr(K)/m I)⁻¹ y - t_i ||² with K = f(S) f(S)ᵀ."""
    f_x, f_s = network.embed(real), network.embed(images)
    kernel = f_s @ f_s.T
    inverse = torch.linalg.inv(kernel + ridge * kernel.trace() / len(images) * torch.eye(len(images)))
    predicted = f_x @ f_s.T @ inverse @ centred(labels)
    return ((predicted - centred(targets)) ** 2).sum() / (2 * len(real))


def label_margin(labels: Tensor) -> Tensor:
    """The mean difference of the two largest probabilities of a label, each at most 1 / classes."""
    total = torch.zeros((), dtype=labels.dtype)
    for row in labels:
        ordered = row.sort(descending=True).values
        total = total + torch.minimum(ordered[0] - ordered[1], torch.tensor(1 / len(row)))
    return total / len(labels)


def frepo_step(
    problem: Problem, method: FRePo, images: Tensor, logits: Tensor, pool: list[Member], iteration: int
) -> tuple[Tensor, list[Tensor]]:
    """One iteration, from the randomness that the fast path draws, but for the steps of images and logits.

    Args:
        problem: what is distilled.
        method: with its hyper-parameters.
        images: (classes * ipc, C, H, W).
        logits: (classes * ipc, classes), of the labels.
        pool: its networks, one of which is used; it is trained only by ``train_member``.
        iteration: counted from 0.

    Returns:
        The loss, and its gradients with respect to images and logits.
    """
    streams = problem.streams.child("iteration", iteration)
    member = pool[int(torch.randint(method.networks, (), generator=streams.generator("network")))]
    chosen = torch.randperm(len(problem.real), generator=streams.generator("real batch"))[: method.batch_real]
    real, targets = problem.real.normalised(chosen).double(), F.one_hot(problem.real.labels[chosen], 10).double()
    images, logits = images.detach().requires_grad_(), logits.detach().requires_grad_()
    labels = logits.softmax(1)
    loss = frepo_loss(member.network, real, targets, images, labels, method.ridge) - label_margin(labels)
    return loss.detach(), list(torch.autograd.grad(loss, [images, logits]))


def train_member(
    problem: Problem, method: FRePo, images: Tensor, logits: Tensor, pool: list[Member], iteration: int
) -> None:
    """One training step of the network of an iteration on the images that it has led to, or a new one."""
    streams = problem.streams.child("iteration", iteration)
    place = int(torch.randint(method.networks, (), generator=streams.generator("network")))
    member = pool[place]
    if member.age >= method.most_steps:
        pool[place] = new_member(problem, method, streams.generator("new network"), 0)
        return
    batch = torch.randperm(len(images), generator=streams.generator("order"))[: method.network_batch]
    augmentation = siamese_augmentation(flips=problem.flips)
    draw = augmentation.draw(streams.generator("augmentation"), len(batch), one_operation=True)
    predicted = member.network(augmentation.apply(images[batch], draw))
    loss = 0.5 * ((predicted - centred(logits.softmax(1)[batch])) ** 2).sum(1).mean()
    member.optimiser.zero_grad()
    loss.backward()
    member.optimiser.step()
    member.age += 1
