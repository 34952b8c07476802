"""Materials: sets and datasets by their content, in memory or in files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from potstill.runtime.compute import CPU
from potstill.runtime.errors import UserError
from potstill.units import Materials, Workplace
from tests.small import problem, small_digits

SET = problem(ipc=1).start


def elsewhere(materials: Materials, folder: Path) -> Materials:
    """The same materials in another process."""
    found = Materials()
    found.find_only(materials.kept_in(folder))
    return found


def test_another_process_finds_the_same_by_the_same_names(tmp_path: Path):
    here, data = Materials(), small_digits()
    of_data, of_set = here.add(data), here.add(SET)
    there = elsewhere(here, tmp_path)
    assert there.synthetic(of_set).images.equal(SET.images)
    found = there.dataset(of_data)
    for name in ("train", "validation", "test"):
        ours, theirs = getattr(data, name), getattr(found, name)
        assert ours.images.equal(theirs.images)
        assert ours.labels.equal(theirs.labels)
        assert ours.normalised().equal(theirs.normalised())
    assert (found.flips, found.class_names) == (data.flips, data.class_names)


def test_datasets_that_train_other_networks_have_other_names():
    data = small_digits()
    other = (data.normalised_by((0.5,), (0.5,)), replace(data, flips=True), replace(data, fingerprint="0"))
    assert len({Materials().add(each) for each in (data, *other)}) == 4
    assert Materials().add(small_digits()) == Materials().add(data)


def test_a_file_that_was_changed_meanwhile_is_refused(tmp_path: Path):
    here = Materials()
    key = here.add(SET)
    there = elsewhere(here, tmp_path)
    replace(SET, images=SET.images + 1).save(tmp_path / f"{key}.safetensors")
    with pytest.raises(UserError, match="has changed since the work began"):
        there.synthetic(key)


def test_what_nobody_made_known_is_refused():
    with pytest.raises(UserError, match="names the data abcdef, which are not there"):
        Materials().dataset("abcdef")


def test_a_place_keeps_the_last_tool_of_each_kind():
    place, made = Workplace(Materials(), CPU), list[str]()

    def make(name: str) -> str:
        made.append(name)
        return name

    for name in ("a", "a", "b", "a"):
        assert place.tool("letter", name, lambda name=name: make(name)) == name
        place.tool("other", "always", lambda: make("always"))
    assert made == ["a", "always", "b", "a"]


def test_a_dataset_is_on_the_device_once():
    place = Workplace(Materials(), CPU)
    key = place.materials.add(small_digits())
    assert place.dataset(key) is place.dataset(key)
    assert place.dataset(key).train.images.device == torch.device("cpu")
