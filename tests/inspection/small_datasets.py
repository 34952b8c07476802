"""Small datasets of random images, to which tests add what should be found."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from potstill.data import ImageDataset, LabeledImages
from potstill.schema.account import Account, SplitAccount

NAMES = ("cat", "dog")


def noise(count: int, seed: int = 0, shape: tuple[int, int, int] = (1, 4, 5)) -> Tensor:
    """uint8 (count, *shape), no two images equal."""
    return torch.randint(0, 256, (count, *shape), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


def split(images: Tensor, labels: Sequence[int], names: Sequence[str] = NAMES) -> LabeledImages:
    channels = images.shape[1]
    return LabeledImages(images, torch.tensor(labels), tuple(names), (0.5,) * channels, (0.25,) * channels)


def halves(count: int) -> list[int]:
    """Labels of two classes in turn."""
    return [index % 2 for index in range(count)]


def dataset(
    train: LabeledImages,
    test: LabeledImages,
    validation: LabeledImages | None = None,
    *,
    spec: str = "",
    held_out: Sequence[str] = (),
) -> ImageDataset:
    """A dataset as if it had been loaded.

    Args:
        train: the training split.
        test: the test split.
        validation: by default none.
        spec: the name of a catalogue dataset that this one stands for.
        held_out: the names of the splits that were held out.
    """
    parts = {"train": train, "validation": validation or train.take(torch.empty(0, dtype=torch.int64)), "test": test}
    account = Account(
        layout="tensors of a test",
        class_names=train.class_names,
        splits=tuple(
            SplitAccount(
                name=name, origin=f"the {name} tensor", class_sizes=part.class_sizes, held_out=name in held_out
            )
            for name, part in parts.items()
        ),
        pixels="8 bits",
    )
    train, validation, test = parts.values()
    return ImageDataset("pets", train, validation, test, True, "pets", spec=spec, account=account)


def clean(spec: str = "", held_out: Sequence[str] = ()) -> ImageDataset:
    """Twelve training, four validation and six test images of which nothing is to be said."""
    train, test, validation = (split(noise(count, seed), halves(count)) for seed, count in enumerate((12, 6, 4)))
    return dataset(train, test, validation, spec=spec, held_out=held_out)
