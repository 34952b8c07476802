"""A network that is trained on, stage after stage, and may learn from what it was before: knowledge distillation."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from potstill.data import Examples
from potstill.engine.chunked import Batch, ChunkedNetwork, Loss, cross_entropy
from potstill.engine.fit import go_on
from potstill.engine.schedule import Schedule
from potstill.engine.trainer import Trainer
from potstill.runtime.streams import Streams


class Pupil(Trainer):
    """A trainer that goes on from the weights that its network has.

    Args:
        network: the network.
        compute: device, precision and compilation.
    """

    def learn_on(
        self,
        examples: Examples,
        schedule: Schedule,
        streams: Streams,
        *,
        temperature: float | None = None,
        after_epoch: Callable[[int, float], None] | None = None,
        taking_part: Callable[[int], Tensor] | None = None,
    ) -> None:
        """Train the network on further examples.

        With a temperature T, the network also learns to answer as it did before: to the cross-entropy with the labels
        is added that between softmax(old / T) and softmax(new / T), on every image of every batch as it is augmented.

        Args:
            examples: what to train on.
            schedule: epochs, learning rates and augmentation.
            streams: the randomness of order and augmentation.
            temperature: T; None trains without knowledge distillation.
            after_epoch: called with the number of completed epochs and the mean loss of the last one.
            taking_part: from an epoch, counted from 0, to the indices int64 (n,) of its examples; by default all.
        """

        def report(epoch: int, losses: list[float]) -> None:
            if after_epoch is not None:
                after_epoch(epoch, losses[0])

        self._loss = cross_entropy if temperature is None else knowledge_loss(self.before(), temperature)
        try:
            go_on(self, examples, schedule, [streams], after_epoch=report, taking_part=taking_part)
        finally:
            self._loss = cross_entropy

    def state(self) -> dict[str, Tensor]:
        """A copy of the parameters and buffers, exactly as they are."""
        return {name: tensor.clone() for name, tensor in self._master.network.state_dict().items()}

    def restore(self, state: dict[str, Tensor]) -> None:
        """Set the parameters and buffers to what ``state`` returned earlier."""
        self._master.network.load_state_dict(state)
        self._master.hand_over()

    def before(self) -> ChunkedNetwork:
        """A copy of the network as it is now, which stays as it is."""
        kept = ChunkedNetwork(copy.deepcopy(self.network), replace(self.compute, compile=False))
        kept.network.eval()
        return kept


def knowledge_loss(teacher: ChunkedNetwork, temperature: float) -> Loss:
    """Cross-entropy with the labels, plus that with the softened answers of a teacher.

    Castro et al., "End-to-End Incremental Learning", ECCV 2018, with one head for all stages.

    Args:
        teacher: the network that answers.
        temperature: what the logits of both are divided by.
    """

    def loss(logits: Tensor, batch: Batch) -> Tensor:
        with torch.no_grad():
            answers = (teacher.logits(batch[0]) / temperature).softmax(1)
        softened = F.cross_entropy(logits / temperature, answers, reduction="sum")
        return cross_entropy(logits, batch) + softened

    return loss
