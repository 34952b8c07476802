"""Evaluations on file: what becomes of an earlier one."""

from __future__ import annotations

from typing import Any


def merged(earlier: dict[str, Any], later: dict[str, Any]) -> dict[str, Any]:
    """``later`` with the networks and baselines of ``earlier`` that it lacks, if both are of one protocol.

    An evaluation by another recipe, seed or number of repeats replaces the earlier one: their figures do not compare.
    """
    if any(earlier.get(key) != later[key] for key in ("schema", "recipe", "repeats", "seed")):
        return later
    baselines = {
        name: {**earlier["baselines"].get(name, {}), **later["baselines"].get(name, {})}
        for name in [*earlier["baselines"], *later["baselines"]]
    }
    return {**later, "networks": {**earlier["networks"], **later["networks"]}, "baselines": baselines}
