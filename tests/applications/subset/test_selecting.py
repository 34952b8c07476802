"""Choosing a part: of classes, of vectors without labels, of files; what is written, resumed and refused."""

from __future__ import annotations

import csv
import re
import shutil
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from potstill.applications import RULES, Budget, Candidates, Judging, Rule, Subset, select
from potstill.applications.subset import neighbours, selecting
from potstill.applications.subset.copies import copy_files
from potstill.data import load_dataset
from potstill.evaluation import Resources
from potstill.evaluation.training import TrainAndTest
from potstill.experts.plan import ExpertPlan
from potstill.experts.train import train_experts
from potstill.runtime.compute import CPU
from potstill.runtime.compute_choice import ComputeChoice
from potstill.runtime.errors import UserError

pytestmark = pytest.mark.slow

HERE = Resources(compute=ComputeChoice(device="cpu", precision="float32", compile="off"))
SOME = Budget(per_class=3)


def rows_of(folder: Path) -> list[dict[str, str]]:
    with (folder / Subset.TABLE).open(newline="") as table:
        return list(csv.DictReader(table))


@pytest.fixture(scope="module")
def digits() -> Candidates:
    return Candidates.of_dataset("digits", tested=False)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two classes of files without a test split: 10 cats, and 6 dogs of which some have the same names."""
    draws = np.random.default_rng(0)
    for label, count in (("cat", 10), ("dog", 6)):
        for number in range(count):
            place = tmp_path / "photos" / label / f"{number}.png"
            if label == "dog":
                place = place.parent / ("park" if number % 2 else "home") / f"{number // 2}.png"
            place.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(draws.integers(0, 256, (8, 8), dtype=np.uint8)).save(place)
    return tmp_path / "photos"


def vectors(path: Path, count: int = 40, size: int = 6) -> Path:
    np.save(path, np.random.default_rng(0).normal(size=(count, size)).astype(np.float32))
    return path


@pytest.mark.parametrize("name", RULES)
def test_every_rule_chooses_and_writes_it_down(name: str, tmp_path: Path, digits: Candidates):
    few = Candidates.of_dataset("digits", tested=True)
    assert few.held_out > 0
    rule = Rule(name, network="convnet:depth=1:width=16", teacher_epochs=2)
    record = select(few, rule, SOME, tmp_path, resources=HERE)
    table = rows_of(tmp_path)
    assert record.counts == (3,) * 10
    assert [row["class"] for row in table].count("4") == 3
    published = digits.labels[[int(row["index"]) for row in table]].tolist()
    assert [int(row["class"]) for row in table] == published, "numbers are those of the published images"
    assert Subset.read(tmp_path / Subset.FILE) == record
    assert len(record.nearest) == (0 if name == "random" else 12)
    assert record.compared == (0 if name == "random" else record.left_out)
    assert (len(record.hardest) > 0) == (name != "random")


def test_a_fraction_is_shared_by_the_classes(digits: Candidates, tmp_path: Path):
    record = select(digits, Rule("herding", features="pixels"), Budget(fraction=0.1), tmp_path, resources=HERE)
    assert record.chosen == 180
    assert all(abs(n - size / 10) < 1 for n, size in zip(record.counts, record.class_sizes, strict=True))


def test_neighbours_are_what_they_say(digits: Candidates, tmp_path: Path):
    record = select(digits, Rule("k-center", features="pixels"), Budget(per_class=20), tmp_path, resources=HERE)
    chosen = torch.tensor([int(row["index"]) for row in rows_of(tmp_path)])
    assert digits.dataset is not None
    pixels = digits.dataset.train.normalised().flatten(1).double()
    labels = digits.labels
    apart = torch.cdist(pixels, pixels[chosen])
    apart[labels[:, None] != labels[chosen]] = torch.inf
    apart = apart.min(1)
    left = torch.ones(len(pixels), dtype=torch.bool)
    left[chosen] = False
    order = apart.values.masked_fill(~left, torch.inf).argsort()
    assert [each.dropped for each in record.nearest] == order[:12].tolist()
    assert [each.chosen for each in record.nearest] == chosen[apart.indices[order[:12]]].tolist()
    assert record.nearest[0].distance == pytest.approx(float(apart.values[order[0]]), rel=1e-4)
    last = apart.values.masked_fill(~left, -torch.inf).argsort(descending=True)
    assert [each.dropped for each in record.farthest] == last[:12].tolist()


def test_vectors_need_no_labels(tmp_path: Path):
    found = Candidates.of_vectors(vectors(tmp_path / "e.npy"))
    record = select(found, "facility-location", Budget(fraction=0.25), tmp_path / "out", resources=HERE)
    assert not record.labelled
    assert record.counts == (10,)
    assert rows_of(tmp_path / "out")[0].keys() == {"index"}


def test_vectors_with_labels_are_chosen_class_by_class(tmp_path: Path):
    path = vectors(tmp_path / "e.npy")
    words = ["b"] * 30 + ["a"] * 10
    np.save(tmp_path / "labels.npy", np.array(words))
    (tmp_path / "labels.txt").write_text("\n".join(words) + "\n")
    made = []
    for name in ("labels.npy", "labels.txt"):
        found = Candidates.of_vectors(path, tmp_path / name)
        record = select(found, "k-center", Budget(count=8), tmp_path / f"out-{name}", resources=HERE)
        assert (record.class_names, record.counts) == (("a", "b"), (2, 6))
        made.append(rows_of(tmp_path / f"out-{name}"))
    assert made[0] == made[1]
    assert all((int(row["index"]) >= 30) == (row["class"] == "a") for row in made[0])


def test_features_of_a_file_stand_for_the_published_images(tmp_path: Path):
    for tested in (False, True):
        whole = Candidates.of_dataset("digits", tested=False)
        assert whole.dataset is not None
        np.save(tmp_path / "pixels.npy", whole.dataset.train.normalised().flatten(1).numpy())
        found = Candidates.of_dataset("digits", tested=tested)
        for name in ("pixels.npy", "pixels"):
            features = str(tmp_path / name) if name.endswith("npy") else name
            select(found, Rule("k-center", features=features), SOME, tmp_path / f"{name}{tested}", resources=HERE)
        assert rows_of(tmp_path / f"pixels.npy{tested}") == rows_of(tmp_path / f"pixels{tested}")


@pytest.mark.parametrize("link", [False, True])
def test_files_are_copied_or_linked(folder: Path, tmp_path: Path, link: bool):
    found = Candidates.of_dataset(folder, tested=False)
    half = Budget(fraction=0.5)
    rule = Rule("random", seed=3)
    record = select(found, rule, half, tmp_path / "out", copy=tmp_path / "half", link=link, resources=HERE)
    assert record.counts == (5, 3)
    table = rows_of(tmp_path / "out")
    copies = sorted((tmp_path / "half").rglob("*.png"))
    assert len(copies) == 8
    assert all(copy.is_symlink() == link for copy in copies)
    contents = {(copy.parent.name, copy.read_bytes()) for copy in copies}
    assert contents == {(row["class"], Path(row["file"]).read_bytes()) for row in table}


def test_what_another_process_chose_while_this_one_waited_is_not_overwritten(
    digits: Candidates, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    locked = selecting.locked

    def late(path: Path) -> AbstractContextManager[None]:
        monkeypatch.setattr(selecting, "locked", locked)
        select(digits, "random", SOME, tmp_path, resources=HERE)
        return locked(path)

    monkeypatch.setattr(selecting, "locked", late)
    with pytest.raises(UserError, match="was made with other settings: `seed`"):
        select(digits, Rule("random", seed=1), SOME, tmp_path, resources=HERE)
    assert Subset.read(tmp_path / Subset.FILE).seed == 0


def test_what_is_on_record_is_not_done_again(digits: Candidates, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    found = Candidates.of_dataset("digits", tested=True)
    judging = Judging(recipe="quick", networks=["convnet:depth=1"], repeats=2, epochs=2)
    first = select(found, Rule("herding", features="pixels"), SOME, tmp_path, judging=judging, resources=HERE)
    assert first.worth is not None
    each = first.worth.networks["convnet:depth=1"]
    assert each.usable
    assert len(each.chosen.accuracies) == len(each.random.accuracies) == 2

    def never(*given: object) -> None:
        raise AssertionError("this is on record")

    monkeypatch.setattr(selecting, "_chosen", never)
    run = TrainAndTest.run
    monkeypatch.setattr(TrainAndTest, "run", never)
    again = select(found, Rule("herding", features="pixels"), SOME, tmp_path, judging=judging, resources=HERE)
    assert again == first
    for other, words in (
        (Rule("herding", features="pixels", seed=1), "was made with other settings: `seed`"),
        (Rule("k-center", features="pixels"), "was made with other settings: `by`"),
    ):
        with pytest.raises(UserError, match=words):
            select(found, other, SOME, tmp_path, resources=HERE)
    with pytest.raises(UserError, match="were held out for testing; choose another `out`, or use `worth` as before"):
        select(digits, Rule("herding", features="pixels"), SOME, tmp_path, resources=HERE)
    worse = replace(judging, epochs=1)
    with pytest.raises(UserError, match="was measured by the recipe quick-2-epochs, not quick-1-epochs"):
        select(found, Rule("herding", features="pixels"), SOME, tmp_path, judging=worse, resources=HERE)
    monkeypatch.setattr(TrainAndTest, "run", run)
    another = replace(judging, networks=["mlp:width=8"])
    both = select(found, Rule("herding", features="pixels"), SOME, tmp_path, judging=another, resources=HERE)
    assert both.worth is not None
    assert list(both.worth.networks) == ["convnet:depth=1", "mlp:width=8"]
    (tmp_path / Subset.TABLE).write_text("index\n0\n")
    with pytest.raises(UserError, match=r"selected\.csv is not the table that"):
        select(found, Rule("herding", features="pixels"), SOME, tmp_path, judging=judging, resources=HERE)


def labelled_vectors(folder: Path) -> Path:
    """A file of vectors of three classes that a linear network tells apart, with one that lies far from its class."""
    draws, labels = np.random.default_rng(0), np.repeat(np.arange(3), 30)
    values = np.eye(3, 8)[labels] * 10 + draws.normal(size=(90, 8))
    values[7] = -values[7]
    np.save(folder / "e.labels.npy", labels)
    np.save(folder / "e.npy", values.astype(np.float32))
    return folder / "e.npy"


def test_a_dataset_of_vectors_is_judged_by_linear_networks(tmp_path: Path):
    found = Candidates.of_dataset(labelled_vectors(tmp_path), tested=True)
    assert (found.held_out, len(found.places)) == (18, 72)
    record = select(found, "herding", SOME, tmp_path / "out", judging=Judging(repeats=1), resources=HERE)
    assert record.vectors
    assert (record.features, record.network, record.counts) == ("pixels", "", (3, 3, 3))
    assert record.worth is not None
    assert record.worth.recipe.name == "probe-1000"
    assert list(record.worth.networks) == ["linear"]
    assert record.worth.networks["linear"].chosen.mean > 0.9


def test_the_hardest_of_vectors_are_those_of_a_linear_network(tmp_path: Path):
    found = Candidates.of_dataset(labelled_vectors(tmp_path), tested=False)
    record = select(found, "el2n", Budget(per_class=1), tmp_path / "out", resources=HERE)
    assert record.network == "linear"
    assert "7" in {row["index"] for row in rows_of(tmp_path / "out")}


def test_fractions_that_look_alike_are_two(tmp_path: Path):
    found = Candidates.of_vectors(vectors(tmp_path / "e.npy"))
    select(found, "random", Budget(fraction=0.123456), tmp_path / "out", resources=HERE)
    with pytest.raises(UserError, match=r"`budget` \(12.3456 % there, 12.3459 % here\)"):
        select(found, "random", Budget(fraction=0.123459), tmp_path / "out", resources=HERE)


def test_features_that_have_changed_are_noticed(digits: Candidates, tmp_path: Path):
    assert digits.dataset is not None
    pixels = digits.dataset.train.normalised().flatten(1).numpy()
    rule = Rule("herding", features=str(tmp_path / "e.npy"))
    np.save(tmp_path / "e.npy", pixels)
    select(digits, rule, SOME, tmp_path / "out", resources=HERE)
    np.save(tmp_path / "e.npy", pixels[:, ::-1])
    with pytest.raises(UserError, match=r"e\.npy has changed since"):
        select(digits, rule, SOME, tmp_path / "out", resources=HERE)


def test_copies_are_made_once_and_whole(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    found = Candidates.of_dataset(folder, tested=False)
    half = Budget(fraction=0.5)
    copy = shutil.copy2

    def failing(file: Path, target: Path) -> None:
        if len(list(target.parent.iterdir())) == 2:
            raise KeyboardInterrupt
        copy(file, target)

    monkeypatch.setattr(shutil, "copy2", failing)
    with pytest.raises(KeyboardInterrupt):
        select(found, "random", half, tmp_path / "out", copy=tmp_path / "half", resources=HERE)
    assert not (tmp_path / "half").exists()
    monkeypatch.setattr(shutil, "copy2", copy)
    for _ in range(2):
        select(found, "random", half, tmp_path / "out", copy=tmp_path / "half", resources=HERE)
    assert len(list((tmp_path / "half").rglob("*.png"))) == 8
    with pytest.raises(UserError, match="half already exists"):
        select(found, "random", half, tmp_path / "out", copy=tmp_path / "half", link=True, resources=HERE)
    with pytest.raises(UserError, match="`copy` and `out` name the same folder"):
        select(found, "random", half, tmp_path / "other", copy=tmp_path / "other", resources=HERE)


def test_one_file_that_is_named_twice_is_copied_twice(tmp_path: Path):
    (tmp_path / "a.png").write_bytes(b"1")
    copy_files([tmp_path / "a.png"] * 2, [0, 0], ["x"], tmp_path / "copies")
    assert sorted(file.name for file in (tmp_path / "copies" / "x").iterdir()) != ["a.png"]
    assert len(list((tmp_path / "copies" / "x").iterdir())) == 2


def test_duplicates_are_found_far_from_the_origin(tmp_path: Path):
    values = 0.05 * np.random.default_rng(0).normal(size=(400, 16)) + 100
    values[200:220] = values[:20]
    np.save(tmp_path / "e.npy", values.astype(np.float32))
    found = Candidates.of_vectors(tmp_path / "e.npy")
    record = select(found, "k-center", Budget(count=200), tmp_path / "out", resources=HERE)
    assert all(each.distance == 0 for each in record.nearest)


def test_more_than_can_be_compared_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(neighbours, "WORK", 30 * 10 * 6)
    found = Candidates.of_vectors(vectors(tmp_path / "e.npy", 400))
    record = select(found, "herding", Budget(count=10), tmp_path / "out", resources=HERE)
    assert record.compared == 30
    assert record.left_out == 390


def test_experts_of_other_images_are_refused(tmp_path: Path):
    plan = ExpertPlan(dataset="digits", network="convnet:depth=1", count=1, epochs=2)
    usual = load_dataset("digits", cache=None)
    train_experts(plan, usual, tmp_path / "experts", CPU)
    found = Candidates.of_dataset("digits", tested=True)
    rule = Rule("aum", features=str(tmp_path / "experts"), network="convnet:depth=1")
    record = select(found, rule, SOME, tmp_path / "out", resources=HERE)
    assert record.network == "convnet:depth=1"
    assert len(record.hardest) == 12
    other = replace(found, usual_fingerprint=lambda: "another")
    with pytest.raises(UserError, match="have a different dataset"):
        select(other, rule, SOME, tmp_path / "new", resources=HERE)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("after", [1, 3])
def test_a_measurement_that_was_interrupted_goes_on(after: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    found = Candidates.of_dataset("digits", tested=True)
    judging = Judging(networks=["convnet:depth=1"], repeats=2, epochs=2)
    rule = Rule("herding", features="pixels")
    whole = select(found, rule, SOME, tmp_path / "whole", judging=judging, resources=HERE)
    run, done = TrainAndTest.run, 0

    def mortal(self: TrainAndTest, workplace: object) -> object:
        nonlocal done
        if done == after:
            raise KeyboardInterrupt
        done += 1
        return run(self, workplace)  # type: ignore[arg-type]

    monkeypatch.setattr(TrainAndTest, "run", mortal)
    with pytest.raises(KeyboardInterrupt):
        select(found, rule, SOME, tmp_path / "out", judging=judging, resources=HERE)
    Subset.read(tmp_path / "out" / Subset.FILE)
    done = -100
    again = select(found, rule, SOME, tmp_path / "out", judging=judging, resources=HERE)
    assert done == -100 + 4 - after, "those that were done are not done again"
    assert again.worth is not None
    assert whole.worth is not None
    assert "here 2 epochs" in again.worth.recipe.summary
    ours, theirs = (each.networks["convnet:depth=1"] for each in (again.worth, whole.worth))
    assert ours.chosen.accuracies == theirs.chosen.accuracies
    assert ours.random.accuracies == theirs.random.accuracies


def test_random_images_are_others_in_each_repeat_and_as_many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    seen: list[tuple[str, int]] = []
    run = TrainAndTest.run

    def looking(self: TrainAndTest, workplace: object) -> object:
        seen.append((self.images, len(workplace.synthetic(self.images))))  # type: ignore[attr-defined]
        return run(self, workplace)  # type: ignore[arg-type]

    monkeypatch.setattr(TrainAndTest, "run", looking)
    found = Candidates.of_dataset("digits", tested=True)
    judging = Judging(networks=["convnet:depth=1"], repeats=3, epochs=1)
    select(found, Rule("herding", features="pixels"), SOME, tmp_path, judging=judging, resources=HERE)
    assert [size for _, size in seen] == [30] * 6
    assert len({key for key, _ in seen}) == 1 + 3


REFUSED = {
    "none": (lambda: Budget(), "says how much to choose; none is given"),
    "two": (lambda: Budget(count=3, per_class=1), "several are given"),
    "part": (lambda: Budget(fraction=1.5), r"`fraction=1.5` must be above 0 and at most 1"),
    "zero": (lambda: Budget(count=0), r"`count=0` is too small"),
    "empty": (lambda: Budget(fraction=0.01).counts((90, 10), "ab"), r"leaves 1 of 2 classes empty, 'b' first; use `fr"),
    "few": (lambda: Budget(per_class=11).counts((90, 10), "ab"), r"class 'b' has 10, fewer than 11; use `ipc=10`"),
    "all": (lambda: Budget(count=101).counts((90, 10), "ab"), r"`count=101` is more than there are: 100"),
    "epochs": (lambda: Rule("aum", teacher_epochs=0), r"`teacher_epochs=0` is too small"),
    "epoch": (lambda: Rule("forgetting", teacher_epochs=1), r"`teacher_epochs=1` is too small; use `teacher_epochs=2`"),
    "rule": (lambda: Rule("k-centre"), "unknown rule 'k-centre'; did you mean 'k-center'"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refusals(case: str):
    make, words = REFUSED[case]
    with pytest.raises(UserError, match=words):
        make()


@given(st.lists(st.integers(1, 60), min_size=2, max_size=6), st.integers(1, 60))
def test_the_least_that_is_named_is_the_least(sizes: list[int], count: int):
    names = [str(label) for label in range(len(sizes))]
    count = min(count, sum(sizes))
    try:
        counts = Budget(count=count).counts(sizes, names)
    except UserError as refused:
        named = re.search(r"count=(\d+)` or more", str(refused))
        assert named is not None
        assert min(Budget(count=int(named[1])).counts(sizes, names)) > 0
        for fewer in range(count, int(named[1])):
            with pytest.raises(UserError):
                Budget(count=fewer).counts(sizes, names)
    else:
        assert sum(counts) == count
        assert all(0 < number <= size for number, size in zip(counts, sizes, strict=True))


def test_a_fraction_that_is_named_is_enough():
    with pytest.raises(UserError, match=r"use `fraction=0\.\d+` or more, or `ipc=1`") as refused:
        Budget(fraction=0.01).counts((90, 10), "ab")
    part = re.search(r"fraction=([0-9.]+)", str(refused.value))
    assert part is not None
    assert min(Budget(fraction=float(part[1])).counts((90, 10), "ab")) > 0


def test_what_vectors_and_arrays_cannot_do(tmp_path: Path, digits: Candidates):
    found = Candidates.of_vectors(vectors(tmp_path / "e.npy"))
    for rule, words in (
        (Rule("aum"), "aum looks at the training of a network, which needs labels, and .* has no labels"),
        (Rule("herding", features="pixels"), "already"),
    ):
        with pytest.raises(UserError, match=words):
            select(found, rule, Budget(count=3), tmp_path / "out", resources=HERE)
    (tmp_path / "labels.txt").write_text("a\nb\n" * 20)
    labelled = Candidates.of_vectors(tmp_path / "e.npy", tmp_path / "labels.txt")
    with pytest.raises(UserError, match=r"aum trains networks on a dataset, and .* is a file of vectors"):
        select(labelled, "aum", Budget(count=4), tmp_path / "out", resources=HERE)
    with pytest.raises(UserError, match="is a file of vectors, none of which are for testing"):
        select(labelled, "herding", Budget(count=4), tmp_path / "out", judging=Judging(), resources=HERE)
    with pytest.raises(UserError, match="digits has no image files to copy"):
        select(digits, "random", SOME, tmp_path / "out", copy=tmp_path / "copy", resources=HERE)
    ours = Rule("herding", features=str(tmp_path / "e.npy"))
    with pytest.raises(UserError, match="has 40 rows for 1,797 published training images"):
        select(digits, ours, SOME, tmp_path / "out", resources=HERE)
    for rule, words in {
        Rule("aum", features="pixels"): "aum looks at the training of a network, not at `features=pixels`",
        Rule("random", features="pixels"): "random uses no features",
        Rule("herding", features="absent"): "absent",
    }.items():
        with pytest.raises(UserError, match=words):
            select(digits, rule, SOME, tmp_path / "out", resources=HERE)
    tested = Candidates.of_dataset("digits", tested=True)
    for judging, words in (
        (Judging(networks=["convent"]), "unknown network 'convent'"),
        (Judging(networks=[]), "no network is named"),
        (Judging(repeats=0), "`repeats=0` is too small"),
        (Judging(epochs=0), "`epochs=0` is too small"),
    ):
        with pytest.raises(UserError, match=words):
            select(tested, "random", SOME, tmp_path / "out", judging=judging, resources=HERE)
    for recipe in ("tuned-300", "replay", "soft-label"):
        with pytest.raises(UserError, match="this is real data"):
            select(tested, "random", SOME, tmp_path / "out", judging=Judging(recipe=recipe), resources=HERE)
    assert not (tmp_path / "out").exists()
