"""Random images of each class, at a cost that depends on how many are drawn, not on how many there are."""

from __future__ import annotations

import torch
from torch import Tensor

SPARE_DRAWS = 32
"""Draws beyond one and a half per image: enough that a class of twice as many images rarely needs a second round."""


class ClassSampler:
    """Draws the same number of images of each class, on the CPU.

    Args:
        labels: int64 (N,): the class of each image.
        sizes: int64 (classes,): the number of images of each class.
    """

    def __init__(self, labels: Tensor, sizes: Tensor) -> None:
        self._members = labels.cpu().argsort(stable=True)
        self._sizes = sizes.cpu()
        self._begins = self._sizes.cumsum(0) - self._sizes

    def draw(self, count: int, generator: torch.Generator, classes: Tensor | None = None) -> Tensor:
        """Draw ``count`` images of each class, or of each of some classes, each choice with equal probability.

        Of a class with ``count`` images or more none is drawn twice. Of a smaller class of n images each is drawn
        floor(count / n) times, and a random choice of them once more. No class is empty.

        Args:
            count: the number of images per class.
            generator: a CPU generator: its state determines the images.
            classes: int64 (chosen,); None draws of all classes.

        Returns:
            int64 (classes, count): indices.
        """
        sizes, begins = (all_ if classes is None else all_[classes] for all_ in (self._sizes, self._begins))
        places = torch.empty(len(sizes), count, dtype=torch.int64)
        is_large = sizes >= 2 * count
        places[is_large] = _distinct(sizes[is_large], count, generator)
        places[~is_large] = _cycling(sizes[~is_large], count, generator)
        return self._members[begins[:, None] + places]


def _distinct(sizes: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """For each of ``sizes``, which are at least twice ``count``, that many different numbers below it: (rows, count).

    Numbers are drawn until enough of them are different, in the order in which they were drawn.
    """
    drawn = torch.empty(len(sizes), 0, dtype=torch.int64)
    while True:
        more = torch.randint(2**62, (len(sizes), count + count // 2 + SPARE_DRAWS), generator=generator)
        drawn = torch.cat([drawn, more % sizes[:, None]], 1)
        ordered, order = drawn.sort(dim=1, stable=True)
        repeats = torch.zeros_like(ordered, dtype=torch.bool)
        repeats[:, 1:] = ordered[:, 1:] == ordered[:, :-1]
        is_new = torch.empty_like(repeats).scatter_(1, order, ~repeats)
        rank = is_new.cumsum(1)
        if len(sizes) == 0 or rank[:, -1].min() >= count:
            return drawn[is_new & (rank <= count)].reshape(len(sizes), count)


def _cycling(sizes: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """For each of ``sizes``, which are below twice ``count``, all numbers below it in random order, again and again."""
    largest = int(sizes.max()) if len(sizes) else 0
    # A row of random keys orders the numbers at random; those that a smaller row lacks sort last.
    keys = torch.rand(len(sizes), largest, generator=generator)
    keys.masked_fill_(torch.arange(largest) >= sizes[:, None], torch.inf)
    order = keys.topk(min(count, largest), largest=False).indices
    return order.gather(1, torch.arange(count) % sizes[:, None])
