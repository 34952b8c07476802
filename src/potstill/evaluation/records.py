"""Evaluations on file: what becomes of an earlier one."""

from __future__ import annotations

from typing import Any

SAME = ("schema", "set_sha256", "recipe", "repeats", "seed", "full_epochs", "full_repeats")
"""What two evaluations must agree in to stand in one record."""


def merged(earlier: dict[str, Any], later: dict[str, Any]) -> dict[str, Any]:
    """``later`` with the networks and baselines of ``earlier`` that it lacks, if both are of one protocol.

    An evaluation of another set, by another recipe, seed, number of repeats or passes over the full data replaces the
    earlier one: their figures do not belong together.
    """
    if any(earlier.get(key) != later[key] for key in SAME):
        return later
    baselines = {
        name: {**earlier["baselines"].get(name, {}), **later["baselines"].get(name, {})}
        for name in [*earlier["baselines"], *later["baselines"]]
    }
    return {**later, "networks": {**earlier["networks"], **later["networks"]}, "baselines": baselines}
