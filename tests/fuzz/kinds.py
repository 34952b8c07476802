"""Every kind of file that is fuzzed."""

from __future__ import annotations

from tests.fuzz import data, runs
from tests.fuzz.campaign import Kind

KINDS: dict[str, Kind] = {kind.name: kind for kind in (*runs.KINDS, *data.KINDS)}
"""By name."""
