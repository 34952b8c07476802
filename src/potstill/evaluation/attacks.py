"""Attacks on trained networks: changes of the pixels that are small in each of them, and raise the loss.

All work on pixels in [0, 1] and change none by more than epsilon: FGSM (Goodfellow, Shlens and Szegedy, "Explaining and
Harnessing Adversarial Examples", ICLR 2015, arXiv:1412.6572), PGD (Madry et al., "Towards Deep Learning Models
Resistant to Adversarial Attacks", ICLR 2018, arXiv:1706.06083), and PGD on the margin between the right logit and the
best wrong one (the loss of Carlini and Wagner, "Towards Evaluating the Robustness of Neural Networks", 2017,
arXiv:1608.04644).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

Model = Callable[[Tensor], Tensor]
"""From pixels (n, C, H, W) in [0, 1] to logits (n, classes)."""

Loss = Callable[[Tensor, Tensor], Tensor]
"""From logits (n, classes) and labels (n,) to the sum of what an attack raises."""

REACH = 2.5
"""The length of all steps of PGD together, in epsilons: enough to cross the range of a pixel."""


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """The loss that networks are trained with."""
    return F.cross_entropy(logits, labels, reduction="sum")


def margin(logits: Tensor, labels: Tensor) -> Tensor:
    """The best wrong logit minus the right one: above 0 where an image is misclassified."""
    right = logits.gather(1, labels[:, None])[:, 0]
    wrong = logits.scatter(1, labels[:, None], -torch.inf).amax(1)
    return (wrong - right).sum()


def fgsm(model: Model, pixels: Tensor, labels: Tensor, epsilon: float) -> Tensor:
    """One step of length epsilon along the sign of the gradient.

    Args:
        model: the network.
        pixels: float (n, C, H, W) in [0, 1].
        labels: int64 (n,), the right classes.
        epsilon: the largest change of a pixel.

    Returns:
        The changed pixels, in [0, 1].
    """
    return _step(model, pixels, labels, cross_entropy, epsilon).clamp(0, 1)


def pgd(
    model: Model, pixels: Tensor, labels: Tensor, epsilon: float, *, steps: int, start: Tensor, loss: Loss
) -> Tensor:
    """Steps along the sign of the gradient, each brought back to within epsilon of the image.

    Args:
        model: the network.
        pixels: float (n, C, H, W) in [0, 1].
        labels: int64 (n,), the right classes.
        epsilon: the largest change of a pixel.
        steps: the number of steps, each of 2.5 epsilon / steps.
        start: (n, C, H, W) in [-1, 1], where to begin, in epsilons from the image.
        loss: what is raised.

    Returns:
        The changed pixels, in [0, 1].
    """
    low, high = (pixels - epsilon).clamp_min(0), (pixels + epsilon).clamp_max(1)
    attacked = (pixels + epsilon * start).clamp(0, 1)
    for _ in range(steps):
        attacked = _step(model, attacked, labels, loss, REACH * epsilon / steps).clamp(low, high)
    return attacked


def _step(model: Model, pixels: Tensor, labels: Tensor, loss: Loss, length: float) -> Tensor:
    with torch.enable_grad():
        moving = pixels.detach().requires_grad_(True)
        (gradient,) = torch.autograd.grad(loss(model(moving), labels), moving)
    return pixels + length * gradient.sign()
