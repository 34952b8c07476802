"""DP-DM and PSG as their formulas read: one image after another, nothing shared, nothing compiled.

The plain twins of ``methods.private.dp_dm`` and ``methods.private.psg``. Synthetic images of class c are
s_c (ipc, C, H, W), in the dtype of the network.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from potstill.augmentation import Draw, siamese_augmentation
from potstill.methods import DPDM, PSG, Problem
from potstill.networks import Network
from tests.twins.gradients import layerwise

Moments = tuple[Tensor, Tensor]
"""Adam's first and second moment of the images."""


def query_network(problem: Problem, query: int, dtype: torch.dtype) -> Network:
    """The network f_t, which follows from the seed."""
    generator = problem.streams.child("query", query).generator("network")
    return problem.build_network(generator).to(dtype).requires_grad_(False).train()


def class_augmented(problem: Problem, method: DPDM, query: int, label: int, images: Tensor) -> Tensor:
    """A_tc of the images of one class."""
    if not method.augment:
        return images
    augmentation = siamese_augmentation(flips=problem.flips)
    draw = augmentation.draw(problem.streams.child("query", query).generator("augmentation"), problem.class_count)
    return augmentation.apply(images, Draw(draw.operations[[label]], draw.uniforms[[label]]))


def clipped_embedding(network: Network, image: Tensor, reference: Tensor, bound: float) -> Tensor:
    """g(x) = v min(1, bound / ||v||) with v = f(x) - r, of one image (C, H, W): (D,)."""
    v = network.embed(image[None])[0] - reference
    return v * torch.clamp(bound / v.norm(), max=1)


def reference_of(problem: Problem, query: int, network: Network, dtype: torch.dtype) -> Tensor:
    """r_t = mean over 100 images z of f_t(z): noise on every fourth pixel, smooth in between, standard deviation 1."""
    channels, height, width = problem.real.shape
    generator = problem.streams.child("query", query).generator("reference")
    noise = torch.randn(100, channels, height // 4, width // 4, generator=generator).double()
    smooth = F.interpolate(noise, (height, width), mode="bilinear")
    return torch.stack([network.embed(z[None].to(dtype))[0] for z in smooth / smooth.std()]).mean(0)


def dp_dm_step(
    problem: Problem, method: DPDM, sums: Tensor, images: Tensor, moments: Moments, iteration: int
) -> tuple[Tensor, Moments, float]:
    """One iteration of the post-processing.

    Args:
        problem: what is distilled.
        method: with its hyper-parameters.
        sums: the noisy sums (queries, classes, D).
        images: (classes * ipc, C, H, W), ordered by class.
        moments: of Adam.
        iteration: counted from 0.

    Returns:
        The next images and moments, and the loss before the step.
    """
    epoch, place = divmod(iteration, method.queries)
    order = torch.randperm(method.queries, generator=problem.streams.generator("order", epoch))
    query = int(order[place])
    network = query_network(problem, query, images.dtype)
    reference = reference_of(problem, query, network, images.dtype)
    images = images.detach().requires_grad_()
    loss = torch.zeros((), dtype=images.dtype)
    for label, s_c in enumerate(images.chunk(problem.class_count)):
        augmented = class_augmented(problem, method, query, label, s_c)
        mean = torch.stack([clipped_embedding(network, image, reference, method.clip) for image in augmented]).mean(0)
        loss = loss + (sums[query, label] / method.group - mean).square().sum()
    (gradient,) = torch.autograd.grad(loss, images)
    first = 0.9 * moments[0] + 0.1 * gradient
    second = 0.999 * moments[1] + 0.001 * gradient**2
    step = iteration + 1
    update = (first / (1 - 0.9**step)) / ((second / (1 - 0.999**step)).sqrt() + 1e-8)
    return images.detach() - method.learning_rate * update, (first, second), loss.item()


def private_gradient(network: Network, images: Tensor, labels: Tensor, bound: float) -> Tensor:
    """sum_i clip(grad l(x_i; theta)) of all given images, one after another: (P,)."""
    theta = list(network.parameters())
    total = torch.zeros(sum(each.numel() for each in theta), dtype=theta[0].dtype)
    for image, label in zip(images, labels, strict=True):
        gradient = torch.autograd.grad(F.cross_entropy(network(image[None]), label[None]), theta)
        flat = torch.cat([part.flatten() for part in gradient])
        total += flat * min(1.0, bound / flat.norm().item())
    return total


def psg_step(
    problem: Problem, method: PSG, noisy: Tensor, images: Tensor, momentum: Tensor, network: Network
) -> tuple[Tensor, Tensor, float]:
    """One update of the pixels, whose gradient on the whole set is matched to a noisy one.

    Args:
        problem: what is distilled.
        method: with its hyper-parameters.
        noisy: the private gradient of all parameters, one after another, (P,).
        images: (classes * ipc, C, H, W), ordered by class.
        momentum: of the images.
        network: theta.

    Returns:
        The next images and momentum, and the loss before the update.
    """
    images = images.detach().requires_grad_()
    theta = list(network.parameters())
    g_s = torch.autograd.grad(F.cross_entropy(network(images), problem.start.labels), theta, create_graph=True)
    g_r = [part.reshape(each.shape) for part, each in zip(noisy.split([t.numel() for t in theta]), theta, strict=True)]
    loss = layerwise(g_r, g_s)
    (gradient,) = torch.autograd.grad(loss, images)
    momentum = method.momentum * momentum + gradient
    return images.detach() - method.learning_rate * momentum, momentum, loss.item()


def psg_training(problem: Problem, method: PSG, images: Tensor, network: Network, iteration: int, epochs: int) -> None:
    """theta <- theta - eta * grad CE(theta; set), the whole set a batch of its own in a new order every epoch."""
    streams, theta = problem.streams.child("iteration", iteration, "training"), list(network.parameters())
    for epoch in range(epochs):
        order = torch.randperm(len(images), generator=streams.generator("order", epoch))
        gradients = torch.autograd.grad(F.cross_entropy(network(images[order]), problem.start.labels[order]), theta)
        with torch.no_grad():
            for parameter, gradient in zip(theta, gradients, strict=True):
                parameter -= method.network_learning_rate * gradient
