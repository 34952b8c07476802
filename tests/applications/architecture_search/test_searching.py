"""Searching with a small set: ranked by validation, resumed between candidates, the best tried on the full data."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from potstill.applications import OnFullData, search
from potstill.applications.architecture_search import proxies as search_proxies
from potstill.applications.architecture_search import spaces as module
from potstill.cli.main import main
from potstill.engine.trainer import Trainer
from potstill.evaluation import Recipe
from potstill.runtime.errors import UserError
from potstill.schema.search import Candidate, SearchResult
from potstill.selection import random_indices
from potstill.synthetic import SyntheticSet
from potstill.units import Crew
from tests.small import on_cpu, small_digits

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("few_epochs")]

RECIPE = Recipe(name="test", summary="", epochs=30, full_epochs=5, learning_rate=0.05, augmentation="none")
SPACE = {"small": "mlp:width=4", "wide": "mlp:width=64", "wrong": "convnet:depth=9:width=4", "net": "convnet:width=8"}


def images() -> SyntheticSet:
    data = small_digits().train
    return SyntheticSet.from_indices(data, random_indices(data, 3, torch.Generator().manual_seed(0)))


def searched(**options: Any) -> SearchResult:
    session = on_cpu(
        small_digits(), **{name: options.pop(name) for name in ("seed", "progress", "executor") if name in options}
    )
    full = {name: options.pop(name) for name in ("top", "sample", "epochs", "full_images") if name in options}
    full = OnFullData(**{name.removeprefix("full_"): value for name, value in full.items()})
    given = {"space": SPACE, "recipe": RECIPE, "full": full} | options
    return search(images(), session, **given)


def accuracies(results: Mapping[str, Any]) -> dict[str, list[float]]:
    return {name: result.accuracies for name, result in results.items()}


def test_candidates_are_ranked_and_the_best_is_trained_on_the_full_data():
    found = searched(repeats=2)
    assert set(found.candidates) == set(SPACE)
    means = [found.candidates[name].mean for name in found.ranked]
    assert means == sorted(means, reverse=True)
    assert found.ranked[-1] == "wrong"
    assert "too small for a convnet of depth 9" in str(found.candidates["wrong"].failed)
    assert list(found.full) == [found.ranked[0]]
    assert 0 < found.full[found.ranked[0]].mean <= 1
    assert [len(made.accuracies) for made in found.candidates.values()] == [2, 2, 0, 2]
    assert found.seconds > 0


def test_the_test_split_has_no_part_in_the_ranking():
    data = small_digits()
    poisoned = replace(data, test=replace(data.test, labels=(data.test.labels + 1) % 10))
    none = OnFullData(top=0)
    found, misled = (search(images(), on_cpu(some), space=SPACE, recipe=RECIPE, full=none) for some in (data, poisoned))
    assert found.full == {}
    assert {n: c.accuracies for n, c in found.candidates.items()} == {
        n: c.accuracies for n, c in misled.candidates.items()
    }


def test_of_equals_the_smaller_network_is_better():
    made = {name: Candidate(spec=name, accuracies=[0.5], parameters=p) for name, p in (("a", 9), ("b", 3))}
    result = SearchResult(space="s", recipe=RECIPE, seed=0, set_sha256="", dataset_fingerprint="", candidates=made)
    assert result.ranked == ["b", "a"]


@pytest.mark.parametrize("after", [0, 1, 2, 3])
def test_a_killed_search_goes_on_with_the_next_candidate(after: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    whole = searched()
    fit, trainings = Trainer.fit, 0

    def mortal(trainer: Trainer, examples: Any, *given: Any, **named: Any) -> None:
        nonlocal trainings
        if len(examples) == 30:  # the set; the best candidate is also trained on the full data
            trainings += 1
            if trainings == after + 1:
                raise KeyboardInterrupt
        fit(trainer, examples, *given, **named)

    monkeypatch.setattr(Trainer, "fit", mortal)
    if after < 3:
        with pytest.raises(KeyboardInterrupt):
            searched(record=tmp_path / "search.json")
    resumed = searched(record=tmp_path / "search.json")
    assert trainings == (4 if after < 3 else 3), "three networks can be trained, one was cut short"
    assert {n: c.accuracies for n, c in resumed.candidates.items()} == {
        n: c.accuracies for n, c in whole.candidates.items()
    }
    assert {n: r.accuracies for n, r in resumed.full.items()} == {n: r.accuracies for n, r in whole.full.items()}
    record = json.loads((tmp_path / "search.json").read_text())
    assert record["ranked"] == resumed.ranked
    again = searched(record=tmp_path / "search.json")
    assert again.candidates == resumed.candidates


def test_a_record_of_another_search_is_not_mixed(tmp_path: Path):
    searched(space={"small": "mlp:width=4"}, record=tmp_path / "search.json", top=0)
    with pytest.raises(
        UserError, match=r"search\.json is from a search with other settings: `seed` \(0 there, 1 here\)"
    ):
        searched(space={"small": "mlp:width=4"}, record=tmp_path / "search.json", top=0, seed=1)


MANY = {f"mlp{width}": f"mlp:width={width}" for width in (2, 4, 8, 64)} | {"wrong": "convnet:depth=9:width=4"}
MOST = ("distilled", "random", "k-means", "early-stopping")
ALL = ("distilled", "random", "herding", "k-means", "early-stopping")
JUDGED: dict[str, Any] = {"space": MANY, "proxies": MOST, "sample": 3, "full_images": 120, "epochs": 2}


@pytest.mark.slow  # herding trains a network for its features
def test_candidates_are_ranked_by_every_proxy_and_a_sample_is_trained_on_the_full_data(tmp_path: Path):
    told: list[str] = []
    found = searched(**{**JUDGED, "proxies": ALL}, record=tmp_path / "search.json", progress=told.append)
    assert list(found.all_proxies) == list(found.judged) == list(ALL)
    for proxy in found.all_proxies.values():
        assert [name for name in proxy.candidates if name != "wrong"] == [name for name in MANY if name != "wrong"]
    assert len({tuple(each.accuracies.values()) for each in found.all_proxies.values()}) == len(ALL), "all differ"
    firsts = {proxy.first for proxy in found.all_proxies.values()}
    assert set(found.full) == firsts | set(found.sample)
    assert len(found.sample) == len(found.compared) == 3
    assert all(found.regret(name) is not None for name in ALL)
    assert found.skipped == {"wrong": "images of 8x8 pixels are too small for a convnet of depth 9"}
    assert told[0].startswith("1 of 5 candidates are skipped: wrong (images of 8x8 pixels are too small")
    sizes = {name: (proxy.images, proxy.bytes) for name, proxy in found.all_proxies.items()}
    assert sizes == {
        "distilled": (30, images().size_bytes),
        "random": (30, 30 * 64),
        "herding": (30, 30 * 64),
        "k-means": (30, images().size_bytes),
        "early-stopping": (120, 120 * 64),
    }
    assert SearchResult.read(tmp_path / "search.json") == found


def test_what_stands_beside_the_set_changes_nothing_of_its_own_ranking():
    alone, judged = (searched(space=MANY, top=0, **more) for more in ({}, {"proxies": MOST}))
    assert accuracies(alone.candidates) == accuracies(judged.candidates)
    assert judged.full == {}, "without a sample nothing but the best is trained on the full data"


def test_a_search_that_is_judged_goes_on_where_it_was_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    whole = searched(**JUDGED)
    fit, trainings, limit = Trainer.fit, 0, 0

    def mortal(trainer: Trainer, *given: Any, **named: Any) -> None:
        nonlocal trainings
        if trainings == limit:
            raise KeyboardInterrupt
        trainings += 1
        fit(trainer, *given, **named)

    monkeypatch.setattr(Trainer, "fit", mortal)
    chosen: list[str] = []
    choose = search_proxies.selected
    monkeypatch.setattr(search_proxies, "selected", lambda *given: chosen.append(given[0]) or choose(*given))
    for limit in (2, 7, 10, 13, 17):
        with pytest.raises(KeyboardInterrupt):
            searched(**JUDGED, record=tmp_path / "search.json")
        assert trainings == limit
    limit = -1
    resumed = searched(**JUDGED, record=tmp_path / "search.json")
    assert trainings == 4 * 4 + len(whole.full), "each candidate by each proxy, then the full data; none twice"
    assert chosen == ["k-means"], "images are chosen once"
    for name, proxy in whole.all_proxies.items():
        assert accuracies(resumed.all_proxies[name].candidates) == accuracies(proxy.candidates)
    assert accuracies(resumed.full) == accuracies(whole.full)
    assert resumed.sample == whole.sample


def test_a_larger_sample_keeps_what_was_trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    given: dict[str, Any] = {"space": MANY, "epochs": 1, "record": tmp_path / "search.json"}
    few = searched(**given, sample=2)
    more = searched(**given, sample=4)
    assert more.sample[:2] == few.sample
    assert {name: more.full[name] for name in few.full} == few.full
    assert searched(**given).sample == more.sample, "a search without a sample forgets none"
    with pytest.raises(UserError, match=r"`full_images` \(none there, 120 here\)"):
        searched(**given, full_images=120)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"proxies": ("distilled", "randon")}, "unknown proxy 'randon'; did you mean 'random'"),
        ({"proxies": ("random",)}, "the set itself is not among the proxies; use `proxies=distilled,random`"),
        ({"sample": 4}, "4 candidates cannot be drawn from the 3 that fit the images"),
        ({"full_images": 5}, "5 images cannot be taken from the"),
        ({"full_images": 20, "proxies": ("distilled", "herding")}, "fewer than 3 per class; search without the proxy"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_trained(
    options: dict[str, Any], message: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(Trainer, "fit", lambda *given, **named: pytest.fail("trained"))
    with pytest.raises(UserError, match=message):
        searched(**options)


def test_unknown_or_empty_spaces_are_refused():
    with pytest.raises(UserError, match="unknown search space 'convnet-23'; did you mean 'convnet-22'"):
        searched(space="convnet-23")
    with pytest.raises(UserError, match="the search space is empty"):
        searched(space={})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"top": -1}, "`top=-1` is too small"),
        ({"epochs": 0}, "`epochs=0` is too small"),
        ({"sample": -1}, "`sample=-1` is too small"),
        ({"full_images": 0}, "`images=0` is too small"),
        ({"repeats": 0}, "`repeats=0` is too small"),
    ],
)
def test_numbers_that_mean_nothing_are_refused_before_anything_is_trained(
    options: dict[str, int], message: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(Trainer, "fit", lambda *given, **named: pytest.fail("trained"))
    with pytest.raises(UserError, match=message):
        searched(**options)


def test_a_recipe_that_tunes_on_what_ranks_is_refused():
    with pytest.raises(UserError, match="tunes learning rates on the validation split, which ranks the candidates"):
        searched(recipe="tuned-300")


def test_a_recipe_for_one_network_is_refused():
    with pytest.raises(UserError, match="recipe 'replay' uses learned steps, which are for one network"):
        searched(recipe="replay")


def test_the_command_prints_the_ranking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any):
    monkeypatch.setattr(module, "SPACES", {"convnet-22": {"small": "mlp:width=4", "wide": "mlp:width=16"}})
    kept = replace(images(), provenance={"dataset": "digits"})
    kept.save(tmp_path / "set.safetensors")
    words = ["search", str(tmp_path / "set.safetensors"), "--full-epochs", "2", "--compile", "off"]
    words += ["--executor", "here"]
    assert main(words) == 0
    told = capsys.readouterr().out
    assert "2 candidates in" in told
    assert "estimated, not measured" in told
    assert (tmp_path / "search.json").exists()


def test_other_processes_find_the_same(crew: Crew, tmp_path: Path):
    options: dict[str, Any] = {"proxies": ("distilled", "k-means", "early-stopping"), "repeats": 2, "sample": 3}
    here = searched(**options)
    there = searched(**options, executor=crew, record=tmp_path / "search.json")
    for name, proxy in here.all_proxies.items():
        assert accuracies(there.all_proxies[name].candidates) == accuracies(proxy.candidates)
    assert accuracies(there.full) == accuracies(here.full)
    assert list(there.candidates) == list(SPACE)
    assert (there.ranked, there.compared) == (here.ranked, here.compared)
