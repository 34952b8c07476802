"""DD: dataset distillation by differentiating through training."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, NamedTuple, Self

import torch

from potstill.engine.chunked import ChunkedNetwork
from potstill.engine.unrolling import Keep, Unroller
from potstill.methods.base import Method, Start
from potstill.methods.citations import DATASET_DISTILLATION, Citation
from potstill.methods.problem import Problem
from potstill.methods.state import Adam, State, descend
from potstill.methods.unrolled import loss_on_real
from potstill.networks import InitialWeights, Scheme
from potstill.networks.weights import weight_files
from potstill.runtime.bounds import at_least, positive
from potstill.runtime.errors import UserError
from potstill.synthetic import POSITIVE, Replay, SyntheticSet, batch_indices

BETAS = (0.5, 0.999)
DECAY = 0.5


@dataclass(frozen=True, kw_only=True)
class DD(Method):
    """Dataset distillation: learn images and step sizes through a few unrolled training steps.

    Tongzhou Wang, Jun-Yan Zhu, Antonio Torralba and Alexei A. Efros, "Dataset Distillation", 2018 (arXiv:1811.10959).
    From initial weights theta_0, take S steps theta_{s+1} = theta_s - a_s * gradient of the cross-entropy on batch s of
    the synthetic images; then Adam updates the images and the rates a_s to reduce the cross-entropy of real images
    under theta_S. The set is optimised for exactly those steps, in that order and from such initial weights; the recipe
    ``replay`` runs them.

    Attributes:
        passes: passes over the batches: S = passes * batches.
        batches: number of batches that the images are divided into; None puts one image of each class in a batch.
        initial: initial weights of the network in each iteration: ``random``, one ``fixed`` draw, or pre-trained ones,
            given by a folder of potstill experts, or by one of its files for a single fixed network.
        scheme: initialisation of random and fixed weights: ``xavier`` as in the authors' program, or ``kaiming`` as in
            PyTorch.
        batch_real: real images per iteration, over all classes.
        learning_rate: learning rate of Adam, for images and rates.
        decay_every: number of iterations after which the learning rate is halved, repeatedly.
        initial_rate: initial value of the rates a_s.
        keep: what the backward pass keeps in memory: all ``graphs``, the parameters of all ``steps``, or those of every
            √S-th step (``roots``); less memory costs more time, the gradients are the same.
    """

    name: ClassVar[str] = "dd"
    citation: ClassVar[Citation] = DATASET_DISTILLATION
    default_start: ClassVar[Start] = "noise"

    passes: int = 3
    batches: int | None = None
    initial: str = "random"
    scheme: Scheme = "xavier"
    batch_real: int = 1024
    learning_rate: float = 0.01
    decay_every: int = 2_000
    initial_rate: float = 0.02
    keep: Keep = "steps"

    def __post_init__(self) -> None:
        at_least(self, passes=1, batches=1, batch_real=1, learning_rate=0, decay_every=1)
        positive(self, "initial_rate")

    def batches_of(self, images_per_class: int) -> int:
        """The number of batches in effect.

        Raises:
            UserError: the images of a class cannot be divided equally among the batches.
        """
        batches = images_per_class if self.batches is None else self.batches
        if images_per_class % batches:
            raise UserError(
                f"{images_per_class} images per class cannot be divided into {batches} equal batches",
                "use a value of `batches` that divides `ipc`",
            )
        return batches

    def resolved(self, images_per_class: int, dataset: str = "") -> Self:
        """A copy with the number of batches filled in."""
        return replace(self, batches=self.batches_of(images_per_class))

    def default_iterations(self, images_per_class: int) -> int:
        """20,000, about the paper's 400 epochs of MNIST."""
        return 20_000

    def images_per_iteration(self, classes: int, images_per_class: int) -> int:
        """The real images; the synthetic ones are few in comparison."""
        return self.batch_real

    def prepare(self, problem: Problem) -> State:
        """The initial pixels and equal rates; raises if the initial weights are missing or do not fit the network."""
        unused = problem.streams.generator("check")
        self._initial(problem).draw(problem.build_network(unused), unused)
        images, count = problem.start_images, self.passes * self.batches_of(problem.images_per_class)
        rates = POSITIVE.encode(torch.full((count,), self.initial_rate, dtype=images.dtype)).to(images.device)
        adam = self._optimiser(0)
        return adam.init("images", images) | adam.init("rates", rates)

    def step(self, problem: Problem, state: State, iteration: int) -> tuple[State, float]:
        """Train a network by the learned steps, and update images and rates by its loss on real images.

        Args:
            problem: the distillation problem.
            state: pixels, raw rates and their optimiser state.
            iteration: index of this iteration, counted from 0.

        Returns:
            The next state, and the loss before this step.
        """
        streams = problem.streams.child("iteration", iteration)
        unroller, chunked = self._tools(problem)
        self._initial(problem).draw(chunked.network, streams.generator("network"))
        images, labels = self.decoded(problem, state)
        rates = POSITIVE.decode(state["rates"])
        batches = self.batches_of(problem.images_per_class)
        indices = batch_indices(len(images), problem.class_count, batches).to(images.device)
        steps = [indices[step % batches] for step in range(len(rates))]
        start = [parameter.detach().clone() for parameter in chunked.network.parameters()]
        end, pullback = unroller.unroll(start, [(images[i], labels[i]) for i in steps], rates.unbind())
        loss, back = loss_on_real(problem, chunked, end, self.batch_real, streams.generator("real batch"))
        found = pullback(back)
        of_images = torch.zeros_like(images)
        for chosen, gradient in zip(steps, found.images, strict=True):
            of_images[chosen] += gradient
        gradients = self.pullback(problem, state, {"images": of_images})
        gradients["rates"] = POSITIVE.pullback(state["rates"], found.rates)
        adam = self._optimiser(iteration)
        return descend(state, gradients, {"images": adam, "rates": adam}, iteration), loss

    def result(self, problem: Problem, state: State) -> SyntheticSet:
        """The images, with the training steps that they were optimised for."""
        rates = POSITIVE.decode(state["rates"]).detach().float().cpu()
        batches = self.batches_of(problem.images_per_class)
        replay = Replay(rates=rates, batches=batches, initial=self._initial(problem))
        return replace(super().result(problem, state), replay=replay)

    def input_files(self) -> list[Path]:
        """The files of the pre-trained initial weights, if any."""
        if self.initial in ("random", "fixed"):
            return []
        source = Path(self.initial)
        return weight_files(source) if source.is_dir() else [source]

    def _optimiser(self, iteration: int) -> Adam:
        """Adam with the learning rate of this iteration."""
        return Adam(self.learning_rate * DECAY ** (iteration // self.decay_every), BETAS)

    def _initial(self, problem: Problem) -> InitialWeights:
        def make() -> InitialWeights:
            seed = problem.streams.derived_seed("fixed weights")
            return InitialWeights(source=self.initial, seed=seed, scheme=self.scheme)

        return problem.cached((self, "initial"), make)

    def _tools(self, problem: Problem) -> Tools:
        def make() -> Tools:
            network = problem.build_network(problem.streams.generator("network"))
            compute = problem.compute.precise
            return Tools(Unroller(network, compute, keep=self.keep), ChunkedNetwork(network, compute))

        return problem.cached(self, make)


class Tools(NamedTuple):
    """The unroller, which runs the steps forward and backward, and the network for the loss at their end."""

    unroller: Unroller
    chunked: ChunkedNetwork
