"""``labels.json``: what a set and random images are worth under hard, stored soft and a teacher's labels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from potstill.schema import SetRecord
from potstill.schema.evaluation import NetworkResult
from potstill.schema.fields import Count, Fraction
from potstill.schema.recipe import Recipe

Regime = Literal["hard", "stored", "teacher"]
REGIMES: tuple[Regime, ...] = ("hard", "stored", "teacher")
"""Where labels come from: the classes; probabilities that are stored with the images; or a teacher that labels every
augmented batch during training."""

SET, RANDOM = "the set", "random images"


@dataclass(frozen=True, kw_only=True)
class LabelRegimes(SetRecord):
    """Accuracies of networks that differ in the labels of their training images alone.

    Attributes:
        set_sha256: of the set's tensors.
        dataset_fingerprint: of the dataset.
        seed: of all trainings.
        recipe: how networks were trained.
        teacher: spec of the teacher's network.
        teacher_weights: the SHA-256 of its file of weights.
        teacher_accuracy: its accuracy on the test images.
        teacher_bytes: the size of its weights in float32.
        own_labels: whether the stored labels of the set are its own, learned ones, rather than the teacher's.
        image_bytes: the size of the set's stored images.
        label_bytes: the size of its labels in each regime: int64 classes, or a float32 for every class and picture;
            none under a teacher.
        networks: by spec and regime, the results on the set and on as many random images.
    """

    SCHEMA: ClassVar[int | None] = 1
    FILE: ClassVar[str] = "labels.json"

    set_sha256: str
    dataset_fingerprint: str
    seed: int
    recipe: Recipe
    teacher: str
    teacher_weights: str
    teacher_accuracy: Fraction
    teacher_bytes: Count
    own_labels: bool
    image_bytes: Count
    label_bytes: Mapping[str, Count]
    networks: dict[str, dict[str, dict[str, NetworkResult]]] = field(default_factory=dict)

    @property
    def protocol(self) -> dict[str, Any]:
        """All that determines the results, except networks and repeats."""
        others = ("networks", "schema", "teacher_accuracy")
        return {name: value for name, value in self.to_json().items() if name not in others}

    def bytes_of(self, regime: Regime) -> int:
        """What must be kept to train in a regime: images, labels and, if it labels them, the teacher."""
        return self.image_bytes + self.label_bytes[regime] + (self.teacher_bytes if regime == "teacher" else 0)
