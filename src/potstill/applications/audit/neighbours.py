"""The nearest training image of every synthetic image, against that of held-out real images: memorisation by eye."""

from __future__ import annotations

import math
from base64 import b64encode

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from potstill.data import LabeledImages
from potstill.evaluation.training import evenly_spaced
from potstill.schema.audit import FromStart, NearestPair, Neighbours, median
from potstill.synthetic import SyntheticSet

CANDIDATES = 10
"""The nearest images in pixels, among which the most similar one is looked for."""
HELD_OUT = 2000
SHOWN = 8
PART = 4096
EXACT = 0.5 / 255
"""The largest difference of a pixel in two equal images, one of which was normalised."""
WINDOW, SPREAD = 11, 1.5
"""The side and the standard deviation of the Gaussian window of the SSIM, in pixels."""


def neighbours_of(
    synthetic: SyntheticSet, train: LabeledImages, held_out: LabeledImages, start: SyntheticSet | None = None
) -> Neighbours | None:
    """Compare a set with the images that it was made from.

    Args:
        synthetic: the set; of a formation, its pictures are compared.
        train: the images that it was made from.
        held_out: real images that it was not made from; some of them at even distances are compared.
        start: the set before distillation, if there is one.

    Returns:
        The comparison; None if there is no held-out image.
    """
    others = evenly_spaced(held_out, HELD_OUT)
    if others is None:
        return None
    pictures = synthetic.decoded()
    shown, real = pictures.pixels(), train.images.cpu()
    ours = _Nearest.of(shown, real)
    theirs = _Nearest.of(_pixels(others.images.cpu()), real)
    typical = median(theirs.distances[:, 0].tolist())
    names, labels = synthetic.class_names, pictures.hard_labels
    return Neighbours(
        train=len(train),
        shape=train.shape,
        distances=ours.distances[:, 0].tolist(),
        similarities=ours.similarities.tolist(),
        held_out=theirs.distances[:, 0].tolist(),
        held_out_similarities=theirs.similarities.tolist(),
        pairs=[
            NearestPair(
                place=place,
                real=int(ours.places[place, 0]),
                label=names[labels[place]],
                distance=ours.distances[place, 0].item(),
                similarity=ssim(shown[place], _pixels(real[ours.places[place, 0]])).item(),
                image=_packed((255 * shown[place]).round().byte()),
                neighbour=_packed(real[ours.places[place, 0]]),
            )
            for place in ours.distances[:, 0].argsort(stable=True)[:SHOWN].tolist()
        ],
        start=None if start is None else _from_start(shown, ours, start.decoded().pixels(), real, typical),
    )


def copies_in(images: SyntheticSet, real: LabeledImages) -> list[int]:
    """The places of the real images that are in a set, unchanged; each once, in order.

    Args:
        images: the set; of a formation none is unchanged.
        real: the real images.
    """
    nearest = _Nearest.of(images.decoded().pixels(), real.images.cpu())
    return sorted(set(nearest.places[nearest.exact, 0].tolist()))


def closeness(synthetic: SyntheticSet, real: LabeledImages) -> np.ndarray:
    """The negative distance of each real image from the nearest synthetic picture of its class.

    Args:
        synthetic: the set; of a formation, its pictures count.
        real: the real images.

    Returns:
        float64 (n,), of pixels in [0, 1].
    """
    pictures = synthetic.decoded()
    shown, labels, theirs = pictures.pixels().flatten(1), pictures.hard_labels, real.labels.cpu()
    found = torch.full((len(real),), -math.inf, dtype=torch.float64)
    for label in labels.unique().tolist():
        of_class = shown[labels == label]
        for places in (theirs == label).nonzero().flatten().split(PART):
            flat = _pixels(real.read(places).cpu()).flatten(1)
            found[places] = (
                -torch.cdist(flat, of_class, compute_mode="donot_use_mm_for_euclid_dist").min(1).values.double()
            )
    if found.isinf().any():  # a class without any picture
        found[found.isinf()] = found[found.isfinite()].min()
    return found.numpy()


