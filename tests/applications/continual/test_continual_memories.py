"""What fills the memory: from a stage's own images, joined by name, with labels of any kind."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from potstill.applications.continual.memories import Need, find_memories, find_memory, joined
from potstill.data import ImageDataset, with_classes
from potstill.distillation.driver import distill
from potstill.distillation.settings import Settings
from potstill.methods import Random
from potstill.runtime.compute_choice import ComputeChoice
from potstill.runtime.errors import UserError
from potstill.runtime.progress import silent
from potstill.selection import random_indices
from potstill.synthetic import SyntheticSet
from tests.small import NETWORK, small_digits

ON_CPU = ComputeChoice(device="cpu", precision="float32", compile="off")


def images_of(data: ImageDataset, images_per_class: int = 3) -> SyntheticSet:
    real = data.train
    return SyntheticSet.from_indices(real, random_indices(real, images_per_class, torch.Generator().manual_seed(0)))


def need(data: ImageDataset, **changes: object) -> Need:
    made = Need(title="step1", data=data, images_per_class=2, network=NETWORK, iterations=2, seed=0)
    return replace(made, **changes)  # pyright: ignore[reportArgumentType]


def test_parts_are_joined_by_the_names_of_their_classes():
    data = small_digits()
    parts = [images_of(with_classes(data, classes)) for classes in ([7, 2], [0, 5])]
    memory = joined(parts, with_classes(data, [0, 2, 5, 7]), 2)
    assert memory.class_names == ("0", "2", "5", "7")
    assert memory.labels.tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    assert memory.images[2:4].equal(parts[0].images[3:5]), "the first images of class 2 are those that stay"
    assert memory.images[6:8].equal(parts[0].images[0:2])
    assert (memory.mean, memory.std) == (data.mean, data.std)


def test_learned_labels_keep_their_classes():
    data = small_digits()
    hard, part = images_of(with_classes(data, [0, 1]), 1), images_of(with_classes(data, [3, 2]), 1)
    soft = replace(part, labels=torch.tensor([[0.75, 0.25], [0.4, 0.6]]))
    memory = joined([hard, soft], with_classes(data, [0, 1, 2, 3]), 1)
    assert memory.labels.equal(
        torch.tensor([[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0.6, 0.4], [0, 0, 0.25, 0.75]]),
    )


def test_a_set_of_all_classes_gives_those_that_were_seen():
    data = small_digits()
    whole = images_of(data)
    memory = joined([whole, whole], with_classes(data, [4, 9]), 3)
    assert memory.images.equal(torch.cat([whole.images[12:15], whole.images[27:30]]))
    shares = torch.full((30, 10), 0.05) + 0.5 * torch.nn.functional.one_hot(whole.labels, 10)
    soft = joined([replace(whole, labels=shares)], with_classes(data, [4, 9]), 1)
    assert torch.allclose(soft.labels, torch.tensor([[0.55, 0.05], [0.05, 0.55]]) / 0.6)


def test_a_memory_is_a_run_of_its_stage_that_is_made_once(tmp_path: Path):
    stage = with_classes(small_digits(), [8, 3])
    source = find_memory("dm", ON_CPU)
    first = source.fill(need(stage), tmp_path, silent)
    assert first.synthetic.class_names == ("8", "3")
    assert first.synthetic.provenance["dataset_fingerprint"] == stage.fingerprint
    assert (tmp_path / "dm-step1" / "manifest.json").exists()
    said: list[str] = []
    again = source.fill(need(stage), tmp_path, said.append)
    assert said == []
    assert again.synthetic.fingerprint() == first.synthetic.fingerprint()
    assert again.seconds == first.seconds > 0


def test_a_run_of_something_else_is_not_taken_for_it(tmp_path: Path):
    data = small_digits()
    source = find_memory("dm", ON_CPU)
    source.fill(need(with_classes(data, [8, 3])), tmp_path, silent)
    with pytest.raises(UserError, match=r"dm-step1 has other settings: `iterations` \(2 there, 3 here\)"):
        source.fill(need(with_classes(data, [8, 3]), iterations=3), tmp_path, silent)
    with pytest.raises(UserError, match="dm-step1 was made from other images"):
        source.fill(need(with_classes(data, [8, 4])), tmp_path, silent)


def test_selections_have_no_iterations(tmp_path: Path):
    stage = with_classes(small_digits(), [8, 3])
    made = find_memory("random", ON_CPU).fill(need(stage, iterations=500), tmp_path, silent)
    assert made.synthetic.provenance["iterations"] == 0


def test_runs_and_sets_are_memories_that_cost_nothing(tmp_path: Path):
    data = small_digits()
    distill(Settings(method=Random(), ipc=2, network=NETWORK), data, out=tmp_path / "run")
    for name in (str(tmp_path / "run"), str(tmp_path / "run" / "synthetic.safetensors")):
        source = find_memory(name, ON_CPU)
        source.check(need(data), data)
        kept = source.fill(need(data), tmp_path, silent)
        assert (source.kind, len(kept.synthetic), kept.seconds) == ("set", 20, 0)
        with pytest.raises(UserError, match="has 2 images of a class, fewer than the 3 that the memory holds of each"):
            source.check(need(data, images_per_class=3), data)
        with pytest.raises(UserError, match="does not fit dataset"):
            source.check(need(data), with_classes(data, [1, 2]))


def test_the_baselines_stand_beside_whatever_is_named():
    named = [[source.name for source in find_memories(names, ON_CPU)] for names in (["dm"], ["k-means", "herding"])]
    assert named == [["dm", "random", "k-means"], ["k-means", "herding", "random"]]


def test_the_folder_of_a_method_of_a_module_has_a_plain_name(tmp_path: Path):
    stage = with_classes(small_digits(), [8, 3])
    source = find_memory("potstill.methods:Random", ON_CPU)
    assert source.kind == "method"
    source.fill(need(stage), tmp_path, silent)
    (folder,) = tmp_path.iterdir()
    assert folder.name.startswith("potstill.methods-Random-")
    assert ":" not in folder.name
