"""What a set is worth: the entries of ``evaluation.json``, read and checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from potstill.report.fields import Fields


@dataclass(frozen=True)
class Curve:
    """How a network learned, the mean over repeats; values that were not finite are NaN."""

    epochs: tuple[float, ...]
    loss: tuple[float, ...]
    accuracy: tuple[float, ...]


@dataclass(frozen=True)
class Score:
    """The test accuracy of one kind of network trained on one set; accuracies are fractions.

    Attributes:
        accuracies: one for each repeat.
        mean: their mean.
        std: their standard deviation; None for one repeat.
        interval: the 95 % interval of the mean; None for one repeat.
        seconds: what all repeats took.
        curve: how the network learned, where recorded.
        learning_rate: what the validation split chose, where the recipe has it choose.
        confusion: int64 (classes, classes), counts summed over repeats, rows are true classes; where recorded.
    """

    accuracies: tuple[float, ...]
    mean: float
    std: float | None
    interval: tuple[float, float] | None
    seconds: float | None
    curve: Curve | None
    learning_rate: float | None
    confusion: np.ndarray | None


@dataclass(frozen=True)
class Failure:
    """A network that could not be evaluated."""

    reason: str


Entry = Score | Failure


@dataclass(frozen=True)
class Evaluation:
    """The accuracies of a set and of its baselines under one recipe.

    Attributes:
        set_sha256: of the set that they are of.
        dataset_fingerprint: of the dataset that they were measured on.
        initial: what networks began with: ``random`` weights, one ``fixed`` draw, or the path of pre-trained ones.
        recipe: its name, version and settings, as text.
        seed: the seed of the evaluation.
        networks: the entry of each network trained on the distilled set.
        baselines: the entries by baseline (``random``, ``full``) and network.
    """

    set_sha256: str
    dataset_fingerprint: str
    initial: str
    recipe: Mapping[str, str]
    seed: int
    networks: Mapping[str, Entry]
    baselines: Mapping[str, Mapping[str, Entry]]

    @property
    def repeated(self) -> bool:
        """Whether any network was trained more than once on the distilled set."""
        return any(len(score.accuracies) > 1 for score in self.scores.values())

    @property
    def scores(self) -> dict[str, Score]:
        """The networks that could be evaluated."""
        return {name: entry for name, entry in self.networks.items() if isinstance(entry, Score)}

    def headline(self, matched: str) -> str | None:
        """The network to speak of first: the one that was ``matched``, else the first that has a score."""
        return matched if matched in self.scores else next(iter(self.scores), None)


def read_evaluation(file: Path, classes: int) -> Evaluation:
    """Read an ``evaluation.json`` of ``classes`` classes.

    Raises:
        UserError: the file is damaged; the error names the field.
    """
    fields = Fields.of_record(file, 2)
    baselines = fields.part("baselines").parts() if "baselines" in fields else {}
    return Evaluation(
        set_sha256=fields.text("set_sha256"),
        dataset_fingerprint=fields.text("dataset_fingerprint"),
        initial=fields.part("initial").text("source"),
        recipe=fields.part("recipe").texts(),
        seed=fields.integer("seed"),
        networks=_read_entries(fields.part("networks"), classes),
        baselines={name: _read_entries(entries, classes) for name, entries in baselines.items()},
    )


def _read_entries(fields: Fields, classes: int) -> dict[str, Entry]:
    return {name: read_entry(entry, classes) for name, entry in fields.parts().items()}


def read_entry(fields: Fields, classes: int | None) -> Entry:
    """The entry of one network; its confusion is left out where the number of classes is not given.

    Raises:
        UserError: a field is not what it should be.
    """
    if "failed" in fields:
        return Failure(fields.text("failed"))
    accuracies = fields.numbers("accuracies")
    if not accuracies or not all(0 <= accuracy <= 1 for accuracy in accuracies):
        fields.refuse("accuracies", "a list of fractions between 0 and 1")
    return Score(
        accuracies=accuracies,
        mean=fields.number("mean"),
        std=fields.number("std") if "std" in fields else None,
        interval=_read_interval(fields) if "ci95" in fields else None,
        seconds=fields.number("seconds") if "seconds" in fields else None,
        curve=_read_curve(fields.part("curve")) if "curve" in fields else None,
        learning_rate=fields.number("learning_rate") if "learning_rate" in fields else None,
        confusion=_read_confusion(fields, classes) if classes and "confusion" in fields else None,
    )


def _read_interval(fields: Fields) -> tuple[float, float]:
    ends = fields.numbers("ci95")
    if len(ends) != 2 or not ends[0] <= ends[1]:
        fields.refuse("ci95", "a pair [low, high]")
    return ends[0], ends[1]


def _read_curve(fields: Fields) -> Curve:
    epochs = fields.numbers("epochs")
    curve = Curve(
        epochs=epochs,
        loss=fields.numbers("loss") if "loss" in fields else (),
        accuracy=fields.numbers("accuracy") if "accuracy" in fields else (),
    )
    for name in ("loss", "accuracy"):
        if name in fields and len(getattr(curve, name)) not in (0, len(epochs)):
            fields.refuse(name, f"as long as epochs ({len(epochs)})")
    return curve


def _read_confusion(fields: Fields, classes: int) -> np.ndarray:
    try:
        counts = np.asarray(fields.values["confusion"])
    except ValueError:
        counts = np.empty(0)
    if counts.shape != (classes, classes) or counts.dtype.kind not in "iu" or counts.min() < 0:
        fields.refuse("confusion", f"a table of {classes} × {classes} counts")
    return counts.astype(np.int64)
