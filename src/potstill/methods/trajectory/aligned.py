"""What DATM and PAD have in common: soft labels that are learned, and a range of starting epochs that grows."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from potstill.data import Examples
from potstill.engine.features import logits_of
from potstill.methods.base import Problem
from potstill.methods.state import SGD, Optimiser, State
from potstill.methods.trajectory import TrajectoryMatching, TrajectoryPreset
from potstill.networks.weights import WeightsFile, install
from potstill.runtime.errors import UserError, at_least
from potstill.runtime.streams import Streams
from potstill.synthetic import SOFTMAX, Parametrisation, SyntheticSet

LABEL_MOMENTUM = 0.9
FALLBACK_LOGIT = 4.0
"""What a label's own class is given where no expert tells the image right: 0.86 of ten classes."""


@dataclass(frozen=True)
class AlignedPreset(TrajectoryPreset):
    """What Guo et al. give for DATM (ICLR 2024): as in MTT, and labels, and the range of starts that grows.

    Attributes:
        label_learning_rate: of the labels before their softmax.
        earliest_start: T-.
        first_latest_start: T at first, which grows to ``latest_start``.
        growth: the iteration by which it has grown.
        loss_threshold: no step where the loss is above it; 0 for none.
    """

    label_learning_rate: float
    earliest_start: int
    first_latest_start: int
    growth: int
    loss_threshold: float = field(default=0.0, kw_only=True)

    @property
    def last_epoch(self) -> int:
        """The last epoch of an expert that is looked at."""
        return max(self.latest_start - 1, self.first_latest_start - 1, self.earliest_start) + self.expert_epochs

    def starts_at(self, iteration: int) -> range:
        """The epochs that starts are drawn from: below T, which grows to T+ on a straight line, never none."""
        share = min(iteration / max(self.growth, 1), 1.0)
        latest = int(self.first_latest_start + share * (self.latest_start - self.first_latest_start))
        return range(self.earliest_start, max(latest, self.earliest_start + 1))


@dataclass(frozen=True, kw_only=True)
class AlignedMatching(TrajectoryMatching[AlignedPreset]):
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

    @property
    def parametrisation(self) -> Parametrisation:
        """Images as they are, and labels as the softmax of logits."""
        return Parametrisation(labels=SOFTMAX)

    def settled(self, images_per_class: int, dataset: str = "") -> AlignedPreset:
        """The published settings with those that were asked for; a published range of starts never shrinks."""
        settings = super().settled(images_per_class, dataset)
        if self.first_latest_start is None and settings.first_latest_start > settings.latest_start:
            settings = replace(settings, first_latest_start=settings.latest_start)
        if settings.earliest_start >= settings.latest_start:
            raise UserError(
                f"no start lies from epoch {settings.earliest_start} on and below {settings.latest_start}",
                "use a smaller --earliest-start or a larger --latest-start",
            )
        return settings

    def optimisers(self, settings: AlignedPreset) -> dict[str, Optimiser]:
        """What moves images, rate and labels."""
        return {**super().optimisers(settings), "labels": SGD(settings.label_learning_rate, LABEL_MOMENTUM)}

    def start(self, problem: Problem) -> SyntheticSet:
        """Real images that an expert tells right, as many as the set has."""
        file = self._experts(problem)[0]
        chosen = right_ones(problem, file, problem.images_per_class, problem.streams.child("samples"))
        return replace(problem.start, images=problem.real.normalised(chosen).cpu())

    def prepare(self, problem: Problem) -> State:
        """The start's images, and for labels what the experts that tell them right make of them."""
        state = super().prepare(problem)
        labels = initial_logits(problem, self._experts(problem), problem.start).to(state["images"])
        return state | self.optimisers(self._settings(problem))["labels"].init("labels", labels)

    def step(self, problem: Problem, state: State, iteration: int) -> tuple[State, float]:
        """Match one student with one expert, and move pixels, labels and rate."""
        settings, streams = self._settings(problem), problem.streams.child("iteration", iteration)
        match = self.match(problem, settings, state, streams, settings.starts_at(iteration))
        if settings.loss_threshold and match.loss > settings.loss_threshold:
            return state, match.loss
        return self.moved(settings, state, match, iteration), match.loss


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
