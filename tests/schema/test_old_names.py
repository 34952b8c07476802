"""Files of older versions: their names of settings are understood."""

from __future__ import annotations

from pathlib import Path

import pytest

from potstill.distillation.checkpoint import Checkpoint
from potstill.distillation.settings import Settings
from potstill.evaluation import Recipe, find_recipe
from potstill.experts.plan import ExpertPlan
from potstill.methods import DM, METHODS
from potstill.schema.fields import RENAMED, Fields, with_old_names, with_present_names
from tests.small import problem


def test_an_old_config_file_is_read(tmp_path: Path):
    path = tmp_path / "config.toml"
    path.write_text('[method]\nname = "datadam"\nfactor = 3.0\nbalance = 0.5\nreleased = true\n')
    method = Settings.from_toml(path).method
    assert (method.loss_scale, method.mmd_weight, method.follow_released_code) == (3.0, 0.5, True)


@pytest.mark.parametrize("kind", sorted(set(RENAMED) - {"state"}))
def test_present_names_are_those_that_there_are(kind: str):
    known = {"experts": ExpertPlan, "recipe": Recipe}.get(kind) or METHODS[kind]
    for old, present in RENAMED[kind].items():
        assert present in known.__dataclass_fields__
        assert old not in known.__dataclass_fields__


def test_an_old_recipe_is_the_present_one():
    recipe = find_recipe("tuned-300")
    old = recipe.to_json()
    old["averaging"], old["tried_rates"] = old.pop("ema_decay"), old.pop("learning_rate_grid")
    assert Recipe.from_json(Fields(Path("evaluation.json"), old)) == recipe


def test_a_present_name_is_kept_where_both_are_there():
    assert with_present_names("experts", {"flatness": 1, "gsam_rho": 2, "epochs": 3}) == {"gsam_rho": 2, "epochs": 3}


def test_an_old_checkpoint_is_read(tmp_path: Path):
    state = DM(batch_real=4).prepare(problem())
    old = {"momentum" if name == "images.momentum" else name: tensor for name, tensor in state.items()}
    Checkpoint(state=old, best_state=old).save(tmp_path / "state.safetensors")
    stored = Checkpoint.load(tmp_path / "state.safetensors")
    assert stored.state.keys() == state.keys()
    assert stored.best_state is not None
    assert stored.best_state.keys() == state.keys()


def test_old_and_present_names_are_inverse():
    recipe = find_recipe("tuned-300").to_json()
    assert "averaging" in with_old_names("recipe", recipe)
    assert with_present_names("recipe", with_old_names("recipe", recipe)) == recipe
