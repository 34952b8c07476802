"""Settings that are known to be good, each with its record: what ``potstill distill auto`` chooses from."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from potstill.data.catalogue import CATALOGUE, CatalogueEntry
from potstill.distillation.settings import Settings
from potstill.methods import find_method
from potstill.runtime.errors import UserError
from potstill.runtime.progress import in_words

LEAST_SECONDS = 20.0
"""Under this limit a run would do little more than read its data and compile."""


@dataclass(frozen=True, kw_only=True)
class KnownSettings:
    """Settings of a run whose result is recorded.

    Attributes:
        dataset: its name in the catalogue.
        ipc: images per class.
        method: the name of the method.
        options: its hyper-parameters, as far as they are not the defaults.
        settings: the other settings, likewise.
        iterations: how many were done.
        seconds: how long they took, on two cores.
        accuracy: the mean accuracy of networks trained on its set, in percent.
        recipe: the recipe by which that was measured.
        record: where the record is, in the repository.
    """

    dataset: str
    ipc: int
    method: str
    options: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    iterations: int
    seconds: float
    accuracy: float
    recipe: str
    record: str

    @property
    def words(self) -> str:
        """The method and what differs from its defaults, as on the command line."""
        given = {**self.settings, **self.options}
        return " ".join([self.method, *(f"--{name.replace('_', '-')} {value}" for name, value in given.items())])


TABLE: tuple[KnownSettings, ...] = (
    KnownSettings(
        dataset="digits",
        ipc=1,
        method="dm",
        settings={"network": "convnet:depth=2"},
        iterations=1_000,
        seconds=308,
        accuracy=91.2,
        recipe="dc-1000",
        record="records/digits-dm-ipc1",
    ),
    KnownSettings(
        dataset="digits",
        ipc=10,
        method="dm",
        settings={"network": "convnet:depth=2"},
        iterations=1_000,
        seconds=308,
        accuracy=97.5,
        recipe="dc-1000",
        record="records/digits-dm-ipc10",
    ),
    KnownSettings(
        dataset="mnist",
        ipc=1,
        method="dm",
        settings={"start": "k-means"},
        options={"batch_real": 64, "learning_rate": 2.0, "momentum": 0.8},
        iterations=582,
        seconds=180,
        accuracy=92.6,
        recipe="dc-1000",
        record="records/mnist-dm-ipc1",
    ),
    KnownSettings(
        dataset="mnist",
        ipc=1,
        method="dm",
        settings={"formation": 2},
        options={"optimiser": "adam", "batch_real": 64},
        iterations=2_400,
        seconds=1_044,
        accuracy=94.8,
        recipe="dc-1000",
        record="records/mnist-dm-ipc1-f2",
    ),
    KnownSettings(
        dataset="mnist",
        ipc=10,
        method="dm",
        settings={"start": "k-means"},
        options={"batch_real": 64, "learning_rate": 2.0, "momentum": 0.8},
        iterations=4_656,
        seconds=1_320,
        accuracy=97.3,
        recipe="dsa-1000",
        record="records/mnist-dm-tuned",
    ),
    KnownSettings(
        dataset="fashion-mnist",
        ipc=1,
        method="dm",
        settings={"formation": 2},
        options={"optimiser": "adam", "batch_real": 64},
        iterations=1_851,
        seconds=1_501,
        accuracy=76.6,
        recipe="dsa-1000",
        record="records/fashion-mnist-dm-ipc1-f2",
    ),
    KnownSettings(
        dataset="fashion-mnist",
        ipc=10,
        method="dm",
        settings={"formation": 2},
        options={"optimiser": "adam", "batch_real": 64, "averaged_updates": 300},
        iterations=961,
        seconds=1_200,
        accuracy=84.3,
        recipe="dsa-1000",
        record="records/fashion-mnist-dm-ipc10-f2-averaged",
    ),
    KnownSettings(
        dataset="fashion-mnist",
        ipc=50,
        method="dm",
        options={"optimiser": "adam", "batch_real": 64, "averaged_updates": 300},
        iterations=1_692,
        seconds=2_226,
        accuracy=87.7,
        recipe="dsa-1000",
        record="records/fashion-mnist-dm-ipc50-f1",
    ),
    KnownSettings(
        dataset="cifar10",
        ipc=1,
        method="dm",
        settings={"formation": 2},
        options={"optimiser": "adam", "batch_real": 64, "averaged_updates": 300},
        iterations=2_184,
        seconds=1_200,
        accuracy=41.8,
        recipe="dsa-1000",
        record="records/cifar10-dm-ipc1-f2-averaged",
    ),
    KnownSettings(
        dataset="cifar10",
        ipc=10,
        method="dm",
        settings={"formation": 2},
        options={"optimiser": "adam", "batch_real": 64, "averaged_updates": 300},
        iterations=4_000,
        seconds=6_019,
        accuracy=58.9,
        recipe="dsa-1000",
        record="records/cifar10-dm-ipc10-f2-averaged",
    ),
)
"""Each row repeats a record of this repository, which was made on two cores.

