"""Starts: noise, real images and selections."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from potstill.data import ImageDataset
from potstill.distillation.plan import resolve
from potstill.distillation.starts import make_start
from potstill.methods import DM, Method
from potstill.methods.coresets import Herding
from potstill.runtime.errors import UserError
from potstill.synthetic import SyntheticSet
from tests.runs import SETTINGS, dataset

__all__ = ["dataset"]


@pytest.mark.parametrize("start", ["real", "noise", "herding", "k-means", "average"])
def test_starts(start: Any, dataset: ImageDataset):
    settings = replace(SETTINGS, start=start, ipc=3)
    made, other = (make_start(resolve(replace(settings, seed=seed), dataset), dataset) for seed in (0, 1))
    assert made.images.shape == (30, 1, 8, 8)
    assert made.labels.tolist() == sorted([*range(10)] * 3)
    # The mean of all images of a class is the same whatever the seed.
    assert start == "average" or not made.images.equal(other.images)
    real = {image.numpy().tobytes() for image in dataset.train.normalised()}
    whole = start not in ("noise", "k-means", "average")
    assert all((image.numpy().tobytes() in real) == whole for image in made.images)


@pytest.mark.parametrize("start", ["real", "herding", "average"])
def test_a_start_from_real_images_draws_no_noise(start: Any, dataset: ImageDataset, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(SyntheticSet, "from_noise", lambda *given: pytest.fail("noise was drawn"))
    make_start(resolve(replace(SETTINGS, start=start), dataset), dataset)


@pytest.mark.parametrize(
    ("method", "remedy"),
    [(DM(), ", or start from noise: `start=noise`"), (Herding(), "")],
)
def test_noise_is_a_remedy_where_the_start_can_be_chosen(method: Method, remedy: str, dataset: ImageDataset):
    with pytest.raises(UserError, match=r"fewer than 21 per class \(\d+ more are held out for validation") as error:
        make_start(resolve(replace(SETTINGS, method=method, ipc=21), dataset), dataset)
    kept = "use `ipc=20` or less, decide what is held out with folders train, validation and test"
    assert error.value.remedy == kept + remedy
