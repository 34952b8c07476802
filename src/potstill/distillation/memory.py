"""The memory that a run will take, planned before it begins."""

from __future__ import annotations

from potstill.methods import Method, Problem
from potstill.runtime.bounds import bytes_in_words, memory_bytes
from potstill.runtime.errors import UserError
from potstill.runtime.machine import resident_bytes

SYNTHETIC_COPIES = 6
"""How often all synthetic images are in memory: in the state, its gradient, the next state and what is written."""


def planned_memory(method: Method, problem: Problem) -> float | None:
    """About how many bytes the process will take at its peak; None if the method cannot say, or not for this device.

    Args:
        method: the method.
        problem: the distillation problem, with its images where they will be.

    Raises:
        UserError: it is more than the memory, or the memory limit.
    """
    if problem.compute.device.type != "cpu" or (growth := method.planned_bytes(problem)) is None:
        return None
    planned = resident_bytes() + growth + SYNTHETIC_COPIES * problem.start.images.nbytes
    if planned > (there := memory_bytes()):
        raise UserError(
            f"{method.name} needs about {bytes_in_words(planned)} of memory, and may take {bytes_in_words(there)}",
            "use a smaller `ipc`, `batch_real` or `classes_per_step`, or a smaller network",
        )
    return planned
