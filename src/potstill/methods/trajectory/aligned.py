"""Difficulty-aligned trajectory matching, the base of DATM and PAD: learned labels, and a growing start range."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from potstill.data import Examples
from potstill.engine.features import classifier, logits_of
from potstill.methods.problem import Problem
from potstill.methods.state import SGD, Optimiser, State
from potstill.methods.trajectory import TrajectoryMatching, TrajectoryPreset
from potstill.networks.weights import WeightsFile, install
from potstill.runtime.bounds import at_least
from potstill.runtime.errors import UserError
from potstill.runtime.streams import Streams
from potstill.synthetic import SOFTMAX, Parametrisation, SyntheticSet, formed

LABEL_MOMENTUM = 0.9
FALLBACK_LOGIT = 4.0
"""Logit of an image's own class if no expert classifies the image correctly: probability 0.86 for ten classes."""


@dataclass(frozen=True)
class AlignedPreset(TrajectoryPreset):
    """The settings of Guo et al. for DATM (ICLR 2024): those of MTT, and those for labels and the start range.

    Attributes:
        label_learning_rate: step size for the label logits.
        earliest_start: T-, the first start epoch.
        first_latest_start: initial value of T, which grows to ``latest_start``.
        growth: iteration at which T reaches ``latest_start``.
        loss_threshold: iterations with a larger loss are skipped; 0 disables this.
    """

    label_learning_rate: float
    earliest_start: int
    first_latest_start: int
    growth: int
    loss_threshold: float = field(default=0.0, kw_only=True)

    @property
    def last_epoch(self) -> int:
        """The last epoch of an expert that may be used."""
        return max(self.latest_start - 1, self.first_latest_start - 1, self.earliest_start) + self.expert_epochs

    def starts_at(self, iteration: int) -> range:
        """The range of start epochs, never empty: from T- to below T, which grows linearly to T+."""
        share = min(iteration / max(self.growth, 1), 1.0)
        latest = int(self.first_latest_start + share * (self.latest_start - self.first_latest_start))
        return range(self.earliest_start, max(latest, self.earliest_start + 1))


@dataclass(frozen=True, kw_only=True)
class AlignedMatching(TrajectoryMatching[AlignedPreset]):
    """Trajectory matching at a chosen difficulty (Guo et al., ICLR 2024).

    It starts from real images that an expert classifies correctly, with soft labels computed from the experts' logits.

    Attributes:
        earliest_start: T-, first expert epoch from which a student may start.
        first_latest_start: initial value of T, the exclusive upper bound of the start epoch.
        growth: iteration at which T, growing linearly, reaches ``latest_start``.
        label_learning_rate: step size for the label logits.
        loss_threshold: iterations with a larger loss are skipped; 0 disables this.
    """

    only_start: ClassVar[bool] = True

    earliest_start: int | None = None
    first_latest_start: int | None = None
    growth: int | None = None
    label_learning_rate: float | None = None
    loss_threshold: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(self, earliest_start=0, first_latest_start=1, growth=0, label_learning_rate=0, loss_threshold=0)

    def default_iterations(self, images_per_class: int) -> int:
        """10,000, as published."""
        return 10_000

    @property
    def parametrisation(self) -> Parametrisation:
        """Raw images, and labels as the softmax of learned logits."""
        return Parametrisation(labels=SOFTMAX)

    def settled(self, images_per_class: int, dataset: str = "") -> AlignedPreset:
        """The settings in effect; a published start range is cut so that it never shrinks.

        Raises:
            UserError: the start range is empty.
        """
        settings = super().settled(images_per_class, dataset)
        if self.first_latest_start is None and settings.first_latest_start > settings.latest_start:
            settings = replace(settings, first_latest_start=settings.latest_start)
        if settings.earliest_start >= settings.latest_start:
            raise UserError(
                f"`earliest_start={settings.earliest_start}` is not below `latest_start={settings.latest_start}`",
                "use a smaller `earliest_start` or a larger `latest_start`",
            )
        return settings

    def optimisers(self, settings: AlignedPreset) -> dict[str, Optimiser]:
        """The optimisers of images, rate and labels."""
        return {**super().optimisers(settings), "labels": SGD(settings.label_learning_rate, LABEL_MOMENTUM)}

    def start(self, problem: Problem) -> SyntheticSet:
        """Random real images that the first expert classifies correctly."""
        file, formation = self._experts(problem)[0], problem.start.formation
        chosen = right_ones(problem, file, problem.pictures_per_class, problem.streams.child("samples"))
        return replace(problem.start, images=formed(problem.real.normalised(chosen).cpu(), formation))

    def prepare(self, problem: Problem) -> State:
        """The initial images and rate, and label logits averaged over the experts that classify them correctly.

        Raises:
            UserError: there is a single class, or the experts do not fit.
        """
        problem.check_several_classes(self.name)
        state = super().prepare(problem)
        start = problem.start
        of_pictures = initial_logits(problem, self._experts(problem), start.decoded())
        labels = of_pictures.unflatten(0, (len(start), -1)).mean(1).to(state["images"])
        return state | self.optimisers(self._settings(problem))["labels"].init("labels", labels)

    def step(self, problem: Problem, state: State, iteration: int) -> tuple[State, float]:
        """Match each student with an expert, and update pixels, labels and rate.

        Args:
            problem: the distillation problem.
            state: pixels, label logits, student learning rate and their optimiser state.
            iteration: index of this iteration, counted from 0.

        Returns:
            The next state, and the loss before this step.
        """
        settings, streams = self._settings(problem), problem.streams.child("iteration", iteration)
        match = self.matches(problem, settings, state, streams, settings.starts_at(iteration))
        if settings.loss_threshold and match.loss > settings.loss_threshold:
            return state, match.loss
        return self.moved(settings, state, match, iteration), match.loss


def right_ones(problem: Problem, file: WeightsFile, count: int, streams: Streams) -> Tensor:
    """Random images of each class that a fully trained expert classifies correctly.

    A class with too few such images is filled up with random others.

    Args:
        problem: the distillation problem, which provides the real images.
        file: weights of the expert; those of its last epoch are used.
        count: images per class.
        streams: random streams for the order of the images of each class.

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


def initial_logits(problem: Problem, files: list[WeightsFile], initial: SyntheticSet) -> Tensor:
    """For each image the mean logits over the experts that classify it correctly.

    If there is no such expert, the published program divides zero by zero; here the image's own class gets a logit of 4
    and the others 0.

    Args:
        problem: the distillation problem.
        files: weights of the experts; those of their last epochs are used.
        initial: the initial set of n images.

    Returns:
        float32 (n, classes).
    """
    labels = initial.hard_labels
    total = torch.zeros(len(initial), problem.class_count)
    experts_right = torch.zeros(len(initial), 1)
    for file in files:
        logits = _logits(problem, file, initial)
        right = (logits.argmax(1) == labels).float()[:, None]
        total += right * logits
        experts_right += right
    fallback = FALLBACK_LOGIT * F.one_hot(labels, problem.class_count).float()
    return torch.where(experts_right > 0, total / experts_right.clamp(min=1), fallback)


def _logits(problem: Problem, file: WeightsFile, images: Examples) -> Tensor:
    made = problem.cached(
        "the logits of experts", lambda: classifier(problem.build_network(torch.Generator()), problem.compute)
    )
    install(made.network, file.read(), file.path)
    return logits_of(made, images)
