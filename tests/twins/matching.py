"""DM, DataDAM and ATOM as their papers write them: one class after another, nothing shared, nothing compiled.

These are the plain twins of ``dm``, ``datadam`` and ``atom`` in ``methods.distribution``. Tests hold the fast paths
to them, and benchmarks measure the fast paths against them. Real and synthetic images of class c are x_c (n, C, H, W)
and s_c (ipc, C, H, W), in the dtype of the network.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from potstill.augmentation import Draw, siamese_augmentation
from potstill.methods import ATOM, DM, DataDAM, Problem
from potstill.methods.pixel_descent import PixelDescent
from potstill.networks import Network, Observation
from potstill.networks.weights import Weights, WeightsFile
from potstill.runtime.streams import Streams


def dm_loss(network: Network, real_by_class: Sequence[Tensor], synthetic_by_class: Sequence[Tensor]) -> Tensor:
    """Equation 4 of Zhao and Bilen: L = sum_c || mean_i f(x_ci) - mean_j f(s_cj) ||²."""
    loss = torch.zeros(())
    for f_x, f_s in zip(_embedded(network, real_by_class), _embedded(network, synthetic_by_class), strict=True):
        loss = loss + (f_x.mean(0) - f_s.mean(0)).square().sum()
    return loss


def datadam_loss(
    network: Network,
    real_by_class: Sequence[Tensor],
    synthetic_by_class: Sequence[Tensor],
    *,
    power: float,
    balance: float,
    factor: float,
) -> Tensor:
    """The loss of Sajedi et al.: L = factor * (L_SAM + balance * L_MMD), L_SAM over all layers but the last."""
    sam, mmd = torch.zeros(()), torch.zeros(())
    for x, s in zip(_observed(network, real_by_class), _observed(network, synthetic_by_class), strict=True):
        for x_maps, s_maps in zip(x.maps[:-1], s.maps[:-1], strict=True):
            difference = attention(x_maps, power).mean(0) - attention(s_maps, power).mean(0)
            sam = sam + difference.square().sum()
        mmd = mmd + (x.embedding.mean(0) - s.embedding.mean(0)).square().sum()
    return factor * (sam + balance * mmd)


def atom_loss(
    network: Network,
    real_by_class: Sequence[Tensor],
    synthetic_by_class: Sequence[Tensor],
    *,
    power: float,
    channel_power: float,
    balance: float,
    factor: float,
) -> Tensor:
    """The loss of Khaki et al.: that of DataDAM, and the same distance between channel attention maps."""
    loss = datadam_loss(network, real_by_class, synthetic_by_class, power=power, balance=balance, factor=factor)
    for x, s in zip(_observed(network, real_by_class), _observed(network, synthetic_by_class), strict=True):
        for x_maps, s_maps in zip(x.maps[:-1], s.maps[:-1], strict=True):
            means = [channel_attention(maps, channel_power).mean(0) for maps in (x_maps, s_maps)]
            loss = loss + factor * (means[0] - means[1]).square().sum()
    return loss


def channel_attention(maps: Tensor, power: float) -> Tensor:
    """b = y / ||y||₂ with y_k = sum over positions of |A_k|^power: (N, K, H, W) to (N, K)."""
    y = torch.stack([channel.abs().pow(power).sum((1, 2)) for channel in maps.unbind(1)], dim=1)
    return y / y.norm(dim=1, keepdim=True).clamp_min(1e-12)


def attention(maps: Tensor, power: float) -> Tensor:
    """a = z / ||z||₂ with z = sum_k |A_k|^power: (N, K, H, W) to (N, H * W)."""
    z = maps.abs().pow(power).sum(1).flatten(1)
    return z / z.norm(dim=1, keepdim=True).clamp_min(1e-12)


def dm_step(
    problem: Problem, method: DM, images: Tensor, momentum: Tensor, iteration: int
) -> tuple[Tensor, Tensor, float]:
    """One iteration of DM, from the randomness that the fast path draws.

    Returns:
        The next images and momentum, both (classes * ipc, C, H, W), and the loss before the step.
    """
    streams = problem.streams.child("iteration", iteration)
    network = _new_network(problem, method, streams, images.dtype)

    def loss_of(pixels: Tensor) -> Tensor:
        return dm_loss(network, *_batches(problem, method, streams, pixels))

    return _descend(loss_of, images, momentum, method.settled_learning_rate, method.momentum)


def datadam_step(
    problem: Problem,
    method: DataDAM | ATOM,
    images: Tensor,
    momentum: Tensor,
    iteration: int,
    network: Network | None = None,
) -> tuple[Tensor, Tensor, float]:
    """One iteration t of Algorithm 1 of DataDAM, which ATOM shares, from the randomness that the fast path draws.

    Args:
        problem: what is distilled.
        method: with its hyper-parameters.
        images: (classes * ipc, C, H, W), ordered by class.
        momentum: of the images.
        iteration: counted from 0 over all networks.
        network: redrawn in place where its life begins and trained in place; give the same one to every iteration.
            None draws a new one, which is right where a network lives a single iteration.

    Returns:
        The next images and momentum, and the loss before the last update.
    """
    streams = problem.streams.child("iteration", iteration)
    if network is None:
        network = _new_network(problem, method, streams, images.dtype)
    elif iteration % method.network_iterations == 0:
        network.initialise(streams.generator("network"))
    loss = 0.0
    for update in range(method.synthetic_steps):
        drawn = streams.child("update", update)

        def loss_of(pixels: Tensor, network: Network = network, drawn: Streams = drawn) -> Tensor:
            return _attention_loss(method, network, *_batches(problem, method, drawn, pixels))

        images, momentum, loss = _descend(loss_of, images, momentum, method.settled_learning_rate, method.momentum)
    _train(network, method, images, problem.start.labels, streams)
    return images, momentum, loss


def _attention_loss(
    method: DataDAM | ATOM, network: Network, real: Sequence[Tensor], synthetic: Sequence[Tensor]
) -> Tensor:
    balance = method.mmd_weight
    if isinstance(method, DataDAM):
        power, factor = (1.0, 100.0) if method.follow_released_code else (method.power, method.loss_scale)
        return datadam_loss(network, real, synthetic, power=power, balance=balance, factor=factor)
    powers = {"power": method.power, "channel_power": method.channel_power}
    return atom_loss(network, real, synthetic, **powers, balance=balance, factor=method.loss_scale)


def _train(network: Network, method: DataDAM | ATOM, images: Tensor, labels: Tensor, streams: Streams) -> None:
    """theta <- theta - eta_theta * grad CE(theta; S), zeta_theta times, S in a new order every epoch."""
    network.requires_grad_(True)
    parameters = list(network.parameters())
    epoch, waiting = 0, []
    for _ in range(method.network_steps):
        if not waiting:
            order = torch.randperm(len(images), generator=streams.child("training").generator("order", epoch))
            epoch, waiting = epoch + 1, list(order.split(method.network_batch))
        chosen = waiting.pop(0)
        gradients = torch.autograd.grad(F.cross_entropy(network(images[chosen]), labels[chosen]), parameters)
        with torch.no_grad():
            for parameter, gradient in zip(parameters, gradients, strict=True):
                parameter -= method.network_learning_rate * gradient
    network.requires_grad_(False)


def _new_network(problem: Problem, method: DM | DataDAM | ATOM, streams: Streams, dtype: torch.dtype) -> Network:
    generator = streams.generator("network")
    network = problem.build_network(torch.Generator() if method.around else generator)
    if method.around:
        _move_near(network, WeightsFile(Path(method.around)).read(), method.radius, generator)
    return network.to(problem.compute.device, dtype).requires_grad_(False).train()


def _move_near(network: Network, weights: Weights, radius: float, generator: torch.Generator) -> None:
    """FedDM's networks about w: w + g min(1, rho / ||g||), g ~ N(0, 1), over all parameters before the classifier."""
    given = {name: tensor for name, tensor in weights.items() if not name.startswith("classifier")}
    network.load_state_dict(given, strict=False)
    near = [(name, tensor) for name, tensor in network.named_parameters() if name in given]
    g = [torch.randn(tensor.shape, generator=generator) for _, tensor in near]
    length = torch.cat([part.flatten().double() for part in g]).norm().item()
    for (_, tensor), step in zip(near, g, strict=True):
        tensor.data += min(1, radius / length) * step


