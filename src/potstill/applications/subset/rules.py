"""The rules by which a part is chosen, and the features that each looks at."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass

from potstill.applications.subset.candidates import Candidates, fingerprint_of
from potstill.applications.subset.matching import matched
from potstill.data import ImageFiles, Vectors, may_name_vectors, read_vector_file
from potstill.evaluation.checks import check_networks
from potstill.evaluation.session import LONG_WORK_PIXELS, Resources
from potstill.experts.embeddings import Embeddings
from potstill.experts.feature_source import (
    EPOCHS,
    FeatureSource,
    Pixels,
    StoredExperts,
    Training,
    feature_source,
)
from potstill.experts.pretrained import PretrainedFeatures
from potstill.experts.unseen import Unseen
from potstill.networks.spec import names_pretrained
from potstill.runtime.bounds import check_least
from potstill.runtime.compute import settled
from potstill.runtime.errors import UserError, unknown
from potstill.runtime.files import sha256_of_files
from potstill.runtime.streams import Streams
from potstill.selection import SELECTIONS, Choice

RULES = tuple(
    name for name, selection in SELECTIONS.items() if isinstance(selection, Choice) and name != "optimised-random"
)
"""The selections that choose any number of each class."""
BY_FEATURES = ("herding", "k-center", "facility-location", "k-means-nearest", "average-nearest", "moderate")
"""Those that need nothing but features, and so no labels."""


@dataclass(frozen=True)
class Rule:
    """How a part is chosen.

    Attributes:
        name: one of ``RULES``.
        features: what it looks at: ``pixels``, or the numbers of vectors; ``trained``, a network trained on the
            candidates; an ``.npy``, ``.npz`` or parquet file with a row for each candidate; a pretrained model,
            ``timm:MODEL:weights=WHERE``; or a folder of experts. None takes the numbers of vectors for the rules in
            ``BY_FEATURES``, and what the rule needs otherwise.
        network: the spec of the network that is trained; None takes that of the data, ``convnet`` or ``linear``.
        teacher_epochs: passes of that training.
        seed: seed of all random draws.

    Raises:
        UserError: the rule is unknown, or a network would be trained for too few epochs.
    """

    name: str
    _: KW_ONLY
    features: str | None = None
    network: str | None = None
    teacher_epochs: int = EPOCHS
    seed: int = 0

    def __post_init__(self) -> None:
        if self.name not in RULES:
            raise unknown("rule", self.name, RULES, listing=", ".join(RULES))
        check_least("teacher_epochs", self.teacher_epochs, 2 if self.name == "forgetting" else 1)


def features_of(rule: Rule, candidates: Candidates) -> str:
    """What the rule looks at, as the record says it.

    Raises:
        UserError: it needs something that there is not.
    """
    members, by_features = candidates.members, rule.name in BY_FEATURES
    vectors = isinstance(members, Vectors)
    if rule.name == "random":
        if rule.features is not None:
            raise UserError("random uses no features", "leave `features` out")
        return ""
    if vectors and not by_features:
        raise UserError(
            f"{rule.name} trains networks on a dataset, and {candidates.name} is a file of vectors",
            "make the candidates with `Candidates.of_dataset`",
        )
    if vectors and rule.features is not None:
        raise UserError("vectors are features already", "leave `features` out")
    if vectors:
        return candidates.name
    learns = SELECTIONS[rule.name].needs_network and not (by_features and candidates.holds_vectors)
    features = rule.features or ("trained" if learns else "pixels")
    if not by_features and (features == "pixels" or may_name_vectors(features) or names_pretrained(features)):
        raise UserError(
            f"{rule.name} looks at the training of a network, not at `features={features}`",
            "use `features=trained` or a folder of experts",
        )
    return features


def features_sha256(source: FeatureSource, features: str) -> str:
    """The SHA-256 of the file of features or of the folder of experts; empty for features that are computed here."""
    if isinstance(source, StoredExperts):
        return sha256_of_files(source.files)
    if isinstance(source, PretrainedFeatures):
        return sha256_of_files([source.weights])
    return fingerprint_of(source.vectors) if isinstance(source, Embeddings) and may_name_vectors(features) else ""


def source_of(
    rule: Rule, network: str, features: str, candidates: Candidates, resources: Resources
) -> tuple[FeatureSource, str]:
    """The features and scores that the rule uses; and in words how the rows of a file were matched."""
    members, progress = candidates.members, resources.progress
    if isinstance(members, Vectors):
        return Embeddings(members, progress=progress), ""
    if may_name_vectors(features):
        rows, words = matched(read_vector_file(features), candidates)
        return Embeddings(rows, members, progress), words
    if isinstance(members, ImageFiles):
        return Unseen(members, progress), ""
    if features in ("", "pixels"):
        return Pixels(members, progress), ""
    usual, of_experts = candidates.usual_fingerprint, features != "trained" and not names_pretrained(features)
    if candidates.dataset is not None:
        check_networks((network,), candidates.dataset)
    pixels = rule.teacher_epochs * len(members) * members.shape[1] * members.shape[2]
    compute = settled(resources.compute, long_run=pixels >= LONG_WORK_PIXELS)
    training = Training(
        real=members.to(compute.device),
        network=network,
        streams=Streams(rule.seed, ("subset", "teacher")),
        compute=compute,
        flips=candidates.dataset is not None and candidates.dataset.flips,
        dataset_fingerprint=None if not of_experts or usual is None else usual(),
        progress=progress,
    )
    source = feature_source(features, training, rule.teacher_epochs)
    if isinstance(source, StoredExperts):
        source.check()
    return source, ""
