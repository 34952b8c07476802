"""Linear gradient matching, for frozen features: match the gradients of linear heads."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from potstill.data import LabeledImages
from potstill.methods.base import Method, Start
from potstill.methods.citations import Citation
from potstill.methods.problem import Problem
from potstill.methods.state import Adam, State, descend
from potstill.networks import checked_spec
from potstill.runtime.bounds import at_least, check_memory
from potstill.runtime.errors import UserError
from potstill.runtime.streams import Streams

SPACING = 3
"""One in so many heads of a training is kept: neighbouring ones have much the same gradient."""

EIGENVALUE_ROWS, EIGENVALUE_STEPS = 4096, 20
"""How many vectors the largest eigenvalue is estimated from, and steps of the power iteration."""

HEADS_AT_ONCE = 16
"""Of how many heads gradients are computed at a time."""

BLOCK_VALUES = 2**24
"""The most numbers of real vectors, and of their logits, that are in memory at once: 64 MB in float32."""


@dataclass(frozen=True, kw_only=True)
class LinearGradient(Method):
    """Linear gradient matching: a linear head should get the same gradient from the set as from real vectors.

    George Cazenavette, Antonio Torralba and Vincent Sitzmann, "Dataset Distillation for Pre-Trained Self-Supervised
    Vision Models", NeurIPS 2025 (arXiv:2511.16674). Each iteration draws a random head W and descends
    1 - cos(vec dL_real/dW, vec dL_set/dW), L the mean cross-entropy. The paper learns images, which a frozen network
    turns into features; here the features themselves are learned, so that an iteration is a few products of matrices.
    Heads have no bias.

    Under random heads both gradients are, to first order, differences of class means, so that little is gained over
    these. With ``heads=trained``, which is not in the paper, heads are taken from trainings on the real vectors, and
    the gradients are those of all of them.

    Attributes:
        heads: ``random`` draws a new head in each iteration, as published; ``trained`` takes several from a pool of
            heads that were trained on the real vectors.
        batch_real: real vectors in an iteration, or in a training step of a head, drawn from all classes together.
        head_scale: standard deviation of the logits of a random head, if all features vary alike.
        trainings: with ``trained``, the number of trainings.
        head_steps: with ``trained``, the steps of each training; every third head is kept.
        head_learning_rate: with ``trained``, the learning rate of the heads, as a multiple of 1 / lambda, lambda the
            largest eigenvalue of the mean of x xᵀ over real vectors x: one value suits vectors of any length. A larger
            one reaches better heads, which take more vectors to match.
        heads_per_iteration: with ``trained``, the heads of an iteration.
        learning_rate: step size of Adam for the vectors, in normalised units.
    """

    name: ClassVar[str] = "linear-gradient"
    citation: ClassVar[Citation] = Citation(
        title="Dataset Distillation for Pre-Trained Self-Supervised Vision Models",
        authors="Cazenavette, George and Torralba, Antonio and Sitzmann, Vincent",
        venue="Advances in Neural Information Processing Systems (NeurIPS)",
        year=2025,
        url="https://arxiv.org/abs/2511.16674",
        key="cazenavette2025linear",
    )
    default_start: ClassVar[Start] = "k-means"
    default_network: ClassVar[str] = "linear"

    heads: Literal["random", "trained"] = "random"
    batch_real: int = 1024
    head_scale: float = 1.0
    trainings: int = 10
    head_steps: int = 60
    head_learning_rate: float = 8.0
    heads_per_iteration: int = 8
    learning_rate: float = 0.02

    def __post_init__(self) -> None:
        at_least(self, batch_real=1, head_scale=0, trainings=1, head_steps=1, head_learning_rate=0)
        at_least(self, heads_per_iteration=1, learning_rate=0)

    def default_iterations(self, images_per_class: int) -> int:
        """2,000, after which the sets of our records hardly improve; the length of the paper's runs is another."""
        return 2_000

    def prepare(self, problem: Problem) -> State:
        """The initial vectors and their optimiser state.

        Raises:
            UserError: there is a single class, the network is not a linear one, or the pool does not fit in memory.
        """
        problem.check_several_classes(self.name)
        if checked_spec(problem.network)[0] != "linear":
            raise UserError(f"{self.name} matches linear heads, not {problem.network}", "use `network=linear`")
        if self.heads == "trained":
            self._pool(problem)
        return self._optimiser.init("images", problem.start_images)

    def step(self, problem: Problem, state: State, iteration: int) -> tuple[State, Tensor]:
        """Match the gradients of one random head, or of some trained ones.

        Args:
            problem: the distillation problem.
            state: the vectors and their optimiser state.
            iteration: index of this iteration, counted from 0.

        Returns:
            The next state, and the mean loss of the heads before this step.
        """
        streams = problem.streams.child("iteration", iteration)
        matched = self._trained(problem, streams) if self.heads == "trained" else self._random(problem, streams)
        images, labels = self.decoded(problem, state)
        vectors = images.detach().flatten(1).requires_grad_()
        targets = labels if labels.is_floating_point() else F.one_hot(labels, problem.class_count)
        with torch.enable_grad():
            ours = head_gradients(matched.heads, vectors, targets)
            loss = (1 - F.cosine_similarity(ours.flatten(1), matched.gradients.flatten(1))).mean()
        (gradient,) = torch.autograd.grad(loss, vectors)
        gradients = self.pullback(problem, state, {"images": gradient.reshape(images.shape)})
        return descend(state, gradients, {"images": self._optimiser}, iteration), loss.detach()

    @property
    def _optimiser(self) -> Adam:
        return Adam(self.learning_rate)

    def _random(self, problem: Problem, streams: Streams) -> Heads:
        """A random head, and its gradient on a batch of real vectors."""
        head = self._drawn(problem, streams.generator("head"))
        return Heads(head, head_gradients(head, *self._batch(problem, streams.generator("real batch"))))

    def _trained(self, problem: Problem, streams: Streams) -> Heads:
        """Some heads of the pool, and their gradients on all real vectors."""
        pool = self._pool(problem)
        chosen = torch.randint(len(pool.heads), (self.heads_per_iteration,), generator=streams.generator("heads"))
        chosen = chosen.to(pool.heads.device, non_blocking=True)
        return Heads(pool.heads[chosen], pool.gradients[chosen])

    def _pool(self, problem: Problem) -> Heads:
        """The trained heads with their gradients, made on the first call."""
        return problem.cached((self, "pool"), lambda: self._make_pool(problem))

    def _make_pool(self, problem: Problem) -> Heads:
        kept = self.trainings * -(-self.head_steps // SPACING)
        size = kept * problem.class_count * math.prod(problem.real.shape)
        itemsize = problem.start_images.itemsize
        check_memory(f"{kept} heads with their gradients", 3 * itemsize * size, "use fewer `trainings` or `head_steps`")
        rate = self.head_learning_rate / self._largest_eigenvalue(problem)
        heads, count = problem.start_images.new_empty(kept, problem.class_count, math.prod(problem.real.shape)), 0
        for number in range(self.trainings):
            problem.progress(f"training head {number + 1} of {self.trainings}")
            streams = problem.streams.child("pool", number)
            head = self._drawn(problem, streams.generator("head"))
            for step in range(self.head_steps):
                if step % SPACING == 0:
                    heads[count] = head[0]
                    count += 1
                batch = self._batch(problem, streams.generator("real batch", step))
                head = head - rate * head_gradients(head, *batch)
        return Heads(heads, gradients_on_all(heads, problem.real))

    def _largest_eigenvalue(self, problem: Problem) -> float:
        """The largest eigenvalue of the mean of x xᵀ over some real vectors x, by power iteration."""
        streams = problem.streams.child("pool")
        chosen = torch.randperm(len(problem.real), generator=streams.generator("eigenvalue"))[:EIGENVALUE_ROWS]
        vectors = problem.real.normalised(chosen).flatten(1).to(problem.start_images.dtype)
        direction = torch.randn(vectors.shape[1], generator=streams.generator("direction")).to(vectors)
        for _ in range(EIGENVALUE_STEPS):
            direction = vectors.T @ (vectors @ direction)
            direction = direction / direction.norm().clamp_min(torch.finfo(direction.dtype).tiny)
        return max((vectors @ direction).square().mean().item(), torch.finfo(vectors.dtype).tiny)

    def _drawn(self, problem: Problem, generator: torch.Generator) -> Tensor:
        """A random head (1, classes, D) on the device."""
        size = math.prod(problem.real.shape)
        head = torch.randn(1, problem.class_count, size, generator=generator) * (self.head_scale / size**0.5)
        return head.to(problem.start_images)

    def _batch(self, problem: Problem, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Some real vectors (n, D), and their classes as one-hot vectors (n, classes)."""
        real = problem.real
        chosen = torch.randint(len(real), (min(self.batch_real, len(real)),), generator=generator)
        targets = F.one_hot(real.labels[chosen.to(real.device, non_blocking=True)], problem.class_count)
        return real.normalised(chosen).flatten(1).to(problem.start_images.dtype), targets


class Heads(NamedTuple):
    """Linear heads W (n, classes, D), and the gradient of the cross-entropy of real vectors in each, of that shape."""

    heads: Tensor
    gradients: Tensor


def head_gradients(heads: Tensor, vectors: Tensor, targets: Tensor) -> Tensor:
    """The gradients of the mean cross-entropy in linear heads: (softmax(X Wᵀ) - Y)ᵀ X / n.

    Args:
        heads: W, (heads, classes, D).
        vectors: X, (n, D).
        targets: Y, (n, classes), one-hot vectors or probabilities.

    Returns:
        (heads, classes, D).
    """
    probabilities = torch.einsum("hcd,nd->hnc", heads, vectors).softmax(2)
    return torch.einsum("hnc,nd->hcd", probabilities - targets.to(vectors.dtype), vectors) / len(vectors)


def gradients_on_all(heads: Tensor, real: LabeledImages) -> Tensor:
    """The gradients of the mean cross-entropy of all real vectors, which are gone through once.

    Args:
        heads: (heads, classes, D).
        real: the vectors, or images that are taken as vectors.

    Returns:
        (heads, classes, D).
    """
    total = torch.zeros_like(heads)
    rows = max(BLOCK_VALUES // max(HEADS_AT_ONCE * heads.shape[1], heads.shape[2]), 1)
    for first in range(0, len(real), rows):
        part = slice(first, first + rows)
        vectors = real.normalised(part).flatten(1).to(heads.dtype)
        targets, share = F.one_hot(real.labels[part], heads.shape[1]), len(vectors) / len(real)
        for some, sum_of_some in zip(heads.split(HEADS_AT_ONCE), total.split(HEADS_AT_ONCE), strict=True):
            sum_of_some.add_(head_gradients(some, vectors, targets), alpha=share)
    return total
