"""LD: label distillation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
import torch.nn.functional as F

from potstill.engine.chunked import ChunkedNetwork
from potstill.engine.unrolling import Unroller
from potstill.methods.base import Method, Problem
from potstill.methods.citations import Citation
from potstill.methods.inner_network import InnerNetwork
from potstill.methods.state import Adam, State, descend
from potstill.methods.unrolled import loss_on_real
from potstill.runtime.errors import UserError, at_least
from potstill.synthetic import SOFTMAX, Parametrisation


@dataclass(frozen=True, kw_only=True)
class LD(Method):
    """Label distillation: the images stay as they are, real or noise, and their labels are learned.

    Ondrej Bohdal, Yongxin Yang and Timothy Hospedales, "Flexible Dataset Distillation: Learn Labels Instead of Images",
    2020 (arXiv:2006.08572). A network takes a few steps of gradient descent on the images with the labels as they are,
    and the labels descend, by Adam, through those steps on the network's cross-entropy of real images. Then the network
    goes on from there; after ``network_iterations`` such iterations a new one is drawn. Labels stay probabilities, as
    the softmax of what is moved, where the paper's program renormalises them after each step.

    Attributes:
        batch_real: real images at an iteration, of all classes together.
        learning_rate: of Adam, for the labels before their softmax.
        inner_steps: steps of the network an iteration, on all images. One or two do not look far enough ahead: labels
            then grow too uncertain for networks that are trained to the end.
        inner_rate: of each of those steps.
        network_iterations: iterations that a network lives.
        certainty: the probability of an image's own class in the labels that are begun with.
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
        at_least(self, batch_real=1, learning_rate=0, inner_rate=0)
        if self.inner_steps < 1 or self.network_iterations < 1:
            raise UserError("no step would be taken", "use --inner-steps and --network-iterations of 1 or more")
        if not 0 < self.certainty < 1:
            raise UserError(f"a certainty of {self.certainty} leaves nothing to learn", "use one between 0 and 1")

    def default_iterations(self, images_per_class: int) -> int:
        """A hundred networks."""
        return 100 * self.network_iterations

    def images_per_iteration(self, classes: int, images_per_class: int) -> int:
        """The real images, and the others three times a step: there, and twice back."""
        return self.batch_real + 3 * self.inner_steps * classes * images_per_class

    @property
    def parametrisation(self) -> Parametrisation:
        """The images stay; labels are the softmax of logits."""
        return Parametrisation(images=None, labels=SOFTMAX)

    def prepare(self, problem: Problem) -> State:
        """Labels that are nearly certain, and the network's parameters."""
        classes = problem.class_count
        others = (1 - self.certainty) / (classes - 1)
        hard = F.one_hot(problem.start.hard_labels, classes).to(problem.start_images)
        raw = SOFTMAX.encode(others + (self.certainty - others) * hard)
        return self._optimiser.init("labels", raw) | self._tools(problem).network.stored()

    def step(self, problem: Problem, state: State, iteration: int) -> tuple[State, float]:
        """A few steps of the network on the labels, and one of the labels on what came of them."""
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
        gradients = self.parametrisation.pullback(state, {"labels": of_labels})
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
    """What goes through the network's steps and back, and the network that lives on."""

    unroller: Unroller
    network: InnerNetwork
