"""A distillation as a unit of work: done here or by another process, in a folder that all processes see."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, ClassVar

from potstill.data import ImageDataset
from potstill.distillation.driver import distill, log_progress
from potstill.distillation.plan import Plan
from potstill.distillation.run_folder import RunFolder, resume_conflicts
from potstill.distillation.settings import Settings
from potstill.methods import Method
from potstill.runtime.errors import UserError, differing
from potstill.schema import Record
from potstill.synthetic import SyntheticSet
from potstill.units import Unit, Workplace

DECISIVE = ("method", "ipc", "formation", "start", "network", "iterations", "seed", "validate_every", "zca")
"""The settings of a run that make another set; where it is computed is not among them."""


@dataclass(frozen=True, kw_only=True)
class Distilled(Record):
    """What a distillation has made in its folder."""

    sha256: str


@dataclass(frozen=True, kw_only=True)
class Distillation(Unit[Distilled]):
    """Distil a dataset, or select from it, in the folder of a run. A run that was interrupted is continued.

    The folder is the record of the work, so results are never kept anywhere else.

    Attributes:
        dataset: the SHA-256 of the prepared dataset.
        settings: the settings with every default filled in, as plain values.
        folder: the folder of the run.
    """

    result: ClassVar[type[Record]] = Distilled

    dataset: str
    settings: Mapping[str, Any]
    folder: str

    @classmethod
    def of(cls, plan: Plan[Method], dataset: str, folder: Path) -> Distillation:
        """The distillation of a plan.

        Args:
            plan: the plan.
            dataset: the SHA-256 of the prepared dataset.
            folder: the folder of the run.
        """
        return cls(dataset=dataset, settings=plan.settings.to_dict(), folder=str(folder.absolute()))

    def run(self, workplace: Workplace) -> Distilled:
        """Distil.

        Raises:
            UserError: the run cannot be carried out.
        """
        folder = Path(self.folder)
        found = distill(
            Settings.from_dict(dict(self.settings), folder),
            workplace.materials.dataset(self.dataset),
            out=folder,
            resume="auto",
            listen=log_progress(workplace.progress),
        )
        return Distilled(sha256=found.synthetic.fingerprint())

    def is_final(self, result: Distilled) -> bool:
        """Never: the folder is asked instead."""
        return False


def is_complete(run: RunFolder, plan: Plan[Method], dataset: ImageDataset) -> bool:
    """Whether the run of a plan is complete in a folder.

    Args:
        run: the folder, which need not exist.
        plan: the plan.
        dataset: the images that are distilled.

    Raises:
        UserError: the folder has a run with other settings, or of other images.
    """
    if not run.config.exists():
        return False
    stored, asked = Settings.from_toml(run.config, type(plan.method)), plan.settings
    indecisive = {each.name for each in fields(Settings)} - set(DECISIVE)
    conflicts = resume_conflicts(asked, stored, unasked=stored)
    if changed := {name: values for name, values in conflicts.items() if name not in indecisive}:
        raise UserError(f"{run.path} has other settings: {differing(changed)}", "choose another `out`")
    if SyntheticSet.load(run.start).provenance.get("dataset_fingerprint") != dataset.fingerprint:
        raise UserError(f"{run.path} was made from other images", "choose another `out`")
    return run.manifest.exists() and run.read_manifest().status == "complete"
