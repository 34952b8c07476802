"""Where and how to compute, as a user asks for it; ``compute`` resolves what is left open."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

LONG_RUN_PIXELS = 300_000_000
"""Pixels that a run must process for compilation and low precision to pay off: about three minutes on two cores."""

Precision = Literal["auto", "float32", "bfloat16", "float64"]
Compilation = Literal["auto", "on", "off"]


@dataclass(frozen=True, kw_only=True)
class ComputeChoice:
    """Where and how to compute, as requested; ``auto`` is resolved once the amount of work is known.

    Attributes:
        device: a PyTorch device; ``auto`` takes an accelerator if there is one.
        precision: precision of the networks.
        compile: whether to compile networks with norms; others are as fast or faster without.
    """

    device: str = "auto"
    precision: Precision = "auto"
    compile: Compilation = "auto"


AUTOMATIC = ComputeChoice()
"""Everything ``auto``."""
