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
        self._dtype = torch.float32 if device.type == "mps" else torch.float64  # Apple's GPUs have no other
        self._steps: list[tuple[list[str], Tensor]] = []

    def add(self, loss: float | Tensor, state: State) -> None:
        """Add a step; nothing is waited for.

        Args:
            loss: the loss before the step.
            state: the state after it.
        """
        names = [name for name, tensor in state.items() if tensor.is_floating_point()]
        finite = [state[name].isfinite().all().to(self._device, self._dtype) for name in names]
        value = torch.as_tensor(loss, dtype=self._dtype, device=self._device).detach().reshape(())
        self._steps.append((names, torch.stack([value, *finite])))

    @property
    def most(self) -> int:
        """After how many steps it is time to look: on a CPU after every step."""
        return 1 if self._device.type == "cpu" else LOOK_EVERY

    @property
    def due(self) -> bool:
        """Whether it is time to look."""
        return len(self._steps) >= self.most

    def look(self) -> list[Seen]:
        """What there is to see of each step, in order. The steps are unseen until ``forget`` is called."""
        if not self._steps:
            return []
        values = iter(torch.cat([values for _, values in self._steps]).tolist())
        return [
            Seen(loss=next(values), lost=tuple(name for name in names if not next(values)))  # in the order of ``add``
            for names, _ in self._steps
        ]

    def forget(self) -> None:
        """Start over: all steps have been seen and judged."""
        self._steps = []
