"""The embedded digits."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from sklearn.datasets import load_digits

from potstill.data import load_dataset
from potstill.data.sources.digits import read_digits


def test_every_published_digit_is_in_one_split():
    digits = load_dataset("digits")
    assert (len(digits.train), len(digits.validation), len(digits.test)) == (1295, 143, 359)
    assert not digits.flips
    published, labels = load_digits(return_X_y=True)
    splits = (digits.train, digits.validation, digits.test)
    found = torch.cat([(split.images.flatten(1).float() * 16 / 255).round() for split in splits])
    rows = torch.cat([found, torch.cat([split.labels for split in splits])[:, None].float()], dim=1)
    expected = torch.cat([torch.tensor(published).float(), torch.tensor(labels)[:, None].float()], dim=1)
    assert torch.equal(rows.unique(dim=0), expected.unique(dim=0))


@pytest.mark.parametrize("moved", [False, True])
def test_they_are_those_that_scikit_learn_loads(moved: bool, monkeypatch: pytest.MonkeyPatch):
    if moved:
        monkeypatch.setattr(Path, "is_file", lambda path: False)
    for ours, theirs in zip(read_digits(), load_digits(return_X_y=True), strict=True):
        assert (ours == theirs).all()
        assert ours.dtype == theirs.dtype


def test_splits_are_stratified():
    digits = load_dataset("digits")
    published = torch.tensor(load_digits(return_X_y=True)[1]).bincount()
    for label, total in enumerate(published.tolist()):
        test = round(0.2 * total)
        assert digits.test.class_sizes[label] == test
        assert digits.validation.class_sizes[label] == round(0.1 * (total - test))


def test_image_size():
    assert load_dataset("digits", image_size=12).shape == (1, 12, 12)
