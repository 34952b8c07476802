"""Class-incremental learning: what is remembered, what is tested, and that it goes on where it stopped."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from potstill.applications import ClassProtocol, Continual, learn_classes, memory_of_bytes
from potstill.applications.continual.classes import _Steps
from potstill.data import ImageDataset
from potstill.engine.trainer import Trainer
from potstill.evaluation import Recipe, Resources
from potstill.runtime.compute_choice import ComputeChoice
from potstill.runtime.errors import UserError
from potstill.synthetic import SyntheticSet
from tests.small import digits, few

pytestmark = pytest.mark.slow

ON_CPU = ComputeChoice(device="cpu", precision="float32", compile="off")
RECIPE = Recipe(name="test", summary="", epochs=10, full_epochs=5, learning_rate=0.05, augmentation="none")
TWO = ClassProtocol(steps=2, memory=24, orders=2, iterations=2)
NETWORK = "mlp:width=16"


def six() -> ImageDataset:
    """Six digits, few images of each."""
    data = digits()
    sizes = {"train": 14, "validation": 3, "test": 6}
    return replace(data, **{name: few(part, (sizes[name],) * 6) for name, part in data.splits.items()})


def learned(out: Path, data: ImageDataset | None = None, **options: Any) -> Continual:
    given: dict[str, Any] = {"protocol": TWO, "memories": ["dm"], "networks": [NETWORK], "recipe": RECIPE} | options
    return learn_classes(data or six(), out, resources=Resources(compute=ON_CPU), **given)


def timeless(record: Continual) -> Continual:
    """The record without what depends on the clock and on who did the trainings."""
    learners = [
        replace(each, courses=[replace(course, seconds=0.0) for course in each.courses]) for each in record.learners
    ]
    memories = [replace(memory, seconds=0.0) for memory in record.memories]
    return replace(record, learners=learners, memories=memories, made_on=[])


def test_networks_learn_step_by_step_with_equal_memories(tmp_path: Path):
    record = learned(tmp_path, networks=[NETWORK, "convnet:depth=2:width=4"])
    assert Continual.read(tmp_path / Continual.FILE) == record
    assert [memory.name for memory in record.memories] == ["dm", "random", "k-means"]
    assert [memory.kind for memory in record.memories] == ["method", "selection", "selection"]
    for memory in record.memories:
        assert memory.images == [24, 24]
        assert memory.bytes == [24 * (4 * 64 + 8)] * 2, "equal bytes: images and labels as they are stored"
    assert [(each.memory, each.network) for each in record.learners] == [
        (memory, network) for memory in ("dm", "random", "k-means") for network in record.networks
    ]
    for learner in record.learners:
        assert [[len(row) for row in course.matrix] for course in learner.courses] == [[1, 2], [1, 2]]
        assert [course.images for course in learner.courses] == [[18, 18], [18, 18]]
        assert all(course.seconds > 0 for course in learner.courses)
    assert {gain.memory for gain in record.gains} <= {"dm", "k-means"}
    assert len(record.made_on) == 1


def test_each_class_is_distilled_only_from_its_own_step(tmp_path: Path):
    record, steps = learned(tmp_path), _Steps(six(), TWO, NETWORK)
    assert len(record.orders) == 2
    assert record.orders[0] != record.orders[1]
    for number, order in enumerate(record.orders, start=1):
        assert sorted(name for step in order for name in step) == ["0", "1", "2", "3", "4", "5"]
        for step, (names, share) in enumerate(zip(order, (8, 4), strict=True), start=1):
            for memory in ("dm", "random", "k-means"):
                kept = SyntheticSet.load(
                    tmp_path / "memories" / f"{memory}-order{number}-step{step}" / "synthetic.safetensors"
                )
                assert list(kept.class_names) == names
                assert len(kept) == 3 * share
                assert kept.provenance["seed"] == steps.need(number - 1, step - 1).seed


@pytest.mark.parametrize(("sharing", "shares"), [("shrinking", [8, 4]), ("fixed", [4, 4])])
def test_what_networks_see_and_are_tested_on(
    sharing: Any, shares: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """The networks are trained on the shares of the classes seen, and judged by all test images of these."""
    seen: list[tuple[int, list[int]]] = []
    fit = Trainer.fit

    def watched(trainer: Trainer, examples: SyntheticSet, *given: Any, **named: Any) -> None:
        seen.append((trainer.network.classes, torch.bincount(examples.labels).tolist()))
        fit(trainer, examples, *given, **named)

    monkeypatch.setattr(Trainer, "fit", watched)
    learned(tmp_path, memories=["random"], protocol=replace(TWO, sharing=sharing, orders=1))
    assert seen == [(3, [shares[0]] * 3)] * 2 + [(6, [shares[1]] * 6)] * 2


def test_rows_of_the_matrix_are_read_from_the_confusion():
    steps = _Steps(six(), replace(TWO, steps=3), NETWORK)
    classes = steps.orders[0]
    seen = steps.seen(0, 1)
    confusion = torch.eye(4, dtype=torch.int64) * 6
    wrong = seen.index(classes[1][0])
    confusion[wrong] = torch.tensor([2, 2, 2, 0]).roll(wrong - 3)  # one of the classes of step 2, two of six right
    right = int(confusion[wrong, wrong])
    assert steps.row(0, 1, confusion.tolist()) == pytest.approx([1.0, (right + 6) / 12])


def test_no_step_order_or_seed_shares_the_draws_of_its_sets():
    drawn = [_Steps(six(), replace(TWO, seed=seed), NETWORK) for seed in (0, 1)]
    seeds = [steps.need(order, step).seed for steps in drawn for order in range(2) for step in range(2)]
    assert len(set(seeds)) == len(seeds)


def test_all_memories_start_from_the_same_draws(tmp_path: Path):
    """A memory that is the same set under another name teaches the same network."""
    learned(tmp_path / "first", memories=["random"], protocol=replace(TWO, orders=1))
    data = six()
    whole = joined_of(tmp_path / "first", data)
    whole.save(tmp_path / "set.safetensors")
    record = learned(tmp_path / "second", memories=[str(tmp_path / "set.safetensors")], protocol=replace(TWO, orders=1))
    given, random = (record.learner(name, NETWORK) for name in (str(tmp_path / "set.safetensors"), "random"))
    assert given is not None
    assert random is not None
    assert given.courses[0].matrix == random.courses[0].matrix
    assert record.memories[0].kind == "set"


def test_an_imported_set_with_a_normalisation_of_its_own_is_a_memory(tmp_path: Path):
    data = six()
    index = torch.cat([index[:6] for index in data.train.class_index])
    made = SyntheticSet.from_indices(data.train, index)
    provenance = {"method": "imported", "dataset_fingerprint": data.fingerprint}
    images = (made.images * data.std[0] + data.mean[0] - 0.2) / 0.3
    set_file = tmp_path / "set.safetensors"
    replace(made, images=images, mean=(0.2,), std=(0.3,), provenance=provenance).save(set_file)
    protocol = replace(TWO, orders=1, sharing="fixed")
    learner = learned(tmp_path / "out", data, memories=[str(set_file)], protocol=protocol).learner(
        str(set_file), NETWORK
    )
    assert learner is not None
    assert len(learner.courses) == 1


def joined_of(out: Path, data: ImageDataset) -> SyntheticSet:
    """The random memories of the first order as one set of all classes, eight images of each."""
    parts = [SyntheticSet.load(out / "memories" / f"random-order1-step{s}" / "synthetic.safetensors") for s in (1, 2)]
    images = torch.zeros(6, 8, *data.shape)
    for part in parts:
        for place, name in enumerate(part.class_names):
            own = part.images[part.labels == place]
            images[data.class_names.index(name), : len(own)] = own
    labels = torch.arange(6).repeat_interleave(8)
    return replace(parts[0], images=images.flatten(0, 1), labels=labels, class_names=data.class_names)


@pytest.mark.parametrize("after", [0, 3, 9])
def test_what_was_interrupted_goes_on_with_the_same_bits(after: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    whole = learned(tmp_path / "whole")
    trainings = mortal_after(after, monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        learned(tmp_path / "cut")
    assert Continual.read(tmp_path / "cut" / Continual.FILE).protocol == TWO
    resumed = learned(tmp_path / "cut")
    assert timeless(resumed) == timeless(whole)
    assert len(trainings) == 12 + 1, "nothing is trained twice but what was cut short"
    again = learned(tmp_path / "cut")
    assert again == resumed, "also the seconds are those on record"
    assert len(trainings) == 13


def mortal_after(count: int, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Let the training after ``count`` others be interrupted, and count them all."""
    fit, trainings = Trainer.fit, list[int]()

    def mortal(trainer: Trainer, examples: Any, *given: Any, **named: Any) -> None:
        trainings.append(len(examples))
        if len(trainings) == count + 1:
            raise KeyboardInterrupt
        fit(trainer, examples, *given, **named)

    monkeypatch.setattr(Trainer, "fit", mortal)
    return trainings


