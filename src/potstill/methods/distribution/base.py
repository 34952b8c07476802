"""What methods that match class means have in common: one batch a class, all of them described together."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from potstill.augmentation import siamese_augmentation
from potstill.engine.features import Descriptors, FeatureExtractor
from potstill.methods.base import Problem
from potstill.runtime.streams import Streams


def matching_gradient(
    problem: Problem,
    extractor: FeatureExtractor,
    images: Tensor,
    streams: Streams,
    loss_of: Callable[[Descriptors, Descriptors], Tensor],
    *,
    batch_real: int,
    augment: bool,
) -> tuple[float, Tensor]:
    """The loss between real and synthetic class means, and its gradient with respect to the synthetic images.

    A batch of each class is drawn, one augmentation a class is drawn and applied to the real and to the synthetic
    images of that class, and both go through the same network.

    Args:
        problem: what is distilled.
        extractor: the network, with the parameters of this iteration.
        images: the synthetic images (classes * ipc, C, H, W), ordered by class.
        streams: the randomness of this iteration.
        loss_of: the loss as a function of the real means and the synthetic means; each (classes, D_l).
        batch_real: real images of each class.
        augment: whether Siamese augmentation is on.

    Returns:
        The loss, and the gradient (classes * ipc, C, H, W).
    """
    classes = problem.class_count
    indices = problem.real.sample_per_class(batch_real, streams.generator("real batch"))
    real = problem.real.normalised(indices.flatten()).to(images.dtype)
    images = images.detach().requires_grad_()
    augmented = images
    if augment:
        augmentation = siamese_augmentation(flips=problem.flips)
        draw = augmentation.draw(streams.generator("augmentation"), classes)
        real, augmented = augmentation.apply(real, draw), augmentation.apply(images, draw)
    targets = extractor.class_means(real, classes)
    means, pullback = extractor.class_means_and_pullback(augmented, classes)
    means = tuple(mean.requires_grad_() for mean in means)
    loss = loss_of(targets, means)
    back = pullback(torch.autograd.grad(loss, means))
    (gradient,) = torch.autograd.grad(augmented, images, back) if augment else (back,)
    return loss.item(), gradient


def squared_distance(targets: Tensor, means: Tensor) -> Tensor:
    """The sum over classes c of ||target_c - mean_c||², of (classes, D) each."""
    return (targets - means).square().sum()
