"""What methods have in common that match training trajectories: students on synthetic images end where experts do."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, NamedTuple, Self

import torch
from torch import Tensor

from potstill.augmentation import siamese_augmentation
from potstill.engine.unrolling import Keep, UnrolledGradients, Unroller
from potstill.experts.manifest import check_experts
from potstill.methods.base import Method, Problem, State
from potstill.methods.state import start_images, with_images
from potstill.methods.trajectory.presets import MTT_ELSEWHERE, MTT_PRESETS, TrajectoryPreset, nearest
from potstill.networks.weights import WeightsFile, weight_files
from potstill.runtime.errors import Diverged, UserError, at_least
from potstill.runtime.streams import Streams
from potstill.synthetic import SyntheticSet


class Match(NamedTuple):
    """One comparison of a student with an expert.

    Attributes:
        loss: || theta_N - theta*_{t+M} ||² / || theta*_t - theta*_{t+M} ||², of the parameters that count.
        images: its gradient with respect to the synthetic images.
        labels: with respect to the labels; None where they are classes.
        rate: with respect to the student's learning rate.
    """

    loss: float
    images: Tensor
    labels: Tensor | None
    rate: Tensor


@dataclass(frozen=True, kw_only=True)
class TrajectoryMatching(Method):
    """The loss of Cazenavette et al. (CVPR 2022), its gradient, and the update of pixels and learning rate.

    Attributes:
        experts: a folder of potstill experts, of the same dataset and network, every epoch kept.
        student_steps: N: steps of the student on the synthetic images.
        expert_epochs: M: epochs of the expert that they are to be worth.
        latest_start: T+: the expert's epoch that the student begins with is drawn below it.
        student_batch: synthetic images a step; 0 takes all of them.
        learning_rate: of the pixels.
        momentum: of the updates of pixels and rate.
        rate_learning_rate: of the student's learning rate, which is learned too.
        initial_rate: that learning rate at first.
        augment: whether Siamese augmentation is on, one operation a step, parameters an image.
        keep: what is kept of the steps for the way back: all ``graphs``, the parameters of all ``steps``, or those of
            every √N-th (``roots``); less memory takes more time, the gradients are the same.
    """

    exact: ClassVar[bool] = True
    """Whether the gradient goes back from step to step, or looks at each step alone."""

    experts: str = ""
    student_steps: int | None = None
    expert_epochs: int | None = None
    latest_start: int | None = None
    student_batch: int | None = None
    learning_rate: float | None = None
    momentum: float = 0.5
    rate_learning_rate: float | None = None
    initial_rate: float | None = None
    augment: bool = True
    keep: Keep = "steps"

    def __post_init__(self) -> None:
        at_least(self, student_steps=1, expert_epochs=1, latest_start=1, student_batch=0, learning_rate=0, momentum=0)
        at_least(self, rate_learning_rate=0)
        if self.initial_rate is not None and not self.initial_rate > 0:
            raise UserError(f"a rate of {self.initial_rate} goes nowhere", "use an --initial-rate above 0")

    def default_iterations(self, images_per_class: int) -> int:
        """The published 5,000."""
        return 5_000

    def resolved(self, images_per_class: int, dataset: str = "") -> Self:
        """The same with the published settings for such a set where nothing else was asked for."""
        preset: TrajectoryPreset = nearest(MTT_PRESETS, dataset, images_per_class, MTT_ELSEWHERE)
        return self.filled(preset._asdict())

    def filled(self, preset: dict[str, float]) -> Self:
        """The same with what is None taken from ``preset``."""
        return replace(self, **{name: value for name, value in preset.items() if getattr(self, name) is None})

    def images_per_iteration(self, classes: int, images_per_class: int) -> int:
        """Those of all steps, which are gone through three times: there, and twice back."""
        batch = self.student_batch or classes * images_per_class
        return 3 * (self.student_steps or MTT_ELSEWHERE.student_steps) * min(batch, classes * images_per_class)

    def input_files(self) -> list[Path]:
        """The experts."""
        return weight_files(Path(self.experts)) if self.experts else []

    def prepare(self, problem: Problem) -> State:
        """What there is before the first iteration."""
        return self.resolved(problem.images_per_class, problem.dataset).begun(problem)

    def step(self, problem: Problem, state: State, iteration: int) -> tuple[State, float]:
        """Match one student with one expert, and move what is learned."""
        return self.resolved(problem.images_per_class, problem.dataset).matched(problem, state, iteration)

    def begun(self, problem: Problem) -> State:
        """``prepare`` of settings that are resolved: the start's pixels, and the first learning rate."""
        self._experts(problem)  # what does not fit is told before anything is begun
        images = start_images(problem)
        rate = torch.tensor(self.initial_rate, dtype=images.dtype, device=images.device)
        return {
            "images": images,
            "images.momentum": torch.zeros_like(images),
            "rate": rate,
            "rate.momentum": torch.zeros_like(rate),
        }

    def matched(self, problem: Problem, state: State, iteration: int) -> tuple[State, float]:
        """``step`` of settings that are resolved."""
        streams = problem.streams.child("iteration", iteration)
        labels = problem.start.labels.to(state["images"].device)
        match = self.match(problem, state, labels, streams, self.latest_start or 1)
        state = self.moved(state, "images", match.images, self.learning_rate or 0.0)
        return self.with_rate(state, match, iteration), match.loss

    def result(self, problem: Problem, state: State) -> SyntheticSet:
        """The start with its pixels replaced, and the rate to train on it with."""
        return replace(with_images(problem, state), step_size=state["rate"].detach().float().cpu())

    def match(
        self,
        problem: Problem,
        state: State,
        labels: Tensor,
        streams: Streams,
        latest_start: int,
        earliest_start: int = 0,
    ) -> Match:
        """Train a student from an expert's epoch on, and compare its end with where the expert was M epochs later.

        Args:
            problem: what is distilled.
            state: with images and rate.
            labels: int64 (N,), or probabilities (N, classes).
            streams: the randomness: expert, epoch, batches, augmentation.
            latest_start: the epoch is drawn below it,
            earliest_start: and from this one on.
        """
        files, unroller = self._experts(problem), self._unroller(problem)
        generator = streams.generator("start")
        number = int(torch.randint(len(files), (), generator=generator))
        epoch = int(torch.randint(earliest_start, latest_start, (), generator=generator))
        images, rate = state["images"].detach().requires_grad_(), state["rate"]
        start, target = (
            _parameters(problem, files[number], at, images) for at in (epoch, epoch + (self.expert_epochs or 1))
        )
        chosen = student_batches(len(images), self.student_batch or len(images), self.student_steps or 1, streams)
        chosen = [indices.to(images.device) for indices in chosen]
        augmented = [self._augmented(problem, images, indices, step, streams) for step, indices in enumerate(chosen)]
        batches = [(some.detach(), labels[indices]) for some, indices in zip(augmented, chosen, strict=True)]
        end, pullback = unroller.unroll(start, batches, [rate] * len(chosen))
        loss, back = self.distance(end, start, target)
        if not math.isfinite(loss) and _apart(start, target) == 0:
            raise UserError(
                f"{files[number].path} is the same after {epoch} and after {epoch + (self.expert_epochs or 1)} epochs",
                "train it again: it does not move, so nothing can be matched",
            )
        found = pullback(back, exact=self.exact)
        (of_images,) = torch.autograd.grad(augmented, images, found.images)
        return Match(loss, of_images, _gathered(found, chosen, labels), found.rates.sum())

    def distance(
        self, end: Sequence[Tensor], start: Sequence[Tensor], target: Sequence[Tensor]
    ) -> tuple[float, list[Tensor]]:
        """The loss of a student that ended at ``end``, and its gradient by ``end``."""
        return trajectory_distance(end, start, target)

    def moved(self, state: State, name: str, gradient: Tensor, learning_rate: float) -> State:
        """One step of SGD with momentum on what the state holds under ``name``."""
        velocity = self.momentum * state[f"{name}.momentum"] + gradient
        return {**state, name: state[name] - learning_rate * velocity, f"{name}.momentum": velocity}

    def with_rate(self, state: State, match: Match, iteration: int) -> State:
        """One step on the student's learning rate.

        Raises:
            Diverged: it left its range.
        """
        state = self.moved(state, "rate", match.rate, self.rate_learning_rate or 0.0)
        if state["rate"] <= 0:
            raise Diverged(
                f"at iteration {iteration + 1} the student's learning rate fell to {state['rate'].item():.3g}",
                f"use a smaller --rate-learning-rate than {self.rate_learning_rate}; the last good set is kept",
            )
        return state

    def _augmented(self, problem: Problem, images: Tensor, indices: Tensor, step: int, streams: Streams) -> Tensor:
        some = images[indices]
        if not self.augment:
            return some
        augmentation = siamese_augmentation(flips=problem.flips)
        generator = streams.generator("augmentation", step)
        return augmentation.apply(some, augmentation.draw(generator, len(some), one_operation=True))

    def _experts(self, problem: Problem) -> list[WeightsFile]:
        return problem.cached((self, "experts"), lambda: open_experts(self.experts, problem, self.last_epoch()))

    def last_epoch(self) -> int:
        """The last epoch of an expert that is looked at."""
        return (self.latest_start or 1) - 1 + (self.expert_epochs or 1)

    def _unroller(self, problem: Problem) -> Unroller:
        def make() -> Unroller:
            network = problem.build_network(problem.streams.generator("network"))
            return Unroller(network, problem.compute.precise, keep=self.keep)

        return problem.cached((self, "unroller"), make)


