"""What is trained on several sets where neither networks nor a recipe are named: that depends on the data."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from potstill.applications import (
    Averaging,
    ClassProtocol,
    DomainProtocol,
    FederatedProtocol,
    Partition,
    federate,
    learn_classes,
    learn_domains,
)
from potstill.applications.recipes import networks_for, recipe_for_several_sets
from potstill.cli import main
from potstill.data import ImageDataset, load_dataset
from potstill.evaluation import Resources
from potstill.runtime.compute_choice import ComputeChoice
from potstill.runtime.errors import UserError

pytestmark = pytest.mark.usefixtures("few_epochs")

IMAGE, VECTOR = (1, 8, 8), (8, 1, 1)
HERE = Resources(compute=ComputeChoice(device="cpu", precision="float32", compile="off"))
TOGETHER = "a union of several sets"


@pytest.fixture
def vectors(tmp_path: Path) -> ImageDataset:
    labels = np.repeat(np.arange(4), 20)
    values = np.eye(4, 6)[labels] * 5 + np.random.default_rng(0).normal(size=(80, 6))
    np.savez(tmp_path / "points.npz", vectors=values, labels=labels)
    return load_dataset(tmp_path / "points.npz")


def test_networks_follow_the_data_unless_they_are_named():
    assert networks_for(IMAGE, None) == ("convnet", "mlp")
    assert networks_for(IMAGE, None, first="lenet") == ("lenet", "mlp")
    assert networks_for(VECTOR, None, first="lenet") == ("linear", "mlp")
    assert networks_for(VECTOR, ["mlp"]) == ["mlp"]


def test_the_recipe_follows_the_data_unless_it_is_named():
    assert recipe_for_several_sets(None, TOGETHER, IMAGE).name == "dsa-1000"
    assert recipe_for_several_sets(None, TOGETHER, VECTOR).name == "probe-1000"
    assert recipe_for_several_sets("quick", TOGETHER, VECTOR).name == "quick"
    with pytest.raises(UserError, match="probe-1000 or quick"):
        recipe_for_several_sets("tuned-300", TOGETHER, VECTOR)


@pytest.mark.slow
def test_clients_of_vectors_match_linear_networks(vectors: ImageDataset, tmp_path: Path):
    protocol = FederatedProtocol(partition=Partition(clients=2, kind="iid"), repeats=1, central_epochs=1)
    averaging = Averaging(rounds=1, local_epochs=1, one_shot_epochs=1)
    found = federate(
        vectors, tmp_path / "out", protocol=protocol, averaging=averaging, methods=["herding"], resources=HERE
    )
    assert (found.matched, found.networks, found.recipe.name) == ("linear", ["linear", "mlp"], "probe-1000")


@pytest.mark.slow
def test_classes_of_vectors_are_learned_by_linear_networks(vectors: ImageDataset, tmp_path: Path):
    protocol = ClassProtocol(steps=2, memory=4, orders=1)
    found = learn_classes(vectors, tmp_path / "out", protocol=protocol, memories=["herding"], resources=HERE)
    assert (found.matched, found.networks, found.recipe.name) == ("linear", ["linear", "mlp"], "probe-1000")


@pytest.mark.slow
def test_domains_of_vectors_are_learned_by_linear_networks(vectors: ImageDataset, tmp_path: Path):
    stages = [vectors, replace(vectors, name="again", fingerprint="again", spec="")]
    protocol = DomainProtocol(images_per_class=1, repeats=1, epochs=1)
    found = learn_domains(stages, tmp_path / "out", protocol=protocol, memories=["herding"], resources=HERE)
    assert (found.matched, found.networks, found.recipe.name) == ("linear", ["linear", "mlp"], "probe-1000")


@pytest.mark.slow
def test_commands_name_no_network_for_vectors(vectors: ImageDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    data = ["--dataset", vectors.spec, "--executor", "here"]
    quick = ["--recipe", "quick"]
    few = ["--clients", "2", "--repeats", "1", "--rounds", "0", "--central-epochs", "1", "--methods", "random"]
    assert main(["federated", *data, *quick, *few]) == 0
    few = ["--steps", "2", "--memory", "4", "--orders", "1", "--memories", "random"]
    assert main(["continual", *data, *quick, *few]) == 0
    assert main(["experts", *data, "--count", "1", "--epochs", "1"]) == 0
    assert (tmp_path / "runs" / "experts-points" / "experts.json").exists()
