"""DD and LD as their papers write them: the whole training kept by autograd, Adam from PyTorch.

These are the plain twins of ``potstill.methods.unrolled.dd`` and ``potstill.methods.unrolled.ld``.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.func import functional_call

from potstill.methods import DD, LD, Problem
from potstill.networks import Network
from tests.twins.unrolling import unroll


class PlainDD:
    """Algorithm 1 of Wang et al.: min over x~ and eta of E_theta0 l(x, theta_S), by Adam(0.5, 0.999)."""

    def __init__(self, problem: Problem, method: DD, batches: int) -> None:
        self.problem, self.method, self.batches = problem, method, batches
        self.images = problem.start.images.double().requires_grad_()
        self.raw = torch.full((method.passes * batches,), method.initial_rate, dtype=torch.float64).expm1().log()
        self.raw.requires_grad_()
        self.adam = torch.optim.Adam([self.images, self.raw], lr=method.learning_rate, betas=(0.5, 0.999))
        self.halving = torch.optim.lr_scheduler.StepLR(self.adam, method.decay_every, gamma=0.5)

    def step(self, iteration: int, network: Network) -> float:
        """One iteration from the initial weights that ``network`` has; the loss before the step."""
        drawn = self.problem.streams.child("iteration", iteration)
        eta, classes = F.softplus(self.raw), self.problem.class_count
        share = self.problem.images_per_class // self.batches
        steps = []
        for s in range(len(eta)):
            first = s % self.batches * share
            of_class = [images[first : first + share] for images in self.images.chunk(classes)]
            steps.append((torch.cat(of_class), torch.arange(classes).repeat_interleave(share)))
        theta_0 = [parameter.detach().clone().requires_grad_() for parameter in network.parameters()]
        theta = unroll(network, theta_0, steps, list(eta))
        loss = loss_on_real(self.problem, network, theta, self.method.batch_real, drawn.generator("real batch"))
        self.adam.zero_grad()
        loss.backward()
        self.adam.step()
        self.halving.step()
        return loss.item()


class PlainLD:
    """Labels y~ = softmax(v): v descends on l(x, theta_S), theta_S after a few steps on (x~, y~) from theta_0."""

    def __init__(self, problem: Problem, method: LD) -> None:
        self.problem, self.method = problem, method
        self.images = problem.start.images.double()
        classes = problem.class_count
        y = torch.full((len(self.images), classes), (1 - method.certainty) / (classes - 1), dtype=torch.float64)
        y[torch.arange(len(y)), problem.start.labels] = method.certainty
        self.v = y.log().requires_grad_()
        self.adam = torch.optim.Adam([self.v], lr=method.learning_rate)
        self.theta: list[Tensor] = []

    def step(self, iteration: int, network: Network) -> float:
        drawn = self.problem.streams.child("iteration", iteration)
        if iteration % self.method.network_iterations == 0:
            network.initialise(drawn.generator("network"))
            self.theta = list(network.parameters())
        theta_0 = [parameter.detach().clone().requires_grad_() for parameter in self.theta]
        steps = [(self.images, self.v.softmax(1))] * self.method.inner_steps
        theta = unroll(
            network, theta_0, steps, [torch.tensor(self.method.inner_rate, dtype=torch.float64)] * len(steps)
        )
        loss = loss_on_real(self.problem, network, theta, self.method.batch_real, drawn.generator("real batch"))
        self.adam.zero_grad()
        loss.backward()
        self.adam.step()
        self.theta = theta
        return loss.item()


def loss_on_real(
    problem: Problem, network: Network, theta: list[Tensor], count: int, generator: torch.Generator
) -> Tensor:
    chosen = torch.randperm(len(problem.real), generator=generator)[:count]
    names = [name for name, _ in network.named_parameters()]
    images = problem.real.normalised(chosen).double()
    logits = functional_call(network, dict(zip(names, theta, strict=True)), (images,))
    return F.cross_entropy(logits, problem.real.labels[chosen])
