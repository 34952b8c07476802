"""The checkpoint of a run, a file of tensors and plain values, and the rule that chooses the best state."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from dataclasses import fields as fields_of
from pathlib import Path

import torch
from safetensors.torch import save

from potstill.methods import State
from potstill.runtime.errors import UserError
from potstill.runtime.files import write_atomic
from potstill.runtime.safetensors_io import SHA256, UNREADABLE, content_sha256, read_safetensors
from potstill.schema import Record
from potstill.schema.fields import Amount, Count, Fields, Fraction, with_present_names


@dataclass(frozen=True, kw_only=True)
class Position(Record):
    """The plain values of a checkpoint, as its metadata record them; see :class:`Checkpoint`."""

    iteration: Count
    seconds: Amount
    best_iteration: Count | None = None
    best_accuracy: Fraction | None = None
    validated: Count = 0


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
        # Copies, because the best state may share tensors with the present one, which safetensors refuses.
        content = {
            name: tensor.detach().cpu().clone(memory_format=torch.contiguous_format) for name, tensor in tensors.items()
        }
        position = Position(**{field.name: getattr(self, field.name) for field in fields_of(Position)})
        metadata = {name: json.dumps(value) for name, value in position.to_json().items()}
        write_atomic(path, save(content, {**metadata, SHA256: content_sha256(content, metadata)}))

    @classmethod
    def load(cls, path: Path, like: Callable[[], State] | None = None) -> Checkpoint:
        """Read what ``save`` wrote; its tensors are on the CPU.

        Args:
            path: the file.
            like: makes a state with the right names, shapes and types. It is called only for files of older versions,
                whose tensors cannot be checked otherwise; None leaves these unchecked.

        Raises:
            UserError: the file is absent, damaged, or not of this run.
        """
        try:
            tensors, metadata = read_safetensors(path)
        except UNREADABLE as error:
            raise _damaged(path, str(error)) from error
        digest = metadata.pop(SHA256, None)
        if digest is not None and digest != content_sha256(tensors, metadata):
            raise _damaged(path, "its contents are not what was written")
        position = Position.from_json(Fields.of_metadata(path, metadata))
        state, best = (
            with_present_names("state", {n.removeprefix(part): t for n, t in tensors.items() if n.startswith(part)})
            for part in ("state.", "best.")
        )
        if digest is None and like is not None:
            _check_alike(path, like(), state, *([best] if best else []))
        return cls(state=state, best_state=best or None, **vars(position))


def _moved(state: State, device: torch.device) -> State:
    return {name: tensor.to(device) for name, tensor in state.items()}


def _check_alike(path: Path, right: State, *states: State) -> None:
    """Make sure that states have the names, shapes and types of the ``right`` one."""
    for state in states:
        for name in [*right, *state]:
            ours, theirs = ((s[name].dtype, tuple(s[name].shape)) if name in s else None for s in (state, right))
            if ours != theirs:
                raise _damaged(path, f"{name} is {_described(ours)}, not {_described(theirs)}")


def _described(tensor: tuple[torch.dtype, tuple[int, ...]] | None) -> str:
    return "absent" if tensor is None else f"{str(tensor[0]).removeprefix('torch.')} {tensor[1]}"


def _damaged(path: Path, problem: str) -> UserError:
    return UserError(f"{path} is damaged ({problem})", "start again with another `out`; the last set is still there")
