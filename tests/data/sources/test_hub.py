"""Hub datasets, served from a folder in the hub's layout in place of the network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import datasets
import pytest
from datasets import config as datasets_config
from published import catalogue_layout, encode, noise, write_parquet

from potstill.data import CATALOGUE, load_dataset
from potstill.data.sources import hub as source
from potstill.runtime.errors import UserError


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder whose ``OWNER/NAME`` folders stand for repositories of the hub."""
    fetch = datasets.load_dataset

    def serve(repository: str, name: str | None = None, *, data_dir: str | None = None, **options: Any) -> Any:
        folder = tmp_path / "hub" / repository
        if not folder.is_dir():
            raise ConnectionError(f"Couldn't reach '{repository}' on the Hub\nand a second line")
        return fetch(str(folder), name, data_dir=data_dir)

    monkeypatch.setattr(datasets, "load_dataset", serve)
    monkeypatch.setattr(source, "unresolved_hub", lambda: None)
    return tmp_path / "hub"


def publish(repository: Path, **splits: int) -> None:
    for split, count in splits.items():
        images = [encode(image) for image in noise(count)]
        write_parquet(repository / f"data/{split}-00000-of-00001.parquet", images, [0, 1] * (count // 2), "ab")


def test_any_repository_with_its_splits(hub: Path):
    publish(hub / "someone/letters", train=20, validation=4, test=6)
    loaded = load_dataset("hf:someone/letters")
    assert (len(loaded.train), len(loaded.validation), len(loaded.test)) == (20, 4, 6)
    assert loaded.class_names == ("a", "b")


def test_repository_of_one_unnamed_split(hub: Path):
    publish(hub / "someone/letters", train=20)
    loaded = load_dataset("hf:someone/letters", validation_fraction=0)
    assert (len(loaded.train), len(loaded.test)) == (16, 4)


def test_a_configuration_is_chosen_by_name(hub: Path):
    repository = hub / "someone/letters"
    for config, count in (("small", 4), ("large", 8)):
        images = [encode(image) for image in noise(count)]
        write_parquet(repository / config / "train-00000-of-00001.parquet", images, [0, 1] * (count // 2), "ab")
    card = "\n".join(f"- config_name: {config}\n  data_dir: {config}" for config in ("small", "large"))
    (repository / "README.md").write_text(f"---\nconfigs:\n{card}\n---\n")
    loaded = load_dataset("hf:someone/letters/large", validation_fraction=0)
    assert len(loaded.train) + len(loaded.test) == 8


def test_catalogue_dataset_comes_from_the_hub_where_no_local_copy_is(hub: Path, tmp_path: Path):
    entry = CATALOGUE["usps"]
    assert entry.hub is not None
    catalogue_layout(hub / entry.hub, "usps")
    (tmp_path / "root").mkdir()
    loaded = load_dataset("usps", data_root=tmp_path / "root")
    assert (len(loaded.train), loaded.shape) == (10, entry.shape)


@pytest.mark.parametrize("name", ["imagenette", "imagewoof"])
def test_sets_published_as_a_script_come_from_the_hubs_conversion(name: str, monkeypatch: pytest.MonkeyPatch):
    asked: dict[str, Any] = {}

    def record(repository: str, *names: str, **options: Any) -> Any:
        asked.update(options, repository=repository)
        raise ConnectionError("enough")

    monkeypatch.setattr(datasets, "load_dataset", record)
    with pytest.raises(UserError):
        load_dataset(name)
    assert asked["repository"] == f"frgfm/{name}"
    assert asked["revision"] == "refs/convert/parquet"
    assert asked["data_dir"] == CATALOGUE[name].config


def test_local_copy_goes_before_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    catalogue_layout(tmp_path / "usps", "usps")
    fetch = datasets.load_dataset

    def local_only(kind: str, *names: str, **options: Any) -> Any:
        assert kind == "parquet"
        return fetch(kind, *names, **options)

    monkeypatch.setattr(datasets, "load_dataset", local_only)
    assert len(load_dataset("usps", data_root=tmp_path).train) == 10


@pytest.mark.parametrize(
    ("spec", "remedy"), [("cifar10", r"POTSTILL_DATA.*cifar10"), ("hf:nobody/nothing", "`dataset`")]
)
@pytest.mark.usefixtures("hub")
def test_without_the_hub_the_remedy_is_a_local_copy(spec: str, remedy: str):
    with pytest.raises(UserError, match=remedy) as refused:
        load_dataset(spec)
    assert "Couldn't reach" in refused.value.problem
    assert "\n" not in str(refused.value)


def test_a_hub_that_cannot_be_found_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
):
    monkeypatch.setattr(source, "unresolved_hub", lambda: "hub.invalid: no such name")
    monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", lambda seconds: pytest.fail("it tries again"))
    monkeypatch.setattr(datasets_config, "HF_DATASETS_CACHE", tmp_path)
    with pytest.raises(
        UserError, match=r"cannot get nobody/nothing .* \(hub\.invalid: no such name\); connect to the hub"
    ):
        load_dataset("hf:nobody/nothing", cache=None)
    assert capfd.readouterr() == ("", "")
    assert not datasets_config.HF_HUB_OFFLINE


@pytest.mark.parametrize("spec", ["hf:", "hf:nothing", "hf:a/b/c/d", "hf:/b"])
def test_a_malformed_address_is_explained(spec: str):
    with pytest.raises(UserError, match="hf:OWNER/NAME"):
        load_dataset(spec)
