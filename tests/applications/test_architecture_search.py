"""Searching with a small set: ranked by validation, resumed between candidates, the best tried on the full data."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from potstill.applications import SPACES, search
from potstill.applications import architecture_search as module
from potstill.cli.main import main
from potstill.engine.trainer import Trainer
from potstill.evaluation import Recipe
from potstill.networks import ImageShape, build_network
from potstill.runtime.errors import UserError
from potstill.schema.search import Candidate, SearchResult
from potstill.selection import random_indices
from potstill.synthetic import SyntheticSet
from tests.small import on_cpu, small_digits

RECIPE = Recipe(name="test", summary="", epochs=30, full_epochs=5, learning_rate=0.05, augmentation="none")
SPACE = {"small": "mlp:width=4", "wide": "mlp:width=64", "wrong": "convnet:depth=9:width=4", "net": "convnet:width=8"}


def images() -> SyntheticSet:
    data = small_digits().train
    return SyntheticSet.from_indices(data, random_indices(data, 3, torch.Generator().manual_seed(0)))


def searched(**options: Any) -> SearchResult:
    session = on_cpu(
        small_digits(), **{name: options.pop(name) for name in ("seed", "progress", "executor") if name in options}
    )
    given = {"space": SPACE, "recipe": RECIPE} | options
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
    found, misled = (search(images(), on_cpu(some), space=SPACE, recipe=RECIPE, top=0) for some in (data, poisoned))
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
    with pytest.raises(UserError, match=r"search\.json is of a search with other settings: `seed` \(0 there, 1 here\)"):
        searched(space={"small": "mlp:width=4"}, record=tmp_path / "search.json", top=0, seed=1)


def test_unknown_or_empty_spaces_are_refused():
    with pytest.raises(UserError, match="unknown search space 'convnet-23'; did you mean 'convnet-22'"):
        searched(space="convnet-23")
    with pytest.raises(UserError, match="the search space is empty"):
        searched(space={})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"top": -1}, "`top=-1` is too small"),
        ({"full_epochs": 0}, "`full_epochs=0` is too small"),
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


def test_the_space_of_the_coursework():
    space = SPACES["convnet-22"]
    assert len(space) == 22
    for spec in space.values():
        build_network(spec, ImageShape(1, 28, 28), 10, torch.Generator())


def test_the_command_prints_the_ranking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any):
    monkeypatch.setattr(module, "SPACES", {"convnet-22": {"small": "mlp:width=4", "wide": "mlp:width=16"}})
    kept = replace(images(), provenance={"dataset": "digits"})
    kept.save(tmp_path / "set.safetensors")
    words = ["search", str(tmp_path / "set.safetensors"), "--full-epochs", "2", "--compile", "off"]
    assert main(words) == 0
    told = capsys.readouterr().out
    assert "2 candidates in" in told
    assert "estimated, not measured" in told
    assert (tmp_path / "search.json").exists()


@pytest.mark.slow
def test_other_processes_find_the_same(tmp_path: Path):
    here = searched(repeats=2, top=2)
    there = searched(repeats=2, top=2, executor="processes:2", record=tmp_path / "search.json")
    assert accuracies(there.candidates) == accuracies(here.candidates)
    assert accuracies(there.full) == accuracies(here.full)
    assert list(there.candidates) == list(SPACE)
    assert there.ranked == here.ranked