def test_another_memory_is_added_without_training_the_others_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    first = learned(tmp_path)
    trainings = mortal_after(10**6, monkeypatch)
    more = learned(tmp_path, memories=["dm", "average"])
    assert len(trainings) == 4
    assert [each.memory for each in more.learners] == ["dm", "average", "random", "k-means"]
    assert more.learner("dm", NETWORK) == first.learner("dm", NETWORK)


def test_a_training_that_fails_is_told_and_the_others_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    fit = Trainer.fit

    def failing(trainer: Trainer, examples: Any, *given: Any, **named: Any) -> None:
        if trainer.network.classes == 6 and "MLP" in type(trainer.network).__name__:
            raise UserError("it diverged", "use another recipe")
        fit(trainer, examples, *given, **named)

    monkeypatch.setattr(Trainer, "fit", failing)
    record = learned(tmp_path, networks=["convnet:depth=1:width=4", NETWORK], protocol=replace(TWO, orders=1))
    assert [each.failed for each in record.learners] == [None, "it diverged"] * 3


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"protocol": replace(TWO, seed=1)}, r"made with other settings: `seed` \(0 there, 1 here\)"),
        ({"recipe": replace(RECIPE, epochs=11)}, "made with other settings: `recipe`"),
        ({"networks": ["mlp:width=8"]}, r"other settings: `networks` \(mlp:width=16 there, mlp:width=8 here\)"),
        ({"data": replace(six(), fingerprint="other")}, "is about other images"),
    ],
)
def test_a_record_of_something_else_is_not_mixed(change: dict[str, Any], message: str, tmp_path: Path):
    record = learned_nothing(tmp_path)
    with pytest.raises(UserError, match=message):
        learned(tmp_path, **change)
    assert Continual.read(tmp_path / Continual.FILE) == record


