"""One training of one network and its scores on every image of the pool: the unit of work of an audit."""

from __future__ import annotations

import time
from base64 import b64decode, b64encode
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
from torch import Tensor

from potstill.applications.audit.attacks import confidences
from potstill.data import ImageDataset, LabeledImages
from potstill.engine.trainer import Trainer
from potstill.evaluation.training import NetworkTraining, evenly_spaced
from potstill.runtime.errors import UserError
from potstill.schema import Record
from potstill.schema.fields import Amount, Fields, Fraction, Positive
from potstill.units import Workplace


@dataclass(frozen=True, kw_only=True)
class Scored(Record):
    """The scores of one network: 4 bytes for an image, as text.

    Attributes:
        pool: of the images of the pool.
        population: of the images of the population.
        accuracy: on the population.
        seconds: time to train and score.
        made_on: the machine, precision and versions, in words.
        failed: the reason if the training failed, otherwise None.
    """

    pool: str = ""
    population: str = ""
    accuracy: Fraction = 0.0
    seconds: Amount = 0.0
    made_on: str = ""
    failed: str | None = None

    @classmethod
    def from_json(cls, fields: Fields) -> Self:
        """The scores that ``to_json`` wrote.

        Raises:
            UserError: a field is absent or invalid.
        """
        made = super().from_json(fields)
        for name in ("pool", "population"):
            try:
                fits = np.isfinite(unpacked(getattr(made, name))).all()
            except ValueError:
                fits = False
            if not fits:
                fields.refuse(name, "a list of numbers, packed")
        return made


@dataclass(frozen=True, kw_only=True)
class TrainAndScore(NetworkTraining[Scored]):
    """Train a network, and score every image of a pool and of a population by its true class.

    The training images of the dataset are the pool, its test images the population.

    Attributes:
        population: the number of test images to score at most, at even distances.
    """

    result: ClassVar[type[Record]] = Scored

    population: Positive

    def run(self, workplace: Workplace) -> Scored:
        """Train and score. A training that fails is a result too, which says why."""
        try:
            return self._scored(workplace, workplace.dataset(self.dataset))
        except UserError as error:
            return Scored(failed=error.problem)

    def is_final(self, result: Scored) -> bool:
        """A training that failed is tried again when it is asked for again."""
        return result.failed is None

    def _scored(self, workplace: Workplace, dataset: ImageDataset) -> Scored:
        population = evenly_spaced(dataset.test, self.population)
        if population is None:
            raise UserError(f"{dataset.name} has no test images", "use a dataset with test images")
        started = time.perf_counter()
        trainer, _ = self.trained(workplace)
        inside, _ = self._judged(trainer, dataset.train)
        outside, right = self._judged(trainer, population)
        return Scored(
            pool=packed(inside),
            population=packed(outside),
            accuracy=right,
            seconds=time.perf_counter() - started,
            made_on=workplace.in_words,
        )

    def _judged(self, trainer: Trainer, images: LabeledImages) -> tuple[Tensor, float]:
        """The scores of images, float64 (n,), and the share of them that is classified correctly."""
        logits, labels = trainer.logits(images), images.labels.cpu()
        found = confidences(logits, labels)
        if not found.isfinite().all():
            raise UserError(f"{self.network} gives scores that are not finite", "use another recipe")
        return found, (logits.argmax(1) == labels).double().mean().item()


def packed(scores: Tensor) -> str:
    """Scores as text of 16 characters for 3 scores: in 32 bits, little-endian, base64."""
    return b64encode(scores.numpy().astype("<f4").tobytes()).decode()


def unpacked(text: str) -> np.ndarray:
    """The scores in a text, as float64.

    Raises:
        ValueError: the text does not hold scores.
    """
    return np.frombuffer(b64decode(text, validate=True), dtype="<f4").astype(np.float64)
