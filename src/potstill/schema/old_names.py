"""Names of settings as older files have them, and what they are called now: the one table that readers go by."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

RENAMED: Mapping[str, Mapping[str, str]] = {
    "datadam": {"factor": "loss_scale", "balance": "mmd_weight", "released": "follow_released_code"},
    "experts": {"flatness": "gsam_rho"},
    "recipe": {"averaging": "ema_decay", "tried_rates": "learning_rate_grid"},
}
"""By the kind of thing that has them (for a method's, its name): each old name and the present one."""


def with_present_names(kind: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of a file by their present names.

    Args:
        kind: a key of ``RENAMED``; of any other kind nothing was renamed.
        values: settings by name; a present name is kept where both are there.
    """
    renamed = RENAMED.get(kind, {})
    old = {renamed[name]: value for name, value in values.items() if name in renamed}
    return {**old, **{name: value for name, value in values.items() if name not in renamed}}