def trajectory_distance(
    end: Sequence[Tensor], start: Sequence[Tensor], target: Sequence[Tensor], counts: Tensor | None = None
) -> tuple[float, list[Tensor]]:
    """Equation 2 of Cazenavette et al.: || theta_N - theta*_{t+M} ||² / || theta*_t - theta*_{t+M} ||².

    Args:
        end: theta_N.
        start: theta*_t.
        target: theta*_{t+M}.
        counts: bool, one for each parameter in the order of the network: which of them count, in both norms.

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
    """The synthetic images of each step: batches of each new order of all, until there are enough."""
    batches: list[Tensor] = []
    while len(batches) < steps:
        order = torch.randperm(count, generator=streams.generator("order", len(batches)))
        batches += order.split(min(size, count))
    return batches[:steps]


def open_experts(folder: str, problem: Problem, last_epoch: int) -> list[WeightsFile]:
    """The experts in ``folder``, if they are those of the problem and were trained long enough.

    Raises:
        UserError: there are none, they are of something else (of what), too short, or one is damaged (which one).
    """
    if not folder:
        raise UserError(
            "this method matches experts, and none were named",
            f"make them with potstill experts --network {problem.network} --out FOLDER, then use --experts FOLDER",
        )
    check_experts(Path(folder), problem.network, problem.real, problem.dataset_fingerprint)
    files = [WeightsFile(path) for path in weight_files(Path(folder))]
    if not files:
        raise UserError(f"{folder} holds no experts", "train them with potstill experts --resume")
    for file in files:
        if file.epochs[0] != 0 or file.epochs[-1] < last_epoch:
            raise UserError(
                f"{file.path} has epochs {file.epochs[0]} to {file.epochs[-1]}, and 0 to {last_epoch} are matched",
                "use a smaller --latest-start or --expert-epochs, or experts of more epochs",
            )
    return files


def _parameters(problem: Problem, file: WeightsFile, epoch: int, like: Tensor) -> list[Tensor]:
    weights = file.read(epoch)
    names = problem.cached("parameter names", lambda: _names(problem))
    missing = [name for name in names if name not in weights]
    if missing:
        raise UserError(f"{file.path} has no {missing[0]}", "use experts of the network that is matched")
    return [weights[name].to(like) for name in names]


def _names(problem: Problem) -> list[str]:
    return [name for name, _ in problem.build_network(torch.Generator()).named_parameters()]


def _flat(tensors: Sequence[Tensor]) -> Tensor:
    return torch.cat([tensor.flatten() for tensor in tensors])


def _apart(one: Sequence[Tensor], other: Sequence[Tensor]) -> float:
    return (_flat(one) - _flat(other)).square().sum().item()


def _gathered(found: UnrolledGradients, chosen: Sequence[Tensor], labels: Tensor) -> Tensor | None:
    """The gradients of each step's labels, added up at the places that they were taken from."""
    if not labels.is_floating_point():
        return None
    total = torch.zeros_like(labels)
    for indices, gradient in zip(chosen, found.labels, strict=True):
        assert gradient is not None
        total[indices] += gradient
    return total
