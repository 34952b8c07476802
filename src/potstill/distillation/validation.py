"""Validation, which chooses the set that a run keeps. The test split is not involved."""

from __future__ import annotations

from functools import cache

from potstill.data import ImageDataset
from potstill.distillation.checkpoint import Checkpoint
from potstill.distillation.plan import Plan
from potstill.engine.trainer import Trainer
from potstill.evaluation import make_trainer, validation_accuracy
from potstill.methods import Method
from potstill.runtime.compute import Compute
from potstill.runtime.streams import Streams
from potstill.synthetic import SyntheticSet


class Validation:
    """Trains the network on sets and tests it on the validation split.

    The network starts from the same initial weights for all sets of a run, so that their accuracies can be compared.

    Args:
        plan: the network, and the interval between validations.
        dataset: the dataset, on the device.
    """

    def __init__(self, plan: Plan[Method], dataset: ImageDataset) -> None:
        self.plan, self.dataset = plan, dataset
        self._streams = Streams(plan.seed).child("validation")

        @cache
        def trainer(compute: Compute) -> Trainer:
            return make_trainer(plan.network, dataset, compute)

        self._trainer = trainer

    def due(self, now: Checkpoint) -> bool:
        """Whether to validate the present set: at regular intervals, and after the last iteration."""
        every, iteration = self.plan.validate_every, now.iteration
        if not every or not len(self.dataset.validation) or iteration == now.validated:
            return False
        return iteration % every == 0 or iteration == self.plan.iterations

    def accuracy(self, synthetic: SyntheticSet) -> float:
        """The fraction of the validation split that a network trained on the set classifies correctly."""
        # Learned steps are replayed exactly.
        compute = self.plan.compute if synthetic.replay is None else self.plan.compute.precise
        return validation_accuracy(
            synthetic,
            self.dataset,
            network=self.plan.network,
            streams=self._streams,
            compute=compute,
            trainer=self._trainer(compute),
        )
