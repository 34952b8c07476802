"""LD: label distillation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
import torch.nn.functional as F

from potstill.engine.chunked import ChunkedNetwork
from potstill.engine.unrolling import Unroller
from potstill.methods.base import Method
from potstill.methods.citations import Citation
from potstill.methods.inner_network import InnerNetwork
from potstill.methods.problem import Problem
from potstill.methods.state import Adam, State, descend
from potstill.methods.unrolled import loss_on_real
from potstill.runtime.bounds import at_least, below_one, positive
from potstill.synthetic import SOFTMAX, Parametrisation


@dataclass(frozen=True, kw_only=True)
class LD(Method):
    """Label distillation: learn soft labels for fixed images, real or noise.

    Ondrej Bohdal, Yongxin Yang and Timothy Hospedales, "Flexible Dataset Distillation: Learn Labels Instead of Images",
    2020 (arXiv:2006.08572). A network takes a few steps of gradient descent on the images with the current labels.
    Adam then updates the labels, by differentiating through those steps, to reduce the network's cross-entropy on real
    images. The network continues from there and is re-initialised after ``network_iterations`` such iterations. Labels
    remain probabilities because the softmax of learned logits is used; the paper's program renormalises them after each
    step instead.

    Attributes:
        batch_real: real images per iteration, over all classes.
        learning_rate: learning rate of Adam, for the label logits.
        inner_steps: training steps of the network per iteration, each on all images. One or two are too short-sighted:
            labels then become too uncertain for networks that are trained to convergence.
        inner_rate: learning rate of those steps.
        network_iterations: iterations before the network is re-initialised.
        certainty: probability of an image's own class in the initial labels.
    """

    name: ClassVar[str] = "ld"
    citation: ClassVar[Citation] = Citation(
        title="Flexible Dataset Distillation: Learn Labels Instead of Images",
        authors="Bohdal, Ondrej and Yang, Yongxin and Hospedales, Timothy",
        venue="Workshop on Meta-Learning at NeurIPS",
        year=2020,
        url="https://arxiv.org/abs/2006.08572",
        key="bohdal2020ld",
    )

    batch_real: int = 1024
    learning_rate: float = 0.02
    inner_steps: int = 10
    inner_rate: float = 0.1
    network_iterations: int = 20
    certainty: float = 0.9

    def __post_init__(self) -> None:
        at_least(self, batch_real=1, learning_rate=0, inner_rate=0, inner_steps=1, network_iterations=1)
        positive(self, "certainty")
        below_one(self, "certainty")

    def default_iterations(self, images_per_class: int) -> int:
        """100 networks times the iterations of each."""
        return 100 * self.network_iterations

    def images_per_iteration(self, classes: int, images_per_class: int) -> int:
        """The real images, plus the synthetic ones three times per step: once forward and twice backward."""
        return self.batch_real + 3 * self.inner_steps * classes * images_per_class

    @property
    def parametrisation(self) -> Parametrisation:
        """Fixed images, and labels as the softmax of learned logits."""
        return Parametrisation(images=None, labels=SOFTMAX)

    def prepare(self, problem: Problem) -> State:
        """The initial label logits, given by ``certainty``, and the network's parameters.

        Raises:
            UserError: there is a single class.
        """
        problem.check_several_classes(self.name)
        classes = problem.class_count
        others = (1 - self.certainty) / (classes - 1)
        hard = F.one_hot(problem.start.hard_labels, classes).to(problem.start_images)
        raw = SOFTMAX.encode(others + (self.certainty - others) * hard)
        return self._optimiser.init("labels", raw) | self._tools(problem).network.stored()

    def step(self, problem: Problem, state: State, iteration: int) -> tuple[State, float]:
        """Train the network for a few steps, and update the labels by its loss on real images.

        Args:
            problem: the distillation problem.
            state: label logits, optimiser state and network parameters.
            iteration: index of this iteration, counted from 0.

        Returns:
            The next state, and the loss before this step.
        """
        streams = problem.streams.child("iteration", iteration)
        unroller, network = self._tools(problem)
        if iteration % self.network_iterations == 0:
            network.redraw(streams.generator("network"))
        else:
            network.restore(state)
        images, labels = self.decoded(problem, state)
        rates = [torch.tensor(self.inner_rate, dtype=labels.dtype, device=labels.device)] * self.inner_steps
        start = [parameter.detach().clone() for parameter in network.weights.parameters]
        end, pullback = unroller.unroll(start, [(images, labels)] * self.inner_steps, rates)
        generator = streams.generator("real batch")
        loss, back = loss_on_real(problem, network.chunked, end, self.batch_real, generator)
        of_labels = torch.stack([gradient for gradient in pullback(back).labels if gradient is not None]).sum(0)
        gradients = self.pullback(problem, state, {"labels": of_labels})
        return descend(state, gradients, {"labels": self._optimiser}, iteration) | network.stored(), loss

    @property
    def _optimiser(self) -> Adam:
        return Adam(self.learning_rate)

    def _tools(self, problem: Problem) -> Tools:
        def make() -> Tools:
            network = problem.build_network(problem.streams.generator("network"))
            compute = problem.compute.precise
            return Tools(Unroller(network, compute), InnerNetwork(ChunkedNetwork(network, compute)))

        return problem.cached(self, make)


class Tools(NamedTuple):
    """The unroller, which runs the steps forward and backward, and the network that is kept between iterations."""

    unroller: Unroller
    network: InnerNetwork
