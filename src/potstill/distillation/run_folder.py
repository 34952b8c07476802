"""A run's folder: everything about one distillation, each file whole or absent."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from potstill.runtime.errors import UserError
from potstill.runtime.events import EventLog
from potstill.runtime.files import staged, write_atomic
from potstill.schema.manifest import Manifest
from potstill.schema.run_folder import RunPaths
from potstill.synthetic import SyntheticSet


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """Where a run stands: what resuming needs, tensors and plain values only.

    Attributes:
        state: the method's state after ``iteration`` iterations.
        iteration: iterations done.
        seconds: spent on them, over all sessions.
        best_iteration: the iteration whose set did best on the validation split; None before the first validation.
        best_accuracy: that set's validation accuracy, a fraction.
        best_state: the method's state then.
        validated: the last iteration whose set has been validated; 0 if there is none.
    """

    state: dict[str, Tensor]
    iteration: int = 0
    seconds: float = 0.0
    best_iteration: int | None = None
    best_accuracy: float | None = None
    best_state: dict[str, Tensor] | None = None
    validated: int = 0


@dataclass(frozen=True)
class RunFolder(RunPaths):
    """The files of a run by name, written and read."""

    def create(self, config: str, start: SyntheticSet) -> None:
        """Begin a new run.

        Raises:
            UserError: the folder already holds something.
        """
        self.check_new()
        with staged(self.path) as unfinished:
            new = RunFolder(unfinished)
            start.save(new.start)
            write_atomic(new.metrics, "")
            write_atomic(new.config, config)

    def check_new(self) -> None:
        """Make sure that a run can be begun here.

        Raises:
            UserError: the folder already holds something.
        """
        if self.path.exists() and (not self.path.is_dir() or any(self.path.iterdir())):
            raise UserError(f"{self.path} already exists", "use --resume to go on with it, or another --out")

    def events(self) -> EventLog:
        """The run's event record."""
        return EventLog(self.metrics)

    def save_checkpoint(self, checkpoint: Checkpoint) -> None:
        """Replace the checkpoint: one file, so that a kill leaves the old one or the new one."""
        tensors = {f"state.{name}": tensor for name, tensor in checkpoint.state.items()}
        tensors |= {f"best.{name}": tensor for name, tensor in (checkpoint.best_state or {}).items()}
        values = {
            "iteration": checkpoint.iteration,
            "seconds": checkpoint.seconds,
            "best_iteration": checkpoint.best_iteration,
            "best_accuracy": checkpoint.best_accuracy,
            "validated": checkpoint.validated,
        }
        # Copies, because the best state may share tensors with the present one, which safetensors refuses.
        content = {
            name: tensor.detach().cpu().clone(memory_format=torch.contiguous_format) for name, tensor in tensors.items()
        }
        write_atomic(self.checkpoint, save(content, {name: json.dumps(value) for name, value in values.items()}))

    def load_checkpoint(self) -> Checkpoint | None:
        """The last checkpoint; None if the run was stopped before its first.

        Raises:
            UserError: the file is damaged.
        """
        if not self.checkpoint.exists():
            return None
        try:
            with safe_open(self.checkpoint, framework="pt") as archive:
                tensors = {name: archive.get_tensor(name) for name in archive.keys()}  # noqa: SIM118
                values: dict[str, Any] = {name: json.loads(text) for name, text in archive.metadata().items()}
            state, best = (
                {name.removeprefix(part): tensor for name, tensor in tensors.items() if name.startswith(part)}
                for part in ("state.", "best.")
            )
            return Checkpoint(state=state, best_state=best or None, **values)
        except (SafetensorError, OSError, ValueError, TypeError, AttributeError) as error:
            raise UserError(
                f"{self.checkpoint} is damaged ({error})", "start again with another --out; the last set is still there"
            ) from error

    def read_manifest(self) -> Manifest:
        """The run's manifest.

        Raises:
            UserError: it is absent or damaged.
        """
        return Manifest.read(self.manifest)
