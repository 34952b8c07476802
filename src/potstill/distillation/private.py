"""What a guarantee of privacy forbids: everything but the method's own queries that would read a real image."""

from __future__ import annotations

from collections.abc import Iterator

from potstill.data import CATALOGUE, ImageDataset
from potstill.distillation.settings import Settings
from potstill.methods import Method
from potstill.networks import ImageShape, build_network
from potstill.runtime.errors import UserError
from potstill.runtime.streams import Streams
from potstill.schema.privacy import STATISTICS, Privacy


def check_private(settings: Settings[Method], dataset: ImageDataset, privacy: Privacy) -> None:
    """Make sure that nothing but the method's own queries would read the training images.

    Args:
        settings: the settings, with the method resolved.
        dataset: the loaded images.
        privacy: what the method guarantees.

    Raises:
        UserError: a setting would break the guarantee.
    """
    for problem, remedy in _breaches(settings, dataset, privacy):
        raise UserError(f"{problem}, which {settings.method.name} keeps private", remedy)


def _breaches(settings: Settings[Method], dataset: ImageDataset, privacy: Privacy) -> Iterator[tuple[str, str]]:
    """Each setting that would break the guarantee, and what to do instead."""
    if settings.start not in (None, "noise"):
        yield f"`start={settings.start}` reads real images", "leave `start` out: it starts from noise"
    if settings.zca:
        yield "`zca=True` is fitted on the real images", "leave `zca` out"
    if settings.validate_every:
        yield "`validate_every` chooses the set by real images", "use `validate_every=0`, or leave it out"
    if STATISTICS not in privacy.public and not has_public_statistics(settings.dataset, dataset):
        yield (
            "the mean and standard deviation of each channel are computed from the real images",
            "declare them public with `public_statistics=True`, or use a dataset of the catalogue",
        )
    generator = Streams(settings.seed).generator("check")
    network = build_network(
        settings.matched_network(dataset.shape), ImageShape(*dataset.shape), dataset.class_count, generator
    )
    if network.needs_whole_batches:
        yield (
            f"the batch norms of `network={settings.network}` mix the real images",
            "use a network without batch norms, such as `network=convnet`",
        )


def has_public_statistics(name: str, dataset: ImageDataset) -> bool:
    """Whether the mean and standard deviation of a dataset are constants of the catalogue."""
    entry = CATALOGUE.get(name)
    return entry is not None and (entry.mean, entry.std) == (dataset.mean, dataset.std)
