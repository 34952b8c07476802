"""``poisoning.json``: what comes of sets that were distilled from tampered images, or to do harm."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any, ClassVar, Literal, Self

from potstill.schema import Record
from potstill.schema.applications import LearnedDataset
from potstill.schema.fields import Amount, Count, Fields, Fraction, Positive
from potstill.schema.recipe import Recipe
from potstill.schema.set_file import SetKind
from potstill.schema.statistics import confidence_interval

Case = Literal["poisoned", "clean", "before", "after"]
"""Of a backdoor, whether the training images were tampered with; of a step, whether it has been taken."""

POISONED: Case = "poisoned"
CLEAN: Case = "clean"
BEFORE: Case = "before"
AFTER: Case = "after"


@dataclass(frozen=True, kw_only=True)
class BackdoorProtocol(Record):
    """A patch in some training images of other classes, which are labelled as the target; then distillation as usual.

    Liu et al., "Backdoor Attacks Against Dataset Distillation", NDSS 2023 (arXiv:2301.01197), call it NAIVEATTACK.

    Attributes:
        target: the class that the patch shall stand for.
        share: the part of all training images that is changed.
        side: of the patch, in pixels.
        images_per_class: images of each class in a set.
        repeats: sets of each kind, each with a training of every network.
        iterations: of a distillation; None is the method's number.
        seed: seed of all draws.
    """

    kind: ClassVar[str] = "backdoor"

    target: str = "0"
    share: Fraction = 0.01
    side: Positive = 2
    images_per_class: Positive = 10
    repeats: Positive = 5
    iterations: Count | None = None
    seed: int = 0


@dataclass(frozen=True, kw_only=True)
class StepProtocol(Record):
    """Images that make trained networks mistake one class for another, by a single step of training on them.

    Wang et al., "Dataset Distillation", 2018 (arXiv:1811.10959), section on attacks.

    Attributes:
        attacked: the class that is no longer to be recognised.
        target: the class that it is to be taken for.
        images_per_class: images of each class in the set; their labels are right.
        experts: trained networks; a fifth of them is held out of distillation, and is what the step is tested on.
        epochs: passes of their training.
        iterations: of the distillation; None is the method's number.
        seed: seed of all draws.
    """

    kind: ClassVar[str] = "step"

    attacked: str = "0"
    target: str = "1"
    images_per_class: Positive = 1
    experts: Positive = 60
    epochs: Positive = 2
    iterations: Count | None = None
    seed: int = 0


PROTOCOLS: Mapping[str, type[BackdoorProtocol] | type[StepProtocol]] = {
    "backdoor": BackdoorProtocol,
    "step": StepProtocol,
}


@dataclass(frozen=True, kw_only=True)
class VictimOutcome(Record):
    """How one network answers.

    Attributes:
        accuracy: of a backdoor, on the test images as they are; of a step, on those of the other classes.
        success: the share of the attacked images that is taken for the target: of a backdoor, test images of other
            classes with the patch; of a step, test images of the attacked class.
        recognised: the share of them that is taken for what it is.
        unpatched: of a backdoor, the share of the same test images that is taken for the target without the patch; None
            of a step, and in older records.
    """

    accuracy: Fraction
    success: Fraction
    recognised: Fraction
    unpatched: Fraction | None = None

    @property
    def effect(self) -> float:
        """By how much the patch raises the share that is taken for the target, a difference of fractions.

        An older record does not say what networks do without the patch: then it is the share with it.
        """
        return self.success if self.unpatched is None else self.success - self.unpatched


@dataclass(frozen=True, kw_only=True)
class Victims(Record):
    """Networks of one architecture in one case.

    Attributes:
        source: what made the images.
        kind: what that is.
        case: see ``Case``.
        network: the spec of the network.
        images: the number of images that it learned from.
        bytes: of these images, as they are stored.
        outcomes: one for each repeat, or each held-out network.
        making_seconds: time to make all sets.
        seconds: time to train and test all networks.
        failed: why a training failed, if one did.
    """

    source: str
    kind: SetKind
    case: Case
    network: str
    images: Count = 0
    bytes: Count = 0
    outcomes: list[VictimOutcome] = field(default_factory=list)
    making_seconds: Amount = 0.0
    seconds: Amount = 0.0
    failed: str | None = None

    @property
    def usable(self) -> bool:
        """Whether there is a result."""
        return self.failed is None and bool(self.outcomes)

    def values(self, name: str) -> list[float]:
        """A field of all outcomes, or their ``effect``."""
        return [getattr(outcome, name) for outcome in self.outcomes]

    @property
    def shown_unpatched(self) -> bool:
        """Whether it is known what the networks do without the patch."""
        return all(outcome.unpatched is not None for outcome in self.outcomes)

    def mean(self, name: str) -> float:
        """The mean of a field of all outcomes."""
        return fmean(self.values(name))

    def interval(self, name: str) -> tuple[float, float] | None:
        """The 95 % interval of that mean; None for one outcome."""
        return confidence_interval(self.values(name))


@dataclass(frozen=True, kw_only=True)
class Poisoning(Record):
    """What comes of poisoned sets.

    Attributes:
        protocol: what was done.
        dataset: to what; as it was before anyone tampered with it.
        recipe: how networks were trained; of a step, how it was taken.
        matched: the network that methods match, or that the experts are.
        networks: the networks that learn from the sets.
        victims: the results, for each source, case and network.
        made_on: machines, precisions and versions, in words.
    """

    SCHEMA: ClassVar[int | None] = 1
    FILE: ClassVar[str] = "poisoning.json"

    protocol: BackdoorProtocol | StepProtocol
    dataset: LearnedDataset
    recipe: Recipe
    matched: str
    networks: list[str]
    victims: list[Victims] = field(default_factory=list)
    made_on: list[str] = field(default_factory=list)

    def of(self, source: str, case: Case, network: str) -> Victims | None:
        """The result of a source in a case; None if there is none."""
        wanted = (source, case, network)
        return next((each for each in self.victims if (each.source, each.case, each.network) == wanted), None)

    def to_json(self) -> dict[str, Any]:
        """Its fields, with the kind of the protocol."""
        written = super().to_json()
        written["protocol"] = {"kind": self.protocol.kind, **written["protocol"]}
        return written

    @classmethod
    def from_json(cls, fields: Fields) -> Self:
        """The record that ``to_json`` wrote.

        Raises:
            UserError: a field is absent or invalid.
        """
        part = fields.part("protocol")
        kind = part.value("kind", Literal["backdoor", "step"])
        protocol = PROTOCOLS[kind].from_json(part)
        return cls(**fields.arguments(cls, without=("protocol",)), protocol=protocol)
