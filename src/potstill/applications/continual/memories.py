"""What fills the memory: selections and methods, applied to a stage's own images alone, or sets made before."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from potstill.data import ImageDataset
from potstill.distillation.driver import distill, log_progress
from potstill.distillation.plan import resolve
from potstill.distillation.run_folder import RunFolder
from potstill.distillation.settings import Settings
from potstill.evaluation import check_fits
from potstill.methods import METHODS, Method, find_method
from potstill.runtime.compute_choice import ComputeChoice
from potstill.runtime.errors import UserError, differing, unknown
from potstill.runtime.files import sha256
from potstill.runtime.progress import Progress
from potstill.schema.continual import BASELINES, MemoryKind
from potstill.schema.run_folder import not_a_run
from potstill.selection import SELECTIONS
from potstill.synthetic import SyntheticSet

DECISIVE = ("method", "ipc", "formation", "start", "network", "iterations", "seed", "validate_every")
"""The settings of a run that make another set; where it is computed is not among them."""


@dataclass(frozen=True, kw_only=True)
class Need:
    """What is to be remembered of a stage.

    Attributes:
        title: the stage in the name of a folder, such as ``order1-step2``.
        data: the images of the stage.
        images_per_class: the number of images to keep of each class.
        network: the network that methods match.
        iterations: of a distillation; None is the method's number.
        seed: seed of all draws.
    """

    title: str
    data: ImageDataset
    images_per_class: int
    network: str
    iterations: int | None
    seed: int


@dataclass(frozen=True)
class Kept:
    """What is remembered of a stage, and the seconds that it took to make."""

    synthetic: SyntheticSet
    seconds: float


@dataclass(frozen=True)
class MemorySource(ABC):
    """A way to fill the memory.

    Attributes:
        name: as the user writes it.
    """

    name: str

    @property
    @abstractmethod
    def kind(self) -> MemoryKind:
        """What it is."""

    @abstractmethod
    def check(self, need: Need, dataset: ImageDataset) -> None:
        """Make sure that it can fill the memory, before anything is computed.

        Args:
            need: the largest that will be needed.
            dataset: all of the dataset.

        Raises:
            UserError: it cannot.
        """

    @abstractmethod
    def fill(self, need: Need, folder: Path, progress: Progress) -> Kept:
        """Make what is to be remembered of a stage; what has been made before is taken from the folder.

        Args:
            need: the stage and the number of images.
            folder: for the runs of all stages.
            progress: called with a short message now and then.

        Raises:
            UserError: it cannot be made, or the folder has something else in its place.
        """


@dataclass(frozen=True)
class MadeMemory(MemorySource):
    """A selection or method, run by the driver on the images of a stage.

    Attributes:
        method: the method with its default hyper-parameters.
        compute: where runs are computed.
    """

    method: Method
    compute: ComputeChoice

    @property
    def kind(self) -> MemoryKind:
        """A method with the name of a selection is one."""
        return "selection" if self.name in SELECTIONS else "method"

    def check(self, need: Need, dataset: ImageDataset) -> None:
        """The settings resolve."""
        resolve(self._settings(need), need.data)

    def fill(self, need: Need, folder: Path, progress: Progress) -> Kept:
        """The set of a run in ``folder``, which is started or continued if it is not complete."""
        title = f"{_as_name(self.name)}-{need.title}"
        run, settings = RunFolder(folder / title), self._settings(need)
        if run.config.exists():
            self._check_same(run, resolve(settings, need.data).settings, need)
        if not run.manifest.exists() or run.read_manifest().status != "complete":
            progress(f"{title}: filling the memory")
            distill(settings, need.data, out=run.path, resume="auto", listen=log_progress(progress, title))
        return Kept(SyntheticSet.load(run.synthetic), run.read_manifest().seconds)

    def _settings(self, need: Need) -> Settings[Method]:
        return Settings(
            method=self.method,
            dataset=need.data.name,
            ipc=need.images_per_class,
            network=need.network,
            iterations=None if self.kind == "selection" else need.iterations,
            seed=need.seed,
            image_size=need.data.image_size,
            zca=need.data.train.whitening is not None,
            **asdict(self.compute),
            **asdict(need.data.choices),
        )

    def _check_same(self, run: RunFolder, asked: Settings[Method], need: Need) -> None:
        stored = Settings.from_toml(run.config, type(self.method))
        both = {name: (getattr(stored, name), getattr(asked, name)) for name in DECISIVE}
        if changed := {name: values for name, values in both.items() if values[0] != values[1]}:
            raise UserError(f"{run.path} has other settings: {differing(changed)}", "choose another `out`")
        made_from = SyntheticSet.load(run.start).provenance.get("dataset_fingerprint")
        if made_from != need.data.fingerprint:
            raise UserError(f"{run.path} was made from other images", "choose another `out`")


@dataclass(frozen=True)
class GivenMemory(MemorySource):
    """A set that was made before, of all classes.

    Attributes:
        synthetic: the set.
    """

    synthetic: SyntheticSet = field(repr=False)

    @property
    def kind(self) -> MemoryKind:
        """A set."""
        return "set"

    def check(self, need: Need, dataset: ImageDataset) -> None:
        """It fits the dataset and has enough images."""
        check_fits(self.synthetic, dataset)
        fewest = int(torch.bincount(self.synthetic.hard_labels, minlength=dataset.class_count).min())
        if fewest < need.images_per_class:
            raise UserError(
                f"{self.name} has {fewest} images of a class, fewer than the {need.images_per_class} that the memory "
                "holds of each",
                "use a smaller `memory`, `sharing=fixed`, or a larger set",
            )

    def fill(self, need: Need, folder: Path, progress: Progress) -> Kept:
        """The set as it is: it takes no time."""
        return Kept(self.synthetic, 0.0)


def find_memory(name: str, compute: ComputeChoice) -> MemorySource:
    """The memory of a name.

    Args:
        name: a selection or method, ``module:Class``, the folder of a run, or the file of a set.
        compute: where methods are run.

    Raises:
        UserError: there is no such thing.
    """
    path = Path(name)
    if name in METHODS or (":" in name and not path.exists()):
        return MadeMemory(name, find_method(name)(), compute)
    if path.is_dir():
        if not (path / RunFolder(path).synthetic.name).exists():
            raise not_a_run(path)
        return GivenMemory(name, SyntheticSet.load(RunFolder(path).synthetic))
    if path.exists() or path.suffix:
        return GivenMemory(name, SyntheticSet.load(path))
    raise unknown("memory", name, METHODS, listing="potstill list methods, or name a run or a set")


def find_memories(names: Sequence[str], compute: ComputeChoice) -> list[MemorySource]:
    """The memories of several names, with the baselines at the end if they are not among them.

    Raises:
        UserError: a name is unknown or given twice.
    """
    if doubled := [name for name in names if names.count(name) > 1]:
        raise UserError(f"the memory {doubled[0]!r} is named twice", "name each memory once")
    return [find_memory(name, compute) for name in dict.fromkeys([*names, *BASELINES])]


def joined(parts: Sequence[SyntheticSet], like: ImageDataset, images_per_class: int) -> SyntheticSet:
    """The memory of several stages as one set.

    Args:
        parts: what is kept of each stage; every class of ``like`` is in one of them.
        like: a dataset with the classes of the memory.
        images_per_class: the number of images that stay of each class: the first ones, which of herding are the best.

    Returns:
        A set with the classes of ``like``. Learned labels keep their shares of these classes.
    """
    images, labels = [], []
    for place, name in enumerate(like.class_names):
        part = next(part for part in parts if name in part.class_names)
        chosen = (part.hard_labels == part.class_names.index(name)).nonzero().flatten()[:images_per_class]
        images.append(part.images[chosen])
        labels.append(_labels(part, chosen, like.class_names, place))
    if any(each.is_floating_point() for each in labels):
        labels = [each if each.dim() == 2 else _certain(each, like.class_count) for each in labels]
    whitening = like.train.whitening
    return SyntheticSet(
        images=torch.cat(images),
        labels=torch.cat(labels),
        class_names=like.class_names,
        mean=like.mean,
        std=like.std,
        whitening=None if whitening is None else whitening.to("cpu"),
        formation=parts[0].formation,
    )


def _labels(part: SyntheticSet, chosen: Tensor, names: Sequence[str], place: int) -> Tensor:
    """The labels of chosen images of one class in a memory with other classes."""
    if not part.has_soft_labels:
        return torch.full((len(chosen),), place, dtype=torch.int64)
    labels = torch.zeros(len(chosen), len(names))
    for column, name in enumerate(names):
        if name in part.class_names:
            labels[:, column] = part.labels[chosen, part.class_names.index(name)]
    return labels / labels.sum(1, keepdim=True)


def _certain(labels: Tensor, classes: int) -> Tensor:
    return torch.nn.functional.one_hot(labels, classes).float()


def _as_name(name: str) -> str:
    """A name that a folder can have; names that differ stay different."""
    plain = "".join(letter if letter.isalnum() or letter in "-_." else "-" for letter in name)
    return plain if plain == name else f"{plain}-{sha256(name.encode())[:8]}"
