"""Which source reads a dataset, by the spec and by what is on disk."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from published import catalogue_layout, noise, write_images

from potstill.data import Choices, load_dataset
from potstill.data import load as load_module
from potstill.data.found import Arrays, Found, Labels, Part
from potstill.data.load import find_source
from potstill.data.sources import Request
from potstill.data.sources.digits import Digits
from potstill.data.sources.folder import ImageFolder
from potstill.data.sources.hub import Hub
from potstill.data.sources.mhist import Mhist
from potstill.data.sources.npz import Npz
from potstill.data.sources.parquet import ParquetFiles
from potstill.runtime.errors import UserError


@pytest.fixture(autouse=True)
def in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("spec", "name", "kind"),
    [
        ("hf:someone/something", "someone/something", Hub),
        ("hf:someone/something/small", "someone/something", Hub),
        ("cifar10", "cifar10", Hub),
        ("digits", "digits", Digits),
        ("mhist:polyps", "mhist", Mhist),
        ("some.npz", "some", Npz),
        ("tables", "tables", ParquetFiles),
        ("photos", "photos", ImageFolder),
    ],
)
def test_each_spec_has_its_source(spec: str, name: str, kind: type, in_folder: Path):
    (in_folder / "polyps").mkdir()
    np.savez("some.npz")
    (in_folder / "tables" / "data").mkdir(parents=True)
    (in_folder / "tables" / "data" / "train.parquet").touch()
    write_images(in_folder / "photos" / "cat", noise(1))
    source, entry = find_source(spec)
    assert type(source) is kind
    assert source.name == name
    assert (entry is not None) == (spec in ("cifar10", "digits"))


def test_names_of_the_catalogue_take_precedence_over_folders(in_folder: Path):
    write_images(in_folder / "digits" / "cat", noise(1))
    assert isinstance(find_source("digits")[0], Digits)
    assert isinstance(find_source("./digits")[0], ImageFolder)
    account = load_dataset("digits", cache=None).account
    assert account is not None
    assert account.remarks == ("digits is the catalogue's dataset; the folder of that name here is ./digits",)


def test_local_copies_take_precedence_over_the_hub_and_the_embedded(in_folder: Path):
    catalogue_layout(in_folder / "root" / "mnist", "mnist")
    write_images(in_folder / "root" / "digits" / "0", noise(1))
    source, entry = find_source("mnist", in_folder / "root")
    assert isinstance(source, ParquetFiles)
    assert (source.files.root, source.entry) == (in_folder / "root" / "mnist" / "mnist", entry)
    assert find_source("digits", in_folder / "root")[0] == ImageFolder("digits", in_folder / "root" / "digits")
    assert isinstance(find_source("cifar10", in_folder / "root")[0], Hub)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("empty", "empty contains neither parquet files nor class folders"),
        ("file", "file is neither a folder nor"),
        ("hf:someone", "'hf:someone' is not a dataset on the hub"),
        ("hf:a/b/c/d", "'hf:a/b/c/d' is not a dataset on the hub"),
        ("mhist:nowhere", "nowhere does not exist"),
    ],
)
def test_what_no_source_has_is_refused(spec: str, message: str, in_folder: Path):
    (in_folder / "empty").mkdir()
    (in_folder / "file").touch()
    with pytest.raises(UserError, match=message):
        find_source(spec)


class Noise:
    """A source of a kind of its own: ``noise:COUNT``."""

    name = "noise"

    def __init__(self, count: int) -> None:
        self.count = count

    @classmethod
    def recognise(cls, request: Request) -> Noise | None:
        prefix, _, count = request.spec.partition(":")
        return cls(int(count)) if prefix == "noise" else None

    def signature(self) -> None:
        pass

    def find(self, choices: Choices) -> Found:
        labels = Labels(np.arange(self.count) % 2, ("even", "odd"))
        return Found("noise", self.name, (Part(Arrays(noise(self.count), self.name), labels, "a generator"),))


def test_a_new_source_is_one_entry(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(load_module, "SOURCES", (*load_module.SOURCES, Noise))
    assert len(load_dataset("noise:20", validation_fraction=0).train) == 16
