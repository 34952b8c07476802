"""Steps whose losses and states have not been looked at: looking at a value waits for the device that computes it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from potstill.methods import State

LOOK_EVERY = 8
"""Steps after which an accelerator is waited for, to see whether all is finite. In between, the next step is prepared
while the device is at work on the last ones."""


@dataclass(frozen=True)
class Seen:
    """What was seen of a step.

    Attributes:
        loss: the loss before the step.
        lost: the tensors of its state that are not finite.
    """

    loss: float
    lost: tuple[str, ...]

    @property
    def is_finite(self) -> bool:
        """Whether the loss and the state are finite."""
        return math.isfinite(self.loss) and not self.lost


class UnseenSteps:
    """The steps since the last look.

    Args:
        device: where the steps are computed.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._steps: list[tuple[list[str], Tensor]] = []

    def add(self, loss: float | Tensor, state: State) -> None:
        """Add a step; nothing is waited for.

        Args:
            loss: the loss before the step.
            state: the state after it.
        """
        names = [name for name, tensor in state.items() if tensor.is_floating_point()]
        finite = [state[name].isfinite().all().to(self._device, torch.float64) for name in names]
        value = torch.as_tensor(loss).detach().to(self._device, torch.float64)
        self._steps.append((names, torch.stack([value, *finite])))

    @property
    def due(self) -> bool:
        """Whether it is time to look: on a CPU after every step."""
        return self._device.type == "cpu" or len(self._steps) >= LOOK_EVERY

    def look(self) -> list[Seen]:
        """What there is to see of each step, in order; from now on they are seen."""
        if not (steps := self._steps):
            return []
        self._steps = []
        values = iter(torch.cat([values for _, values in steps]).tolist())
        return [
            Seen(loss=next(values), lost=tuple(name for name in names if not next(values)))  # in the order of ``add``
            for names, _ in steps
        ]
