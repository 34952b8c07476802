"""Packages that some machines have: a test that needs one is skipped where it is absent or cannot be imported."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any

import pytest
import torch

OPERATORS = torch.library.Library("torchvision", "FRAGMENT")
SIGNATURE = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"


def mend_torchvision() -> None:
    """Import torchvision, if it is there, so that it can be imported again.

    Its wheels are built for the CUDA build of PyTorch. Beside another build its library of operators cannot be loaded,
    and the import fails for the want of two of them. Declared, they still cannot be called, but all else works.
    """
    try:
        import_module("torchvision")
    except ModuleNotFoundError:
        return
    except RuntimeError:
        for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
            del sys.modules[name]
        for operator in ("nms", "qnms"):
            if not hasattr(torch.ops.torchvision, operator):
                OPERATORS.define(operator + SIGNATURE)
        import_module("torchvision")


def needed(name: str) -> Any:
    """The module of that name, which may import torchvision."""
    try:
        mend_torchvision()
        return import_module(name)
    except Exception as error:
        pytest.skip(f"needs {name} ({type(error).__name__})")
