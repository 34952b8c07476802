"""Choosing a part: of classes, of vectors without labels, of files; what is written, resumed and refused."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from potstill.applications import RULES, Budget, Candidates, Judging, Rule, Subset, select
from potstill.applications.subset import selecting
from potstill.evaluation import Resources
from potstill.evaluation.training import TrainAndTest
from potstill.runtime.compute_choice import ComputeChoice
from potstill.runtime.errors import UserError

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
    rule = Rule(name, network="convnet:depth=1", teacher_epochs=2)
    record = select(few, rule, SOME, tmp_path, resources=HERE)
    table = rows_of(tmp_path)
    assert record.counts == (3,) * 10
    assert [row["class"] for row in table].count("4") == 3
    published = digits.labels[[int(row["index"]) for row in table]].tolist()
    assert [int(row["class"]) for row in table] == published, "numbers are those of the published images"
    assert Subset.read(tmp_path / Subset.FILE) == record
    assert len(record.nearest) == (0 if name == "random" else 12)
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
    monkeypatch.setattr(TrainAndTest, "run", never)
    again = select(found, Rule("herding", features="pixels"), SOME, tmp_path, judging=judging, resources=HERE)
    assert again == first
    with pytest.raises(UserError, match=r"was made with other settings: `seed`"):
        select(found, Rule("herding", features="pixels", seed=1), SOME, tmp_path, resources=HERE)
    with pytest.raises(UserError, match=r"about other images|other settings"):
        select(digits, Rule("herding", features="pixels"), SOME, tmp_path, resources=HERE)
    (tmp_path / Subset.TABLE).write_text("index\n0\n")
    with pytest.raises(UserError, match=r"selected.csv is not the table that"):
        select(found, Rule("herding", features="pixels"), SOME, tmp_path, judging=judging, resources=HERE)


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
    "part": (lambda: Budget(fraction=1.5), r"`fraction=1.5` is not a part"),
    "zero": (lambda: Budget(count=0), r"`count=0` is too small"),
    "empty": (lambda: Budget(fraction=0.01).counts((90, 10), "ab"), r"leaves 1 of 2 classes empty, 'b' first; use `fr"),
    "few": (lambda: Budget(per_class=11).counts((90, 10), "ab"), r"class 'b' has 10, fewer than 11; use `ipc=10`"),
    "all": (lambda: Budget(count=101).counts((90, 10), "ab"), r"`count=101` is more than there are, 100"),
    "rule": (lambda: Rule("k-centre"), "unknown rule 'k-centre'; did you mean 'k-center'"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refusals(case: str):
    make, words = REFUSED[case]
    with pytest.raises(UserError, match=words):
        make()


def test_a_budget_that_is_named_is_enough():
    with pytest.raises(UserError, match=r"use `fraction=10%` or more") as refused:
        Budget(fraction=0.01).counts((90, 10), "ab")
    assert "ipc=1" in str(refused.value)
    assert Budget(fraction=0.1).counts((90, 10), "ab") == (9, 1)


def test_what_vectors_and_arrays_cannot_do(tmp_path: Path, digits: Candidates):
    found = Candidates.of_vectors(vectors(tmp_path / "e.npy"))
    for rule, words in (
        (Rule("aum"), "aum trains networks on images"),
        (Rule("herding", features="pixels"), "already"),
    ):
        with pytest.raises(UserError, match=words):
            select(found, rule, Budget(count=3), tmp_path / "out", resources=HERE)
    with pytest.raises(UserError, match="only choices from images are measured"):
        select(found, "herding", Budget(count=3), tmp_path / "out", judging=Judging(), resources=HERE)
    with pytest.raises(UserError, match="digits has no image files to copy"):
        select(digits, "random", SOME, tmp_path / "out", copy=tmp_path / "copy", resources=HERE)
    ours = Rule("herding", features=str(tmp_path / "e.npy"))
    with pytest.raises(UserError, match="has 40 rows for 1,797 published training images"):
        select(digits, ours, SOME, tmp_path / "out", resources=HERE)
    for recipe in ("tuned-300", "replay", "soft-label"):
        with pytest.raises(UserError, match="these are real images"):
            select(digits, "random", SOME, tmp_path / "out", judging=Judging(recipe=recipe), resources=HERE)
    assert not (tmp_path / "out" / Subset.FILE).exists()
