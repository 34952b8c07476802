"""The checkpoint of a run, a file of tensors and plain values, and the rule that chooses the best state."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from potstill.methods import State
from potstill.runtime.errors import UserError
from potstill.runtime.files import write_atomic
from potstill.schema.fields import with_present_names


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """The state of a run: everything that is needed to resume it.

    Attributes:
        state: the method's state after ``iteration`` iterations.
        iteration: iterations done.
        seconds: time spent on them, in all sessions together.
        best_iteration: the iteration with the highest validation accuracy; None before the first validation.
        best_accuracy: that accuracy, a fraction.
        best_state: the method's state at that iteration.
        validated: the last iteration whose set has been validated; 0 before the first validation.
    """

    state: State
    iteration: int = 0
    seconds: float = 0.0
    best_iteration: int | None = None
    best_accuracy: float | None = None
    best_state: State | None = None
    validated: int = 0

    @property
    def chosen(self) -> tuple[State, int]:
        """The state whose set is kept, and its iteration: the best by validation, or the present one."""
        if self.best_state is None or self.best_iteration is None:
            return self.state, self.iteration
        return self.best_state, self.best_iteration

    def judged(self, accuracy: float) -> Checkpoint:
        """The checkpoint after the present set reached ``accuracy`` on the validation split.

        The present state becomes the best one only if it is better than the best so far; of equals, the earliest stays.
        """
        judged = replace(self, validated=self.iteration)
        if self.best_accuracy is not None and accuracy <= self.best_accuracy:
            return judged
        return replace(judged, best_iteration=self.iteration, best_accuracy=accuracy, best_state=self.state)

    def to(self, device: torch.device) -> Checkpoint:
        """A copy with its tensors on ``device``."""
        best = None if self.best_state is None else _moved(self.best_state, device)
        return replace(self, state=_moved(self.state, device), best_state=best)

    def save(self, path: Path) -> None:
        """Write the file atomically: if the process is killed, either the old file or the new one is there."""
        best = {} if self.best_state is None else self.best_state
        tensors = {f"state.{name}": tensor for name, tensor in self.state.items()}
        tensors |= {f"best.{name}": tensor for name, tensor in best.items()}
        values = {
            "iteration": self.iteration,
            "seconds": self.seconds,
            "best_iteration": self.best_iteration,
            "best_accuracy": self.best_accuracy,
            "validated": self.validated,
        }
        # Copies, because the best state may share tensors with the present one, which safetensors refuses.
        content = {
            name: tensor.detach().cpu().clone(memory_format=torch.contiguous_format) for name, tensor in tensors.items()
        }
        write_atomic(path, save(content, {name: json.dumps(value) for name, value in values.items()}))

    @classmethod
    def load(cls, path: Path) -> Checkpoint:
        """Read what ``save`` wrote; its tensors are on the CPU.

        Raises:
            UserError: the file is absent or damaged.
        """
        try:
            with safe_open(path, framework="pt") as archive:
                tensors = {name: archive.get_tensor(name) for name in archive.keys()}  # noqa: SIM118
                values: dict[str, Any] = {name: json.loads(text) for name, text in archive.metadata().items()}
            state, best = (
                with_present_names("state", {n.removeprefix(part): t for n, t in tensors.items() if n.startswith(part)})
                for part in ("state.", "best.")
            )
            return cls(state=state, best_state=best or None, **values)
        except (SafetensorError, OSError, ValueError, TypeError, AttributeError) as error:
            raise UserError(
                f"{path} is damaged ({error})", "start again with another --out; the last set is still there"
            ) from error


def _moved(state: State, device: torch.device) -> State:
    return {name: tensor.to(device) for name, tensor in state.items()}
