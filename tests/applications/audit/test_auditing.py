"""Audits: what is attacked, what is found, and that they go on where they stopped."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from potstill.applications import Audit, AuditProtocol, audit_pipeline
from potstill.applications.audit.auditing import _requests
from potstill.applications.audit.pipelines import Audited
from potstill.applications.audit.pool import Pool
from potstill.data import ImageDataset, with_classes
from potstill.distillation.driver import distill
from potstill.distillation.settings import Settings
from potstill.engine.trainer import Trainer
from potstill.evaluation import Recipe, Resources
from potstill.methods import DM, DPDM
from potstill.runtime.compute import CPU, Compute
from potstill.runtime.compute_choice import ComputeChoice
from potstill.runtime.errors import UserError
from potstill.schema.audit import Attacked
from potstill.synthetic import SyntheticSet
from potstill.units import Crew
from tests.killed import Killed, killed_after
from tests.small import digits, few

pytestmark = pytest.mark.slow

ON_CPU = ComputeChoice(device="cpu", precision="float32", compile="off")
RECIPE = Recipe(name="test", summary="", epochs=15, full_epochs=5, learning_rate=0.05, augmentation="none")
SIX = AuditProtocol(shadows=6, iterations=1)
NETWORK = "mlp:width=16"


def four() -> ImageDataset:
    """Four digits, a few images of each."""
    data = with_classes(digits(), range(4))
    sizes = {"train": 40, "validation": 3, "test": 10}
    return replace(data, **{name: few(part, (sizes[name],) * 4) for name, part in data.splits.items()})


def start_run(out: Path, start: Any = "real", iterations: int = 1) -> Path:
    settings = Settings(method=DM(), ipc=2, network=NETWORK, iterations=iterations, start=start, device="cpu")
    distill(replace(settings, validate_every=0), four(), out=out)
    return out


def audited(source: str | Path, out: Path, data: ImageDataset | None = None, **options: Any) -> Audit:
    given: dict[str, Any] = {"protocol": SIX, "recipe": RECIPE, "resources": Resources(compute=ON_CPU)} | options
    return audit_pipeline(source, data or four(), out, **given)


def timeless(record: Audit) -> Audit:
    """The record without what depends on the clock and on who did the work."""
    return replace(record, seconds=0.0, made_on=[])


def test_a_run_that_has_barely_moved_gives_its_start_away(tmp_path: Path):
    run = start_run(tmp_path / "run")
    record = audited(run, run)
    assert Audit.read(run / Audit.FILE) == record
    assert (record.kind, record.images, record.dataset.pool) == ("run", 8, 160)
    assert [(each.network, each.arm) for each in record.attacked] == [
        ("", "set"),
        ("", "random"),
        (NETWORK, "set"),
        (NETWORK, "random"),
    ]
    assert [attack.attack for attack in record.attacked[2].attacks] == [
        "threshold",
        "rmia",
        "lira-offline",
        "lira-online",
    ]
    for each in record.attacked:
        for attack in each.attacks:
            assert len(attack.aucs) == 6
            assert [rate.fpr for rate in attack.rates] == [0.1], "480 others resolve no rate of 1 %"
            assert attack.rates[0].members == pytest.approx(80)
            assert attack.begun[0].members == pytest.approx(8)
    images = record.attack_on("set", "")
    assert images is not None
    found = {attack.attack: attack.begun[0].tpr for attack in images.attacks}
    assert found["threshold"] == 1, "every image that a set was begun from is nearer to it than nearly all others"
    assert record.neighbours is not None
    assert record.neighbours.start is not None
    assert record.neighbours.start.barely
    assert len(record.neighbours.pairs) == 8
    assert len(record.made_on) == 1
    assert {each.network for each in record.differences} == {"", NETWORK}


def test_the_members_of_each_pipeline_make_its_set(tmp_path: Path):
    record = audited("random", tmp_path, protocol=replace(SIX, shadows=2, images_per_class=3))
    sets = [SyntheticSet.load(tmp_path / "shadows" / f"random-{n}" / "synthetic.safetensors") for n in (1, 2)]
    fingerprints = {each.provenance["dataset_fingerprint"] for each in sets}
    assert len(fingerprints) == 2
    assert record.dataset.fingerprint not in fingerprints
    assert len({each.provenance["seed"] for each in sets}) == 2
    assert [attack.attack for attack in record.attacked[2].attacks] == ["threshold"], "a pair has no references"
    assert record.attacked[0].attacks[0].begun[0].members == pytest.approx(12), "a selection consists of members"
    assert record.neighbours is None, "there is no finished set"


def test_no_pipeline_or_seed_shares_the_draws_of_its_sets():
    seeds = list[int]()
    for protocol in (SIX, replace(SIX, seed=1)):
        pipeline = Audited.named("random", four(), protocol, ON_CPU).pipeline
        assert pipeline is not None
        seeds += [need.seed for _, need in _requests(pipeline, Pool.of(four(), protocol), protocol)]
    assert len(set(seeds)) == 2 * 6


def test_random_images_are_as_many_members(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    seen: list[tuple[int, bool]] = []
    fit, train = Trainer.fit, four().train

    def watched(trainer: Trainer, examples: Any, *given: Any, **named: Any) -> None:
        gaps = (examples.normalised()[:, None] - train.normalised()[None]).abs().amax((2, 3, 4)).min(1).values
        seen.append((len(examples), bool((gaps < 1e-4).all())))
        fit(trainer, examples, *given, **named)

    monkeypatch.setattr(Trainer, "fit", watched)
    run = start_run(tmp_path / "run", start="noise")
    record = audited(run, run, protocol=replace(SIX, shadows=2))
    assert seen == [(8, False)] * 2 + [(8, True)] * 2
    random = record.attack_on("random", "")
    assert random is not None
    assert random.attacks[0].begun[0].tpr == 1
    ours = record.attack_on("set", "")
    assert ours is not None
    assert ours.attacks[0].begun == [], "noise is begun from no image"


def test_scores_are_in_32_bits_where_others_would_be_in_fewer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    asked: list[str] = []

    def watched(choice: ComputeChoice, **_: Any) -> Compute:
        asked.append(choice.precision)
        return CPU

    monkeypatch.setattr("potstill.evaluation.session.settled", watched)
    for precision in ("auto", "bfloat16"):
        resources = Resources(compute=replace(ON_CPU, precision=precision))
        protocol = replace(SIX, shadows=2, images_per_class=1)
        audited("random", tmp_path / precision, protocol=protocol, networks=[NETWORK], resources=resources)
        assert set(asked) == {"float32" if precision == "auto" else precision}
        asked.clear()


def test_of_a_finished_set_only_the_neighbours_are_found(tmp_path: Path):
    run = start_run(tmp_path / "run")
    record = audited(run / "synthetic.safetensors", tmp_path / "set", recipe=None)
    assert (record.kind, record.attacked, record.recipe, record.networks) == ("set", [], None, [])
    assert record.neighbours is not None
    assert record.neighbours.start is None
    assert record.neighbours.closer > 0.5
    assert [path.name for path in (tmp_path / "set").iterdir()] == [Audit.FILE]


@pytest.mark.parametrize("after", [0, 5])
def test_what_was_killed_goes_on_with_the_same_bits(after: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    protocol = replace(SIX, shadows=4, images_per_class=2)
    whole = audited("random", tmp_path / "whole", protocol=protocol, networks=[NETWORK])
    begun = killed_after(after, monkeypatch)
    with pytest.raises(Killed):
        audited("random", tmp_path / "cut", protocol=protocol, networks=[NETWORK])
    kept = Audit.read(tmp_path / "cut" / Audit.FILE)
    assert len(kept.attacked) == (2 if after < 4 else 3)
    resumed = audited("random", tmp_path / "cut", protocol=protocol, networks=[NETWORK])
    assert timeless(resumed) == timeless(whole)
    assert len(begun) == 8 + 1, "nothing is trained twice but what was cut short"
    assert audited("random", tmp_path / "cut", protocol=protocol, networks=[NETWORK]) == resumed
    assert len(begun) == 9


def test_a_promise_stands_in_the_record(tmp_path: Path):
    pytest.importorskip("dp_accounting")
    method = DPDM(epsilon=5.0, delta=1e-4, queries=2, group=4)
    settings = Settings(method=method, ipc=1, network="convnet:depth=1:width=4", iterations=2, device="cpu")
    distill(settings, four(), out=tmp_path / "run")
    record = audited(tmp_path / "run", tmp_path / "out", protocol=replace(SIX, shadows=2), networks=[NETWORK])
    assert record.promised is not None
    assert 0 < record.promised.epsilon <= 5
    assert record.delta == 1e-4
    assert record.epsilon is not None
    assert Audit.read(tmp_path / "out" / Audit.FILE) == record


def test_processes_find_the_same(crew: Crew, tmp_path: Path):
    protocol = replace(SIX, shadows=2, images_per_class=2)
    here = audited("dm", tmp_path / "here", protocol=protocol, networks=[NETWORK])
    there = audited(
        "dm",
        tmp_path / "there",
        protocol=protocol,
        networks=[NETWORK],
        resources=Resources(compute=ON_CPU, executor=crew),
    )
    assert timeless(there) == timeless(here)


def test_another_network_is_added_without_training_the_first_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    protocol = replace(SIX, shadows=2, images_per_class=2)
    first = audited("random", tmp_path, protocol=protocol, networks=[NETWORK])
    begun = killed_after(10**6, monkeypatch)
    more = audited("random", tmp_path, protocol=protocol, networks=["mlp:width=8", NETWORK])
    assert len(begun) == 4
    again = [each for arm in ("set", "random") if (each := more.attack_on(arm, NETWORK)) is not None]
    assert [unbounded(each) for each in again] == [unbounded(each) for each in first.attacked[2:]]
    assert first.bounds_hold_together
    assert more.bounds_hold_together


def unbounded(attacked: Attacked) -> Attacked:
    """Without the bounds of epsilon, which are less sure of themselves the more there are."""
    return replace(attacked, attacks=[replace(each, epsilon=0.0, epsilon_level=0.0) for each in attacked.attacks])


def test_a_training_that_fails_is_told_and_the_others_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    fit = Trainer.fit

    def failing(trainer: Trainer, examples: Any, *given: Any, **named: Any) -> None:
        if "ConvNet" in type(trainer.network).__name__:
            raise UserError("it diverged", "use another recipe")
        fit(trainer, examples, *given, **named)

    monkeypatch.setattr(Trainer, "fit", failing)
    networks = ["convnet:depth=1:width=4", NETWORK]
    record = audited("random", tmp_path, protocol=replace(SIX, shadows=2, images_per_class=2), networks=networks)
    assert [each.failed for each in record.attacked] == [None, None, "it diverged", "it diverged", None, None]
    assert record.attack_on("set", networks[0]) is None


def test_scores_without_information_are_found_to_have_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Networks whose training never saw a member: every attack is within chance."""
    outside = four().test
    fit = Trainer.fit

    def blind(trainer: Trainer, _examples: Any, *given: Any, **named: Any) -> None:
        fit(trainer, outside, *given, **named)

    monkeypatch.setattr(Trainer, "fit", blind)
    record = audited("random", tmp_path, protocol=replace(SIX, images_per_class=2), networks=[NETWORK])
    network = record.attack_on("set", NETWORK)
    assert network is not None
    assert not network.finds_members
    assert network.epsilon < 0.5
    for attack in network.attacks:
        assert abs(attack.auc - 0.5) < 4 * attack.auc_error + 1e-9


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"protocol": replace(SIX, shadows=2, images_per_class=2, seed=1)}, "is about other images|other settings"),
        ({"protocol": replace(SIX, shadows=4, images_per_class=2)}, r"`shadows` \(2 there, 4 here\)"),
        ({"protocol": replace(SIX, shadows=2, images_per_class=3)}, r"`images_per_class` \(2 there, 3 here\)"),
        ({"recipe": replace(RECIPE, epochs=11)}, "made with other settings: `recipe`"),
    ],
)
def test_a_record_of_something_else_is_not_mixed(change: dict[str, Any], message: str, tmp_path: Path):
    given = replace(SIX, shadows=2, images_per_class=2)
    record = audited("random", tmp_path, protocol=given, networks=[NETWORK])
    with pytest.raises(UserError, match=message):
        audited("random", tmp_path, **{"protocol": given, "networks": [NETWORK], **change})
    assert Audit.read(tmp_path / Audit.FILE) == record


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"protocol": replace(SIX, images_per_class=30)}, "and every set needs 30; use a larger `pool`, or fewer"),
        ({"protocol": replace(SIX, shadows=5)}, "`shadows=5` is odd"),
        ({"networks": ["convent"]}, "unknown network 'convent'"),
        ({"recipe": "tuned-300"}, "tunes learning rates"),
        ({"recipe": "replay"}, "replays learned steps, which random does not have"),
        ({"data": replace(four(), test=four().test.take(torch.empty(0, dtype=torch.int64)))}, "has no test images"),
    ],
)
def test_impossible_requests_are_refused_before_anything_is_done(options: dict[str, Any], message: str, tmp_path: Path):
    with pytest.raises(UserError, match=message):
        audited("random", tmp_path / "out", **options)
    assert not (tmp_path / "out" / "shadows").exists()
