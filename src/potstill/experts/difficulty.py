"""Difficulty scores of training images: EL2N, GraNd, forgetting events and the area under the margin."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.func import functional_call, grad, vmap

from potstill.data import LabeledImages
from potstill.networks import Network
from potstill.runtime.errors import UserError
from potstill.runtime.files import write_atomic
from potstill.runtime.safetensors_io import UNREADABLE, pack, read_safetensors

FORMAT = "potstill.difficulty/1"

NeverLearned = Literal["hardest", "easiest"]
"""How to count an image that was never classified correctly: as the hardest, or as one that was never forgotten."""

DIFFICULTY = "difficulty.safetensors"
"""Name of the file of scores, beside the experts that they were computed from."""

GRADIENT_CHUNK = 16
"""Images whose full gradients are held in memory at a time."""


def el2n(probabilities: Sequence[Tensor], labels: Tensor) -> Tensor:
    """EL2N, the norm of the error averaged over networks: E || p(w, x) - y ||₂.

    Paul, Ganguli and Dziugaite, "Deep Learning on a Data Diet", NeurIPS 2021 (arXiv:2107.07075), definition 3.

    Args:
        probabilities: predictions (N, classes) of each network, early in its training.
        labels: int64 (N,).

    Returns:
        (N,), larger values are harder.
    """
    errors = [(p - F.one_hot(labels, p.shape[1])).norm(dim=1) for p in probabilities]
    return torch.stack(errors).mean(0)


def grand(networks: Sequence[Network], images: LabeledImages) -> Tensor:
    """GraNd, the gradient norm over all parameters, averaged over networks: E || grad_w loss(w, x) ||₂.

    Paul et al., definition 1.

    Args:
        networks: networks early in their training, on the device of the images, contiguous and in float32 or better.
        images: the N images.

    Returns:
        (N,), on the CPU; larger values are harder.
    """
    return torch.stack([_gradient_lengths(network, images) for network in networks]).mean(0)


def forgetting_events(right: Tensor, never_learned: NeverLearned = "hardest") -> Tensor:
    """How often each image was classified correctly after one epoch and incorrectly after the next.

    Toneva et al., "An Empirical Study of Example Forgetting during Deep Neural Network Learning", ICLR 2019
    (arXiv:1812.05159), who count within epochs, and for whom images that were never learned are the hardest.

    Args:
        right: bool (epochs, N), whether each image is classified correctly after each epoch.
        never_learned: ``hardest`` assigns images that were never classified correctly more events than any other can
            have; ``easiest`` counts 0 events for them.

    Returns:
        int64 (N,), more events are harder.
    """
    events = (right[:-1] & ~right[1:]).sum(0)
    return torch.where(right.any(0), events, len(right)) if never_learned == "hardest" else events


def area_under_margin(logits: Iterable[Tensor], labels: Tensor) -> Tensor:
    """AUM, the margin averaged over training: the logit of an image's label minus the largest of the others.

    Pleiss et al., "Identifying Mislabeled Data using the Area Under the Margin Ranking", NeurIPS 2020
    (arXiv:2001.10528).

    Args:
        logits: (N, classes) after each epoch, two classes or more.
        labels: int64 (N,).

    Returns:
        (N,); smaller values are harder, and negative ones those of images that are taken for another class.
    """
    margins = []
    for values in logits:
        own = values.gather(1, labels[:, None])
        others = values.scatter(1, labels[:, None], -torch.inf).max(1).values
        margins.append(own[:, 0] - others)
    return torch.stack(margins).double().mean(0)


def write_difficulty(path: Path, scores: Mapping[str, Tensor]) -> None:
    """Write named scores (N,) to a safetensors file, atomically.

    Raises:
        UserError: the file cannot be written.
    """
    write_atomic(path, pack({name: score.float().contiguous() for name, score in scores.items()}, {"format": FORMAT}))


def read_difficulty(path: Path, images: int) -> dict[str, Tensor]:
    """Read the scores float32 (N,) that ``write_difficulty`` wrote, by name.

    Args:
        path: the file.
        images: N, the number of training images.

    Raises:
        UserError: the file is missing, truncated, of another kind, or of another dataset.
    """
    try:
        scores, metadata = read_safetensors(path)
    except UNREADABLE as error:
        raise _unusable(path, f"cannot be read ({error})") from error
    if metadata.get("format") != FORMAT:
        raise _unusable(path, "contains no difficulty scores")
    for name, score in scores.items():
        if score.dtype != torch.float32 or tuple(score.shape) != (images,) or not score.isfinite().all():
            raise _unusable(path, f"does not have one score {name!r} for each of {images} images")
    return scores


def _unusable(path: Path, problem: str) -> UserError:
    return UserError(f"{path} {problem}", "remove it, and compute it again with potstill experts")


def _gradient_lengths(network: Network, images: LabeledImages) -> Tensor:
    network = network.eval().requires_grad_(False)
    parameters = {name: parameter.detach() for name, parameter in network.named_parameters()}

    def loss(inner: dict[str, Tensor], pixels: Tensor, label: Tensor) -> Tensor:
        return F.cross_entropy(functional_call(network, inner, (pixels[None],)), label[None])

    def squares(pixels: Tensor, label: Tensor) -> Tensor:
        return torch.stack([g.square().sum() for g in grad(loss)(parameters, pixels, label).values()]).sum()

    def of_chunk(chosen: Tensor) -> Tensor:
        pixels = images.normalised(chosen).to(next(iter(parameters.values())).dtype)
        return vmap(squares)(pixels, images.labels[chosen.to(images.labels.device)]).sqrt().cpu()

    # Sequentially, because a functional call temporarily replaces the parameters of the module.
    return torch.cat([of_chunk(chosen) for chosen in torch.arange(len(images)).split(GRADIENT_CHUNK)])
