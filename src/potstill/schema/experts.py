"""``experts.json``: networks that were trained on the real images, and their settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Self

from potstill.schema import Record
from potstill.schema.fields import Amount, Count, Fields, Fraction, Positive, with_present_names


@dataclass(frozen=True, kw_only=True)
class Expert(Record):
    """One of the experts.

    Attributes:
        number: its number, counted from 0.
        losses: the mean training loss of each epoch.
        seconds: training time.
        compute: device, precision and compilation, in words.
        validation_accuracy: a fraction; None without validation images.
    """

    number: Count
    losses: list[float]
    seconds: Amount
    compute: str
    validation_accuracy: Fraction | None = None

    def to_json(self) -> dict[str, Any]:
        """Its fields, without an accuracy of None."""
        return {name: value for name, value in super().to_json().items() if value is not None}


@dataclass(frozen=True, kw_only=True)
class ExpertsManifest(Record):
    """Experts of one plan.

    Attributes:
        plan: the settings of the training that are not None, by their present names.
        dataset_fingerprint: the fingerprint of the dataset that they were trained on.
        shape: (C, H, W) of one image.
        classes: the number of classes.
        machine: processor, cores, accelerator, system and versions.
        compute: device, precision and compilation; empty in older records.
        experts: the finished experts, ordered by number.
    """

    SCHEMA: ClassVar[int | None] = 1
    FILE: ClassVar[str] = "experts.json"

    plan: Mapping[str, Any]
    dataset_fingerprint: str
    shape: tuple[Positive, Positive, Positive]
    classes: Count
    machine: Mapping[str, str | int]
    compute: Mapping[str, str] = field(default_factory=dict)
    experts: list[Expert]

    @classmethod
    def from_json(cls, fields: Fields) -> Self:
        """The record that ``to_json`` wrote; older names of settings are understood.

        Raises:
            UserError: a field is absent or invalid.
        """
        plan = with_present_names("experts", fields.part("plan").values)
        return super().from_json(replace(fields, values={**fields.values, "plan": plan}))