def test_sets_of_other_seeds_are_not_mixed_and_their_results_stay(tmp_path: Path):
    """Such as those of a version that derived the seeds in another way."""
    once: dict[str, Any] = {"memories": ["random"], "protocol": replace(TWO, orders=1)}
    record = learned(tmp_path, **once)
    config = tmp_path / "memories" / "k-means-order1-step2" / "config.toml"
    config.write_text(re.sub(r"(?m)^seed = \d+$", "seed = 0", config.read_text()))
    with pytest.raises(UserError, match=r"k-means-order1-step2 has other settings: `seed` \(0 there, \d+ here\)"):
        learned(tmp_path, **once)
    assert Continual.read(tmp_path / Continual.FILE) == record


def learned_nothing(out: Path) -> Continual:
    """A record that was killed before its first result."""
    with pytest.MonkeyPatch.context() as patch:
        trainings = mortal_after(0, patch)
        with pytest.raises(KeyboardInterrupt):
            learned(out, protocol=TWO)
    assert trainings
    return Continual.read(out / Continual.FILE)


def refused(message: str, out: Path, networks: Sequence[str] = (NETWORK,), **options: Any) -> None:
    with pytest.raises(UserError, match=message):
        learned(out, networks=networks, **options)
    assert not (out / Continual.FILE).exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"steps": 4}, "digits cannot be divided into 4 equal steps: it has 6 classes; use `steps=2`, or 3"),
        ({"steps": 6}, "cannot be divided into 6 equal steps: a step would have one class"),
        ({"steps": 1}, "`steps=1` is too small"),
        ({"memory": 5}, "a memory of 5 images cannot hold one of each of 6 classes; use `memory=6`"),
        (
            {"memory": 84},
            "holds 28 images of each class at first, but a class has only 14 .* `sharing=fixed` with 14 of",
        ),
        ({"orders": 0}, "`orders=0` is too small"),
    ],
)
def test_impossible_protocols_are_refused_before_anything_is_done(change: dict[str, Any], message: str, tmp_path: Path):
    refused(message, tmp_path, protocol=replace(TWO, **change))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"memories": ["dmm"]}, "unknown method 'dmm'; did you mean 'dm'"),
        ({"memories": ["dm", "dm"]}, "'dm' is named twice"),
        ({"memories": ["absent/run.safetensors"]}, "absent/run.safetensors"),
        ({"networks": []}, "no network is named"),
        ({"networks": ["convent"]}, "unknown network 'convent'"),
        (
            {"recipe": "tuned-300"},
            "tunes learning rates on validation images, of which a memory of several",
        ),
        ({"recipe": "replay"}, "replays learned steps"),
        ({"recipe": "soft-label"}, "trains at a learned rate"),
    ],
)
def test_impossible_requests_are_refused_before_anything_is_done(options: dict[str, Any], message: str, tmp_path: Path):
    refused(message, tmp_path, **options)


def test_a_method_that_needs_more_than_its_defaults_says_so(tmp_path: Path):
    with pytest.raises(UserError, match="`experts` is not given"):
        learned(tmp_path, memories=["mtt"])


def test_a_memory_in_bytes_holds_as_many_images_as_fit():
    assert memory_of_bytes(six(), 264 * 24) == 24
    assert memory_of_bytes(six(), 264 * 24 - 1) == 23
