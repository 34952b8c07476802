"""Domain-incremental learning: what networks see at each stage, and that it goes on where it stopped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from potstill.applications import Continual, DomainProtocol, learn_domains
from potstill.applications.continual.domain_course import DomainCourse, Together
from potstill.applications.continual.domains import _Domains
from potstill.data import ImageDataset, with_classes
from potstill.engine.pupil import Pupil
from potstill.evaluation import Recipe, Resources
from potstill.runtime.compute_choice import ComputeChoice
from potstill.runtime.errors import UserError
from potstill.selection import random_indices
from potstill.synthetic import SyntheticSet
from potstill.units import Crew
from tests.small import digits, few

pytestmark = pytest.mark.slow

ON_CPU = ComputeChoice(device="cpu", precision="float32", compile="off")
RECIPE = Recipe(name="test", summary="", epochs=10, full_epochs=2, learning_rate=0.05, augmentation="none")
TWO = DomainProtocol(images_per_class=2, repeats=2, iterations=2)
NETWORK = "mlp:width=16"


def stage(name: str, *, dark: bool = False, classes: Sequence[int] = range(4)) -> ImageDataset:
    """Four digits, few images of each; another domain has them dark on bright."""
    data = digits()
    sizes = {"train": 12, "validation": 3, "test": 5}
    parts = {part: few(images, (sizes[part],) * 4) for part, images in data.splits.items()}
    if dark:
        parts = {part: replace(images, stored=255 - images.images) for part, images in parts.items()}
    return with_classes(replace(data, name=name, fingerprint=name, spec="", account=None, **parts), classes)


def stages() -> list[ImageDataset]:
    return [stage("bright"), stage("dark", dark=True), stage("again", classes=(3, 2, 1, 0))]


def learned(out: Path, of: Sequence[ImageDataset] | None = None, **options: Any) -> Continual:
    given: dict[str, Any] = {"protocol": TWO, "memories": ["dm"], "networks": [NETWORK], "recipe": RECIPE} | options
    executor = given.pop("executor", "here")
    return learn_domains(of or stages(), out, resources=Resources(compute=ON_CPU, executor=executor), **given)


def timeless(record: Continual) -> Continual:
    learners = [
        replace(each, courses=[replace(course, seconds=0.0) for course in each.courses]) for each in record.learners
    ]
    memories = [replace(memory, seconds=0.0) for memory in record.memories]
    return replace(record, learners=learners, memories=memories, made_on=[])


def test_networks_learn_stage_by_stage_with_equal_memories(tmp_path: Path):
    record = learned(tmp_path)
    assert Continual.read(tmp_path / Continual.FILE) == record
    assert record.stages == ["bright", "dark", "again"]
    for memory in record.memories:
        assert memory.images == [8, 16]
        assert memory.bytes == [8 * (4 * 64 + 8), 16 * (4 * 64 + 8)]
    assert [(each.memory, each.knowledge) for each in record.learners] == [
        (memory, knowledge) for memory in ("dm", "random", "k-means") for knowledge in (False, True)
    ]
    first_rows = set()
    for learner in record.learners:
        assert len(learner.courses) == 2
        for course in learner.courses:
            assert [len(row) for row in course.matrix] == [3, 3, 3], "tested on all stages after each"
            assert course.images == [20, 20, 20]
        first_rows.add(tuple(tuple(course.matrix[0]) for course in learner.courses))
    assert len(first_rows) == 1, "without memory and knowledge, the first stage is the same for all"
    assert {gain.memory for gain in record.gains} <= {"dm", "k-means"}


def test_what_networks_see(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    seen: list[tuple[int, float | None]] = []
    learn_on = Pupil.learn_on

    def watched(pupil: Pupil, examples: Any, *given: Any, temperature: float | None = None, **named: Any) -> None:
        seen.append((len(examples), temperature))
        learn_on(pupil, examples, *given, temperature=temperature, **named)

    monkeypatch.setattr(Pupil, "learn_on", watched)
    learned(tmp_path, memories=["random"], protocol=replace(TWO, repeats=1))
    later = [[(48 + 8, temperature), (48 + 16, temperature)] for temperature in (None, 2.0)]
    assert seen == [(48, None), *(later[0] + later[1]) * 2], "the first stage is learned once"


def test_a_memory_holds_its_own_stage_and_none_is_made_of_the_last(tmp_path: Path):
    learned(tmp_path, protocol=replace(TWO, repeats=1, knowledge_distillation="without"))
    folders = sorted(path.name for path in (tmp_path / "memories").iterdir() if path.name.startswith("dm"))
    assert folders == ["dm-stage1-repeat1", "dm-stage2-repeat1"]
    made = SyntheticSet.load(tmp_path / "memories" / "random-stage2-repeat1" / "synthetic.safetensors")
    dark = stage("dark", dark=True)
    real = replace(dark, train=replace(dark.train, mean=digits().mean, std=digits().std)).train.normalised()
    assert all((real == image).flatten(1).all(1).any() for image in made.images), "real images of the second stage"


def test_no_stage_repeat_or_seed_shares_the_draws_of_its_sets():
    drawn = [_Domains(stages(), replace(TWO, seed=seed), NETWORK) for seed in (0, 1)]
    seeds = [domains.need(repeat, stage).seed for domains in drawn for repeat in range(2) for stage in range(2)]
    assert len(set(seeds)) == len(seeds)


def test_examples_of_a_stage_and_a_memory_are_one_set():
    data = stage("bright")
    real = data.train
    kept = SyntheticSet.from_indices(real, random_indices(real, 2, torch.Generator().manual_seed(0)))
    both = Together(data, [kept, kept])
    assert len(both) == 48 + 16
    assert both.labels.equal(torch.cat([real.labels, kept.labels, kept.labels]))
    assert both.normalised().equal(torch.cat([real.normalised(), kept.images, kept.images]))
    chosen = torch.tensor([[50, 3], [63, 47]])
    assert both.normalised(chosen).equal(both.normalised()[chosen.flatten()])
    assert both.normalised(slice(46, 50)).equal(both.normalised()[46:50])
    soft = replace(kept, labels=torch.full((8, 4), 0.25))
    labels = Together(data, [kept, soft]).labels
    assert labels[:48].argmax(1).equal(real.labels)
    assert labels[-8:].equal(soft.labels)


@pytest.mark.parametrize("after", [1, 4])
def test_what_was_interrupted_goes_on_with_the_same_bits(after: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    some: dict[str, Any] = {"memories": ["random"]}
    whole = learned(tmp_path / "whole", **some)
    run, courses = DomainCourse.run, list[int]()

    def mortal(unit: DomainCourse, workplace: Any) -> Any:
        courses.append(1)
        if len(courses) == after + 1:
            raise KeyboardInterrupt
        return run(unit, workplace)

    monkeypatch.setattr(DomainCourse, "run", mortal)
    with pytest.raises(KeyboardInterrupt):
        learned(tmp_path / "cut", **some)
    resumed = learned(tmp_path / "cut", **some)
    assert timeless(resumed) == timeless(whole)
    assert len(courses) == 8 + 1, "no course is taken twice but the one that was cut short"
    assert learned(tmp_path / "cut", **some) == resumed
    assert len(courses) == 9


def test_processes_give_the_same_bits(crew: Crew, tmp_path: Path):
    some = {"memories": ["random"], "protocol": replace(TWO, repeats=1)}
    assert timeless(learned(tmp_path / "one", executor=crew, **some)) == timeless(learned(tmp_path / "here", **some))


def test_a_course_that_fails_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    learn_on = Pupil.learn_on

    def failing(pupil: Pupil, *given: Any, temperature: float | None = None, **named: Any) -> None:
        if temperature is not None:
            raise UserError("it diverged", "use another recipe")
        learn_on(pupil, *given, temperature=temperature, **named)

    monkeypatch.setattr(Pupil, "learn_on", failing)
    record = learned(tmp_path, memories=["random"], protocol=replace(TWO, repeats=1))
    assert [each.failed for each in record.learners] == [None, "it diverged"] * 2
    assert Continual.read(tmp_path / Continual.FILE) == record


def test_a_record_of_something_else_is_not_mixed(tmp_path: Path):
    once: dict[str, Any] = {"memories": ["random"], "protocol": replace(TWO, repeats=1)}
    learned(tmp_path, **once)
    with pytest.raises(UserError, match=r"other settings: `temperature` \(2.0 there, 3.0 here\)"):
        learned(tmp_path, memories=["random"], protocol=replace(TWO, repeats=1, temperature=3.0))
    with pytest.raises(UserError, match="is about other images"):
        learned(tmp_path, stages()[::-1], **once)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"of": [stage("bright")]}, "fewer than two stages"),
        ({"of": [stage("bright"), stage("bright")]}, "the stage bright is named twice"),
        (
            {"of": [stage("bright"), stage("less", classes=(0, 1, 2))]},
            "classes of bright and less differ: bright has 3",
        ),
        ({"protocol": replace(TWO, images_per_class=13)}, "has 12 training images.* `images_per_class=12` or less"),
        ({"protocol": replace(TWO, temperature=0.0)}, "`temperature=0.0` is not positive"),
        ({"protocol": replace(TWO, repeats=0)}, "`repeats=0` is too small"),
        ({"networks": []}, "no network is named"),
        ({"networks": ["convent"]}, "unknown network 'convent'"),
        ({"memories": ["dmm"]}, "unknown method 'dmm'"),
        ({"recipe": "replay"}, "replays learned steps"),
    ],
)
def test_impossible_requests_are_refused_before_anything_is_done(change: dict[str, Any], message: str, tmp_path: Path):
    with pytest.raises(UserError, match=message):
        learned(tmp_path, **change)
    assert not (tmp_path / Continual.FILE).exists()


def test_a_set_of_one_stage_is_no_memory_of_all(tmp_path: Path):
    real = stage("bright").train
    SyntheticSet.from_indices(real, random_indices(real, 2, torch.Generator())).save(tmp_path / "set.safetensors")
    with pytest.raises(UserError, match="is a set of one stage; name methods or selections"):
        learned(tmp_path, memories=[str(tmp_path / "set.safetensors")])
