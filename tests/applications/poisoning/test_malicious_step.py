"""A malicious step: learned for trained networks, tested on those that distillation has never seen."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from potstill.applications import learn_malicious_step
from potstill.data import load_dataset, with_fewer_images, with_relabelled
from potstill.evaluation import Resources
from potstill.evaluation.training import TrainAndTest
from potstill.runtime.compute_choice import ComputeChoice
from potstill.runtime.errors import UserError
from potstill.runtime.events import read_events
from potstill.schema.poisoning import AFTER, BEFORE, Poisoning, StepProtocol
from tests.small import small_digits

NETWORK = "mlp:width=16"
PROTOCOL = StepProtocol(experts=10, epochs=25, iterations=600, attacked="3", target="5")
ON_CPU = Resources(compute=ComputeChoice(device="cpu", precision="float32", compile="off"))


def learned(out: Path, **options: Any) -> Poisoning:
    given = {"protocol": PROTOCOL, "network": NETWORK, "resources": ON_CPU}
    return learn_malicious_step(with_fewer_images(load_dataset("digits"), 400, 0), out, **given | options)


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Poisoning]:
    out = tmp_path_factory.mktemp("step")
    return out, learned(out)


@pytest.mark.slow
def test_networks_that_were_never_seen_are_misled_by_the_distilled_step_alone(found: tuple[Path, Poisoning]):
    out, record = found
    assert Poisoning.read(out / "poisoning.json") == record
    before = record.of("no step", BEFORE, NETWORK)
    after, random = (record.of(source, AFTER, NETWORK) for source in ("dd", "random"))
    assert before is not None
    assert after is not None
    assert random is not None
    assert len(before.outcomes) == len(after.outcomes) == len(random.outcomes) == 2, "a fifth is held out"
    assert before.mean("recognised") > 0.6
    assert after.mean("success") > before.mean("success") + 0.1
    assert after.mean("recognised") < before.mean("recognised") - 0.4
    assert random.mean("success") < after.mean("success") - 0.1
    assert random.mean("recognised") > after.mean("recognised") + 0.2
    assert (before.images, after.images, random.images) == (0, 10, 10)
    assert all("float32" in made_on for made_on in record.made_on), "the step is repeated as it was learned"
    assert record.of("k-means", AFTER, NETWORK) is not None


@pytest.mark.slow
def test_a_second_call_does_nothing_again(found: tuple[Path, Poisoning], monkeypatch: pytest.MonkeyPatch):
    out, record = found
    weights = {path.name: path.stat().st_mtime_ns for path in (out / "experts").glob("*.safetensors")}
    monkeypatch.setattr(TrainAndTest, "run", lambda self, workplace: pytest.fail("it was done before"))
    assert learned(out).victims == record.victims
    assert {path.name: path.stat().st_mtime_ns for path in (out / "experts").glob("*.safetensors")} == weights


@pytest.mark.slow
def test_the_networks_and_the_images_beside_the_set_follow_the_seed(tmp_path: Path):
    learned(tmp_path, protocol=replace(PROTOCOL, epochs=1, iterations=1, seed=3))
    units = [event["unit"] for event in read_events(tmp_path / "poisoning.units.jsonl")]
    assert len(units) == 2 * 4, "two networks in four cases"
    assert {unit["seed"] for unit in units} == {3}


def test_labels_of_one_class_become_another_in_training_alone():
    data = small_digits()
    changed = with_relabelled(data, 3, 5)
    assert changed.train.class_sizes[3] == 0
    assert changed.train.class_sizes[5] == data.train.class_sizes[3] + data.train.class_sizes[5]
    assert changed.test.labels.equal(data.test.labels)
    assert changed.train.images.equal(data.train.images)
    assert changed.fingerprint != data.fingerprint
    assert with_relabelled(data, 5, 3).fingerprint != changed.fingerprint


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"protocol": replace(PROTOCOL, experts=9)}, "of 9 experts fewer than two are held out"),
        ({"protocol": replace(PROTOCOL, target="3")}, "class 3 cannot be mistaken for itself"),
        ({"protocol": replace(PROTOCOL, attacked="x")}, "unknown class for `attacked` 'x'"),
        ({"protocol": replace(PROTOCOL, epochs=0)}, "`epochs=0` is too small"),
        ({"network": "lenett"}, "unknown network 'lenett'"),
        ({"method": "dm"}, "dm learns no steps from trained networks"),
        ({"method": "dmm"}, "unknown method 'dmm'"),
    ],
)
def test_what_cannot_be_measured_is_refused_before_anything_is_done(
    options: dict[str, Any], message: str, tmp_path: Path
):
    with pytest.raises(UserError, match=message):
        learned(tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()
