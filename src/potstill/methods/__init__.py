"""Methods: one paper, one file. ``METHODS`` is the one list that all else reads."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from potstill.methods.base import Method, Problem, Start
from potstill.methods.citations import Citation
from potstill.methods.coresets import CORESETS, Random, TaughtCoreset
from potstill.methods.distribution.datadam import DataDAM
from potstill.methods.distribution.dm import DM
from potstill.methods.gradient.dc import DC
from potstill.methods.gradient.dsa import DSA
from potstill.methods.state import State
from potstill.methods.trajectory.datm import DATM
from potstill.methods.trajectory.mtt import MTT
from potstill.methods.trajectory.pad import PAD
from potstill.methods.trajectory.tesla import TESLA
from potstill.methods.unrolled.dd import DD
from potstill.methods.unrolled.ld import LD
from potstill.runtime.errors import unknown

METHODS: Mapping[str, type[Method]] = MappingProxyType(
    {method.name: method for method in (DD, LD, DC, DSA, DM, DataDAM, MTT, TESLA, DATM, PAD, *CORESETS)}
)

__all__ = [
    "DATM",
    "DC",
    "DD",
    "DM",
    "DSA",
    "LD",
    "METHODS",
    "MTT",
    "PAD",
    "TESLA",
    "Citation",
    "DataDAM",
    "Method",
    "Problem",
    "Random",
    "Start",
    "State",
    "TaughtCoreset",
    "find_method",
]


def find_method(name: str) -> type[Method]:
    """The method called ``name``.

    Raises:
        UserError: there is none.
    """
    if name not in METHODS:
        raise unknown("method", name, METHODS, listing="potstill list methods")
    return METHODS[name]
