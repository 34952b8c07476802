"""The environment variables that Potstill reads: all of them, and nowhere else."""

from __future__ import annotations

import os
from pathlib import Path


def data_root() -> Path | None:
    """The folder of local dataset copies that ``POTSTILL_DATA`` names, if it names one."""
    named = os.environ.get("POTSTILL_DATA")
    return Path(named).expanduser() if named else None


def cache_folder() -> Path:
    """Potstill's folder in the user's cache: below ``XDG_CACHE_HOME``, or ``~/.cache``."""
    named = os.environ.get("XDG_CACHE_HOME")
    return (Path(named) if named else Path.home() / ".cache") / "potstill"
