"""DC and DSA as their papers write them: one class after another, one output unit after another, nothing shared.

These are the plain twins of ``methods.gradient.dc`` and ``methods.gradient.dsa``; theta are the network's parameters.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from potstill.augmentation import Draw, SiameseAugmentation, cutmix, siamese_augmentation
from potstill.methods import DC, DSA, IDC, Problem
from potstill.networks import Network
from potstill.runtime.streams import Streams
from tests.twins.matching import step_classes

Gradients = Sequence[Tensor]


def layerwise(g_r: Gradients, g_s: Gradients) -> Tensor:
    """D(g_R, g_S) = sum over layers, sum over output units i, of 1 - <g_R,i, g_S,i> / (|g_R,i| |g_S,i| + 1e-6)."""
    d = torch.zeros(())
    for of_r, of_s in zip(g_r, g_s, strict=True):
        if of_r.dim() == 1:
            continue  # a bias, a scale or a shift
        for i in range(len(of_r)):
            d = d + one_minus_cosine(of_r[i].flatten(), of_s[i].flatten())
    return d


def euclidean(g_r: Gradients, g_s: Gradients) -> Tensor:
    """|| g_R - g_S ||²."""
    return sum(((of_r - of_s) ** 2).sum() for of_r, of_s in zip(g_r, g_s, strict=True)) + torch.zeros(())


def cosine(g_r: Gradients, g_s: Gradients) -> Tensor:
    """1 - <g_R, g_S> / (|g_R| |g_S| + 1e-6) of the gradients as vectors."""
    return one_minus_cosine(torch.cat([g.flatten() for g in g_r]), torch.cat([g.flatten() for g in g_s]))


def one_minus_cosine(a: Tensor, b: Tensor) -> Tensor:
    return 1 - (a * b).sum() / (a.norm() * b.norm() + 1e-6)


def l1(g_r: Gradients, g_s: Gradients) -> Tensor:
    """The sum of |g_r - g_s| over the weights of convolutions; over all matrices, if there is no convolution."""
    return torch.cat([(r - s).abs().flatten() for r, s in convolutions(g_r, g_s)]).sum()


def mse(g_r: Gradients, g_s: Gradients) -> Tensor:
    """The sum of their squared differences."""
    return torch.cat([((r - s) ** 2).flatten() for r, s in convolutions(g_r, g_s)]).sum()


def convolutions(g_r: Gradients, g_s: Gradients) -> list[tuple[Tensor, Tensor]]:
    """The pairs that l1 and mse compare."""
    dimensions = 4 if any(r.dim() == 4 for r in g_r) else 2
    return [(r, s) for r, s in zip(g_r, g_s, strict=True) if r.dim() == dimensions]


DISTANCES = {"layerwise": layerwise, "euclidean": euclidean, "cosine": cosine, "l1": l1, "mse": mse}


def dc_loss(
    network: Network,
    real_by_class: Sequence[Tensor],
    synthetic_by_class: Sequence[Tensor],
    distance: str,
    classes: Sequence[int] | None = None,
) -> Tensor:
    """L = sum_c D(grad_theta CE(x_c), grad_theta CE(s_c)), over all classes or the given ones."""
    loss = torch.zeros(())
    theta = list(network.parameters())
    classes = range(len(real_by_class)) if classes is None else classes
    for c, x, s in zip(classes, real_by_class, synthetic_by_class, strict=True):
        g_r = torch.autograd.grad(F.cross_entropy(network(x), torch.full((len(x),), c)), theta)
        g_s = torch.autograd.grad(F.cross_entropy(network(s), torch.full((len(s),), c)), theta, create_graph=True)
        loss = loss + DISTANCES[distance](g_r, g_s)
    return loss


def dc_step(
    problem: Problem,
    method: DC | DSA,
    images: Tensor,
    momentum: Tensor,
    iteration: int,
    network: Network,
    loops: tuple[int, int],
) -> tuple[Tensor, Tensor, float]:
    """One update of the pixels and the training after it, from the randomness that the fast path draws.

    Args:
        problem: what is distilled.
        method: with its hyper-parameters.
        images: (classes * ipc, C, H, W), ordered by class.
        momentum: of the images.
        iteration: counted from 0 over all networks.
        network: redrawn in place where its life begins and trained in place; give the same one to every iteration.
        loops: updates on one network, and epochs of its training between two of them.

    Returns:
        The next images and momentum, and the loss before the update.
    """
    outer, inner = loops
    streams = problem.streams.child("iteration", iteration)
    if iteration % outer == 0:
        network.initialise(streams.generator("network"))
    augmentation = siamese_augmentation(flips=problem.flips) if isinstance(method, DSA) else None
    take_statistics(problem, network, streams)
    images = images.detach().requires_grad_()
    real, synthetic = [], []
    drawn = None
    classes = step_classes(problem, method, streams)
    if augmentation is not None:
        drawn = augmentation.draw(streams.generator("augmentation"), len(classes))
    batches = problem.real.sample_per_class(method.batch_real, streams.generator("real batch"), torch.tensor(classes))
    for place, (c, members) in enumerate(zip(classes, batches, strict=True)):
        x, s = problem.real.normalised(members).to(images.dtype), images.chunk(problem.class_count)[c]
        if augmentation is not None and drawn is not None:
            of_class = Draw(drawn.operations[place : place + 1], drawn.uniforms[place : place + 1])
            x, s = augmentation.apply(x, of_class), augmentation.apply(s, of_class)
        real.append(x)
        synthetic.append(s)
    loss = dc_loss(network, real, synthetic, method.distance, classes)
    (gradient,) = torch.autograd.grad(loss, images)
    momentum = method.momentum * momentum + gradient
    images = images.detach() - method.settled_learning_rate * momentum
    if (iteration + 1) % outer:
        train(network, method, images, problem.start.labels, streams.child("training"), inner, augmentation)
    return images, momentum, loss.item()


def take_statistics(problem: Problem, network: Network, streams: Streams) -> None:
    """The mean and variance of 16 real images a class, in every batch norm; then they are frozen."""
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    if not norms:
        return
    for norm in norms:
        norm.momentum = 1.0
    indices = problem.real.sample_per_class(16, streams.generator("statistics")).flatten()
    with torch.no_grad():
        network.train()(problem.real.normalised(indices).to(norms[0].weight.dtype))
    network.eval()


def train(
    network: Network,
    method: DC | DSA,
    images: Tensor,
    labels: Tensor,
    streams: Streams,
    epochs: int,
    augmentation: SiameseAugmentation | None,
) -> None:
    """theta <- theta - eta_theta * grad CE(theta; batch), over the synthetic images in a new order every epoch."""
    network.train()
    theta, step = list(network.parameters()), 0
    for epoch in range(epochs):
        order = torch.randperm(len(images), generator=streams.generator("order", epoch))
        for batch in order.split(method.network_batch):
            some = images[batch]
            if augmentation is not None:
                drawn = augmentation.draw(streams.generator("augmentation", step), len(batch), one_operation=True)
                some = augmentation.apply(some, drawn)
            step += 1
            gradients = torch.autograd.grad(F.cross_entropy(network(some), labels[batch]), theta)
            with torch.no_grad():
                for parameter, gradient in zip(theta, gradients, strict=True):
                    parameter -= method.network_learning_rate * gradient


def idc_step(
    problem: Problem,
    method: IDC,
    images: Tensor,
    momentum: Tensor,
    iteration: int,
    network: Network,
    optimiser: torch.optim.SGD,
) -> tuple[Tensor, Tensor, float]:
    """One update of the pixels of IDC and the training on real images after it.

    Args:
        problem: what is distilled.
        method: with its hyper-parameters, resolved.
        images: (classes * ipc, C, H, W), ordered by class.
        momentum: of the images.
        iteration: counted from 0 over all networks.
        network: redrawn in place where its life begins and trained in place; give the same one to every iteration.
        optimiser: of the network, with momentum and weight decay.

    Returns:
        The next images and momentum, and the loss before the update.
    """
    streams = problem.streams.child("iteration", iteration)
    if iteration % (method.outer_loops or 1) == 0:
        network.initialise(streams.generator("network"))
        optimiser.state.clear()
        if method.clamp:
            mean, std = (
                torch.tensor(v, dtype=torch.float64)[:, None, None] for v in (problem.real.mean, problem.real.std)
            )
            images = ((images * std + mean).clamp(0, 1) - mean) / std
    take_statistics(problem, network, streams)
    images = images.detach().requires_grad_()
    augmentation = SiameseAugmentation(operations=("color", "crop", "cutout"), sequence=True)
    drawn = augmentation.draw(streams.generator("augmentation"), problem.class_count)
    real, synthetic = [], []
    for c, members in enumerate(problem.real.sample_per_class(method.batch_real, streams.generator("real batch"))):
        both = torch.cat([problem.real.normalised(members).to(images.dtype), images.chunk(problem.class_count)[c]])
        both = augmentation.apply(both, Draw(drawn.operations[c : c + 1], drawn.uniforms[c : c + 1]))
        real.append(both[: len(members)])
        synthetic.append(both[len(members) :])
    loss = dc_loss(network, real, synthetic, method.distance or "mse")
    (gradient,) = torch.autograd.grad(loss, images)
    momentum = method.momentum * momentum + gradient
    images = images.detach() - method.settled_learning_rate * momentum
    if (iteration + 1) % (method.outer_loops or 1):
        _train_on_real_images(problem, method, network, optimiser, streams.child("training"))
    return images, momentum, loss.item()


def _train_on_real_images(
    problem: Problem, method: IDC, network: Network, optimiser: torch.optim.SGD, streams: Streams
) -> None:
    """Steps of SGD with CutMix, until so many real images have been seen."""
    left, step = method.network_images or 0, 0
    network.train()
    while left:
        own = streams.child("step", step)
        count = min(left, method.network_batch)
        chosen = torch.randint(len(problem.real), (count,), generator=own.generator("real images"))
        augmentation = SiameseAugmentation(operations=("color", "crop"), sequence=True)
        drawn = augmentation.draw(own.generator("augmentation"), count)
        x = augmentation.apply(problem.real.normalised(chosen).double(), drawn)
        y = F.one_hot(problem.real.labels[chosen], problem.class_count).double()
        x, y = cutmix(x, y, own.generator("cutmix"), probability=method.cutmix)
        optimiser.zero_grad()
        (-(y * F.log_softmax(network(x), 1)).sum(1).mean()).backward()
        optimiser.step()
        left, step = left - count, step + 1
