"""How long a row of a published table will take on this machine, from a few timed steps."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from potstill.applications import SPACES
from potstill.data import Examples, ImageDataset
from potstill.distillation.driver import distill
from potstill.distillation.settings import Settings
from potstill.engine.schedule import Schedule
from potstill.evaluation.schedules import training_schedule
from potstill.evaluation.training import evenly_spaced, make_trainer
from potstill.methods import Method
from potstill.reproductions.base import Row
from potstill.runtime.compute import resolve_compute
from potstill.runtime.errors import Diverged
from potstill.runtime.progress import in_words
from potstill.runtime.streams import Streams
from potstill.schema.recipe import Recipe
from potstill.synthetic import SyntheticSet

STEPS = 2
"""Iterations that are run; the last one is timed, since the first one also prepares what the others use."""
IMAGES = 256
"""Real images whose training is timed in place of the full data."""


@dataclass(frozen=True, kw_only=True)
class EstimatedCost:
    """The seconds that a row will take.

    Attributes:
        experts: to train the experts that it needs.
        distilling: to distil the set; without an iteration to time, 0.
        evaluating: to train the networks of the row.
        searching: to search with the set, with networks as large as the ConvNet.
        untimed: what could not be timed, in words.
    """

    experts: float = 0.0
    distilling: float = 0.0
    evaluating: float = 0.0
    searching: float = 0.0
    untimed: str = ""

    @property
    def seconds(self) -> float:
        """All of it."""
        return self.experts + self.distilling + self.evaluating + self.searching

    def __str__(self) -> str:
        """Such as ``about 50 min: 40 min to distil, 10 min to evaluate``."""
        parts = {
            "for experts": self.experts,
            "to distil": self.distilling,
            "to evaluate": self.evaluating,
            "to search": self.searching,
        }
        told = ", ".join(f"{in_words(seconds)} {what}" for what, seconds in parts.items() if seconds)
        return f"about {in_words(self.seconds)}: {told}" + (f"; {self.untimed}" if self.untimed else "")


def estimate(
    row: Row,
    settings: Settings[Method],
    dataset: ImageDataset,
    recipe: Recipe,
    repeats: int,
    searches: int,
    *,
    distilled: bool,
) -> EstimatedCost:
    """Time a step of each kind of work of a row, and multiply.

    Args:
        row: the row.
        settings: its settings, with device, precision and number of iterations.
        dataset: its dataset.
        recipe: how its networks are trained.
        repeats: trainings of each network.
        searches: trainings of each candidate of a search.
        distilled: whether its set is there already.

    Returns:
        What the row will cost, without compilation and tests.
    """
    timing = _Timing(dataset, settings)
    if row.full:
        schedule = training_schedule(recipe, flips=dataset.flips, full=True)
        return EstimatedCost(evaluating=sum(timing.full(network, schedule) for network in row.published) * repeats)
    set_like = SyntheticSet.from_noise(dataset.train, settings.ipc, Streams(0).generator("estimate"))
    schedule = training_schedule(recipe, flips=dataset.flips)
    trainings = repeats + len(recipe.learning_rate_grid)
    evaluating = sum(timing.epoch(network, set_like, schedule) for network in row.published)
    evaluating *= schedule.epochs * trainings
    searching = 0.0
    if row.search is not None:
        full = training_schedule(recipe, flips=dataset.flips, full=True)
        ranking = timing.epoch("convnet", set_like, schedule) * schedule.epochs * searches
        searching = ranking * len(SPACES[row.search.space]) + timing.full("convnet", full)
    experts, untimed = 0.0, ""
    if row.experts is not None:
        once = Schedule(epochs=row.experts.epochs, batch_size=row.experts.batch_size)
        experts = timing.full(row.experts.trained_network(dataset.shape), once) * row.experts.count
        untimed = "the steps that match experts cannot be timed before the experts are trained"
    elif not settings.iterations:
        untimed = "the choice of images is not timed"
    iteration = 0.0 if distilled or untimed else timing.iteration()
    return EstimatedCost(
        experts=experts,
        distilling=iteration * (settings.iterations or 0),
        evaluating=evaluating,
        searching=searching,
        untimed="" if distilled else untimed,
    )


class _Timing:
    """Times steps on one dataset with the device and precision of settings, uncompiled."""

    def __init__(self, dataset: ImageDataset, settings: Settings[Method]) -> None:
        self._settings = replace(settings, compile="off", iterations=STEPS, validate_every=0)
        compute = resolve_compute(settings.device, settings.precision, "off", long_run=True)
        self._host, self._dataset, self._compute = dataset, dataset.to(compute.device), compute

    def iteration(self) -> float:
        """Seconds of an iteration of the distillation."""
        marks: list[float] = []

        def listen(event: str, _fields: dict[str, Any]) -> None:
            if event == "step":
                marks.append(time.perf_counter())

        with suppress(Diverged):  # the row itself will say so
            distill(self._settings, self._host, listen=listen)
        return marks[-1] - marks[-2] if len(marks) > 1 else 0.0

    def epoch(self, network: str, examples: Examples, schedule: Schedule) -> float:
        """Seconds of an epoch of a network on ``examples``."""
        marks: list[float] = []
        trainer = make_trainer(network, self._dataset, self._compute)
        streams = Streams(0).child("estimate", network)
        short = replace(schedule, epochs=2)
        trainer.fit(examples, short, streams, after_epoch=lambda *_: marks.append(time.perf_counter()))
        return marks[1] - marks[0]

    def full(self, network: str, schedule: Schedule) -> float:
        """Seconds of a training of a network on the full data, from an epoch on a part of it."""
        train = self._dataset.train
        part = evenly_spaced(train, IMAGES) or train
        return self.epoch(network, part, schedule) * len(train) / len(part) * schedule.epochs
