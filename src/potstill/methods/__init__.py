"""Distillation methods, one file per paper. Every concrete method imported here is registered in ``METHODS``.

A method of another package is named by its location, ``their_package.module:TheirMethod``, and imported on demand.
"""

from __future__ import annotations

from collections.abc import Mapping as _Mapping
from types import MappingProxyType as _MappingProxyType

from potstill.methods.base import Method as Method
from potstill.methods.base import Problem as Problem
from potstill.methods.base import Start as Start
from potstill.methods.citations import Citation as Citation
from potstill.methods.coresets import CORESETS as CORESETS
from potstill.methods.coresets import EL2N as EL2N
from potstill.methods.coresets import Average as Average
from potstill.methods.coresets import AverageNearest as AverageNearest
from potstill.methods.coresets import Forgetting as Forgetting
from potstill.methods.coresets import GraNd as GraNd
from potstill.methods.coresets import Herding as Herding
from potstill.methods.coresets import KCenter as KCenter
from potstill.methods.coresets import KMeans as KMeans
from potstill.methods.coresets import KMeansNearest as KMeansNearest
from potstill.methods.coresets import OptimisedRandom as OptimisedRandom
from potstill.methods.coresets import Random as Random
from potstill.methods.coresets import TaughtCoreset as TaughtCoreset
from potstill.methods.distribution.datadam import DataDAM as DataDAM
from potstill.methods.distribution.dm import DM as DM
from potstill.methods.gradient.dc import DC as DC
from potstill.methods.gradient.dsa import DSA as DSA
from potstill.methods.imported import imported_method, is_concrete, reference_to
from potstill.methods.state import State as State
from potstill.methods.trajectory.datm import DATM as DATM
from potstill.methods.trajectory.mtt import MTT as MTT
from potstill.methods.trajectory.pad import PAD as PAD
from potstill.methods.trajectory.tesla import TESLA as TESLA
from potstill.methods.unrolled.dd import DD as DD
from potstill.methods.unrolled.ld import LD as LD
from potstill.runtime.errors import unknown


def _registered(values: list[object]) -> _Mapping[str, type[Method]]:
    """The concrete methods among ``values`` by name: distillation methods by year of publication, then coresets."""
    learners = [each for each in values if is_concrete(each) and each not in CORESETS]
    learners.sort(key=lambda method: method.citation.year)
    return _MappingProxyType({method.name: method for method in (*learners, *CORESETS)})


METHODS: _Mapping[str, type[Method]] = _registered(list(vars().values()))
"""Every method of this package, by name."""


def find_method(name: str) -> type[Method]:
    """The registered method of that name, or the class that ``module:Class`` refers to; its module is imported.

    Raises:
        UserError: there is no such method, or the class is not a usable method.
    """
    if ":" in name:
        return imported_method(name)
    if name not in METHODS:
        raise unknown("method", name, METHODS, listing="potstill list methods")
    return METHODS[name]


def method_name(method: type[Method]) -> str:
    """The name under which ``find_method`` finds a method: the registered name, or ``module:Class``."""
    return method.name if METHODS.get(method.name) is method else reference_to(method)