def _batches(
    problem: Problem, method: DM | DataDAM | ATOM, streams: Streams, images: Tensor
) -> tuple[list[Tensor], list[Tensor]]:
    """Of each class of the step a batch of real images and the synthetic ones, under one augmentation a class."""
    classes = step_classes(problem, method, streams)
    indices = problem.real.sample_per_class(method.batch_real, streams.generator("real batch"), torch.tensor(classes))
    real = [problem.real.normalised(members).to(images.dtype) for members in indices]
    synthetic = [images.chunk(problem.class_count)[c] for c in classes]
    if method.augment:
        augmentation = siamese_augmentation(flips=problem.flips)
        draw = augmentation.draw(streams.generator("augmentation"), len(classes))
        for c in range(len(classes)):
            of_class = Draw(draw.operations[c : c + 1], draw.uniforms[c : c + 1])
            real[c] = augmentation.apply(real[c], of_class)
            synthetic[c] = augmentation.apply(synthetic[c], of_class)
    return real, synthetic


def step_classes(problem: Problem, method: PixelDescent, streams: Streams) -> list[int]:
    """The classes that the loss of a step has: all, or a random choice."""
    if not method.classes_per_step:
        return list(range(problem.class_count))
    order = torch.randperm(problem.class_count, generator=streams.generator("classes"))
    return sorted(order[: method.classes_per_step].tolist())


def _descend(
    loss_of: Callable[[Tensor], Tensor], images: Tensor, momentum: Tensor, learning_rate: float, decay: float
) -> tuple[Tensor, Tensor, float]:
    """One step of SGD with momentum."""
    images = images.detach().requires_grad_()
    loss = loss_of(images)
    (gradient,) = torch.autograd.grad(loss, images)
    momentum = decay * momentum + gradient
    return images.detach() - learning_rate * momentum, momentum, loss.item()


def _embedded(network: Network, by_class: Sequence[Tensor]) -> Iterable[Tensor]:
    """The embeddings of each class; with batch norm of all classes in one batch, as the programs do.

    The parameters are frozen, so real images make no graph.
    """
    if _has_batch_norm(network):
        return network.embed(torch.cat(list(by_class))).split([len(images) for images in by_class])
    return (network.embed(images) for images in by_class)


def _observed(network: Network, by_class: Sequence[Tensor]) -> Iterable[Observation]:
    """What the network computes of each class, likewise."""
    if not _has_batch_norm(network):
        return (network.observe(images) for images in by_class)
    sizes = [len(images) for images in by_class]
    seen = network.observe(torch.cat(list(by_class)))
    maps = zip(*(layer.split(sizes) for layer in seen.maps), strict=True)
    parts = zip(maps, seen.embedding.split(sizes), seen.logits.split(sizes), strict=True)
    return [Observation(*part) for part in parts]


def _has_batch_norm(network: Network) -> bool:
    return any(isinstance(module, nn.BatchNorm2d) for module in network.modules())
