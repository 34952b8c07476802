"""The privacy of a subsampled Gaussian mechanism, by the accountant of Google's ``dp-accounting``.

A query includes every image independently with the same probability (Poisson sampling), sums vectors of norm 1 or less,
and adds normal noise with standard deviation ``noise_multiplier``. Two datasets are neighbours if one of them has one
image more. The accountant composes privacy loss distributions and rounds every approximation up: Koskela, Jälkö and
Honkela, "Computing Tight Differential Privacy Guarantees Using FFT", AISTATS 2020 (arXiv:1906.03049).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from types import ModuleType

from potstill.runtime.errors import UserError, in_one_line

PACKAGE = "dp-accounting"
LARGEST_EPSILON = 1000.0
"""More than this is no protection, and takes the accountant long."""
SLACK = 0.999
"""The share of the allowed epsilon that a calibrated mechanism uses at least."""
DIGITS = 5
"""Significant digits of a noise multiplier and of a claimed epsilon, which are rounded up."""


@dataclass(frozen=True)
class Mechanism:
    """Repeated queries of the subsampled Gaussian mechanism.

    Attributes:
        noise_multiplier: standard deviation of the noise, in units of the largest norm of one image's vector; positive.
        sampling_rate: the probability with which a query includes an image, in (0, 1].
        queries: the number of queries, at least 1.
    """

    noise_multiplier: float
    sampling_rate: float
    queries: int


@cache
def calibrated(epsilon: float, delta: float, sampling_rate: float, queries: int) -> Mechanism:
    """A mechanism with little more noise than an (epsilon, delta) guarantee needs.

    Args:
        epsilon: the largest epsilon allowed, above 0.
        delta: in (0, 1).
        sampling_rate: the probability with which a query includes an image, in (0, 1].
        queries: the number of queries, at least 1.

    Returns:
        The mechanism; its noise multiplier is rounded up, and ``spent`` of it is at most ``epsilon``.

    Raises:
        UserError: ``dp-accounting`` is not installed or does not work, epsilon is larger than ``LARGEST_EPSILON``, or
            so small that the accountant finds no noise that gives it.
    """
    if epsilon > LARGEST_EPSILON:
        raise UserError(f"`epsilon={epsilon:g}` protects nothing", f"use `epsilon={LARGEST_EPSILON:g}` or less")

    def needs(noise: float) -> float:
        """The share of epsilon that is spent with this noise."""
        return spent(Mechanism(noise, sampling_rate, queries), delta) / epsilon

    high = 16 * max(1.0, sampling_rate * math.sqrt(queries)) / min(epsilon, 1.0)  # ample, and quick to account for
    if (used := needs(high)) > 1:
        raise UserError(
            f"the accountant finds no noise that gives `epsilon={epsilon:g}` for {queries:,} queries",
            "allow a larger `epsilon`, or ask fewer queries",
        )
    low = high / 2
    while (above := needs(low)) <= 1:
        high, used, low = low, above, low / 2
    while used < SLACK:
        # Epsilon falls about as a power of the noise: interpolate, and stay away from the ends.
        share = math.log(above / SLACK**0.5) / math.log(above / max(used, 1e-9))
        middle = rounded_up(low * (high / low) ** min(max(share, 0.05), 0.95))
        if not low < middle < high:
            break
        if (found := needs(middle)) <= 1:
            high, used = middle, found
        else:
            low, above = middle, found
    return Mechanism(rounded_up(high), sampling_rate, queries)


@cache
def spent(mechanism: Mechanism, delta: float) -> float:
    """An upper bound of the epsilon of a mechanism at ``delta``.

    Raises:
        UserError: ``dp-accounting`` is not installed or does not work.
    """
    rough = _spent(mechanism, delta, 1e-2)
    return min(rough, _spent(mechanism, delta, 1e-4 * min(max(rough, 1.0), 50.0)))


def _spent(mechanism: Mechanism, delta: float, interval: float) -> float:
    """An upper bound of epsilon, from privacy losses that are rounded up to multiples of ``interval``."""
    dp, pld = _library()
    query = dp.GaussianDpEvent(mechanism.noise_multiplier)
    if mechanism.sampling_rate < 1:
        query = dp.PoissonSampledDpEvent(mechanism.sampling_rate, query)
    counted = pld.PLDAccountant(dp.NeighboringRelation.ADD_OR_REMOVE_ONE, interval)
    counted.compose(dp.SelfComposedDpEvent(query, mechanism.queries))
    return float(counted.get_epsilon(delta))


def accountant() -> str:
    """What computes ``spent``, and its version.

    Raises:
        UserError: ``dp-accounting`` is not installed or does not work.
    """
    _library()
    return f"privacy loss distributions of {PACKAGE} {version(PACKAGE)}"


def _library() -> tuple[ModuleType, ModuleType]:
    """``dp_accounting`` and its module of privacy loss distributions."""
    try:
        version(PACKAGE)
        import dp_accounting
        from dp_accounting import pld
    except PackageNotFoundError as error:
        raise UserError(
            f"private distillation needs {PACKAGE}, which is not installed", "pip install 'potstill[private]'"
        ) from error
    except Exception as error:  # an installed but broken package may raise anything
        raise UserError(
            f"{PACKAGE} is installed but cannot be imported: {in_one_line(error)}",
            f"reinstall it: pip install --force-reinstall {PACKAGE}",
        ) from error
    return dp_accounting, pld


def rounded_up(value: float) -> float:
    """A positive value with ``DIGITS`` significant digits, not smaller than before."""
    unit = 10.0 ** (math.floor(math.log10(value)) + 1 - DIGITS)
    steps = math.ceil(value / unit)
    rounded = (float(f"{step * unit:.{DIGITS}g}") for step in (steps, steps + 1))
    return next(each for each in rounded if each >= value)
