"""FRePo: neural feature regression with pooling."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Literal, NamedTuple, Self

import torch
import torch.nn.functional as F
from torch import Tensor

from potstill.augmentation import siamese_augmentation
from potstill.engine.chunked import Batch, ChunkedNetwork
from potstill.engine.features import FeatureExtractor, embedding
from potstill.engine.layout import MasterWeights
from potstill.methods.base import Method
from potstill.methods.citations import Citation
from potstill.methods.pixel_descent import ADAM_LEARNING_RATE
from potstill.methods.problem import Problem
from potstill.methods.state import LAMB, Adam, Optimiser, State, descend
from potstill.runtime.bounds import at_least
from potstill.runtime.errors import UserError
from potstill.runtime.streams import Streams
from potstill.synthetic import PIXELS, SOFTMAX, Parametrisation

PUBLISHED_LEARNING_RATE = 3e-4

START_LOGIT = 6.0
"""The initial logit of an image's own class: with ten classes, a probability of 0.98."""


@dataclass(frozen=True, kw_only=True)
class FRePo(Method):
    """Feature regression: a ridge regression on features of the set should predict the labels of real images.

    Yongchao Zhou, Ehsan Nezhadarab and Jimmy Ba, "Dataset Distillation using Neural Feature Regression", NeurIPS 2022
    (arXiv:2206.00719). A pool of networks is trained on the synthetic set, one step after each iteration that uses one
    of them; after ``most_steps`` a network is replaced by a new one, so that the pool has networks of all ages. With
    the features f of such a network, K = f(S) f(S)ᵀ and predictions
    f(x) f(S)ᵀ (K + lambda tr(K) / |S| I)⁻¹ y, an iteration descends, in images and labels, their mean squared error on
    a batch of real images. Labels are one-hot vectors less 1 / classes, as there. No second derivatives are needed.

    Labels are learned as logits here, so that they stay probabilities and networks can be trained on them by
    cross-entropy; there they are free numbers. A second loss keeps the two largest probabilities of a label apart.

    Attributes:
        batch_real: real images in each iteration, drawn from all classes together.
        networks: networks in the pool.
        most_steps: training steps after which a network is replaced by a new one.
        network_learning_rate: learning rate of the networks, by Adam.
        network_batch: synthetic images per training step of a network, at most all of them.
        ridge: lambda.
        optimiser: optimiser of images and labels: ``lamb`` as published, or ``adam``.
        learning_rate: step size for images and labels; None uses the published 3e-4 with ``lamb``, 0.05 with ``adam``.
        learn_labels: learn the labels too.
        augment: apply Siamese augmentation in the training of the networks.
    """

    name: ClassVar[str] = "frepo"
    citation: ClassVar[Citation] = Citation(
        title="Dataset Distillation using Neural Feature Regression",
        authors="Zhou, Yongchao and Nezhadarab, Ehsan and Ba, Jimmy",
        venue="Advances in Neural Information Processing Systems (NeurIPS)",
        year=2022,
        url="https://arxiv.org/abs/2206.00719",
        key="zhou2022frepo",
    )

    batch_real: int = 1024
    networks: int = 10
    most_steps: int = 100
    network_learning_rate: float = 3e-4
    network_batch: int = 500
    ridge: float = 1e-6
    optimiser: Literal["lamb", "adam"] = "lamb"
    learning_rate: float | None = None
    learn_labels: bool = True
    augment: bool = True

    def __post_init__(self) -> None:
        at_least(self, batch_real=1, networks=1, most_steps=1, network_learning_rate=0, network_batch=1)
        at_least(self, ridge=0, learning_rate=0)

    def default_iterations(self, images_per_class: int) -> int:
        """500,000 as in the authors' program."""
        return 500_000

    def resolved(self, images_per_class: int, dataset: str = "") -> Self:
        """A copy with the learning rate filled in."""
        return replace(self, learning_rate=self.settled_learning_rate)

    @property
    def settled_learning_rate(self) -> float:
        """The learning rate in effect."""
        if self.learning_rate is not None:
            return self.learning_rate
        return PUBLISHED_LEARNING_RATE if self.optimiser == "lamb" else ADAM_LEARNING_RATE

    def images_per_iteration(self, classes: int, images_per_class: int) -> int:
        """The real batch, and the synthetic images once for the regression and at most once in training."""
        images = classes * images_per_class
        return self.batch_real + images + min(images, self.network_batch)

    @property
    def parametrisation(self) -> Parametrisation:
        """Raw images and, if they are learned, labels as the softmax of logits."""
        return Parametrisation(labels=SOFTMAX) if self.learn_labels else PIXELS

    def prepare(self, problem: Problem) -> State:
        """Images, labels, and a pool of new networks whose ages are spread evenly.

        Raises:
            UserError: there is a single class, or the network has batch norms, which would see images in groups.
        """
        problem.check_several_classes(self.name)
        if self._tools(problem).chunked.network.needs_whole_batches:
            raise UserError(
                f"frepo embeds images in groups, which the batch norms of {problem.network} would see",
                "use another norm",
            )
        images, optimisers = problem.start_images, self._optimisers
        state = optimisers["images"].init("images", images)
        if self.learn_labels:
            labels = F.one_hot(problem.start.hard_labels, problem.class_count).to(images)
            state |= optimisers["labels"].init("labels", START_LOGIT * labels)
        for number in range(self.networks):
            generator = problem.streams.generator("pool", number)
            state |= self._new(problem, number, generator, age=self.most_steps * number // self.networks)
        return state

    def step(self, problem: Problem, state: State, iteration: int) -> tuple[State, float | Tensor]:
        """Learn images and labels by one network of the pool, and train it by one step.

        Args:
            problem: the distillation problem.
            state: images, labels, the pool, and the state of all optimisers.
            iteration: index of this iteration, counted from 0.

        Returns:
            The next state, and the loss before this step.
        """
        streams, tools = problem.streams.child("iteration", iteration), self._tools(problem)
        number = int(torch.randint(self.networks, (), generator=streams.generator("network")))
        tools.weights.restore({name: state[f"{_prefix(number)}{name}"] for name in tools.weights.named})
        chosen = torch.randperm(len(problem.real), generator=streams.generator("real batch"))[: self.batch_real]
        loss, gradients = self._regression(problem, tools, state, chosen)
        optimisers = {name: optimiser for name, optimiser in self._optimisers.items() if name in gradients}
        state = descend(state, gradients, optimisers, iteration)
        return self._trained(problem, tools, state, number, streams), loss

    def _regression(
        self, problem: Problem, tools: Tools, state: State, chosen: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss on some real images, and its gradients with respect to the state."""
        images, labels = self.decoded(problem, state)
        real = tools.extractor.describe_tensor(problem.real.normalised(chosen).to(images.dtype))[0].double()
        targets = F.one_hot(problem.real.labels[chosen.to(problem.real.device)], problem.class_count).double()
        (features,), pullback = tools.extractor.class_means_and_pullback(images.detach(), len(images))
        features = features.double().requires_grad_()
        own = (labels if labels.is_floating_point() else F.one_hot(labels, problem.class_count)).detach().double()
        own = own.requires_grad_(self.learn_labels)
        with torch.enable_grad():
            predicted = regressed(real, features, own - 1 / problem.class_count, self.ridge)
            loss = mean_squared(predicted, targets.to(predicted.device) - 1 / problem.class_count)
            if self.learn_labels:
                loss = loss - margins(own).mean()
        back = torch.autograd.grad(loss, [features, own] if self.learn_labels else [features])
        decoded = {"images": pullback((back[0].to(images.dtype),))}
        if self.learn_labels:
            decoded["labels"] = back[1].to(labels.dtype)
        return loss.detach(), self.pullback(problem, state, decoded)

    def _trained(self, problem: Problem, tools: Tools, state: State, number: int, streams: Streams) -> State:
        """The state after one training step of a network on the synthetic set, or with a new one in its place."""
        prefix = _prefix(number)
        age, steps = int(state[f"{prefix}age"]), int(state[f"{prefix}steps"])
        if age >= self.most_steps:
            return state | self._new(problem, number, streams.generator("new network"), age=0)
        images, labels = self.decoded(problem, state)
        batch = torch.randperm(len(images), generator=streams.generator("order"))[: self.network_batch]
        batch = batch.to(images.device, non_blocking=True)
        some, of_some = images[batch].detach(), labels[batch].detach()
        if self.augment:
            augmentation = siamese_augmentation(flips=problem.flips)
            draw = augmentation.draw(streams.generator("augmentation"), len(some), one_operation=True)
            some = augmentation.apply(some, draw)
        [(_, gradients)] = tools.chunked.loss_gradients([(some, of_some)], loss_of=squared_error)
        adam = Adam(self.network_learning_rate)
        for name, gradient in zip(tools.weights.named, gradients, strict=True):
            state = adam.step(state, f"{prefix}{name}", gradient, steps)
        return {**state, f"{prefix}age": torch.tensor(age + 1), f"{prefix}steps": torch.tensor(steps + 1)}

    def _new(self, problem: Problem, number: int, generator: torch.Generator, *, age: int) -> State:
        """A new network of the pool, as entries of the state."""
        tools, adam, prefix = self._tools(problem), Adam(self.network_learning_rate), _prefix(number)
        tools.chunked.network.initialise(generator)
        tools.weights.take_over()
        state: State = {f"{prefix}age": torch.tensor(age), f"{prefix}steps": torch.tensor(0)}
        for name, weight in tools.weights.named.items():
            state |= adam.init(f"{prefix}{name}", weight.detach().clone())
        return state

    @property
    def _optimisers(self) -> dict[str, Optimiser]:
        kind = LAMB if self.optimiser == "lamb" else Adam
        return {name: kind(self.settled_learning_rate) for name in ("images", "labels")}

    def _tools(self, problem: Problem) -> Tools:
        def make() -> Tools:
            network = problem.build_network(problem.streams.generator("network"))
            extractor = FeatureExtractor(network, embedding, problem.compute)
            chunked = ChunkedNetwork(network, problem.compute)
            return Tools(chunked, extractor, MasterWeights(network))

        return problem.cached(self, make)


class Tools(NamedTuple):
    """One network, as what computes its features, its gradients, and what an optimiser updates."""

    chunked: ChunkedNetwork
    extractor: FeatureExtractor
    weights: MasterWeights


def regressed(real: Tensor, synthetic: Tensor, labels: Tensor, ridge: float) -> Tensor:
    """The predictions of a ridge regression: R Sᵀ (S Sᵀ + ridge tr(S Sᵀ) / m I)⁻¹ y.

    Args:
        real: R, features (n, D).
        synthetic: S, features (m, D).
        labels: y, (m, classes).
        ridge: the regularisation, relative to the mean of the diagonal.

    Returns:
        (n, classes).
    """
    kernel = synthetic @ synthetic.T
    regularisation = ridge * kernel.trace() / len(kernel) * torch.eye(len(kernel)).to(kernel)
    return real @ synthetic.T @ torch.linalg.solve(kernel + regularisation, labels)


def mean_squared(predicted: Tensor, targets: Tensor) -> Tensor:
    """Half the squared error of each row, summed over classes; the mean over rows."""
    return 0.5 * (predicted - targets).square().sum(1).mean()


def margins(labels: Tensor) -> Tensor:
    """How far the two largest probabilities of each label (n, classes) are apart, but at most 1 / classes: (n,)."""
    largest = labels.topk(2, dim=1).values
    return (largest[:, 0] - largest[:, 1]).clamp_max(1 / labels.shape[1])


def squared_error(logits: Tensor, batch: Batch) -> Tensor:
    """The summed loss of the networks' training: half the squared distance from labels less 1 / classes."""
    labels = batch[1]
    targets = labels if labels.is_floating_point() else F.one_hot(labels, logits.shape[1]).to(logits)
    return 0.5 * (logits - (targets - 1 / logits.shape[1])).square().sum()


def _prefix(number: int) -> str:
    return f"pool.{number}."
