"""The memory that a run will take, planned before it begins."""

from __future__ import annotations

from potstill.methods import Method, Problem
from potstill.runtime.bounds import bytes_in_words, has_memory_limit, memory_bytes
from potstill.runtime.errors import UserError
from potstill.runtime.machine import resident_bytes

SYNTHETIC_COPIES = 6
"""How often all synthetic images are in memory: in the state, its gradient, the next state and what is written."""

TOO_HIGH = 0.6
"""By how much a plan may be too high: measured for a ResNet."""


def planned_memory(method: Method, problem: Problem) -> float | None:
    """About how many bytes the process will take at its peak; None if the method cannot say, or not for this device.

    Args:
        method: the method.
        problem: the distillation problem, with its images where they will be.

    Raises:
        UserError: it is more than the memory limit, or without one so much more than the memory that the plan is not
            merely too high.
    """
    if problem.compute.device.type != "cpu" or (growth := method.planned_bytes(problem)) is None:
        return None
    planned = resident_bytes() + growth + SYNTHETIC_COPIES * problem.start.images.nbytes
    there = memory_bytes()
    if planned > there * (1 if has_memory_limit() else 1 + TOO_HIGH):
        raise UserError(
            f"{method.name} needs about {bytes_in_words(planned)} of memory, and may use {bytes_in_words(there)}",
            "use a smaller `ipc`, `batch_real` or `classes_per_step`, or a smaller network",
        )
    return planned