Of rows for the same dataset and number of images the longest within a limit is taken; put no worse one in.
"""


@dataclass(frozen=True)
class Chosen:
    """The known settings for a request, and why they were chosen.

    Attributes:
        known: the settings.
        why: one line about them.
    """

    known: KnownSettings
    why: str

    def settings(self, dataset: str, images_per_class: int, limit: float) -> Settings[Any]:
        """Them as the settings of a run, with as many iterations as the recorded run would have done in the time.

        Args:
            dataset: what is to be distilled.
            images_per_class: how many images are asked for.
            limit: the seconds that the run may take.
        """
        method = find_method(self.known.method)(**self.known.options)
        in_time = round(self.known.iterations * limit / self.known.seconds)
        most = method.default_iterations(images_per_class)
        values = {"dataset": dataset, "ipc": images_per_class, "iterations": min(max(in_time, 1), most)}
        return Settings(**{**self.known.settings, **values}, method=method)


def chosen_settings(
    dataset: str,
    shape: tuple[int, int, int],
    classes: int,
    images_per_class: int,
    limit: float,
    table: Sequence[KnownSettings] | None = None,
) -> Chosen:
    """The best known settings for a dataset, a number of images per class and a time.

    Rows of the dataset itself are considered first, otherwise those of the dataset whose images are most alike in
    channels, size and number of classes. Among them count those whose images per class are nearest; of these, the one
    that took longest within the limit, or the quickest. Accuracies, which are those on test images, choose nothing.

    Args:
        dataset: the name of the dataset, as the catalogue has it or not.
        shape: (C, H, W) of its images.
        classes: the number of its classes.
        images_per_class: how many images are asked for.
        limit: the seconds that the run may take.
        table: the rows to choose from; by default ``TABLE``.

    Raises:
        UserError: the limit is too short for anything.
    """
    if limit < LEAST_SECONDS:
        raise UserError(
            f"`time_limit={limit:g}s` is too short for anything", f"use `time_limit={LEAST_SECONDS:g}s` or more"
        )
    table = TABLE if table is None else table
    names = {row.dataset for row in table}
    if dataset in names:
        nearest, why = dataset, f"known for {dataset}"
    else:
        nearest = min(names, key=lambda name: (_unlike(shape, classes, CATALOGUE[name]), name))
        why = f"no settings are known for this dataset; those for {nearest} are nearest by the shape of its images"
    rows = [row for row in table if row.dataset == nearest]
    apart = min(_times(row.ipc, images_per_class) for row in rows)
    rows = [row for row in rows if _times(row.ipc, images_per_class) == apart]
    in_time = [row for row in rows if row.seconds <= limit]
    best = max(in_time or rows, key=lambda row: row.seconds if in_time else -row.seconds)
    if best.ipc != images_per_class:
        why += f", with {best.ipc} instead of {images_per_class} images per class"
    if not in_time:
        why += ", of the quickest"
    result = f"{best.accuracy:.1f} % by {best.recipe} after {in_words(best.seconds)} on two cores"
    return Chosen(best, f"{best.words}: {why}: {result} ({best.record})")


def _unlike(shape: tuple[int, int, int], classes: int, other: CatalogueEntry) -> float:
    """How different images and number of classes are: channels count most, then size, then classes."""
    size, theirs = (math.sqrt(height * width) for _, height, width in (shape, other.shape))
    channels = abs((shape[0] > 1) - (other.shape[0] > 1))
    return 10 * channels + _times(size, theirs) + 0.1 * _times(classes, other.classes)


def _times(one: float, other: float) -> float:
    return abs(math.log(one / other))
