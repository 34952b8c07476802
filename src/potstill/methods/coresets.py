"""Coresets as methods: a few images per class, chosen or constructed in one pass without distillation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from potstill.experts.difficulty import NeverLearned
from potstill.experts.feature_source import FeatureSource, Training, feature_source
from potstill.methods.base import Method
from potstill.methods.citations import DATA_DIET, DATASET_DISTILLATION, GRADIENT_MATCHING, Citation
from potstill.methods.problem import Problem
from potstill.methods.state import State
from potstill.runtime.bounds import at_least, below_one
from potstill.runtime.streams import Streams
from potstill.selection import SELECTIONS, Choice, Selection, by_coverage, by_score
from potstill.selection.coverage import CUT
from potstill.selection.random import TRIES, optimised_random
from potstill.synthetic import formed


@dataclass(frozen=True, kw_only=True)
class Coreset(Method):
    """A selection of ``potstill.selection`` as a method of the same name; the start has no effect."""

    only_start: ClassVar[bool] = True

    def default_iterations(self, images_per_class: int) -> int:
        """0: everything is done by ``prepare``."""
        return 0

    def prepare(self, problem: Problem) -> State:
        """The selected images, float32 (classes * ipc, C, H, W); with a formation, several shrunk ones in each."""
        formation, streams = problem.start.formation, problem.streams.child("selection")
        images = self.selection().images(self.source(problem), problem.pictures_per_class, streams)
        return {"images": formed(images, formation)}

    def selection(self) -> Selection:
        """The selection that chooses or constructs the images."""
        return SELECTIONS[self.name]

    def source(self, problem: Problem) -> FeatureSource:
        """The features and scores that the selection uses."""
        return self.selection().source(_training(problem))

    def step(self, problem: Problem, state: State, iteration: int) -> tuple[State, float]:
        """Return the state unchanged.

        Args:
            problem: not used.
            state: the selected images.
            iteration: not used.

        Returns:
            The same state, and a loss of 0.
        """
        return state, 0.0


def _training(problem: Problem) -> Training:
    """Everything needed to train a network for features and scores."""
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
    """A selection that uses features or scores of networks trained on the real images.

    Attributes:
        features: where features come from: ``trained`` trains a network, ``pixels`` uses raw pixels where the selection
            allows it; otherwise timm:MODEL:weights=WHERE, a pretrained model, or a folder of potstill experts.
        teacher_epochs: epochs for which the network is trained, with ``trained``.
    """

    features: str = "trained"
    teacher_epochs: int = 10

    def __post_init__(self) -> None:
        at_least(self, teacher_epochs=1)

    def source(self, problem: Problem) -> FeatureSource:
        """The feature source that the settings name."""
        return feature_source(self.features, _training(problem), self.teacher_epochs)


@dataclass(frozen=True, kw_only=True)
class Random(Coreset):
    """Random coreset: real images of each class, drawn uniformly at random.

    The baseline in every table of the field, which no paper of the field introduced: it is stratified random sampling
    with equal allocation, the theory of which is due to Neyman.
    """

    name: ClassVar[str] = "random"
    citation: ClassVar[Citation] = Citation(
        title="On the Two Different Aspects of the Representative Method: The Method of Stratified Sampling and the "
        "Method of Purposive Selection",
        authors="Neyman, Jerzy",
        venue="Journal of the Royal Statistical Society (JRSS)",
        year=1934,
        url="https://doi.org/10.2307/2342192",
        key="neyman1934stratified",
        volume="97",
        number="4",
        pages="558--625",
    )


@dataclass(frozen=True, kw_only=True)
class Herding(TaughtCoreset):
    """Herding: greedily choose real images so that their mean feature approaches the class mean.

    Max Welling, "Herding Dynamical Weights to Learn", ICML 2009; applied to images by Sylvestre-Alvise Rebuffi et al.,
    "iCaRL: Incremental Classifier and Representation Learning", CVPR 2017.
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
    """K-center: greedily choose the real image farthest from all images chosen so far.

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
class FacilityLocation(TaughtCoreset):
    """Facility location: choose real images so that every image of a class is near one of them.

    Baharan Mirzasoleiman et al., "Lazier Than Lazy Greedy", AAAI 2015 (arXiv:1409.7938), who choose images in this
    way; distances between features are Euclidean.
    """

    name: ClassVar[str] = "facility-location"
    citation: ClassVar[Citation] = Citation(
        title="Lazier Than Lazy Greedy",
        authors="Mirzasoleiman, Baharan and Badanidiyuru, Ashwinkumar and Karbasi, Amin and Vondrák, Jan and "
        "Krause, Andreas",
        venue="AAAI Conference on Artificial Intelligence (AAAI)",
        year=2015,
        url="https://arxiv.org/abs/1409.7938",
        key="mirzasoleiman2015lazier",
    )


@dataclass(frozen=True, kw_only=True)
class KMeans(Coreset):
    """K-means in pixel space: the synthetic images are the cluster centres of each class.

    A baseline of Wang et al., "Dataset Distillation", 2018 (arXiv:1811.10959).
    """

    name: ClassVar[str] = "k-means"
    citation: ClassVar[Citation] = DATASET_DISTILLATION


@dataclass(frozen=True, kw_only=True)
class KMeansNearest(TaughtCoreset):
    """K-means in feature space: choose the real images nearest to each class's cluster centres.

    A baseline of Wang et al., "Dataset Distillation", 2018 (arXiv:1811.10959), with real images instead of centres.
    """

    name: ClassVar[str] = "k-means-nearest"
    citation: ClassVar[Citation] = DATASET_DISTILLATION


@dataclass(frozen=True, kw_only=True)
class Average(Coreset):
    """Average: the mean image of each class, repeated to the number of images per class.

    A baseline of Wang et al., "Dataset Distillation", 2018 (arXiv:1811.10959).
    """

    name: ClassVar[str] = "average"
    citation: ClassVar[Citation] = DATASET_DISTILLATION


@dataclass(frozen=True, kw_only=True)
class AverageNearest(TaughtCoreset):
    """Nearest to average: choose the real images with features closest to the class mean.

    Some programs and tables call this herding; with several images per class it differs from Welling's herding.
    Zhao et al., "Dataset Condensation with Gradient Matching", ICLR 2021 (arXiv:2006.05929), report it.
    """

    name: ClassVar[str] = "average-nearest"
    citation: ClassVar[Citation] = GRADIENT_MATCHING


@dataclass(frozen=True, kw_only=True)
class Moderate(TaughtCoreset):
    """Moderate coreset: choose images at about the median distance from the mean of their class.

    Xiaobo Xia et al., "Moderate Coreset: A Universal Method of Data Selection for Real-world Data-efficient Deep
    Learning", ICLR 2023.
    """

    name: ClassVar[str] = "moderate"
    citation: ClassVar[Citation] = Citation(
        title="Moderate Coreset: A Universal Method of Data Selection for Real-world Data-efficient Deep Learning",
        authors="Xia, Xiaobo and Liu, Jiale and Yu, Jun and Shen, Xu and Han, Bo and Liu, Tongliang",
        venue="International Conference on Learning Representations (ICLR)",
        year=2023,
        url="https://openreview.net/forum?id=7D5EECbOaf9",
        key="xia2023moderate",
    )


@dataclass(frozen=True, kw_only=True)
class CCS(TaughtCoreset):
    """Coverage-centric selection: leave out the hardest images, and draw evenly from the difficulty of the others.

    Haizhong Zheng et al., "Coverage-centric Coreset Selection for High Pruning Rates", ICLR 2023 (arXiv:2210.15809).
    Difficulty is the area under the margin; each class is chosen from by itself.

    Attributes:
        cut: share of each class that is left out as too hard; less if too few images would remain.
    """

    name: ClassVar[str] = "ccs"
    citation: ClassVar[Citation] = Citation(
        title="Coverage-centric Coreset Selection for High Pruning Rates",
        authors="Zheng, Haizhong and Liu, Rui and Lai, Fan and Prakash, Atul",
        venue="International Conference on Learning Representations (ICLR)",
        year=2023,
        url="https://arxiv.org/abs/2210.15809",
        key="zheng2023coverage",
    )

    cut: float = CUT

    def __post_init__(self) -> None:
        super().__post_init__()
        below_one(self, "cut")

    def selection(self) -> Selection:
        """The selection with this cut."""
        return Choice(self.name, by_coverage(self.cut))


@dataclass(frozen=True, kw_only=True)
class AUM(TaughtCoreset):
    """AUM: choose the images with the smallest margins, averaged over training.

    Geoff Pleiss et al., "Identifying Mislabeled Data using the Area Under the Margin Ranking", NeurIPS 2020
    (arXiv:2001.10528). Images with wrong labels have the smallest margins of all.
    """

    name: ClassVar[str] = "aum"
    citation: ClassVar[Citation] = Citation(
        title="Identifying Mislabeled Data using the Area Under the Margin Ranking",
        authors="Pleiss, Geoff and Zhang, Tianyi and Elenberg, Ethan and Weinberger, Kilian Q.",
        venue="Advances in Neural Information Processing Systems (NeurIPS)",
        year=2020,
        url="https://arxiv.org/abs/2001.10528",
        key="pleiss2020aum",
    )


@dataclass(frozen=True, kw_only=True)
class OptimisedRandom(Coreset):
    """Best of many random coresets, judged by accuracy on held-out training images.

    Based on a baseline of Wang et al., "Dataset Distillation", 2018 (arXiv:1811.10959), who keep the best fifth of
    many choices.

    Attributes:
        tries: number of random coresets to compare.
    """

    name: ClassVar[str] = "optimised-random"
    citation: ClassVar[Citation] = DATASET_DISTILLATION

    tries: int = TRIES

    def __post_init__(self) -> None:
        at_least(self, tries=1)

    def selection(self) -> Selection:
        """The selection with this number of tries."""

        def rule(source: FeatureSource, counts: Sequence[int], streams: Streams) -> Tensor:
            return optimised_random(source, counts[0], streams, tries=self.tries)

        return Choice(self.name, rule)


@dataclass(frozen=True, kw_only=True)
class Forgetting(TaughtCoreset):
    """Forgetting: choose the images that a network forgets most often during training.

    Mariya Toneva et al., "An Empirical Study of Example Forgetting during Deep Neural Network Learning", ICLR 2019
    (arXiv:1812.05159).

    Attributes:
        never_learned: rank of images that were never classified correctly: ``hardest`` ranks them above all others, as
            in the paper; ``easiest`` counts no events for them, like images that are never forgotten, as some programs
            do.
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
        """The selection with this treatment of images that were never learned."""
        return Choice(self.name, by_score(lambda source: source.forgetting(self.never_learned)))


@dataclass(frozen=True, kw_only=True)
class EL2N(TaughtCoreset):
    """EL2N: choose the images with the largest errors early in training.

    Mansheej Paul et al., "Deep Learning on a Data Diet", NeurIPS 2021 (arXiv:2107.07075).
    """

    name: ClassVar[str] = "el2n"
    citation: ClassVar[Citation] = DATA_DIET


@dataclass(frozen=True, kw_only=True)
class GraNd(TaughtCoreset):
    """GraNd: choose the images with the largest gradient norms early in training.

    Mansheej Paul et al., "Deep Learning on a Data Diet", NeurIPS 2021 (arXiv:2107.07075).
    """

    name: ClassVar[str] = "grand"
    citation: ClassVar[Citation] = DATA_DIET


CORESETS: tuple[type[Coreset], ...] = (
    Random,
    Herding,
    KCenter,
    FacilityLocation,
    KMeans,
    KMeansNearest,
    Average,
    AverageNearest,
    Moderate,
    CCS,
    AUM,
    OptimisedRandom,
    Forgetting,
    EL2N,
    GraNd,
)
