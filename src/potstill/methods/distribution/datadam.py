"""DataDAM: dataset distillation with attention matching."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from potstill.engine.chunked import ChunkedNetwork
from potstill.engine.features import Descriptors
from potstill.methods.citations import Citation
from potstill.methods.distribution import DistributionMatching, squared_distance
from potstill.methods.inner_network import InnerNetwork
from potstill.methods.problem import Problem
from potstill.methods.state import State
from potstill.networks import Network
from potstill.runtime.bounds import at_least
from potstill.runtime.errors import UserError

RELEASED_POWER, RELEASED_LOSS_SCALE = 1.0, 100.0


@dataclass(frozen=True, kw_only=True)
class DataDAM(DistributionMatching):
    """Attention matching: match spatial attention maps layer by layer, and mean embeddings.

    Ahmad Sajedi et al., "DataDAM: Efficient Dataset Distillation with Attention Matching", ICCV 2023
    (arXiv:2310.00093). L = loss_scale * (L_SAM + mmd_weight * L_MMD), with
    L_SAM = sum_l sum_c || mean_i a_l(x_ci) - mean_j a_l(s_cj) ||²,  a_l = z_l / ||z_l||₂,  z_l = sum_k |A_l,k|^power,
    and L_MMD the same distance between mean embeddings. A_l,k is channel k after the activation of block l; l runs over
    every block but the last.

    The schedule is that of the paper's Algorithm 1: ``network_iterations`` (T) iterations on one network, each with
    ``synthetic_steps`` (zeta_S) updates of the pixels followed by ``network_steps`` (zeta_theta) training steps of the
    network on the synthetic set; then a new network is drawn (K in all: iterations = K * T). As in the authors'
    program, the default draws a new network in each iteration and trains none. That program uses 64 real images per
    class, and a learning rate of 10 from 100 images per class on.

    Attributes:
        power: exponent p of the attention maps; 4 in the paper.
        mmd_weight: lambda, weight of the distance between mean embeddings; 0.01, or 0.02 for high resolutions.
        loss_scale: factor of the whole loss; it scales the pixel updates equally. The paper has none, the authors'
            program uses 100.
        follow_released_code: use the settings of the authors' program, power 1 and loss scale 100, instead of ``power``
            and ``loss_scale``.
        network_iterations: T, iterations before the network is re-initialised.
        synthetic_steps: zeta_S, pixel updates per iteration.
        network_steps: zeta_theta, training steps of the network per iteration.
        network_learning_rate: eta_theta, learning rate of the network.
        network_batch: synthetic images per training step of the network, at most all of them.
    """

    name: ClassVar[str] = "datadam"
    citation: ClassVar[Citation] = Citation(
        title="DataDAM: Efficient Dataset Distillation with Attention Matching",
        authors="Sajedi, Ahmad and Khaki, Samir and Amjadian, Ehsan and Liu, Lucy Z. and "
        "Lawryshyn, Yuri A. and Plataniotis, Konstantinos N.",
        venue="IEEE/CVF International Conference on Computer Vision (ICCV)",
        year=2023,
        url="https://arxiv.org/abs/2310.00093",
        key="sajedi2023datadam",
    )

    power: float = 4.0
    mmd_weight: float = 0.01
    loss_scale: float = 100.0
    follow_released_code: bool = False
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
        """8,000 as in the paper, for any number of images per class."""
        return 8_000

    def descriptor(self) -> Callable[[Network, Tensor], Descriptors]:
        """The attention maps of every block but the last, and the embedding."""
        power = RELEASED_POWER if self.follow_released_code else self.power
        return partial(attention_and_embedding, power=power)

    def loss(self, targets: Descriptors, means: Descriptors) -> Tensor:
        """loss_scale * (L_SAM + mmd_weight * L_MMD) of class means: attention of each block, then the embedding."""
        distances = [squared_distance(target, mean) for target, mean in zip(targets, means, strict=True)]
        attention = torch.stack(distances[:-1]).sum() if len(distances) > 1 else 0.0
        scale = RELEASED_LOSS_SCALE if self.follow_released_code else self.loss_scale
        return scale * (attention + self.mmd_weight * distances[-1])

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


def attention(activations: Tensor, power: float) -> Tensor:
    """Spatial attention maps (N, H * W) of activations (N, K, H, W): sum_k |A_k|^power, normalised to unit length.

    They are in float32 or better. The fourth power can be differentiated once.
    """
    return F.normalize(_summed_powers(activations, power).flatten(1), dim=1)


def _summed_powers(activations: Tensor, power: float) -> Tensor:
    """The sum over channels of |activations|^power, in float32 or better: (N, K, H, W) to (N, H, W).

    PyTorch computes no power but the second without logarithms.
    """
    if power == 4 and not torch.compiler.is_compiling():
        return _FourthPowers.apply(activations)
    wide = activations.float() if activations.dtype == torch.bfloat16 else activations
    powers = wide.square().square() if power == 4 else wide.square() if power == 2 else wide.abs().pow(power)
    return powers.sum(dim=1)


class _FourthPowers(torch.autograd.Function):
    """The sum over channels of the fourth power: bit by bit what PyTorch finds, but only the activations are kept.

    They are the largest tensors of the loss, and autograd would keep two copies of them in float32.
    """

    @staticmethod
    def forward(ctx: Any, activations: Tensor) -> Tensor:
        ctx.save_for_backward(activations)
        return _widened(activations).square_().square_().sum(dim=1)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        (activations,) = ctx.saved_tensors
        wide = _widened(activations)
        return wide.square().mul_(gradients[0][:, None]).mul_(wide).mul_(4).to(activations.dtype)


def _widened(activations: Tensor) -> Tensor:
    """A copy in float32 or better, with the same strides."""
    return activations.to(torch.promote_types(activations.dtype, torch.float32), copy=True)


def attention_and_embedding(network: Network, images: Tensor, *, power: float) -> Descriptors:
    """The attention maps of every block but the last, and the embedding.

    Args:
        network: the network that describes the images.
        images: (N, C, H, W).
        power: exponent p of the attention maps.

    Returns:
        Attention maps (N, H_l * W_l) for each block l but the last, then the embedding (N, D).
    """
    seen = network.observe(images)
    return *(attention(maps, power) for maps in seen.maps[:-1]), seen.embedding
