"""Samples of candidates that represent a whole space: to search among them alone, or to train them on the full data."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import combinations
from math import prod

import torch

from potstill.networks.spec import parse
from potstill.runtime.errors import UserError
from potstill.runtime.streams import Streams


def check_sample(count: int, candidates: int) -> None:
    """Make sure that a sample can be drawn.

    Args:
        count: the number to draw.
        candidates: the number of candidates that fit the images.

    Raises:
        UserError: there are not so many candidates.
    """
    if count > candidates:
        raise UserError(
            f"{count:,} candidates cannot be drawn from the {candidates:,} that fit the images",
            f"use `full_sample={candidates}` or less",
        )


def drawn_space(specs: Mapping[str, str], count: int, seed: int) -> dict[str, str]:
    """A part of a space that is too large to be searched whole; see ``sampled``.

    Args:
        specs: the specs of the whole space by name.
        count: the number of candidates to draw.
        seed: of the choice.

    Returns:
        The specs of these by name, in the order of the space.

    Raises:
        UserError: the space has not so many candidates.
    """
    if count > len(specs):
        raise UserError(f"{count:,} candidates cannot be drawn from {len(specs):,}", f"use `candidates={len(specs)}`")
    drawn = set(sampled(specs, list(specs), count, seed))
    return {name: spec for name, spec in specs.items() if name in drawn}


def sampled(specs: Mapping[str, str], ranked: Sequence[str], count: int, seed: int) -> list[str]:
    """Draw candidates that represent all of a space. A larger sample holds every smaller one.

    Of a grid, every value of every option is drawn about equally often. The sample of another space is spread evenly
    over a ranking.

    Args:
        specs: the specs of the whole space by name.
        ranked: the names of the candidates to draw from, from best to worst, or in any order of the space.
        count: the number to draw, at most that of the candidates.
        seed: of the choice, which depends on nothing but the arguments.
    """
    generator = Streams(seed, ("search", "sample")).generator("order")
    levels = grid_levels(specs)
    if levels is not None:
        names = [name for name in specs if name in set(ranked)]
        order = torch.randperm(len(names), generator=generator).tolist()
        return _balanced([names[place] for place in order], levels, count)
    shift = torch.rand((), generator=generator, dtype=torch.float64).item()
    return _spread(ranked, count, shift)


def grid_levels(specs: Mapping[str, str]) -> dict[str, tuple[str, ...]] | None:
    """The value that each candidate of a grid has of each option; None if the space is not a grid.

    A grid holds every combination of the values of at least two options of one family once.

    Args:
        specs: the specs by name.
    """
    parsed = {name: parse(spec) for name, spec in specs.items()}
    families = {(family, tuple(sorted(options))) for family, options in parsed.values()}
    if len(families) != 1:
        return None
    ((_, options),) = families
    levels = {name: tuple(texts[option] for option in options) for name, (_, texts) in parsed.items()}
    sizes = [len(set(axis)) for axis in zip(*levels.values(), strict=True)]
    whole = len(set(levels.values())) == len(levels) == prod(sizes)
    return levels if whole and sum(size > 1 for size in sizes) > 1 else None


def _balanced(names: Sequence[str], levels: Mapping[str, tuple[str, ...]], count: int) -> list[str]:
    """Draw again and again the candidate whose values were drawn least often; then its pairs of values."""
    axes = range(len(levels[names[0]])) if names else range(0)
    sizes = [len({levels[name][axis] for name in names}) for axis in axes]
    alone: Counter[tuple[int, str]] = Counter()
    paired: Counter[tuple[int, int, str, str]] = Counter()
    left, drawn = list(names), list[str]()

    def pairs(name: str) -> list[tuple[int, int, str, str]]:
        own = levels[name]
        return [(one, other, own[one], own[other]) for one, other in combinations(axes, 2)]

    def burden(name: str) -> tuple[int, int]:
        single = sum(sizes[axis] * alone[axis, levels[name][axis]] for axis in axes)
        return single, sum(paired[pair] for pair in pairs(name))

    while len(drawn) < count:
        best = min(left, key=burden)  # among equals, the first in the random order
        left.remove(best)
        drawn.append(best)
        alone.update((axis, levels[best][axis]) for axis in axes)
        paired.update(pairs(best))
    return drawn


def _spread(ranked: Sequence[str], count: int, shift: float) -> list[str]:
    """Draw places in a ranking by van der Corput's sequence, shifted: any number of them is spread evenly."""
    drawn: dict[str, None] = {}
    number = 0
    while len(drawn) < count:
        number += 1
        place = int((_bits_reversed(number) + shift) % 1 * len(ranked))
        drawn.setdefault(ranked[min(place, len(ranked) - 1)])
    return list(drawn)


def _bits_reversed(number: int) -> float:
    """The binary digits of a number in reverse order, after the point: 1, 2, 3 as 1/2, 1/4, 3/4."""
    return int(f"{number:b}"[::-1], 2) / 2 ** number.bit_length()
