"""What DATM and PAD have in common: soft labels that are learned, and a range of starting epochs that grows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Self

import torch
import torch.nn.functional as F
from torch import Tensor

from potstill.data import Examples
from potstill.engine.features import logits_of
from potstill.methods.base import Problem, State
from potstill.methods.state import through_softmax
from potstill.methods.trajectory.base import TrajectoryMatching
from potstill.methods.trajectory.presets import DATM_ELSEWHERE, DATM_PRESETS, nearest
from potstill.networks.weights import WeightsFile, install
from potstill.runtime.errors import UserError, at_least
from potstill.runtime.streams import Streams
from potstill.synthetic import SyntheticSet

LABEL_MOMENTUM = 0.9
FALLBACK_LOGIT = 4.0
"""What a label's own class is given where no expert tells the image right: 0.86 of ten classes."""


@dataclass(frozen=True, kw_only=True)
class AlignedMatching(TrajectoryMatching):
    """Trajectory matching at a chosen difficulty (Guo et al., ICLR 2024).

    It begins with real images that an expert tells right, whose soft labels are what the experts make of them.

    Attributes:
        earliest_start: T-: no student begins before this epoch of its expert.
        first_latest_start: T: what starts are drawn below at first,
        growth: and by which iteration that has grown to ``latest_start``.
        label_learning_rate: of the labels before their softmax.
        loss_threshold: an iteration whose loss is above it moves nothing; 0 for none.
    """

    only_start: ClassVar[bool] = True

    earliest_start: int | None = None
    first_latest_start: int | None = None
    growth: int | None = None
    label_learning_rate: float | None = None
    loss_threshold: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(self, earliest_start=0, first_latest_start=1, growth=0, label_learning_rate=0)

    def default_iterations(self, images_per_class: int) -> int:
        """The published 10,000."""
        return 10_000

    def resolved(self, images_per_class: int, dataset: str = "") -> Self:
        """The same with the published settings for such a set where nothing else was asked for."""
        return self.filled(nearest(DATM_PRESETS, dataset, images_per_class, DATM_ELSEWHERE)._asdict())

    def filled(self, preset: dict[str, float]) -> Self:
        """The same with what is None taken from ``preset``; a range of starts does not shrink."""
        made = super().filled(preset)
        if self.first_latest_start is None and (made.first_latest_start or 0) > (made.latest_start or 0):
            made = replace(made, first_latest_start=made.latest_start)
        if (made.earliest_start or 0) >= (made.latest_start or 1):
            raise UserError(
                f"no start lies from epoch {made.earliest_start} on and below {made.latest_start}",
                "use a smaller --earliest-start or a larger --latest-start",
            )
        return made

    def start(self, problem: Problem) -> SyntheticSet:
        """Real images that an expert tells right, as many as the set has."""
        file = self.resolved(problem.images_per_class, problem.dataset)._experts(problem)[0]
        chosen = right_ones(problem, file, problem.images_per_class, problem.streams.child("samples"))
        return replace(problem.start, images=problem.real.normalised(chosen).cpu())

    def begun(self, problem: Problem) -> State:
        """The start's images, and for labels what the experts that tell them right make of them."""
        state = super().begun(problem)
        labels = initial_logits(problem, self._experts(problem), problem.start).to(state["images"])
        return {**state, "labels": labels, "labels.momentum": torch.zeros_like(labels)}

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

    def last_epoch(self) -> int:
        """The last epoch of an expert that is looked at."""
        starts = ((self.latest_start or 1) - 1, (self.first_latest_start or 1) - 1, self.earliest_start or 0)
        return max(starts) + (self.expert_epochs or 1)

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


def initial_logits(problem: Problem, files: list[WeightsFile], begun: SyntheticSet) -> Tensor:
    """For each image the mean logits of the experts that tell it right.

    Where none does, the published program divides nothing by nothing; here such an image gets its own class with a
    logit of 4 and the others with 0.

    Returns:
        float32 (n, classes).
    """
    labels = begun.hard_labels
    total = torch.zeros(len(begun), problem.class_count)
    told_right = torch.zeros(len(begun), 1)
    for file in files:
        logits = _logits(problem, file, begun)
        right = (logits.argmax(1) == labels).float()[:, None]
        total += right * logits
        told_right += right
    fallback = FALLBACK_LOGIT * F.one_hot(labels, problem.class_count).float()
    return torch.where(told_right > 0, total / told_right.clamp(min=1), fallback)


def _logits(problem: Problem, file: WeightsFile, images: Examples) -> Tensor:
    network = problem.build_network(torch.Generator())
    install(network, file.read(), file.path)
    return logits_of(network, images, problem.compute)
