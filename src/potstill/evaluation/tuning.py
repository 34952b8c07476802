"""Tuning: the one place where a learning rate is chosen, always on the validation split."""

from __future__ import annotations

from collections.abc import Callable, Sequence


def best_learning_rate(grid: Sequence[float], validate: Callable[[float], float]) -> float:
    """The learning rate that does best on the validation split.

    Args:
        grid: the learning rates to try, at least one, in this order.
        validate: trains once with a learning rate and returns the accuracy on the validation split, a fraction.

    Returns:
        The learning rate with the highest accuracy; of equal ones the earliest in the grid.
    """
    accuracies = [validate(learning_rate) for learning_rate in grid]
    return grid[accuracies.index(max(accuracies))]
