"""Robust scores of a set: ``robustness.json``, read and put in words."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from potstill.report import wording
from potstill.report.fields import Fields
from potstill.report.scores import Score, read_entry


@dataclass(frozen=True)
class Row:
    """A kind of training in words."""

    name: str
    accuracy: str
    interval: str
    rate: str


@dataclass(frozen=True)
class Robustness:
    """Both scores and what they are made of.

    Attributes:
        set_sha256: of the set that they are of.
        dataset_fingerprint: of the dataset that they were measured on; empty in older records.
        track: ``hard`` or ``soft``, by the set's labels.
        recipe: the protocol's label.
        network: its spec.
        label_score: LRS, a fraction.
        augmentation_score: ARS, a fraction.
        full: the accuracy on the full data.
        trained_on: the score of each kind of training.
    """

    set_sha256: str
    dataset_fingerprint: str
    track: str
    recipe: str
    network: str
    label_score: float
    augmentation_score: float
    full: float
    trained_on: dict[str, Score]

    @property
    def summary(self) -> str:
        """Both scores in a sentence."""
        return (
            f"Label robust score {wording.points(self.label_score)}, augmentation robust score "
            f"{wording.points(self.augmentation_score)}, of 100: {self.track} labels, "
            f"{wording.network_title(self.network)}, {self.recipe}; on the full data {wording.percent(self.full)}."
        )

    @property
    def rows(self) -> list[Row]:
        """The table."""
        return [
            Row(
                name=name,
                accuracy=wording.percent(score.mean),
                interval=wording.interval(score.interval) if score.interval else "–",
                rate="–" if score.learning_rate is None else f"{score.learning_rate:g}",
            )
            for name, score in self.trained_on.items()
        ]


def read_robustness(file: Path) -> Robustness:
    """Read a ``robustness.json``.

    Raises:
        UserError: the file is damaged; the error names the field.
    """
    fields = Fields.of_record(file, 1)
    trained = {name: read_entry(entry, None) for name, entry in fields.part("trained_on").parts().items()}
    return Robustness(
        set_sha256=fields.text("set_sha256"),
        dataset_fingerprint=fields.text("dataset_fingerprint") if "dataset_fingerprint" in fields else "",
        track=fields.text("track"),
        recipe=fields.text("recipe"),
        network=fields.text("network"),
        label_score=fields.number("label_robust_score"),
        augmentation_score=fields.number("augmentation_robust_score"),
        full=fields.number("full"),
        trained_on={name: entry for name, entry in trained.items() if isinstance(entry, Score)},
    )
