"""Runs with a guarantee: what would break it is refused, what it rests on is recorded, and no image is read again."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import torch
from torch import Tensor

from potstill.data import LabeledImages
from potstill.distillation import Checkpoint, RunFolder, Settings, distill, driver
from potstill.distillation.plan import resolve
from potstill.methods import DM, DPDM, Problem
from potstill.methods.private import dp_dm
from potstill.runtime.errors import UserError
from potstill.runtime.streams import Streams
from potstill.schema.fields import Fields
from potstill.schema.privacy import CONSTANTS, STATISTICS, Privacy
from potstill.schema.set_file import SetMetadata
from potstill.synthetic import SyntheticSet
from tests.small import NETWORK, small_digits

pytestmark = pytest.mark.slow

pytest.importorskip("dp_accounting")

METHOD = DPDM(epsilon=5.0, delta=1e-4, queries=4, group=16)
"""A class of ``small_digits`` has 20 training images."""


def settings(**changed: Any) -> Settings[DPDM]:
    given = {"method": METHOD, "ipc": 2, "network": NETWORK, "iterations": 6, "device": "cpu", **changed}
    return Settings(**given)


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"start": "real"}, "start=real` reads real images.*leave `start` out"),
        ({"start": "k-means"}, "start=k-means` reads real images"),
        ({"validate_every": 3}, "validate_every` chooses the set by real images.*validate_every=0"),
        ({"network": "convnet:depth=2:norm=batch"}, "batch norms of `network=convnet:depth=2:norm=batch` mix"),
        ({"method": replace(METHOD, delta=0.005)}, r"delta=0\.005` is not below 1/200"),
        ({"method": replace(METHOD, group=21)}, "group=21` is more than the 20 training examples"),
    ],
)
def test_what_would_break_the_guarantee_is_refused_and_leaves_no_folder(
    changed: dict[str, Any], problem: str, tmp_path: Path
):
    with pytest.raises(UserError, match=problem):
        distill(settings(**changed), small_digits(), out=tmp_path / "run")
    assert not list(tmp_path.iterdir())


def test_statistics_of_the_real_images_must_be_declared_public():
    own = small_digits().normalised_by((0.31,), (0.37,))
    with pytest.raises(UserError, match=r"mean and standard deviation.*computed from the real.*public_statistics=True"):
        resolve(settings(), own)
    declared = resolve(settings(method=replace(METHOD, public_statistics=True)), own).privacy
    assert declared is not None
    assert STATISTICS in declared.public
    constants = resolve(settings(), small_digits()).privacy
    assert constants is not None
    assert STATISTICS not in constants.public
    assert CONSTANTS in constants.public


def test_a_private_run_neither_validates_nor_starts_from_real_images():
    plan = resolve(settings(iterations=20_000), small_digits())
    assert (plan.start, plan.validate_every) == ("noise", 0)
    assert resolve(Settings(method=DM(), device="cpu"), small_digits()).privacy is None


def test_the_guarantee_is_recorded_and_the_set_does_not_identify_its_dataset(tmp_path: Path):
    done = distill(settings(), small_digits(), out=tmp_path / "run")
    folder = RunFolder(tmp_path / "run")
    promised = METHOD.privacy(small_digits().train.class_sizes, 6)
    assert folder.read_manifest().privacy == done.privacy == promised
    saved = SyntheticSet.load(folder.synthetic)
    provenance = SetMetadata.of_file(folder.synthetic).provenance
    assert provenance == saved.provenance
    assert provenance["privacy"] == promised.to_json()
    assert small_digits().fingerprint not in json.dumps(provenance)
    assert SyntheticSet.load(folder.start).provenance["dataset_fingerprint"] == small_digits().fingerprint
    assert saved.labels.bincount().tolist() == [2] * 10


def test_a_set_whose_guarantee_is_damaged_is_refused(tmp_path: Path):
    made = distill(settings(iterations=1), small_digits()).synthetic
    privacy = {**made.provenance["privacy"], "epsilon": 0.0}
    replace(made, provenance={**made.provenance, "privacy": privacy}).save(tmp_path / "set.safetensors")
    with pytest.raises(UserError, match=r"privacy\.epsilon is not a number above 0"):
        SyntheticSet.load(tmp_path / "set.safetensors")


def test_a_resumed_run_has_the_same_bits_and_asks_nothing_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    first = distill(settings(), small_digits(), out=tmp_path / "run", time_limit=0)
    assert first.status == "time limit"
    sums = Checkpoint.load(RunFolder(tmp_path / "run").checkpoint).state["sums"]
    reads: list[int] = []
    honest = LabeledImages.normalised

    def counted(images: LabeledImages, indices: Tensor | slice | None = None) -> Tensor:
        reads.append(len(images))
        return honest(images, indices)

    monkeypatch.setattr(LabeledImages, "normalised", counted)
    resumed = distill(settings(), small_digits(), out=tmp_path / "run", resume=True)
    assert reads == []
    state = Checkpoint.load(RunFolder(tmp_path / "run").checkpoint).state
    assert state["sums"].equal(sums)
    again = {**state, **METHOD.optimiser.init("images", first.synthetic.images)}
    problem = _problem(first.synthetic)
    for iteration in range(6):
        again, _ = METHOD.step(problem, again, iteration)
    assert resumed.synthetic.images.equal(again["images"])


def test_a_run_that_is_killed_before_its_first_iteration_asks_nothing_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    class Killed(BaseException):
        pass

    def kill(*_: object) -> None:
        raise Killed

    killed = patch.object(DPDM, "step", kill), patch.object(driver._Run, "_finish", kill)
    with killed[0], killed[1], pytest.raises(Killed):
        distill(settings(), small_digits(), out=tmp_path / "run")
    sums = Checkpoint.load(RunFolder(tmp_path / "run").checkpoint).state["sums"]
    monkeypatch.setattr(dp_dm, "poisson_sample", kill)
    distill(settings(), small_digits(), out=tmp_path / "run", resume=True)
    assert Checkpoint.load(RunFolder(tmp_path / "run").checkpoint).state["sums"].equal(sums)


def _problem(start: SyntheticSet) -> Problem:
    real = small_digits().train
    return Problem(real=real, start=start, network=NETWORK, streams=Streams(0).child("method"), flips=False)


def test_two_runs_with_one_seed_give_two_sets():
    first, second = (distill(settings(), small_digits()).synthetic for _ in range(2))
    assert not torch.equal(first.images, second.images)


def test_the_record_reads_what_it_writes():
    promised = METHOD.privacy((20,) * 10, 0)
    assert Privacy.from_json(Fields.of(Path("manifest.json"), json.loads(json.dumps(promised.to_json())))) == promised


def test_the_claimed_epsilon_is_that_of_the_noise_rounded_up():
    sizes = (5_400,) * 10
    promised = DPDM(epsilon=1.0).privacy(sizes, 0)
    assert 0.998 < promised.epsilon <= 1
    assert promised.epsilon == float(f"{promised.epsilon:.5g}")
    assert (promised.delta, promised.queries, promised.sampling_rate) == (1e-5, 150, 100 / 5_400)
    assert "(0.999" in promised.title
    assert "adding or removing one image" in promised.title
    assert DPDM(epsilon=3.0).privacy(sizes, 0).noise_multiplier < promised.noise_multiplier


def test_a_resumed_run_without_a_checkpoint_keeps_what_it_draws(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    class Killed(BaseException):
        pass

    def kill(*_: object, **__: object) -> None:
        raise Killed

    with monkeypatch.context() as dying:
        dying.setattr(driver._Run, "_checkpoint", kill)
        with pytest.raises(Killed):
            distill(settings(), small_digits(), out=tmp_path / "run")
    folder = RunFolder(tmp_path / "run")
    assert not folder.checkpoint.exists()
    with monkeypatch.context() as dying:
        dying.setattr(DPDM, "step", kill)
        dying.setattr(driver._Run, "_finish", kill)
        with pytest.raises(Killed):
            distill(settings(), small_digits(), out=tmp_path / "run", resume=True)
    drawn = Checkpoint.load(folder.checkpoint).state["sums"]
    distill(settings(), small_digits(), out=tmp_path / "run", resume=True)
    assert Checkpoint.load(folder.checkpoint).state["sums"].equal(drawn)


def test_a_run_is_not_resumed_with_another_guarantee(tmp_path: Path):
    distill(settings(), small_digits(), out=tmp_path / "run", time_limit=0)
    config = RunFolder(tmp_path / "run").config
    text = config.read_text()
    changed = text.replace(f"epsilon = {METHOD.epsilon}", f"epsilon = {METHOD.epsilon / 2}")
    assert changed != text
    config.write_text(changed)
    with pytest.raises(UserError, match="was started with another guarantee"):
        distill(Settings.from_toml(config), small_digits(), out=tmp_path / "run", resume=True)
