"""Distillation methods, one file per paper. Every concrete method imported here is registered in ``METHODS``.

A method of another package is named by its location, ``their_package.module:TheirMethod``, and imported on demand.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from potstill.runtime.lazy import on_first_use

if TYPE_CHECKING:
    from potstill.methods.base import Method as Method
    from potstill.methods.base import Start as Start
    from potstill.methods.citations import Citation as Citation
    from potstill.methods.coresets import AUM as AUM
    from potstill.methods.coresets import CCS as CCS
    from potstill.methods.coresets import CORESETS as CORESETS
    from potstill.methods.coresets import EL2N as EL2N
    from potstill.methods.coresets import Average as Average
    from potstill.methods.coresets import AverageNearest as AverageNearest
    from potstill.methods.coresets import FacilityLocation as FacilityLocation
    from potstill.methods.coresets import Forgetting as Forgetting
    from potstill.methods.coresets import GraNd as GraNd
    from potstill.methods.coresets import Herding as Herding
    from potstill.methods.coresets import KCenter as KCenter
    from potstill.methods.coresets import KMeans as KMeans
    from potstill.methods.coresets import KMeansNearest as KMeansNearest
    from potstill.methods.coresets import Moderate as Moderate
    from potstill.methods.coresets import OptimisedRandom as OptimisedRandom
    from potstill.methods.coresets import Random as Random
    from potstill.methods.coresets import TaughtCoreset as TaughtCoreset
    from potstill.methods.distribution.atom import ATOM as ATOM
    from potstill.methods.distribution.dance import DANCE as DANCE
    from potstill.methods.distribution.datadam import DataDAM as DataDAM
    from potstill.methods.distribution.dm import DM as DM
    from potstill.methods.distribution.ncfm import NCFM as NCFM
    from potstill.methods.frepo import FRePo as FRePo
    from potstill.methods.gradient.dc import DC as DC
    from potstill.methods.gradient.dsa import DSA as DSA
    from potstill.methods.gradient.idc import IDC as IDC
    from potstill.methods.linear_gradient import LinearGradient as LinearGradient
    from potstill.methods.private.dp_dm import DPDM as DPDM
    from potstill.methods.private.psg import PSG as PSG
    from potstill.methods.problem import Problem as Problem
    from potstill.methods.rded import RDED as RDED
    from potstill.methods.registry import METHODS as METHODS
    from potstill.methods.registry import entries as entries
    from potstill.methods.registry import find_citation as find_citation
    from potstill.methods.registry import find_method as find_method
    from potstill.methods.registry import method_name as method_name
    from potstill.methods.state import State as State
    from potstill.methods.trajectory.datm import DATM as DATM
    from potstill.methods.trajectory.mtt import MTT as MTT
    from potstill.methods.trajectory.pad import PAD as PAD
    from potstill.methods.trajectory.tesla import TESLA as TESLA
    from potstill.methods.unrolled.dd import DD as DD
    from potstill.methods.unrolled.ld import LD as LD
else:
    __getattr__, __dir__, __all__ = on_first_use(__name__)
