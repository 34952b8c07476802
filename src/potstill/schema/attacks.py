"""``attacks.json``: the accuracy of networks on attacked and corrupted test images, over the strength of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any, ClassVar, Literal, Self

from potstill.schema import Record, SetRecord, plain
from potstill.schema.evaluation import Repeats
from potstill.schema.fields import Amount, Count, Fields, Fraction, Positive
from potstill.schema.recipe import Recipe

Attack = Literal["fgsm", "pgd", "cw"]
Corruption = Literal[
    "gaussian noise", "shot noise", "impulse noise", "blur", "contrast", "brightness", "translation", "rotation"
]
Kind = Literal["clean", "patch"] | Attack | Corruption

ATTACKS: tuple[Attack, ...] = ("fgsm", "pgd", "cw")
CORRUPTIONS: tuple[Corruption, ...] = (
    "gaussian noise",
    "shot noise",
    "impulse noise",
    "blur",
    "contrast",
    "brightness",
    "translation",
    "rotation",
)
SEVERITIES = (1, 2, 3, 4, 5)
"""Of a corruption."""

Source = Literal["the set", "random images", "equal accuracy"]
"""What networks were trained on: the set, as many random real images, or so many that they are about as accurate."""

SET: Source = "the set"
RANDOM: Source = "random images"
EQUAL: Source = "equal accuracy"


@dataclass(frozen=True, kw_only=True)
class Probe(Record):
    """A change of the test images.

    Attributes:
        kind: what is done to them; ``clean`` is nothing.
        strength: of an attack the largest change of a pixel, for pixels in [0, 1]; of a corruption its severity, 1 to
            5; of a patch its side in pixels.
        steps: of an attack in several steps.
        without: a class whose images are left out; None takes all.
    """

    kind: Kind
    strength: Amount = 0.0
    steps: Count = 0
    without: Count | None = None


@dataclass(frozen=True, kw_only=True)
class Probed(Record):
    """The answers of one network.

    Attributes:
        accuracies: for each probe.
        answers: for each probe, how many images were taken for each class.
        seconds: of the training and all probes.
        made_on: the machine, precision and version, in words.
        failed: why the training failed, if it did.
    """

    accuracies: list[Fraction] = field(default_factory=list)
    answers: list[list[Count]] = field(default_factory=list)
    seconds: Amount = 0.0
    made_on: str = ""
    failed: str | None = None


@dataclass(frozen=True, kw_only=True)
class AttackedNetworks(Record):
    """Networks of one kind that were trained on the same kind of images.

    Attributes:
        trained_on: what they were trained on.
        images_per_class: how many images of each class that is.
        accuracies: for each repeat, the accuracy for each probe.
        seconds: of all repeats.
        failed: why a training failed, if one did.
    """

    trained_on: Source
    images_per_class: Positive
    accuracies: list[list[Fraction]] = field(default_factory=list)
    seconds: Amount = 0.0
    failed: str | None = None

    def at(self, probe: int) -> Repeats:
        """The accuracies of all repeats for one probe."""
        return Repeats(accuracies=self.values_at(probe))

    def values_at(self, probe: int) -> list[float]:
        """The same as a list."""
        return [each[probe] for each in self.accuracies]


@dataclass(frozen=True, kw_only=True)
class AttackCurves(SetRecord):
    """Accuracy over the strength of attacks and corruptions.

    Attributes:
        set_sha256: of the set's tensors.
        dataset_fingerprint: of the dataset.
        seed: of all trainings and perturbations.
        recipe: how networks were trained.
        images: the number of test images that were changed.
        chance: the accuracy of guessing.
        probes: what was done to them; the first one is clean.
        networks: by spec, the results for each kind of images.
        made_on: machines, precisions and versions, in words.
    """

    SCHEMA: ClassVar[int | None] = 1
    FILE: ClassVar[str] = "attacks.json"

    seed: int
    recipe: Recipe
    images: Positive
    chance: Fraction
    probes: list[Probe]
    networks: dict[str, list[AttackedNetworks]]
    made_on: list[str] = field(default_factory=list)

    @classmethod
    def from_json(cls, fields: Fields) -> Self:
        """The record that ``to_json`` wrote.

        Raises:
            UserError: a field is absent or invalid, or there are not as many accuracies as probes.
        """
        made = super().from_json(fields)
        if not made.probes or made.probes[0].kind != "clean":
            fields.refuse("probes", "a list that begins with clean images")
        for results in made.networks.values():
            if any(len(row) != len(made.probes) for each in results for row in each.accuracies):
                fields.refuse("networks", "an accuracy for each probe")
        return made

    def curve(self, kind: Kind) -> list[int]:
        """The numbers of the probes of a kind, from no change to the strongest; empty if there are none.

        The strongest PGD, which changes pixels at will, only checks the others: it is not a part of the curve.
        """
        found = [
            number
            for number, probe in enumerate(self.probes)
            if probe.kind == kind and not (kind in ATTACKS and probe.strength >= 1)
        ]
        return [0, *sorted(found, key=lambda number: self.probes[number].strength)] if found else []

    @property
    def protocol(self) -> dict[str, Any]:
        """What two records must have in common for one to be continued as the other."""
        names = ("set_sha256", "dataset_fingerprint", "seed", "recipe", "images", "probes")
        return {name: plain(getattr(self, name)) for name in names}

    @property
    def unlimited(self) -> int | None:
        """The number of the probe that may change pixels at will; None if there is none."""
        return next(
            (number for number, probe in enumerate(self.probes) if probe.kind in ATTACKS and probe.strength >= 1), None
        )

    def masks_gradients(self, result: AttackedNetworks) -> bool:
        """Whether networks withstand even PGD that may change pixels at will: then the attacks cannot be trusted."""
        return self.unlimited is not None and bool(result.accuracies) and result.at(self.unlimited).mean > self.chance

    def under_attack(self, result: AttackedNetworks) -> list[float] | None:
        """For each repeat the mean accuracy over all attacks and strengths; None if there are none."""
        return self._mean_of(result, [place for kind in ATTACKS for place in self.curve(kind)[1:]])

    def under_corruption(self, result: AttackedNetworks) -> list[float] | None:
        """For each repeat the mean accuracy over all corruptions and severities; None if there are none."""
        return self._mean_of(result, [place for kind in CORRUPTIONS for place in self.curve(kind)[1:]])

    def of(self, network: str, trained_on: Source) -> AttackedNetworks | None:
        """The result of a network on one kind of images."""
        return next((each for each in self.networks.get(network, []) if each.trained_on == trained_on), None)

    def _mean_of(self, result: AttackedNetworks, places: Sequence[int]) -> list[float] | None:
        return [fmean(row[place] for place in places) for row in result.accuracies] if places else None
