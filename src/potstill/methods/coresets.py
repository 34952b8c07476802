"""Coresets as methods: a few images of each class, chosen or made in one go; nothing is distilled."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import ClassVar

from potstill.experts.difficulty import NeverLearned
from potstill.experts.feature_source import FeatureSource, Training, feature_source
from potstill.methods.base import Method, Problem
from potstill.methods.citations import DATA_DIET, DATASET_DISTILLATION, GRADIENT_MATCHING, Citation
from potstill.methods.state import State
from potstill.runtime.errors import at_least
from potstill.selection import SELECTIONS, Choice, Selection, by_score
from potstill.selection.random import TRIES, optimised_random


@dataclass(frozen=True, kw_only=True)
class Coreset(Method):
    """A selection of ``potstill.selection`` under its own name; what it starts from is without effect."""

    only_start: ClassVar[bool] = True

    def default_iterations(self, images_per_class: int) -> int:
        """None: all is done before the first."""
        return 0

    def prepare(self, problem: Problem) -> State:
        """The images."""
        streams = problem.streams.child("selection")
        return {"images": self.selection().images(self.source(problem), problem.images_per_class, streams)}

    def selection(self) -> Selection:
        """What chooses or makes them."""
        return SELECTIONS[self.name]

    def source(self, problem: Problem) -> FeatureSource:
        """What the selection looks at."""
        return self.selection().source(_training(problem))

    def step(self, problem: Problem, state: State, iteration: int) -> tuple[State, float]:
        """Nothing to do: the state stays."""
        return state, 0.0


def _training(problem: Problem) -> Training:
    """What it takes to train a network to look at."""
    return Training(
        real=problem.real,
        network=problem.network,
        streams=problem.streams.child("teacher"),
        compute=problem.compute,
        flips=problem.flips,
        dataset_fingerprint=problem.dataset_fingerprint,
        progress=problem.progress,
    )


@dataclass(frozen=True, kw_only=True)
class TaughtCoreset(Coreset):
    """A selection that looks at networks trained on the real images.

    Attributes:
        features: ``trained`` to train a network; ``pixels`` to look at the pixels instead, where that is possible; or
            a folder of potstill experts.
        teacher_epochs: passes over the real images, if a network is trained.
    """

    features: str = "trained"
    teacher_epochs: int = 10

    def __post_init__(self) -> None:
        at_least(self, teacher_epochs=1)

    def source(self, problem: Problem) -> FeatureSource:
        """The networks, or what was asked for instead."""
        return feature_source(self.features, _training(problem), self.teacher_epochs)


@dataclass(frozen=True, kw_only=True)
class Random(Coreset):
    """Random real images of each class, as they are.

    Every table of the field has this row; Zhao et al., "Dataset Condensation with Gradient Matching", ICLR 2021
    (arXiv:2006.05929), give its figures for the networks that the others are measured with.
    """

    name: ClassVar[str] = "random"
    citation: ClassVar[Citation] = GRADIENT_MATCHING


@dataclass(frozen=True, kw_only=True)
class Herding(TaughtCoreset):
    """Herding: one after another the image with which the mean of the chosen comes closest to the class's.

    Max Welling, "Herding Dynamical Weights to Learn", ICML 2009; for images Sylvestre-Alvise Rebuffi et al., "iCaRL:
    Incremental Classifier and Representation Learning", CVPR 2017.
    """

    name: ClassVar[str] = "herding"
    citation: ClassVar[Citation] = Citation(
        title="Herding Dynamical Weights to Learn",
        authors="Welling, Max",
        venue="International Conference on Machine Learning (ICML)",
        year=2009,
        url="https://doi.org/10.1145/1553374.1553517",
        key="welling2009herding",
    )


@dataclass(frozen=True, kw_only=True)
class KCenter(TaughtCoreset):
    """K-center: one after another the image that is farthest from all that are chosen.

    Ozan Sener and Silvio Savarese, "Active Learning for Convolutional Neural Networks: A Core-Set Approach", ICLR 2018
    (arXiv:1708.00489).
    """

    name: ClassVar[str] = "k-center"
    citation: ClassVar[Citation] = Citation(
        title="Active Learning for Convolutional Neural Networks: A Core-Set Approach",
        authors="Sener, Ozan and Savarese, Silvio",
        venue="International Conference on Learning Representations (ICLR)",
        year=2018,
        url="https://arxiv.org/abs/1708.00489",
        key="sener2018coreset",
    )


@dataclass(frozen=True, kw_only=True)
class KMeans(Coreset):
    """K-means centres, in pixels: the means of the class's clusters.

    A baseline of Wang et al., "Dataset Distillation", 2018 (arXiv:1811.10959).
    """

    name: ClassVar[str] = "k-means"
    citation: ClassVar[Citation] = DATASET_DISTILLATION


@dataclass(frozen=True, kw_only=True)
class KMeansNearest(TaughtCoreset):
    """K-means on features: the real images nearest to the centres of the class's clusters.

    A baseline of Wang et al., "Dataset Distillation", 2018 (arXiv:1811.10959), with real images in place of centres.
    """

    name: ClassVar[str] = "k-means-nearest"
    citation: ClassVar[Citation] = DATASET_DISTILLATION


@dataclass(frozen=True, kw_only=True)
class Average(Coreset):
    """The class's mean image, as often as images are asked for.

    A baseline of Wang et al., "Dataset Distillation", 2018 (arXiv:1811.10959).
    """

    name: ClassVar[str] = "average"
    citation: ClassVar[Citation] = DATASET_DISTILLATION


@dataclass(frozen=True, kw_only=True)
class AverageNearest(TaughtCoreset):
    """The real images nearest to the class's mean.

    What some programs and tables call herding; with several images per class it is not what Welling's herding chooses.
    Zhao et al., "Dataset Condensation with Gradient Matching", ICLR 2021 (arXiv:2006.05929), have that row.
    """

    name: ClassVar[str] = "average-nearest"
    citation: ClassVar[Citation] = GRADIENT_MATCHING


@dataclass(frozen=True, kw_only=True)
class OptimisedRandom(Coreset):
    """The best of many random choices, told by the accuracy of a network on other training images.

    After a baseline of Wang et al., "Dataset Distillation", 2018 (arXiv:1811.10959), who keep the best fifth of many.

    Attributes:
        tries: how many.
    """

    name: ClassVar[str] = "optimised-random"
    citation: ClassVar[Citation] = DATASET_DISTILLATION

    tries: int = TRIES

    def __post_init__(self) -> None:
        at_least(self, tries=1)

    def selection(self) -> Selection:
        """With as many tries."""
        return Choice(self.name, partial(optimised_random, tries=self.tries))


@dataclass(frozen=True, kw_only=True)
class Forgetting(TaughtCoreset):
    """The images that a network under training forgets most often, or never learns.

    Mariya Toneva et al., "An Empirical Study of Example Forgetting during Deep Neural Network Learning", ICLR 2019
    (arXiv:1812.05159).

    Attributes:
        never_learned: ``hardest`` takes images that were never told right before all others, as in the paper; for
            ``easiest``, as some programs count, they are images without an event, like those that are never forgotten.
    """

    name: ClassVar[str] = "forgetting"
    citation: ClassVar[Citation] = Citation(
        title="An Empirical Study of Example Forgetting during Deep Neural Network Learning",
        authors="Toneva, Mariya and Sordoni, Alessandro and Tachet des Combes, Remi and Trischler, Adam and "
        "Bengio, Yoshua and Gordon, Geoffrey J.",
        venue="International Conference on Learning Representations (ICLR)",
        year=2019,
        url="https://arxiv.org/abs/1812.05159",
        key="toneva2019forgetting",
    )

    never_learned: NeverLearned = "hardest"

    def selection(self) -> Selection:
        """With what never learning counts for."""
        return Choice(self.name, by_score(lambda source: source.forgetting(self.never_learned)))


@dataclass(frozen=True, kw_only=True)
class EL2N(TaughtCoreset):
    """The images with the largest errors early in training.

    Mansheej Paul et al., "Deep Learning on a Data Diet", NeurIPS 2021 (arXiv:2107.07075).
    """

    name: ClassVar[str] = "el2n"
    citation: ClassVar[Citation] = DATA_DIET


@dataclass(frozen=True, kw_only=True)
class GraNd(TaughtCoreset):
    """The images with the longest gradients early in training.

    Mansheej Paul et al., "Deep Learning on a Data Diet", NeurIPS 2021 (arXiv:2107.07075).
    """

    name: ClassVar[str] = "grand"
    citation: ClassVar[Citation] = DATA_DIET


CORESETS: tuple[type[Coreset], ...] = (
    Random,
    Herding,
    KCenter,
    KMeans,
    KMeansNearest,
    Average,
    AverageNearest,
    OptimisedRandom,
    Forgetting,
    EL2N,
    GraNd,
)
