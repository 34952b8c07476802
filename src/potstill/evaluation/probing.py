"""Networks that are tested on changed images: the unit of work of robustness curves and backdoors."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import torch
from torch import Tensor

from potstill.data import LabeledImages
from potstill.data.poisoned import with_patch
from potstill.engine.trainer import Trainer
from potstill.evaluation.attacks import Model, cross_entropy, fgsm, margin, pgd
from potstill.evaluation.corruptions import corrupted
from potstill.evaluation.training import NetworkTraining, evenly_spaced
from potstill.runtime.errors import UserError
from potstill.runtime.parallel import parallel_map
from potstill.runtime.progress import Pace
from potstill.runtime.streams import Streams
from potstill.schema import Record
from potstill.schema.attacks import ATTACKS, CORRUPTIONS, SEVERITIES, Probe, Probed
from potstill.schema.fields import Positive
from potstill.units import Workplace

CHUNK = 250
"""The number of images that are attacked together."""


@dataclass(frozen=True, kw_only=True)
class TrainAndProbe(NetworkTraining[Probed]):
    """Train a network once, and test it on test images that are changed in several ways.

    Attributes:
        probes: the changes.
        tested: the number of test images, at even distances in the test split; all if there are no more.
    """

    result: ClassVar[type[Record]] = Probed

    probes: tuple[Probe, ...]
    tested: Positive

    def run(self, workplace: Workplace) -> Probed:
        """Train and test. A training that fails is a result too, which says why."""
        started, judges = time.perf_counter(), evenly_spaced(workplace.dataset(self.dataset).test, self.tested)
        if judges is None:
            return Probed(failed="there are no test images")
        try:
            trainer, _ = self.trained(workplace)
        except UserError as error:
            return Probed(failed=error.problem)
        accuracies, answers, pace = [], [], Pace()
        for number, probe in enumerate(self.probes):
            if pace.due():
                workplace.progress(f"test {number + 1} of {len(self.probes)}: {probe.kind}")
            some = (
                judges if probe.without is None else judges.take((judges.labels != probe.without).nonzero().flatten())
            )
            answered = predicted(trainer, some, probe, self.streams.child("probe", probe.kind))
            accuracies.append((answered == some.labels.cpu()).double().mean().item())
            answers.append(torch.bincount(answered, minlength=some.class_count).tolist())
        return Probed(
            accuracies=accuracies,
            answers=answers,
            seconds=time.perf_counter() - started,
            made_on=workplace.in_words,
        )

    def is_final(self, result: Probed) -> bool:
        """A training that failed is tried again when it is asked for again."""
        return result.failed is None


def predicted(trainer: Trainer, images: LabeledImages, probe: Probe, streams: Streams) -> Tensor:
    """The classes that a network takes changed images for.

    Args:
        trainer: has the network.
        images: the images as they are; without whitening.
        probe: the change.
        streams: the randomness of the change: the same for every strength.

    Returns:
        int64 (N,) on the CPU.
    """
    trainer.network.eval()
    model = partial(_logits, trainer, images)
    pixels = changed(_pixels(images), probe, streams)
    starts = (2 * torch.rand(pixels.shape, generator=streams.generator("start")) - 1).to(pixels)
    chunks = list(zip(pixels.split(CHUNK), images.labels.split(CHUNK), starts.split(CHUNK), strict=True))
    return torch.cat(parallel_map(lambda chunk: _answers(model, *chunk, probe), chunks)).cpu()


def changed(pixels: Tensor, probe: Probe, streams: Streams) -> Tensor:
    """Images with a change that does not depend on the network; of an attack, the images themselves.

    Args:
        pixels: float (n, C, H, W) in [0, 1].
        probe: the change.
        streams: its randomness.
    """
    if probe.kind in CORRUPTIONS:
        return corrupted(pixels, probe.kind, round(probe.strength), streams.generator("corruption"))
    if probe.kind == "patch":
        return with_patch(pixels, round(probe.strength), 1.0)
    return pixels


def curves(epsilons: Sequence[float], steps: int) -> tuple[Probe, ...]:
    """The probes of robustness curves: clean images, each attack at each strength, each corruption in each severity.

    The last is PGD that may change pixels at will, which no network withstands unless its gradients mislead.

    Args:
        epsilons: the largest changes of a pixel.
        steps: of PGD and of the attack on the margin.
    """
    attacks = (
        Probe(kind=kind, strength=epsilon, steps=0 if kind == "fgsm" else steps)
        for kind in ATTACKS
        for epsilon in epsilons
    )
    corruptions = (Probe(kind=kind, strength=float(severity)) for kind in CORRUPTIONS for severity in SEVERITIES)
    return (Probe(kind="clean"), *attacks, *corruptions, Probe(kind="pgd", strength=1.0, steps=2 * steps))


def _answers(model: Model, pixels: Tensor, labels: Tensor, start: Tensor, probe: Probe) -> Tensor:
    if probe.kind == "fgsm":
        pixels = fgsm(model, pixels, labels, probe.strength)
    elif probe.kind in ATTACKS:
        loss = cross_entropy if probe.kind == "pgd" else margin
        pixels = pgd(model, pixels, labels, probe.strength, steps=probe.steps, start=start, loss=loss)
    with torch.no_grad():
        return model(pixels).argmax(1)


def _pixels(images: LabeledImages) -> Tensor:
    """float32 (N, C, H, W) in [0, 1]."""
    return images.read(slice(None)).float() / 255


def _logits(trainer: Trainer, images: LabeledImages, pixels: Tensor) -> Tensor:
    """The logits of pixels, normalised as ``images`` are."""
    mean, std = (torch.tensor(values).to(pixels)[:, None, None] for values in (images.mean, images.std))
    return trainer.logits_of((pixels - mean) / std)