def ssim(images: Tensor, others: Tensor) -> Tensor:
    """The structural similarity of Wang et al. (2004), averaged over positions and channels.

    The window is Gaussian, 11 pixels wide or as wide as the image, and does not leave it.

    Args:
        images: float (..., C, H, W) in [0, 1].
        others: of the same shape.

    Returns:
        float (...): 1 for equal images.
    """
    height, width = images.shape[-2:]
    taps = [_taps(min(WINDOW, side), images) for side in (height, width)]
    first, second = images.reshape(-1, 1, height, width), others.reshape(-1, 1, height, width)

    def blurred(values: Tensor) -> Tensor:
        return F.conv2d(F.conv2d(values, taps[0][None, None, :, None]), taps[1][None, None, None, :])

    means, other_means = blurred(first), blurred(second)
    variances = blurred(first * first) - means**2
    other_variances = blurred(second * second) - other_means**2
    covariances = blurred(first * second) - means * other_means
    c1, c2 = 0.01**2, 0.03**2
    similar = (2 * means * other_means + c1) * (2 * covariances + c2)
    similar = similar / ((means**2 + other_means**2 + c1) * (variances + other_variances + c2))
    return similar.mean((1, 2, 3)).reshape(*images.shape[:-2]).mean(-1)


def _taps(size: int, like: Tensor) -> Tensor:
    places = torch.arange(size, dtype=like.dtype, device=like.device) - (size - 1) / 2
    weights = (-(places**2) / (2 * SPREAD**2)).exp()
    return weights / weights.sum()


class _Nearest:
    """The nearest real images of several images.

    Args:
        places: int64 (n, k), indices of real images, the nearest first.
        distances: float64 (n, k), L2 of pixels in [0, 1].
        similarities: float (n,), the largest SSIM among the k.
        exact: bool (n,), whether the nearest one is equal.
    """

    def __init__(self, places: Tensor, distances: Tensor, similarities: Tensor, exact: Tensor) -> None:
        self.places, self.distances, self.similarities, self.exact = places, distances, similarities, exact

    @classmethod
    def of(cls, images: Tensor, real: Tensor) -> _Nearest:
        """Find them.

        Args:
            images: float32 (n, C, H, W) in [0, 1].
            real: uint8 (N, C, H, W).
        """
        places = torch.cat([_nearest(part, real) for part in images.split(PART // 8)])
        near = _pixels(real[places.flatten()]).reshape(*places.shape, *real.shape[1:])
        differences = (images[:, None] - near).double()
        distances, order = differences.square().sum((2, 3, 4)).sqrt().sort(dim=1, stable=True)
        similarities = ssim(images[:, None].expand_as(near), near).max(1).values
        first = order[:, :1]
        largest = differences.abs().amax((2, 3, 4)).gather(1, first)[:, 0]
        return cls(places.gather(1, order), distances, similarities, largest <= EXACT)


def _nearest(images: Tensor, real: Tensor) -> Tensor:
    """int64 (n, k): the nearest real images, in no order; distances are only accurate enough to find them."""
    flat, kept = images.flatten(1), min(CANDIDATES, len(real))
    values, places = torch.empty(len(flat), 0), torch.empty(len(flat), 0, dtype=torch.int64)
    for first in range(0, len(real), PART):
        part = _pixels(real[first : first + PART]).flatten(1)
        squares = part.square().sum(1) - 2 * flat @ part.T
        values, places = torch.cat([values, squares], 1), torch.cat([places, _from(first, squares)], 1)
        values, chosen = values.topk(min(kept, values.shape[1]), dim=1, largest=False)
        places = places.gather(1, chosen)
    return places


def _from(first: int, like: Tensor) -> Tensor:
    return torch.arange(first, first + like.shape[1]).expand(like.shape)


def _from_start(shown: Tensor, now: _Nearest, began: Tensor, real: Tensor, typical: float) -> FromStart | None:
    """How far pictures have moved from those that they were begun from."""
    if began.shape != shown.shape:
        return None
    then = _Nearest.of(began, real)
    copied = then.exact
    moved = (shown - began).double().flatten(1).norm(dim=1)[copied]
    kept = (then.places[:, 0] == now.places[:, 0])[copied]
    if not copied.any():
        return FromStart(copied=0.0, kept=0.0, moved=0.0)
    return FromStart(
        copied=copied.double().mean().item(),
        kept=kept.double().mean().item(),
        moved=median(moved.tolist()) / typical if typical else 0.0,
    )


def _pixels(images: Tensor) -> Tensor:
    return images.float() / 255


def _packed(image: Tensor) -> str:
    return b64encode(image.contiguous().numpy().tobytes()).decode()
