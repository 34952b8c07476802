"""Trajectory matching: training a student on synthetic images should end where experts on real images do."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import ClassVar, Generic, NamedTuple, Self, TypeVar

import torch
from torch import Tensor

from potstill.augmentation import siamese_augmentation
from potstill.engine.unrolling import Keep, UnrolledGradients, Unroller
from potstill.methods.base import Method
from potstill.methods.pixel_descent import ADAM_LEARNING_RATE, OptimiserName, pixel_optimiser
from potstill.methods.problem import Problem
from potstill.methods.state import SGD, Optimiser, State, descend
from potstill.networks.weights import WeightsFile, weight_files
from potstill.runtime.bounds import at_least, below_one, positive
from potstill.runtime.errors import Diverged, UserError
from potstill.runtime.streams import Streams
from potstill.synthetic import SyntheticSet

T = TypeVar("T")


@dataclass(frozen=True)
class TrajectoryPreset:
    """The settings of Cazenavette et al. (CVPR 2022, appendix) for a dataset and a number of images per class.

    Attributes:
        student_steps: N, training steps of the student.
        expert_epochs: M, epochs of the expert to match.
        latest_start: T+, exclusive upper bound of the start epoch.
        learning_rate: step size for the synthetic pixels.
        rate_learning_rate: step size for the student's learning rate.
        initial_rate: initial value of the student's learning rate.
        student_batch: synthetic images per student step; 0 uses all of them.
    """

    student_steps: int
    expert_epochs: int
    latest_start: int
    learning_rate: float
    rate_learning_rate: float = field(default=1e-5, kw_only=True)
    initial_rate: float = field(default=0.01, kw_only=True)
    student_batch: int = field(default=0, kw_only=True)

    @property
    def last_epoch(self) -> int:
        """The last epoch of an expert that may be used."""
        return self.latest_start - 1 + self.expert_epochs

    def batch_of(self, images: int) -> int:
        """Images per student step, for a synthetic set of ``images`` images."""
        return min(self.student_batch, images) if self.student_batch else images


P = TypeVar("P", bound=TrajectoryPreset)


class Match(NamedTuple):
    """The result of comparing a student with an expert.

    Attributes:
        loss: || theta_N - theta*_{t+M} ||² / || theta*_t - theta*_{t+M} ||², over the parameters that are matched.
        gradients: gradients of the loss with respect to the state's ``images`` and, if they are learned, ``labels``.
        rate: gradient of the loss with respect to the student's learning rate.
    """

    loss: float
    gradients: dict[str, Tensor]
    rate: Tensor


@dataclass(frozen=True, kw_only=True)
class TrajectoryMatching(Method, Generic[P]):
    """The loss of Cazenavette et al. (CVPR 2022), its gradient, and the update of pixels and learning rate.

    Settings that are None take the published values for the dataset and the images per class.

    Attributes:
        experts: folder of potstill experts of the same dataset and network, with every epoch kept.
        student_steps: N, training steps of the student on the synthetic images.
        expert_epochs: M, epochs of the expert that these steps should reproduce.
        latest_start: T+, exclusive upper bound of the expert epoch from which the student starts.
        student_batch: synthetic images per student step; 0 uses all of them.
        segments: students per iteration, each beside M epochs of an expert of its own; their gradients are averaged.
            One, as published; ranks share several.
        optimiser: optimiser of the pixels: ``sgd`` as published, or ``adam``, whose steps do not depend on the scale of
            the loss.
        learning_rate: step size for the synthetic pixels; None uses the published one with ``sgd``, 0.05 with ``adam``.
        momentum: momentum of the SGD updates of pixels and student learning rate.
        rate_learning_rate: step size for the student's learning rate, which is learned too.
        initial_rate: initial value of the student's learning rate.
        augment: apply Siamese augmentation: one operation per step, with parameters drawn for each image.
        keep: what the backward pass keeps in memory: all ``graphs``, the parameters of all ``steps``, or those of every
            √N-th step (``roots``); less memory costs more time, the gradients are the same.
    """

    exact: ClassVar[bool] = True
    """Whether the gradient is propagated through all steps, or treats each step separately."""

    experts: str = ""
    student_steps: int | None = None
    expert_epochs: int | None = None
    latest_start: int | None = None
    student_batch: int | None = None
    segments: int = 1
    optimiser: OptimiserName = "sgd"
    learning_rate: float | None = None
    momentum: float = 0.5
    rate_learning_rate: float | None = None
    initial_rate: float | None = None
    augment: bool = True
    keep: Keep = "steps"

    def __post_init__(self) -> None:
        at_least(self, student_steps=1, expert_epochs=1, latest_start=1, student_batch=0, learning_rate=0)
        at_least(self, segments=1, rate_learning_rate=0)
        below_one(self, "momentum")
        positive(self, "initial_rate")

    def default_iterations(self, images_per_class: int) -> int:
        """5,000, as published."""
        return 5_000

    @abstractmethod
    def published(self, images_per_class: int, dataset: str) -> P:
        """The published settings for this dataset and set size, or sensible ones if none are published."""

    def settled(self, images_per_class: int, dataset: str = "") -> P:
        """The settings in effect: those of the method, with the published ones in place of None."""
        published = self.published(images_per_class, dataset)
        if self.optimiser == "adam":
            published = replace(published, learning_rate=ADAM_LEARNING_RATE)
        asked = {each.name: getattr(self, each.name) for each in fields(published)}
        return replace(published, **{name: value for name, value in asked.items() if value is not None})

    def resolved(self, images_per_class: int, dataset: str = "") -> Self:
        """A copy with every setting filled in."""
        return replace(self, **asdict(self.settled(images_per_class, dataset)))

    def images_per_iteration(self, classes: int, images_per_class: int) -> int:
        """The images of all steps, three times each: once forward and twice backward."""
        settings = self.settled(images_per_class)
        return 3 * self.segments * settings.student_steps * settings.batch_of(classes * images_per_class)

    def parts_of_iteration(self, classes: int) -> int:
        """Each student is a part."""
        return self.segments

    def input_files(self) -> list[Path]:
        """The files of the experts."""
        return weight_files(Path(self.experts)) if self.experts else []

    def prepare(self, problem: Problem) -> State:
        """The initial pixels and the initial student learning rate."""
        self._experts(problem)  # raises if they do not fit, before any work is done
        settings, images = self._settings(problem), problem.start_images
        rate = torch.tensor(settings.initial_rate, dtype=images.dtype, device=images.device)
        optimisers = self.optimisers(settings)
        return optimisers["images"].init("images", images) | optimisers["rate"].init("rate", rate)

    def step(self, problem: Problem, state: State, iteration: int) -> tuple[State, float]:
        """Match each student with an expert, and update everything that is learned.

        Args:
            problem: the distillation problem.
            state: pixels, student learning rate and their optimiser state.
            iteration: index of this iteration, counted from 0.

        Returns:
            The next state, and the loss before this step.
        """
        settings, streams = self._settings(problem), problem.streams.child("iteration", iteration)
        match = self.matches(problem, settings, state, streams, range(settings.latest_start))
        return self.moved(settings, state, match, iteration), match.loss

    def result(self, problem: Problem, state: State) -> SyntheticSet:
        """The set with its learned parts, and the learned rate for training on it."""
        return replace(super().result(problem, state), step_size=state["rate"].detach().float().cpu())

    def optimisers(self, settings: P) -> dict[str, Optimiser]:
        """The optimiser of each learned tensor, by its name in the state."""
        return {
            "images": pixel_optimiser(self.optimiser, settings.learning_rate, self.momentum),
            "rate": SGD(settings.rate_learning_rate, self.momentum),
        }

    def matches(self, problem: Problem, settings: P, state: State, streams: Streams, starts: range) -> Match:
        """The mean over all students of an iteration, of which each rank trains some; see ``match``."""
        if self.segments == 1:
            return self.match(problem, settings, state, streams, starts)
        share = range(self.segments)[problem.ranks.share(self.segments)]
        ours = [self.match(problem, settings, state, streams.child("segment", part), starts) for part in share]

        def mean(tensors: list[Tensor]) -> Tensor:
            return problem.ranks.gathered(torch.stack(tensors), self.segments).mean(0)

        return Match(
            loss=mean([match.rate.new_tensor(match.loss) for match in ours]).item(),
            gradients={name: mean([match.gradients[name] for match in ours]) for name in ours[0].gradients},
            rate=mean([match.rate for match in ours]),
        )

    def match(self, problem: Problem, settings: P, state: State, streams: Streams, starts: range) -> Match:
        """Train a student from an epoch of an expert, and compare its end with the expert M epochs later.

        Args:
            problem: the distillation problem.
            settings: the settings in effect.
            state: the current state, with images and rate.
            streams: random streams of this iteration, for expert, start epoch, batches and augmentation.
            starts: range from which the start epoch is drawn.

        Returns:
            The loss and its gradients.

        Raises:
            UserError: the expert did not change between the two epochs, so the loss is undefined.
        """
        files, unroller = self._experts(problem), self._unroller(problem)
        generator = streams.generator("start")
        file = files[int(torch.randint(len(files), (), generator=generator))]
        epoch = int(torch.randint(starts.start, starts.stop, (), generator=generator))
        images, labels = self.decoded(problem, state)
        images, rate = images.detach().requires_grad_(), state["rate"]
        start, target = (_parameters(problem, file, at, images) for at in (epoch, epoch + settings.expert_epochs))
        chosen = student_batches(len(images), settings.batch_of(len(images)), settings.student_steps, streams)
        chosen = [indices.to(images.device) for indices in chosen]
        augmented = [self._augmented(problem, images, indices, step, streams) for step, indices in enumerate(chosen)]
        batches = [(some.detach(), labels[indices]) for some, indices in zip(augmented, chosen, strict=True)]
        end, pullback = unroller.unroll(start, batches, [rate] * len(chosen))
        loss, back = self.distance(problem, end, start, target)
        if not math.isfinite(loss) and _apart(start, target) == 0:
            raise UserError(
                f"the weights in {file.path} are the same after {epoch} and {epoch + settings.expert_epochs} epochs",
                "train this expert again: without a change in its weights there is nothing to match",
            )
        found = pullback(back, exact=self.exact)
        (of_images,) = torch.autograd.grad(augmented, images, found.images)
        gradients = {"images": of_images}
        if labels.is_floating_point():
            gradients["labels"] = _gathered(found, chosen, labels)
        return Match(loss, self.pullback(problem, state, gradients), found.rates.sum())

    def distance(
        self, problem: Problem, end: Sequence[Tensor], start: Sequence[Tensor], target: Sequence[Tensor]
    ) -> tuple[float, list[Tensor]]:
        """The loss of a student that ended at ``end``, and its gradient with respect to ``end``.

        Args:
            problem: the distillation problem.
            end: theta_N, one tensor per parameter.
            start: theta*_t, likewise.
            target: theta*_{t+M}, likewise.

        Returns:
            The loss, and its gradient with respect to each tensor of ``end``.
        """
        return trajectory_distance(end, start, target)

    def moved(self, settings: P, state: State, match: Match, iteration: int) -> State:
        """One optimiser step on everything that is learned.

        Args:
            settings: the settings in effect.
            state: the current state; it is not modified.
            match: the gradients.
            iteration: number of steps taken before.

        Returns:
            The next state.

        Raises:
            Diverged: the student's learning rate is no longer positive.
        """
        state = descend(state, {**match.gradients, "rate": match.rate}, self.optimisers(settings), iteration)
        if state["rate"] <= 0:
            raise Diverged(
                f"at iteration {iteration + 1} the student's learning rate fell to {state['rate'].item():.3g}",
                f"use a smaller `rate_learning_rate` than {settings.rate_learning_rate}; the last good set is kept",
            )
        return state

    def _settings(self, problem: Problem) -> P:
        return self.settled(problem.images_per_class, problem.dataset)

    def _augmented(self, problem: Problem, images: Tensor, indices: Tensor, step: int, streams: Streams) -> Tensor:
        some = images[indices]
        if not self.augment:
            return some
        augmentation = siamese_augmentation(flips=problem.flips)
        generator = streams.generator("augmentation", step)
        return augmentation.apply(some, augmentation.draw(generator, len(some), one_operation=True))

    def _experts(self, problem: Problem) -> list[WeightsFile]:
        def make() -> list[WeightsFile]:
            return problem.experts(self.experts, range(self._settings(problem).last_epoch + 1))

        return problem.cached((self, "experts"), make)

    def _unroller(self, problem: Problem) -> Unroller:
        def make() -> Unroller:
            network = problem.build_network(problem.streams.generator("network"))
            return Unroller(network, problem.compute.precise, keep=self.keep)

        return problem.cached((self, "unroller"), make)


def nearest(presets: Mapping[str, Mapping[int, T]], dataset: str, images_per_class: int, elsewhere: T) -> T:
    """The preset of a dataset whose number of images per class is nearest to the given one, by their ratio.

    Args:
        presets: presets by dataset and images per class.
        dataset: name of the dataset.
        images_per_class: synthetic images per class.
        elsewhere: the preset for datasets without published presets.
    """
    known = presets.get(dataset)
    if known is None:
        return elsewhere
    ratio = {ipc: max(ipc, images_per_class) / min(ipc, images_per_class) for ipc in known}
    return known[min(ratio, key=ratio.__getitem__)]


def trajectory_distance(
    end: Sequence[Tensor], start: Sequence[Tensor], target: Sequence[Tensor], counts: Tensor | None = None
) -> tuple[float, list[Tensor]]:
    """Equation 2 of Cazenavette et al.: || theta_N - theta*_{t+M} ||² / || theta*_t - theta*_{t+M} ||².

    Args:
        end: theta_N, one tensor per parameter.
        start: theta*_t, likewise.
        target: theta*_{t+M}, likewise.
        counts: bool (P,), which of the P scalar parameters, in the order of the network, enter both norms;
            None for all.

    Returns:
        The loss, and its gradient with respect to each tensor of ``end``.
    """
    apart, whole = (_flat(one) - _flat(target) for one in (end, start))
    if counts is not None:
        apart, whole = apart * counts, whole * counts
    scale = whole.square().sum()
    gradient = 2 * apart / scale
    parts = gradient.split([tensor.numel() for tensor in end])
    shaped = [part.reshape(tensor.shape) for part, tensor in zip(parts, end, strict=True)]
    return (apart.square().sum() / scale).item(), shaped


def student_batches(count: int, size: int, steps: int, streams: Streams) -> list[Tensor]:
    """The indices of the synthetic images of each student step: epochs of batches in random order.

    Args:
        count: number of synthetic images.
        size: images per batch, at most ``count``; the last batch of an epoch may be smaller.
        steps: number of batches.
        streams: random streams for the order of each epoch.

    Returns:
        ``steps`` tensors int64 (n,) with n <= ``size``.
    """
    batches: list[Tensor] = []
    while len(batches) < steps:
        order = torch.randperm(count, generator=streams.generator("order", len(batches)))
        batches += order.split(min(size, count))
    return batches[:steps]


def _parameters(problem: Problem, file: WeightsFile, epoch: int, like: Tensor) -> list[Tensor]:
    weights = file.read(epoch)
    names = problem.cached("parameter names", lambda: _names(problem))
    missing = [name for name in names if name not in weights]
    if missing:
        raise UserError(f"{file.path} has no parameter {missing[0]}", "use experts of the same network")
    return [weights[name].to(like) for name in names]


def _names(problem: Problem) -> list[str]:
    return [name for name, _ in problem.build_network(torch.Generator()).named_parameters()]


def _flat(tensors: Sequence[Tensor]) -> Tensor:
    return torch.cat([tensor.flatten() for tensor in tensors])


def _apart(one: Sequence[Tensor], other: Sequence[Tensor]) -> float:
    return (_flat(one) - _flat(other)).square().sum().item()


def _gathered(found: UnrolledGradients, chosen: Sequence[Tensor], labels: Tensor) -> Tensor:
    """The gradient with respect to all labels: the gradients of each step, summed at their indices."""
    total = torch.zeros_like(labels)
    for indices, gradient in zip(chosen, found.labels, strict=True):
        if gradient is not None:
            total[indices] += gradient
    return total
