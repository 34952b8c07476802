"""What stands for the full data: which images, how many bytes, chosen once and kept."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from potstill.applications.architecture_search import proxies as module
from potstill.applications.architecture_search.proxies import PROXIES, ProxyImages, checked_proxies
from potstill.evaluation import Recipe
from potstill.evaluation.specs import training_on
from potstill.runtime.compute import CPU
from potstill.runtime.errors import UserError
from potstill.selection import SELECTIONS
from potstill.synthetic import SyntheticSet
from potstill.units import Materials, Workplace
from tests.small import problem, small_digits

RECIPE = Recipe(name="test", summary="", epochs=4, full_epochs=5, batch_size=16, augmentation="none")
START = problem(ipc=2).start


def proxy(name: str, record: Path | None = None, *, seed: int = 0, synthetic: SyntheticSet = START) -> ProxyImages:
    workplace = Workplace(Materials(), CPU)
    base = training_on(small_digits(), workplace, RECIPE, seed, purpose="search")
    return ProxyImages(name, base, workplace, synthetic, record)


def images_of(given: ProxyImages) -> torch.Tensor:
    _, training = given.prepared(given.blank())
    return given.workplace.synthetic(training.images).images


def test_the_set_comes_first_and_each_proxy_once():
    assert checked_proxies(["random", "distilled", "random"]) == ("distilled", "random")
    assert set(PROXIES) == {"distilled", "early-stopping", *SELECTIONS}


@pytest.mark.parametrize("name", ["random", "k-means", "average"])
@pytest.mark.parametrize("formation", [1, 2])
def test_real_images_are_as_many_as_the_set_stores(name: str, formation: int):
    given = proxy(name, synthetic=replace(START, formation=formation))
    assert given.blank().images == len(START)
    if name == "random":
        _, training = given.prepared(given.blank())
        assert (training.images, training.images_per_class) == ("random", 2)
    else:
        assert len(images_of(given)) == len(START)
    assert given.prepared(given.blank())[0].bytes == (len(START) * 64 if name == "random" else START.size_bytes)


def test_early_stopping_sees_as_many_images_as_there_are_visits_or_images():
    assert proxy("early-stopping").blank().images == min(4 * len(START), len(small_digits().train))
    few = proxy("early-stopping", synthetic=replace(START, images=START.images[::2], labels=START.labels[::2]))
    assert few.blank().images == 4 * len(START) // 2


def test_chosen_images_are_kept_and_taken_again_only_for_the_same_search(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    chosen: list[str] = []
    choose = module.selected
    monkeypatch.setattr(module, "selected", lambda *given: chosen.append(given[0]) or choose(*given))
    first = images_of(proxy("k-means", tmp_path / "search.json"))
    assert images_of(proxy("k-means", tmp_path / "search.json")).equal(first)
    assert len(chosen) == 1
    assert (tmp_path / "search.k-means.safetensors").exists()
    images_of(proxy("k-means", tmp_path / "search.json", seed=1))
    assert len(chosen) == 2, "another seed chooses others"
    images_of(proxy("k-means", tmp_path / "search.json", synthetic=replace(START, images=START.images + 1)))
    images_of(proxy("k-means"))
    assert len(chosen) == 4


def test_a_damaged_file_of_chosen_images_is_named(tmp_path: Path):
    images_of(proxy("k-means", tmp_path / "search.json"))
    path = tmp_path / "search.k-means.safetensors"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(UserError, match=r"search\.k-means\.safetensors"):
        images_of(proxy("k-means", tmp_path / "search.json"))


@pytest.mark.parametrize(
    ("name", "refused"), [("k-means", True), ("herding", True), ("average", False), ("random", False)]
)
def test_too_few_images_are_found_before_any_training(name: str, refused: bool):
    times = len(small_digits().train) // 10
    many = replace(START, images=START.images.repeat(times, 1, 1, 1), labels=START.labels.repeat(times))
    given = proxy(name, synthetic=many)
    if refused:
        with pytest.raises(UserError, match=f"search without the proxy {name}"):
            given.check()
    else:
        given.check()
