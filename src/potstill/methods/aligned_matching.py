"""What DATM and PAD have in common: soft labels that are learned, and a range of starting epochs that grows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor

from potstill.data import LabeledImages
from potstill.methods.base import Problem, State
from potstill.methods.presets import DATM_ELSEWHERE, DATM_PRESETS, nearest
from potstill.methods.softmax import through_softmax
from potstill.methods.trajectory_matching import TrajectoryMatching
from potstill.networks import Network
from potstill.networks.weights import WeightsFile, install
from potstill.runtime.randomness import Streams
from potstill.synthetic import SyntheticSet
from potstill.training.features import FeatureExtractor

LABEL_MOMENTUM = 0.9
FALLBACK_LOGIT = 4.0
"""What a label's own class is given where no expert tells the image right: 0.86 of ten classes."""


@dataclass(frozen=True, kw_only=True)
class AlignedMatching(TrajectoryMatching):
    """Trajectory matching at a chosen difficulty (Guo et al., ICLR 2024).

    Attributes:
        earliest_start: T-: no student begins before this epoch of its expert.
        first_latest_start: T: what starts are drawn below at first,
        growth: and by which iteration that has grown to ``latest_start``.
        label_learning_rate: of the labels before their softmax.
        loss_threshold: an iteration whose loss is above it moves nothing; 0 for none.
    """

    earliest_start: int | None = None
    first_latest_start: int | None = None
    growth: int | None = None
    label_learning_rate: float | None = None
    loss_threshold: float | None = None

    def usual_iterations(self, images_per_class: int) -> int:
        """The published 10,000."""
        return 10_000

    def resolved(self, images_per_class: int, dataset: str = "") -> Self:
        """The same with the published settings for such a set where nothing else was asked for."""
        return self.filled(nearest(DATM_PRESETS, dataset, images_per_class, DATM_ELSEWHERE)._asdict())

    def begun(self, problem: Problem) -> State:
        """Real images that an expert tells right, and for labels what the experts that do make of them."""
        state = super().begun(problem)
        files = self._experts(problem)
        streams = problem.streams.child("samples")
        chosen = right_ones(problem, files[0], problem.images_per_class, streams)
        images = problem.real.normalised(chosen).to(state["images"])
        labels = initial_logits(problem, files, chosen).to(state["images"])
        return {
            **state,
            "images": images,
            "labels": labels,
            "labels.momentum": torch.zeros_like(labels),
        }

    def matched(self, problem: Problem, state: State, iteration: int) -> tuple[State, float]:
        """Match one student with one expert, and move pixels, labels and rate."""
        streams, probabilities = problem.streams.child("iteration", iteration), state["labels"].softmax(1)
        earliest = self.earliest_start or 0
        match = self.match(problem, state, probabilities, streams, self.latest_at(iteration), earliest)
        if self.loss_threshold and match.loss > self.loss_threshold:
            return state, match.loss
        assert match.labels is not None
        state = self.moved(state, "images", match.images, self.learning_rate or 0.0)
        velocity = LABEL_MOMENTUM * state["labels.momentum"] + through_softmax(probabilities, match.labels)
        labels = state["labels"] - (self.label_learning_rate or 0.0) * velocity
        state = {**state, "labels": labels, "labels.momentum": velocity}
        return self.with_rate(state, match, iteration), match.loss

    def latest_at(self, iteration: int) -> int:
        """What starts are drawn below at an iteration: from T to T+ on a straight line."""
        first, last = self.first_latest_start or self.latest_start or 1, self.latest_start or 1
        share = min(iteration / (self.growth or 1), 1.0)
        return max(int(first + share * (last - first)), (self.earliest_start or 0) + 1)

    def result(self, problem: Problem, state: State) -> SyntheticSet:
        """Pixels, labels, and the rate to train on them with."""
        labels = state["labels"].detach().softmax(1).float().cpu()
        return replace(super().result(problem, state), labels=labels)


def right_ones(problem: Problem, file: WeightsFile, count: int, streams: Streams) -> Tensor:
    """Random images of each class that an expert tells right at its end; of a class with too few, any others too.

    Returns:
        int64 (classes * count,): indices, ordered by class, on the CPU.
    """
    right = _logits(problem, file, problem.real).argmax(1) == problem.real.labels.cpu()
    chosen = []
    for label, members in enumerate(problem.real.class_index):
        members = members.cpu()
        order = members[torch.randperm(len(members), generator=streams.generator("class", label))]
        first = torch.cat([order[right[order]], order[~right[order]]])
        chosen.append(first[:count])
    return torch.cat(chosen)


def initial_logits(problem: Problem, files: list[WeightsFile], chosen: Tensor) -> Tensor:
    """For each image the mean logits of the experts that tell it right.

    Where none does, the published program divides nothing by nothing; here such an image gets its own class with a
    logit of 4 and the others with 0.

    Returns:
        float32 (n, classes).
    """
    images, labels = problem.real.take(chosen), problem.real.labels[chosen.to(problem.real.labels.device)].cpu()
    total = torch.zeros(len(chosen), problem.class_count)
    told_right = torch.zeros(len(chosen), 1)
    for file in files:
        logits = _logits(problem, file, images)
        right = (logits.argmax(1) == labels).float()[:, None]
        total += right * logits
        told_right += right
    fallback = FALLBACK_LOGIT * F.one_hot(labels, problem.class_count).float()
    return torch.where(told_right > 0, total / told_right.clamp(min=1), fallback)


def _logits(problem: Problem, file: WeightsFile, images: LabeledImages) -> Tensor:
    network = problem.build_network(torch.Generator())
    install(network, file.read(), file.path)
    extractor = FeatureExtractor(network, _forward, problem.compute.precise)
    extractor.network.eval()
    return extractor.describe(images)[0].float().cpu()


def _forward(network: Network, images: Tensor) -> tuple[Tensor]:
    return (network(images),)
