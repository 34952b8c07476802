"""DP-DM: private distribution matching with class sums that are noised once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from potstill.augmentation import Draw, siamese_augmentation
from potstill.engine import memory
from potstill.engine.features import Descriptors, FeatureExtractor, embedding
from potstill.methods.citations import Citation
from potstill.methods.pixel_descent import of_classes
from potstill.methods.private import PrivateMethod
from potstill.methods.problem import Problem
from potstill.methods.state import Adam, State, descend
from potstill.networks import Network
from potstill.privacy import gaussian, poisson_sample
from potstill.runtime.bounds import at_least, positive
from potstill.runtime.errors import UserError

REFERENCE = "reference"
"""Name of the buffer of a network that holds r_t."""
REFERENCES = 100
"""Images of smooth noise."""
COARSE = 4
"""Pixels of such an image along each side, for one draw."""


@dataclass(frozen=True, kw_only=True)
class DPDM(PrivateMethod):
    """Private distribution matching: match sums of embeddings of random networks, noised once and kept.

    Tianhang Zheng and Baochun Li, "Differentially Private Dataset Condensation", NDSS Workshops 2024, whose noisy class
    sums are kept here instead of being drawn at every step.

    Query t draws a network f_t, which is never trained, and an augmentation A_tc for each class c. It includes every
    image of class c with probability group / n_c, and releases
    s_tc = sum_i g_t(A_tc(x_i)) + sigma clip N(0, I), where g_t(x) = clip(f_t(x) - r_t) and
    clip(v) = v min(1, clip / ||v||). r_t is the mean embedding of images of smooth noise: embeddings of one network lie
    close together and far from the origin, and without r_t clipping would leave little of their differences.
    Then no image is read again: iterations go through the queries and descend
    sum_c || s_tc / group - mean_j g_t(A_tc(s_cj)) ||² in the pixels.

    An image belongs to one class and contributes to one sum of each query, so that the guarantee is that of
    ``queries`` queries at the largest rate.

    Attributes:
        queries: networks, each with one noisy sum per class.
        group: expected number of real images in each sum.
        learning_rate: step size for the synthetic pixels, by Adam.
        augment: apply Siamese augmentation to real and synthetic images.
    """

    name: ClassVar[str] = "dp-dm"
    citation: ClassVar[Citation] = Citation(
        title="Differentially Private Dataset Condensation",
        authors="Zheng, Tianhang and Li, Baochun",
        venue="Network and Distributed System Security Symposium (NDSS) Workshops",
        year=2024,
        url="https://openreview.net/forum?id=H8XpqEkbua_",
        key="zheng2024ndpdc",
    )

    queries: int = 150
    group: int = 100
    learning_rate: float = 0.05
    augment: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(self, queries=1, group=1)
        positive(self, "learning_rate")

    def default_iterations(self, images_per_class: int) -> int:
        """2,000, for any number of images per class."""
        return 2_000

    def images_per_iteration(self, classes: int, images_per_class: int) -> int:
        """The synthetic images."""
        return images_per_class * classes

    @property
    def query_count(self) -> int:
        """One sum per network."""
        return self.queries

    def sampling_rates(self, class_sizes: Sequence[int]) -> list[float]:
        """The expected number of images, divided by those of the class.

        Raises:
            UserError: a class has fewer images than the expected number.
        """
        if self.group > min(class_sizes):
            raise UserError(
                f"`group={self.group}` is more than the {min(class_sizes)} training examples of the smallest class",
                f"take groups of {min(class_sizes)} or fewer, or more training examples",
            )
        return [self.group / size for size in class_sizes]

    @property
    def optimiser(self) -> Adam:
        """Of the pixels."""
        return Adam(self.learning_rate)

    def parts_of_iteration(self, classes: int) -> int:
        """Each class is a part."""
        return classes

    def planned_bytes(self, problem: Problem) -> float:
        """What the maps of the network and the real images of a query take; not the sums, which are there before."""
        share = problem.ranks.share(problem.class_count)
        network, images = self._kept_extractor(problem).network, (share.stop - share.start) * problem.pictures_per_class
        real_images = self.group * problem.class_count
        real = problem.real_bytes(1, real_images)
        return memory.of_features(network, problem.compute, problem.real.shape, images, real_images, real)

    def prepare(self, problem: Problem) -> State:
        """The noisy sums of all queries, and the initial pixels; nothing else ever reads a real image."""
        noise = self.clip * self.privacy(problem.real.class_sizes, 0).noise_multiplier
        images, sums, references = problem.start_images, [], []
        for query in range(self.queries):
            problem.progress(f"asking query {query + 1} of {self.queries}")
            references.append(self._reference(problem, query))
            exact = self._sums(problem, query, references[-1])
            sums.append(exact + noise * gaussian(*exact.shape))
        return {
            "sums": torch.stack(sums).to(images.device, images.dtype),
            "references": torch.stack(references),
            **self.optimiser.init("images", images),
        }

    def step(self, problem: Problem, state: State, iteration: int) -> tuple[State, float | Tensor]:
        """Match the noisy sums of one query.

        Args:
            problem: the distillation problem; its real images are not read.
            state: the noisy sums, the references, the pixels and their optimiser state.
            iteration: index of this iteration, counted from 0.

        Returns:
            The next state, and the loss before this step.
        """
        epoch, place = divmod(iteration, self.queries)
        order = torch.randperm(self.queries, generator=problem.streams.generator("order", epoch))
        query, classes, ranks = int(order[place]), problem.class_count, problem.ranks
        share = ranks.share(classes)
        extractor, draw = self._query(problem, query, state["references"][query])
        images = of_classes(self.decoded(problem, state).images.detach(), torch.arange(classes)[share], classes)
        images.requires_grad_()
        augmented = self._augmented(problem, images, draw.rows(share))
        (means,), pullback = extractor.class_means_and_pullback(augmented, share.stop - share.start)
        difference = means - state["sums"][query][share] / self.group
        back = pullback((2 * difference,))
        gradient = torch.autograd.grad(augmented, images, back)[0] if self.augment else back
        gradients = self.pullback(problem, state, {"images": ranks.gathered(gradient, classes)})
        loss = ranks.gathered(difference, classes).square().sum()
        return descend(state, gradients, {"images": self.optimiser}, iteration), loss

    def _sums(self, problem: Problem, query: int, reference: Tensor) -> Tensor:
        """The sums of g_t of a random choice of each class, without noise.

        Returns:
            float64 (classes, D), on the CPU.
        """
        real = problem.real
        rates = zip(real.class_index, self.sampling_rates(real.class_sizes), strict=True)
        chosen = torch.cat([index[poisson_sample(len(index), rate).to(index.device)] for index, rate in rates])
        sums = torch.zeros(problem.class_count, len(reference), dtype=torch.float64)
        extractor, draw = self._query(problem, query, reference)
        for part, images in problem.real_parts(chosen):
            labels = real.labels[chosen[part]].cpu()
            (embedded,) = extractor.describe_tensor(self._augmented(problem, images, draw.rows(labels)))
            # Again in double precision: no rounding may leave a norm above the bound.
            sums.index_add_(0, labels, clipped(embedded.cpu().double().nan_to_num(0, 0, 0), self.clip))
        return sums

    def _query(self, problem: Problem, query: int, reference: Tensor) -> tuple[FeatureExtractor, Draw]:
        """The network with its reference, and the augmentation: public, since they follow from the seed of the run."""
        streams = problem.streams.child("query", query)
        extractor = self._kept_extractor(problem)
        extractor.redraw(streams.generator("network"))
        extractor.network.get_buffer(REFERENCE).copy_(reference)
        augmentation = siamese_augmentation(flips=problem.flips)
        return extractor, augmentation.draw(streams.generator("augmentation"), problem.class_count)

    def _reference(self, problem: Problem, query: int) -> Tensor:
        """The mean embedding r_t of images of smooth noise, (D,)."""
        streams, (channels, height, width) = problem.streams.child("query", query), problem.real.shape
        coarse = max(height // COARSE, 1), max(width // COARSE, 1)
        noise = torch.randn(REFERENCES, channels, *coarse, generator=streams.generator("reference"))
        smooth = F.interpolate(noise.double(), (height, width), mode="bilinear")
        smooth = (smooth / smooth.std()).to(problem.start_images)
        extractor = problem.cached((self, "references"), lambda: self._plain_extractor(problem))
        extractor.redraw(streams.generator("network"))
        return extractor.class_means(smooth, 1)[0][0]

    def _plain_extractor(self, problem: Problem) -> FeatureExtractor:
        return FeatureExtractor(problem.build_network(problem.streams.generator("network")), embedding, problem.compute)

    def _kept_extractor(self, problem: Problem) -> FeatureExtractor:
        return problem.cached((self, "extractor"), lambda: self._extractor(problem))

    def _extractor(self, problem: Problem) -> FeatureExtractor:
        def describe(network: Network, images: Tensor) -> Descriptors:
            return (clipped(network.embed(images) - network.get_buffer(REFERENCE), self.clip),)

        network = problem.build_network(problem.streams.generator("network"))
        network.register_buffer(REFERENCE, torch.zeros(network.embedding_size))
        return FeatureExtractor(network, describe, problem.compute)

    def _augmented(self, problem: Problem, images: Tensor, draw: Draw) -> Tensor:
        return siamese_augmentation(flips=problem.flips).apply(images, draw) if self.augment else images


def clipped(vectors: Tensor, bound: float) -> Tensor:
    """Shorten each of the vectors (N, D) to the norm ``bound`` if it is longer."""
    return vectors * (bound / vectors.norm(dim=1, keepdim=True).clamp_min(bound))
