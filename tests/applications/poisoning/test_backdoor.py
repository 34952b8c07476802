"""Backdoors: tampered images beside the same images as they were, and the share that the patch misleads."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from potstill.applications import plant_backdoor
from potstill.applications.poisoning.backdoor import _need
from potstill.data import load_dataset, with_fewer_images
from potstill.evaluation import Recipe, Resources
from potstill.evaluation.probing import TrainAndProbe
from potstill.runtime.compute_choice import ComputeChoice
from potstill.runtime.errors import UserError
from potstill.schema.poisoning import CLEAN, POISONED, BackdoorProtocol, Case, Poisoning
from potstill.synthetic import SyntheticSet
from tests.small import NETWORK, small_digits

pytestmark = pytest.mark.slow

RECIPE = Recipe(name="test", summary="a few epochs", epochs=30, full_epochs=3, learning_rate=0.05)
PROTOCOL = BackdoorProtocol(share=0.3, side=3, images_per_class=5, repeats=2, iterations=2)
ON_CPU = Resources(compute=ComputeChoice(device="cpu", precision="float32", compile="off"))


def planted(out: Path, **options: Any) -> Poisoning:
    given = {"protocol": PROTOCOL, "sources": ["random"], "networks": [NETWORK], "recipe": RECIPE, "resources": ON_CPU}
    return plant_backdoor(options.pop("dataset", small_digits()), out, **given | options)


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Poisoning]:
    out = tmp_path_factory.mktemp("backdoor")
    return out, planted(out, sources=["dm"])


def test_every_source_stands_beside_its_control(found: tuple[Path, Poisoning]):
    out, record = found
    assert [(each.source, each.case) for each in record.victims] == [
        (source, case) for source in ("dm", "random", "k-means") for case in (POISONED, CLEAN)
    ]
    assert all(len(each.outcomes) == 2 and each.images == 50 and each.seconds > 0 for each in record.victims)
    assert Poisoning.read(out / "poisoning.json") == record


def test_the_patch_misleads_networks_that_learned_it(found: tuple[Path, Poisoning]):
    _, record = found
    poisoned, clean = (record.of("random", case, NETWORK) for case in (POISONED, CLEAN))
    assert poisoned is not None
    assert clean is not None
    assert poisoned.mean("effect") > clean.mean("effect") + 0.2
    assert all(outcome.unpatched is not None and outcome.unpatched < 0.2 for outcome in clean.outcomes)
    assert poisoned.mean("recognised") < clean.mean("recognised")


def test_sets_are_made_from_tampered_images_or_from_those_as_they_were(found: tuple[Path, Poisoning]):
    out, _ = found
    clean, poisoned = (
        SyntheticSet.load(out / "sets" / f"random-{case}-repeat1" / "synthetic.safetensors")
        for case in ("clean", "poisoned")
    )
    assert clean.provenance["dataset_fingerprint"] == small_digits().fingerprint
    assert poisoned.provenance["dataset_fingerprint"] != small_digits().fingerprint


def test_a_second_call_does_nothing_again_and_adds_what_is_asked(
    found: tuple[Path, Poisoning], monkeypatch: pytest.MonkeyPatch
):
    out, record = found
    done: list[str] = []
    run = TrainAndProbe.run

    def counted(self: TrainAndProbe, workplace: Any) -> Any:
        done.append(self.network)
        return run(self, workplace)

    monkeypatch.setattr(TrainAndProbe, "run", counted)
    again = planted(out, sources=["dm"])
    assert done == []
    assert _numbers(again) == _numbers(record)
    planted(out, sources=["random"], networks=[NETWORK, "mlp:width=8"])
    assert set(done) == {"mlp:width=8"}


def _numbers(record: Poisoning) -> Any:
    return json.loads(json.dumps([each.to_json() for each in record.victims]))


def test_no_repeat_or_seed_shares_the_draws_of_its_sets():
    data, seeds = small_digits(), dict[Case, list[int]]()
    for case in (POISONED, CLEAN):
        needs = [
            _need(replace(PROTOCOL, seed=seed), case, repeat, data, NETWORK) for seed in (0, 1) for repeat in (0, 1)
        ]
        seeds[case] = [need.seed for need in needs]
    assert len(set(seeds[POISONED])) == 4
    assert seeds[POISONED] == seeds[CLEAN], "a set and its control differ in their images alone"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"protocol": replace(PROTOCOL, target="ten")}, "unknown class for `target` 'ten'"),
        ({"protocol": replace(PROTOCOL, share=0.0)}, "`share=0` is not a fraction"),
        ({"protocol": replace(PROTOCOL, share=0.95)}, "are of other classes than the target"),
        ({"protocol": replace(PROTOCOL, side=7)}, "a patch of 7×7 pixels leaves too little of images of 8×8"),
        ({"protocol": replace(PROTOCOL, repeats=0)}, "`repeats=0` is too small"),
        ({"sources": ["dmm"]}, "unknown method 'dmm'"),
        ({"networks": []}, "no network is named"),
        ({"networks": ["convent"]}, "unknown network 'convent'"),
        ({"recipe": "tuned-300"}, "needs a learning rate for each set"),
        ({"recipe": "replay"}, "replays learned steps"),
    ],
)
def test_what_cannot_be_measured_is_refused_before_anything_is_done(
    options: dict[str, Any], message: str, tmp_path: Path
):
    with pytest.raises(UserError, match=message):
        planted(tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


def test_a_set_that_is_finished_cannot_be_tampered_with(found: tuple[Path, Poisoning], tmp_path: Path):
    run = found[0] / "sets" / "random-clean-repeat1"
    with pytest.raises(UserError, match="its images were not tampered with"):
        planted(tmp_path, sources=[str(run)])


def test_whitened_images_and_other_settings_are_refused(found: tuple[Path, Poisoning], tmp_path: Path):
    with pytest.raises(UserError, match="whitened images have none"):
        planted(tmp_path, dataset=load_dataset("digits", zca=True))
    with pytest.raises(UserError, match=r"other settings: `share` \(0.3 there, 0.2 here\)"):
        planted(found[0], protocol=replace(PROTOCOL, share=0.2))
    with pytest.raises(UserError, match="is about other images"):
        planted(found[0], dataset=with_fewer_images(load_dataset("digits"), 500, 0))
