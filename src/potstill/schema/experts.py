"""``experts.json``: networks that were trained on the real images, and how."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Self

from potstill.schema import Record
from potstill.schema.fields import Amount, Count, Fields, Fraction, Positive
from potstill.schema.old_names import with_present_names


@dataclass(frozen=True, kw_only=True)
class Expert(Record):
    """One of the experts.

    Attributes:
        number: from 0.
        losses: the mean training loss of each epoch.
        seconds: to train it.
        compute: device, precision and compilation, in words.
        validation_accuracy: a fraction; None where there are no validation images.
    """

    number: Count
    losses: list[float]
    seconds: Amount
    compute: str
    validation_accuracy: Fraction | None = None

    def to_json(self) -> dict[str, Any]:
        """Its fields; an accuracy only where there is one."""
        return {name: value for name, value in super().to_json().items() if value is not None}


@dataclass(frozen=True, kw_only=True)
class ExpertsManifest(Record):
    """Experts of one plan.

    Attributes:
        plan: the settings of the training that are not None, by their present names.
        dataset_fingerprint: of the dataset that they were trained on.
        shape: (C, H, W) of one image.
        classes: how many.
        machine: processor, cores, accelerator, system and versions.
        compute: device, precision and compilation; empty in older records.
        experts: those that are finished, by number.
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
        """What ``to_json`` made a record of; older names of settings are understood.

        Raises:
            UserError: a field is absent or not what it should be.
        """
        plan = with_present_names("experts", fields.part("plan").values)
        return super().from_json(replace(fields, values={**fields.values, "plan": plan}))
