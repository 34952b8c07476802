"""Attention matching, the base class of DataDAM and ATOM: match attention maps layer by layer, and mean embeddings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from potstill.engine.chunked import ChunkedNetwork
from potstill.engine.features import Descriptors
from potstill.methods.distribution import squared_distance
from potstill.methods.distribution.random_networks import RandomNetworks
from potstill.methods.inner_network import InnerNetwork
from potstill.methods.problem import Problem
from potstill.methods.state import State
from potstill.runtime.bounds import at_least
from potstill.runtime.errors import UserError


@dataclass(frozen=True, kw_only=True)
class AttentionMatching(RandomNetworks):
    """L = loss_scale * (sum of the squared distances of mean attention maps + mmd_weight * that of mean embeddings).

    Maps are those of every block but the last: of a network with a single block, only embeddings are matched.

    The schedule is that of the DataDAM paper's Algorithm 1: ``network_iterations`` (T) iterations on one network, each
    with ``synthetic_steps`` (zeta_S) updates of the pixels followed by ``network_steps`` (zeta_theta) training steps of
    the network on the synthetic set; then a new network is drawn (K in all: iterations = K * T). The default draws a
    new network in each iteration and trains none.

    Attributes:
        power: exponent p of the attention maps; 4 in the papers.
        mmd_weight: lambda, weight of the distance between mean embeddings; 0.01, or 0.02 for high resolutions.
        loss_scale: factor of the whole loss; it scales the pixel updates equally. The papers have none, the DataDAM
            program uses 100.
        network_iterations: T, iterations before the network is re-initialised.
        synthetic_steps: zeta_S, pixel updates per iteration.
        network_steps: zeta_theta, training steps of the network per iteration.
        network_learning_rate: eta_theta, learning rate of the network.
        network_batch: synthetic images per training step of the network, at most all of them.
    """

    power: float = 4.0
    mmd_weight: float = 0.01
    loss_scale: float = 100.0
    network_iterations: int = 1
    synthetic_steps: int = 1
    network_steps: int = 0
    network_learning_rate: float = 0.01
    network_batch: int = 256

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(self, power=0, mmd_weight=0, loss_scale=0, network_iterations=1, synthetic_steps=1)
        at_least(self, network_steps=0, network_learning_rate=0, network_batch=1)
        if self.network_steps and self.network_iterations == 1:
            raise UserError(
                f"`network_steps={self.network_steps}` has no effect with `network_iterations=1`",
                "use `network_iterations=2` or more, or `network_steps=0`",
            )
        if self.network_iterations > 1 and self.around:
            raise UserError(
                f"`network_iterations={self.network_iterations}` trains a network, and `around` draws one near weights",
                "use `network_iterations=1`, or leave `around` out",
            )

    def default_iterations(self, images_per_class: int) -> int:
        """8,000 as in the DataDAM paper, for any number of images per class."""
        return 8_000

    def loss(self, targets: Descriptors, means: Descriptors) -> Tensor:
        """loss_scale * (L_attention + mmd_weight * L_MMD) of class means: attention maps, then the embedding."""
        return self.scale * attention_loss(targets, means, self.mmd_weight)

    @property
    def scale(self) -> float:
        """The factor of the loss in effect."""
        return self.loss_scale

    def prepare(self, problem: Problem) -> State:
        """The initial pixels, and the network's parameters if it is kept for more than one iteration."""
        state = super().prepare(problem)
        return state | self._network(problem).stored() if self.network_iterations > 1 else state

    def step(self, problem: Problem, state: State, iteration: int) -> tuple[State, float | Tensor]:
        """Perform zeta_S pixel updates, then zeta_theta training steps of the network.

        Args:
            problem: the distillation problem.
            state: pixels, optimiser state and, if T > 1, the network's parameters.
            iteration: index of this iteration, counted from 0.

        Returns:
            The next state, and the loss before the last pixel update.
        """
        streams = problem.streams.child("iteration", iteration)
        extractor, network = self.extractor(problem), self._network(problem)
        if iteration % self.network_iterations == 0:
            self.redraw(problem, network.network, streams.generator("network"))
            network.weights.take_over()
        else:
            network.restore(state)
        loss = torch.zeros(())
        for update in range(self.synthetic_steps):
            drawn, before = streams.child("update", update), iteration * self.synthetic_steps + update
            state = self.with_batches(problem, state, extractor.network, drawn, before)
            state, loss = self.update(problem, extractor, state, drawn, before)
        if self.network_iterations == 1:
            return state, loss
        if (iteration + 1) % self.network_iterations:
            network.train(
                *self.decoded(problem, state),
                streams.child("training"),
                steps=self.network_steps,
                batch=self.network_batch,
                learning_rate=self.network_learning_rate,
            )
        return state | network.stored(), loss

    def _network(self, problem: Problem) -> InnerNetwork:
        """The extractor's network as one that can be trained and stored."""

        def make() -> InnerNetwork:
            return InnerNetwork(ChunkedNetwork(self.extractor(problem).network, problem.compute))

        return problem.cached((self, "network"), make)


def attention_loss(targets: Descriptors, means: Descriptors, mmd_weight: float) -> Tensor:
    """The sum of the squared distances of all mean attention maps, and ``mmd_weight`` times that of embeddings.

    Args:
        targets: of real images: for each map (classes, D_l), then the mean embeddings (classes, D).
        means: of synthetic images, likewise.
        mmd_weight: the weight of the embeddings.
    """
    distances = [squared_distance(target, mean) for target, mean in zip(targets, means, strict=True)]
    attention = torch.stack(distances[:-1]).sum() if len(distances) > 1 else 0.0
    return attention + mmd_weight * distances[-1]


def spatial_attention(activations: Tensor, power: float) -> Tensor:
    """Spatial attention maps (N, H * W) of activations (N, K, H, W): sum_k |A_k|^power, normalised to unit length.

    They are in float32 or better. The fourth power can be differentiated once.
    """
    return F.normalize(summed_powers(activations, power, (1,)).flatten(1), dim=1)


def summed_powers(activations: Tensor, power: float, dims: tuple[int, ...]) -> Tensor:
    """The sum over some dimensions of |activations|^power, in float32 or better.

    PyTorch computes no power but the second without logarithms. The fourth power can be differentiated once.

    Args:
        activations: (N, K, H, W).
        power: the exponent.
        dims: the dimensions that are summed over.
    """
    if power == 4 and not torch.compiler.is_compiling():
        return _FourthPowers.apply(activations, dims)
    wide = activations.float() if activations.dtype == torch.bfloat16 else activations
    powers = wide.square().square() if power == 4 else wide.square() if power == 2 else wide.abs().pow(power)
    return powers.sum(dim=dims)


class _FourthPowers(torch.autograd.Function):
    """The sum of the fourth power: bit by bit what PyTorch finds, but only the activations are kept.

    They are the largest tensors of the loss, and autograd would keep two copies of them in float32.
    """

    @staticmethod
    def forward(ctx: Any, activations: Tensor, dims: tuple[int, ...]) -> Tensor:
        ctx.save_for_backward(activations)
        ctx.shape = [1 if dim in dims else size for dim, size in enumerate(activations.shape)]
        return _widened(activations).square_().square_().sum(dim=dims)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (activations,) = ctx.saved_tensors
        wide = _widened(activations)
        of_sums = gradients[0].reshape(ctx.shape)
        return wide.square().mul_(of_sums).mul_(wide).mul_(4).to(activations.dtype), None


def _widened(activations: Tensor) -> Tensor:
    """A copy in float32 or better, with the same strides."""
    return activations.to(torch.promote_types(activations.dtype, torch.float32), copy=True)
