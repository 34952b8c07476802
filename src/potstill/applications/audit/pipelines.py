"""What is audited: a run, whose settings are repeated on other images, a method, or a finished set."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from potstill.applications.set_sources import GivenSet, Made, Maker, Need, SetSource, find_source
from potstill.data import ImageDataset
from potstill.distillation.plan import Plan, resolve
from potstill.distillation.run_folder import RunFolder
from potstill.distillation.settings import Settings
from potstill.evaluation import (
    Evaluation,
    Recipe,
    check_fits,
    check_learned_rate,
    check_unchanged,
    default_recipe,
    find_recipe,
)
from potstill.methods import Method, method_name
from potstill.runtime.compute_choice import ComputeChoice
from potstill.runtime.errors import UserError
from potstill.schema.audit import AuditProtocol, SourceKind
from potstill.schema.privacy import Privacy
from potstill.schema.set_file import SetKind
from potstill.synthetic import SyntheticSet

PLAIN_RECIPE = "dsa-1000"
"""The recipe where there is no set yet that could need another one."""
ELSEWHERE = ("seed", "device", "precision", "compile", "dataset")
"""Settings that are not those of a pipeline, but of one run or machine."""


@dataclass(frozen=True)
class Product(Made):
    """What a pipeline has made.

    Attributes:
        begun_from: the set before distillation, or the chosen images.
        privacy: what the set guarantees for its members; None without a guarantee.
    """

    begun_from: SyntheticSet
    privacy: Privacy | None = None


@dataclass(frozen=True)
class Pipeline(SetSource):
    """The settings of a run or of a method, which are carried out on any images.

    Attributes:
        settings: all but the seed and the images.
        origin: the kind of source that they are from.
    """

    settings: Settings[Method]
    origin: SetKind

    @property
    def kind(self) -> SetKind:
        """A run is one of a selection or method."""
        return self.origin

    def check(self, need: Need) -> None:
        """The settings resolve, and name no file that was made from all images."""
        self.plan(need)
        if files := self.settings.method.input_files():
            raise UserError(
                f"{self.name} reads {files[0]}, which was made from all images, members or not",
                "audit a run that reads no files: what it reads would have to be made from the members alone",
            )

    def plan(self, need: Need) -> Plan[Method]:
        """The plan of the run that makes a set. Images per class and iterations are those of the settings."""
        return resolve(replace(self.settings, seed=need.seed), need.data)

    def made(self, run: RunFolder) -> Product:
        """The set of a run, and what it was begun from."""
        manifest = run.read_manifest()
        return Product(
            SyntheticSet.load(run.synthetic), manifest.seconds, SyntheticSet.load(run.start), manifest.privacy
        )

    def described(self, need: Need) -> Mapping[str, Any]:
        """The settings of every set, with every default filled in, as plain values."""
        settings = self.plan(need).settings.to_dict()
        return {name: value for name, value in settings.items() if name not in ELSEWHERE}


@dataclass(frozen=True)
class Audited:
    """What is audited.

    Attributes:
        name: as the user writes it.
        kind: what it is.
        pipeline: makes sets; None for a finished set, which cannot be made again.
        synthetic: the finished set, if there is one.
        start: the same before distillation, if it is known.
        judged_by: the recipe by which the set was evaluated, if it was.
    """

    name: str
    kind: SourceKind
    pipeline: Pipeline | None = None
    synthetic: SyntheticSet | None = None
    start: SyntheticSet | None = None
    judged_by: Recipe | None = None

    @classmethod
    def named(cls, name: str, dataset: ImageDataset, protocol: AuditProtocol, compute: ComputeChoice) -> Audited:
        """What a name stands for.

        Args:
            name: the folder of a run, a selection or method, ``module:Class``, the file of a set, or
                ``hf:OWNER/NAME``.
            dataset: what it is applied to, or was made from.
            protocol: may have another number of images per class or of iterations than the run or method.
            compute: where pipelines are carried out; what is ``auto`` is as it was for a run.

        Raises:
            UserError: there is no such thing, or the set does not fit the dataset or was made from another one.
        """
        source = find_source(name, compute)
        if isinstance(source, Maker):
            need = Need(
                title="",
                data=dataset,
                images_per_class=protocol.images_per_class or 10,
                network="convnet",
                iterations=protocol.iterations,
                seed=protocol.seed,
            )
            return cls(name, source.kind, Pipeline(name, source.settings(need), source.kind))
        if not isinstance(source, GivenSet):
            raise TypeError(f"a source of type {type(source).__name__}")
        check_fits(source.synthetic, dataset)
        check_unchanged(source.synthetic, dataset, dataset.name)
        run = RunFolder(Path(name))
        if not run.config.is_file():
            return cls(name, "set", synthetic=source.synthetic)
        return cls._of_run(name, run, source.synthetic, protocol, compute)

    @classmethod
    def _of_run(
        cls, name: str, run: RunFolder, synthetic: SyntheticSet, protocol: AuditProtocol, compute: ComputeChoice
    ) -> Audited:
        given = {name: value for name, value in asdict(compute).items() if value != "auto"}
        settings = replace(Settings.from_toml(run.config), **given)
        if protocol.images_per_class is not None:
            settings = replace(settings, ipc=protocol.images_per_class)
        if protocol.iterations is not None:
            settings = replace(settings, iterations=protocol.iterations)
        return cls(
            name,
            "run",
            Pipeline(method_name(type(settings.method)), settings, "method"),
            synthetic,
            SyntheticSet.load(run.start) if run.start.exists() else None,
            Evaluation.read(run.evaluation).recipe if run.evaluation.exists() else None,
        )

    def recipe(self, asked: str | Recipe | None) -> Recipe:
        """The recipe by which networks are trained.

        Args:
            asked: by the user, if anything was; otherwise that of the run's evaluation, or the one that suits the set.

        Raises:
            UserError: there is no such recipe, it tunes learning rates, or it needs what no set has learned.
        """
        usual = PLAIN_RECIPE if self.synthetic is None else default_recipe(self.synthetic)
        found = (self.judged_by or usual) if asked is None else asked
        found = find_recipe(found) if isinstance(found, str) else found
        if found.learning_rate_grid:
            raise UserError(
                f"recipe {found.name!r} tunes learning rates, which would differ from pipeline to pipeline",
                "use a recipe such as dsa-1000 or quick",
            )
        if found.replay and (self.synthetic is None or self.synthetic.replay is None):
            problem = f"recipe {found.name!r} replays learned steps, which {self.name} does not have"
            raise UserError(problem, "use a recipe such as dsa-1000 or quick")
        if self.synthetic is not None:
            check_learned_rate(found, [self.synthetic])
        return found
