"""DANCE and NCFM as their papers write them: one class after another, complex numbers where they have them.

These are the plain twins of ``dance`` and ``ncfm`` in ``methods.distribution``. All classes make one step together,
where the released programs update the images of one class after another.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from potstill.augmentation import Draw, SiameseAugmentation
from potstill.methods import Problem
from potstill.methods.distribution.pool import PoolMatching
from potstill.networks import Network
from potstill.networks.weights import Weights, WeightsFile, weight_files
from tests.twins.matching import step_classes


def mean_loss(real: Sequence[Tensor], synthetic: Sequence[Tensor]) -> Tensor:
    """sum_c || mean_i f(x_ci) - mean_j f(s_cj) ||², of the embeddings of each class."""
    return torch.stack([(f.mean(0) - g.mean(0)).square().sum() for f, g in zip(real, synthetic, strict=True)]).sum()


def characteristic_loss(
    real: Sequence[Tensor], synthetic: Sequence[Tensor], frequencies: Tensor, alpha: float, beta: float
) -> Tensor:
    """sum_c mean_t sqrt(alpha (|phi| - |psi|)² + beta 2 (|phi| |psi| - Re phi conj(psi))), t a row of frequencies."""
    total = torch.zeros((), dtype=frequencies.dtype)
    for f, g in zip(real, synthetic, strict=True):
        phi, psi = (
            torch.exp(1j * (x / x.norm(dim=1, keepdim=True)) @ frequencies.T.to(torch.complex128)).mean(0)
            for x in (f, g)
        )
        amplitude = (phi.abs() - psi.abs()).square()
        phase = 2 * (phi.abs() * psi.abs() - (phi * psi.conj()).real)
        total = total + (alpha * amplitude + beta * phase).sqrt().mean()
    return total


def pool_step(
    problem: Problem, method: PoolMatching, images: Tensor, optimiser: torch.optim.Optimizer, iteration: int
) -> float:
    """One iteration, from the randomness that the fast path draws.

    Args:
        problem: what is distilled.
        method: with its hyper-parameters.
        images: (classes * ipc, C, H, W), ordered by class, moved in place.
        optimiser: of the images.
        iteration: counted from 0.

    Returns:
        The distance of the distributions before the iteration.
    """
    streams = problem.streams.child("iteration", iteration)
    files = [WeightsFile(path) for path in weight_files(Path(method.experts))]
    file = files[int(torch.randint(len(files), (), generator=streams.generator("network")))]
    initial, trained = file.read(0), file.read(file.epochs[-1])
    share = torch.rand((), generator=streams.generator("mixture")).item()
    between = {name: share * initial[name].double() + (1 - share) * trained[name].double() for name in trained}
    classes = step_classes(problem, method, streams)
    network = _network(problem, between)
    indices = problem.real.sample_per_class(method.batch_real, streams.generator("real batch"), torch.tensor(classes))
    real = [problem.real.normalised(members).double() for members in indices]
    draw = _augmentation(method).draw(streams.generator("augmentation"), len(classes))
    real = [network.embed(x) for x in _augmented(method, real, draw)]
    images.requires_grad_()
    synthetic = [network.embed(s) for s in _augmented(method, _of_classes(problem, images, classes), draw)]
    if method.distance == "mean":
        loss = mean_loss(real, synthetic)
    else:
        drawn = torch.randn(real[0].shape[1], method.frequencies, generator=streams.generator("frequencies")).double().T
        alpha, beta = method.amplitude_weight, method.phase_weight
        loss = method.characteristic_scale * characteristic_loss(real, synthetic, drawn, alpha, beta)
    _descend(loss, images, optimiser)
    if method.calibration:
        network = _network(problem, trained)
        draw = _augmentation(method).draw(streams.generator("calibration"), len(classes))
        batches = _augmented(method, _of_classes(problem, images, classes), draw)
        labelled = zip(batches, classes, strict=True)
        entropies = [F.cross_entropy(network(s), torch.full((len(s),), c)) for s, c in labelled]
        _descend(method.calibration * torch.stack(entropies).sum(), images, optimiser)
    if method.clamp:
        values = (problem.real.mean, problem.real.std)
        mean, std = (torch.tensor(each, dtype=torch.float64)[:, None, None] for each in values)
        with torch.no_grad():
            images.copy_(((images * std + mean).clamp(0, 1) - mean) / std)
    return loss.item()


def _descend(loss: Tensor, images: Tensor, optimiser: torch.optim.Optimizer) -> None:
    (images.grad,) = torch.autograd.grad(loss, images)
    optimiser.step()


def _of_classes(problem: Problem, images: Tensor, classes: Sequence[int]) -> list[Tensor]:
    return [images.chunk(problem.class_count)[c] for c in classes]


def _augmentation(method: PoolMatching) -> SiameseAugmentation:
    operations = ("color", "crop", "cutout") if method.augment else ()
    return SiameseAugmentation(operations=operations, sequence=True)


def _augmented(method: PoolMatching, batches: Sequence[Tensor], draw: Draw) -> list[Tensor]:
    augmentation = _augmentation(method)
    return [augmentation.apply(batch, draw.rows(slice(c, c + 1))) for c, batch in enumerate(batches)]


def _network(problem: Problem, weights: Weights) -> Network:
    network = problem.build_network(torch.Generator()).double()
    network.load_state_dict(weights)
    return network.requires_grad_(False).train()
