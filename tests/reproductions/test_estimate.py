"""Estimates: what a row will take is said before it is run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from potstill.distillation.settings import Settings
from potstill.evaluation import Resources, find_recipe
from potstill.experts.plan import ExpertPlan
from potstill.methods import DM, MTT, Random
from potstill.reproductions import Published, Reproduction, Row, reproduce
from potstill.reproductions.base import shortened
from potstill.reproductions.estimate import EstimatedCost, _Timing, estimate
from potstill.runtime.compute_choice import ComputeChoice
from potstill.schema.published import PublishedSearch
from tests.small import NETWORK, small_digits

pytestmark = pytest.mark.slow

SETTINGS = Settings(method=DM(batch_real=8), dataset="digits", ipc=1, network=NETWORK, device="cpu", iterations=50)
ROW = Row(label="dm", settings=lambda: SETTINGS, published={NETWORK: None})
RECIPE = replace(find_recipe("coursework-50"), epochs=3)


def cost_of(row: Row, *, searches: int = 1, distilled: bool = False) -> EstimatedCost:
    return estimate(row, row.settings(), small_digits(), RECIPE, 2, searches, distilled=distilled)


def test_a_row_is_judged_by_its_steps():
    cost = cost_of(ROW)
    assert cost.distilling > 0
    assert cost.evaluating > 0
    assert (cost.experts, cost.untimed) == (0.0, "")
    assert cost.seconds == cost.distilling + cost.evaluating


def test_a_set_that_is_there_costs_nothing():
    assert cost_of(ROW, distilled=True).distilling == 0.0


def test_what_cannot_be_timed_is_said():
    chosen = replace(ROW, settings=lambda: replace(SETTINGS, method=Random(), iterations=0))
    assert cost_of(chosen).untimed == "the choice of images is not timed"
    plan = ExpertPlan(network=NETWORK, count=3, epochs=2)
    matched = cost_of(replace(ROW, settings=lambda: replace(SETTINGS, method=MTT()), experts=plan))
    assert "cannot be timed before" in matched.untimed
    assert matched.experts > 0


def test_the_full_data_are_judged_by_a_part():
    cost = cost_of(replace(ROW, full=True))
    assert cost.distilling == 0.0
    assert cost.evaluating > 0


def test_a_search_is_judged_by_its_candidates(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(_Timing, "epoch", lambda *given: 0.5)
    monkeypatch.setattr(_Timing, "full", lambda *given: 7.0)
    found = PublishedSearch(space="convnet-22", found="ConvNetD3", accuracy=90.0, time="1 s", full=Published(99.0))
    once, often = (cost_of(replace(ROW, search=found), searches=searches) for searches in (1, 4))
    assert once.searching == 22 * RECIPE.epochs * 0.5 + 7.0
    assert often.searching == 4 * 22 * RECIPE.epochs * 0.5 + 7.0
    cost = once
    assert cost.seconds == cost.distilling + cost.evaluating + cost.searching
    assert " to search" in str(cost)


def test_a_cost_in_words():
    cost = EstimatedCost(distilling=2400, evaluating=600, untimed="tests are not timed")
    assert str(cost) == "about 50 min: 40 min to distil, 10 min to evaluate; tests are not timed"


def test_estimates_are_announced_before_anything_is_run(tmp_path: Path):
    said: list[str] = []

    def announce(line: str) -> None:
        assert not (tmp_path / "dm").exists()
        said.append(line)

    table = Reproduction(name="small", title="", source="", recipe="coursework-50", repeats=1, rows=(ROW,))
    resources = Resources(compute=ComputeChoice(device="cpu", compile="off"), announce=announce)
    reproduce(table, tmp_path, scale=0.04, resources=resources)
    assert [line.split(":")[0] for line in said] == ["dm", "small"]
    assert said[0].startswith("dm: about ")
    assert said[1].endswith("in all, estimated from timed steps")


def test_a_shortened_recipe_has_a_name_of_its_own():
    recipe = find_recipe("dc-300")
    assert shortened(recipe, 1.0) is recipe
    short = shortened(recipe, 0.1)
    assert (short.name, short.epochs, short.full_epochs) == ("dc-300-scale-0.1", 50, 5)
    assert shortened(recipe, 0.5).epochs == 150
    assert shortened(recipe, 0.0001).full_epochs == 1
    few = replace(recipe, epochs=20)
    assert shortened(few, 0.1).epochs == 20, "trainings on small sets are not cut below what says something"
