"""The plan of a distillation: its settings with every default filled in, for the dataset at hand."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from typing import Generic, TypeVar

from potstill.data import NO_CHOICES, Choices, ImageDataset
from potstill.distillation.private import check_private
from potstill.distillation.settings import DEFAULT_DATASET, Settings
from potstill.evaluation import find_recipe
from potstill.evaluation.procedures import images_in_training
from potstill.methods import Method, Start
from potstill.runtime.bounds import check_memory
from potstill.runtime.compute import Compute, resolve_compute
from potstill.runtime.compute_choice import LONG_RUN_PIXELS
from potstill.runtime.errors import UserError
from potstill.schema.privacy import Privacy
from potstill.synthetic import check_factor

VALIDATIONS = 5
"""The default number of validations in a run that is long enough for them."""

M = TypeVar("M", bound=Method, covariant=True)


@dataclass(frozen=True, kw_only=True)
class Plan(Generic[M]):
    """Everything that determines what a distillation computes, with every default filled in.

    Attributes:
        method: the method with every hyper-parameter filled in.
        dataset: the name or location of the dataset.
        ipc: synthetic images per class.
        formation: the small pictures along each side of an image; 1 stores ordinary images.
        start: what the synthetic images are initialised with.
        network: the spec of the network that is matched.
        iterations: the total number of iterations.
        seed: seed for all random draws.
        compute: device, precision and compilation.
        validate_every: iterations between two validations; 0 turns validation off.
        image_size: height and width in pixels that images are resized to; None keeps their size.
        zca: whether images are whitened.
        choices: what is taken where the files of the dataset leave a choice.
        privacy: what the set will guarantee for the training images; None without a guarantee.
    """

    method: M
    dataset: str
    ipc: int
    formation: int
    start: Start
    network: str
    iterations: int
    seed: int
    compute: Compute
    validate_every: int
    image_size: int | None
    zca: bool
    choices: Choices = NO_CHOICES
    privacy: Privacy | None = None

    @property
    def pictures_per_class(self) -> int:
        """Small pictures per class: as many as images without a formation."""
        return self.ipc * self.formation**2

    @property
    def settings(self) -> Settings[M]:
        """The settings that ``config.toml`` records: they resolve to this plan."""
        return Settings(
            method=self.method,
            dataset=self.dataset,
            ipc=self.ipc,
            formation=self.formation,
            start=self.start,
            network=self.network,
            iterations=self.iterations,
            seed=self.seed,
            device=str(self.compute.device),
            precision=self.compute.precision,
            compile="on" if self.compute.compile else "off",
            validate_every=self.validate_every,
            image_size=self.image_size,
            zca=self.zca,
            **asdict(self.choices),
        )


def resolve(settings: Settings[M], dataset: ImageDataset, time_limit: float | None = None) -> Plan[M]:
    """Fill in the defaults of settings, for the dataset at hand.

    Settings that name no dataset of their own get the name, the image size and the choices of ``dataset``.

    Args:
        settings: the settings as a user gives them.
        dataset: the loaded images.
        time_limit: seconds after which the run is stopped; a short one does not pay for compilation.

    Raises:
        UserError: size or whitening of the images contradict the settings, the device cannot be used, the method
            does not allow this start or this number of images per class, or its guarantee forbids one of the settings.
    """
    if settings.dataset == DEFAULT_DATASET:
        size = settings.image_size or dataset.image_size
        settings = replace(settings, dataset=dataset.spec or dataset.name, image_size=size)
    if settings.choices == NO_CHOICES:
        settings = replace(settings, **asdict(dataset.choices))
    network = settings.matched_network(dataset.shape)
    settings = replace(settings, network=network)
    _check_images(settings, dataset)
    check_factor(settings.formation, *dataset.shape[1:])
    stored = settings.ipc * dataset.class_count
    pictures = stored * settings.formation**2
    check_memory(f"a set with `ipc={settings.ipc}`", 4 * pictures * math.prod(dataset.shape), "use a smaller `ipc`")
    method = settings.method.resolved(settings.ipc, settings.dataset)
    if method.only_start and settings.start not in (None, method.default_start):
        raise UserError(f"{method.name} chooses the images that it starts from", "leave `start` out")
    iterations = method.default_iterations(settings.ipc) if settings.iterations is None else settings.iterations
    images = iterations * method.images_per_iteration(dataset.class_count, pictures // dataset.class_count)
    privacy = method.privacy(dataset.train.class_sizes, iterations)
    if privacy is not None:
        check_private(replace(settings, method=method), dataset, privacy)
    every = settings.validate_every
    if every is None and privacy is not None:
        every = 0
    elif every is None:
        count = affordable_validations(images, stored, pictures)
        every = -(-iterations // count) if count else 0
    long_run = images * dataset.shape[1] * dataset.shape[2] >= LONG_RUN_PIXELS
    return Plan(
        method=method,
        dataset=settings.dataset,
        ipc=settings.ipc,
        formation=settings.formation,
        start=method.default_start if settings.start is None else settings.start,
        network=network,
        iterations=iterations,
        seed=settings.seed,
        compute=resolve_compute(
            settings.device, settings.precision, settings.compile, long_run=long_run, time_limit=time_limit
        ),
        validate_every=every,
        image_size=settings.image_size,
        zca=settings.zca,
        choices=settings.choices,
        privacy=privacy,
    )


def affordable_validations(distilled: int, stored: int, pictures: int) -> int:
    """The default number of validations: five, or as many as process no more images than the distillation itself.

    It depends on nothing but the settings, so that a run can be repeated and resumed on any machine.

    Args:
        distilled: images that networks process in all iterations; 0 if the method does not say.
        stored: images in the set.
        pictures: that they hold. A validation processes each of them three times per epoch: once forward and twice
            backward.
    """
    if not distilled:
        return VALIDATIONS
    return min(VALIDATIONS, distilled // (3 * images_in_training(find_recipe("quick"), stored, pictures)))


def _check_images(settings: Settings[Method], dataset: ImageDataset) -> None:
    """Make sure that the images agree with the settings.

    Raises:
        UserError: size, whitening or choices differ.
    """
    whitened = dataset.train.whitening is not None
    if settings.zca != whitened:
        has = "is whitened" if whitened else "is not whitened"
        raise UserError(f"the dataset {has}, the settings have zca = {settings.zca}", "make the two agree")
    if settings.image_size is not None and set(dataset.shape[1:]) != {settings.image_size}:
        _, height, width = dataset.shape
        problem = f"the dataset's images are {height}x{width}, the settings have image_size = {settings.image_size}"
        raise UserError(problem, "make the two agree")
    if dataset.spec and settings.choices != dataset.choices:
        problem = "the dataset was loaded with columns or splits that the settings do not choose"
        raise UserError(problem, "make the two agree")
