"""Where sets come from: runs that are made once, here or by other processes, and sets that were made before."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from potstill.applications.set_sources import Made, Need, SetSource, find_source, find_sources, make_sets, names_set
from potstill.data import ImageDataset, load_dataset, with_classes
from potstill.distillation.driver import distill
from potstill.distillation.settings import Settings
from potstill.evaluation import Session
from potstill.methods import Random
from potstill.runtime.compute_choice import ComputeChoice
from potstill.runtime.errors import UserError
from potstill.runtime.progress import silent
from potstill.schema.manifest import Manifest
from potstill.synthetic import SyntheticSet
from potstill.units import Crew
from tests.small import NETWORK, small_digits

pytestmark = pytest.mark.slow

ON_CPU = ComputeChoice(device="cpu", precision="float32", compile="off")


def need(data: ImageDataset, **changes: object) -> Need:
    made = Need(title="step1", data=data, images_per_class=2, network=NETWORK, iterations=2, seed=0)
    return replace(made, **changes)  # pyright: ignore[reportArgumentType]


def made(source: SetSource, wanted: Need, folder: Path, progress=silent) -> Made:
    (only,) = make_sets([(source, wanted)], folder, Session(wanted.data, compute=ON_CPU, progress=progress))
    return only


def test_a_set_is_a_run_that_is_made_once(tmp_path: Path):
    stage = with_classes(small_digits(), [8, 3])
    source = find_source("dm", ON_CPU)
    first = made(source, need(stage), tmp_path)
    assert first.synthetic.class_names == ("8", "3")
    assert first.synthetic.provenance["dataset_fingerprint"] == stage.fingerprint
    assert Manifest.read(tmp_path / "dm-step1" / "manifest.json").dataset.account == stage.account
    said: list[str] = []
    again = made(source, need(stage), tmp_path, said.append)
    assert said == []
    assert again.synthetic.fingerprint() == first.synthetic.fingerprint()
    assert again.seconds == first.seconds > 0


def test_an_interrupted_run_is_continued(tmp_path: Path):
    stage = with_classes(small_digits(), [8, 3])
    source = find_source("dm", ON_CPU)
    whole = made(source, need(stage, iterations=6), tmp_path / "whole")
    settings = source.plan(need(stage, iterations=6)).settings  # pyright: ignore[reportOptionalMemberAccess]
    distill(settings, stage, out=tmp_path / "parts" / "dm-step1", time_limit=0.0)
    assert Manifest.read(tmp_path / "parts" / "dm-step1" / "manifest.json").status != "complete"
    continued = made(source, need(stage, iterations=6), tmp_path / "parts")
    assert continued.synthetic.fingerprint() == whole.synthetic.fingerprint()


def test_processes_make_the_same_sets_with_the_same_records(crew: Crew, tmp_path: Path):
    data = small_digits()
    stages = [with_classes(data, [8, 3]), with_classes(data, [1, 2, 5])]
    sources = find_sources(["dm"], ON_CPU, ["random"])
    requests = [(source, need(stage, title=f"{n}")) for source in sources for n, stage in enumerate(stages)]
    here = make_sets(requests, tmp_path / "here", Session(data, compute=ON_CPU))
    there = make_sets(requests, tmp_path / "there", Session(data, compute=ON_CPU, executor=crew))
    assert [each.synthetic.fingerprint() for each in there] == [each.synthetic.fingerprint() for each in here]
    assert len({each.synthetic.fingerprint() for each in here}) == 4
    records = [Manifest.read(tmp_path / where / "dm-1" / "manifest.json").dataset for where in ("here", "there")]
    assert records[0] == records[1]
    assert records[0].account is not None


def test_a_run_of_something_else_is_not_taken_for_it(tmp_path: Path):
    data = small_digits()
    source = find_source("dm", ON_CPU)
    made(source, need(with_classes(data, [8, 3])), tmp_path)
    with pytest.raises(UserError, match=r"dm-step1 has other settings: `iterations` \(2 there, 3 here\)"):
        made(source, need(with_classes(data, [8, 3]), iterations=3), tmp_path)
    with pytest.raises(UserError, match="dm-step1 was made from other images"):
        made(source, need(with_classes(data, [8, 4])), tmp_path)


def test_selections_have_no_iterations(tmp_path: Path):
    stage = with_classes(small_digits(), [8, 3])
    chosen = made(find_source("random", ON_CPU), need(stage, iterations=500), tmp_path)
    assert chosen.synthetic.provenance["iterations"] == 0


def test_runs_and_sets_cost_nothing(tmp_path: Path):
    data = small_digits()
    distill(Settings(method=Random(), ipc=2, network=NETWORK), data, out=tmp_path / "run")
    for name in (str(tmp_path / "run"), str(tmp_path / "run" / "synthetic.safetensors")):
        source = find_source(name, ON_CPU)
        source.check(need(data))
        taken = made(source, need(data), tmp_path)
        assert (source.kind, len(taken.synthetic), taken.seconds) == ("set", 20, 0)
        assert taken.synthetic.fingerprint() == SyntheticSet.load(tmp_path / "run/synthetic.safetensors").fingerprint()
        with pytest.raises(UserError, match="has 2 images of a class, fewer than the 3 that are needed"):
            source.check(need(data, images_per_class=3))
        with pytest.raises(UserError, match="does not fit dataset"):
            source.check(need(with_classes(data, [1, 2])))


def test_the_baselines_stand_beside_whatever_is_named():
    baselines = ("random", "k-means")
    named = [
        [source.name for source in find_sources(names, ON_CPU, baselines)] for names in (["dm"], ["k-means", "herding"])
    ]
    assert named == [["dm", "random", "k-means"], ["k-means", "herding", "random"]]


def test_the_folder_of_a_method_of_a_module_has_a_plain_name(tmp_path: Path):
    stage = with_classes(small_digits(), [8, 3])
    source = find_source("potstill.methods:Random", ON_CPU)
    assert source.kind == "method"
    made(source, need(stage), tmp_path)
    (folder,) = tmp_path.iterdir()
    assert folder.name.startswith("potstill.methods-Random-")
    assert ":" not in folder.name


def test_a_method_may_be_given_with_its_settings(tmp_path: Path):
    stage = with_classes(small_digits(), [8, 3])
    plain, few = (find_source(name, ON_CPU) for name in ("dm", "dm:batch_real=4"))
    made_of_few = made(few, need(stage), tmp_path)
    assert few.kind == "method"
    assert find_source("optimised-random:tries=2", ON_CPU).kind == "selection"
    assert "batch_real = 4" in (next(tmp_path.iterdir()) / "config.toml").read_text()
    assert made(plain, need(stage), tmp_path).synthetic.fingerprint() != made_of_few.synthetic.fingerprint()


def test_small_pictures_are_asked_for(tmp_path: Path):
    stage = with_classes(small_digits(), [8, 3])
    found = made(find_source("random", ON_CPU), need(stage, images_per_class=1, formation=2), tmp_path)
    assert (found.synthetic.formation, len(found.synthetic), found.synthetic.pictures) == (2, 2, 8)


def test_a_run_of_whitened_images_is_not_taken_for_one_of_plain_images(tmp_path: Path):
    source = find_source("random", ON_CPU)
    made(source, need(load_dataset("digits", zca=True)), tmp_path)
    with pytest.raises(UserError, match=r"has other settings: `zca` \(on there, off here\)"):
        made(source, need(load_dataset("digits")), tmp_path)


def test_a_set_on_the_hub_is_one_that_was_made_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    data = small_digits()
    made(find_source("random", ON_CPU), need(data), tmp_path)
    there, asked = tmp_path / "random-step1" / "synthetic.safetensors", []
    monkeypatch.setattr("potstill.synthetic.place.fetch_set", lambda name, **how: asked.append((name, how)) or there)
    source = find_source("hf:me/x@old", ON_CPU)
    assert asked == [("me/x", {"revision": "old"})]
    assert source.plan(need(data)) is None
    assert made(source, need(data), tmp_path / "none").synthetic.fingerprint() == SyntheticSet.load(there).fingerprint()


@pytest.mark.parametrize(
    ("name", "is_set"),
    [("hf:me/x", True), ("set.pt", True), ("here", True), ("a:b", True), ("dm:lr=1.5", False), ("a.b:C", False)],
)
def test_what_names_a_set(name: str, is_set: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    for folder in ("here", "a:b", "dm"):
        Path(folder).mkdir()
    assert names_set(name) == is_set
    assert not names_set("dm")  # the method, although there is a folder of this name: ./dm is that
    assert names_set("./dm")
