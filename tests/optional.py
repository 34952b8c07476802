"""Packages that some machines have: a test that needs one is skipped where it is absent or cannot be imported."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import pytest


def needed(name: str) -> Any:
    """The module of that name; a torchvision built for another PyTorch fails with a ``RuntimeError``."""
    try:
        return import_module(name)
    except Exception as error:
        pytest.skip(f"needs {name} ({type(error).__name__})")
