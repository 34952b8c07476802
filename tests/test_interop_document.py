"""The snippets of the document about other libraries are run."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import potstill
from tests.children import ROOT
from tests.optional import needed

pytestmark = pytest.mark.slow

SNIPPETS = re.findall(r"(?ms)^```python\n(.*?)^```$", (ROOT / "docs/interop.md").read_text(encoding="utf-8"))
FIRST = 0.5
"""The least accuracy on the digits of a network that has learned from the set; guessing has 0.1."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which the first snippet has made the set."""
    made = tmp_path_factory.mktemp("interop")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(made)
        run(SNIPPETS[0])
    return made


@pytest.fixture(autouse=True)
def here(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)


def run(snippet: str) -> dict[str, Any]:
    """The names that a snippet leaves, in a module of its own."""
    names: dict[str, Any] = {"__name__": "snippet"}
    sys.modules["snippet"] = type(sys)("snippet")
    exec(compile(snippet, "interop.md", "exec"), names)
    return names


def snippet(of: str) -> str:
    """The only snippet with some words in it."""
    (found,) = [each for each in SNIPPETS if of in each]
    return found


def accuracy(network: nn.Module) -> float:
    images, labels = potstill.load_dataset("digits").test[:]
    with torch.no_grad():
        return (network.eval()(images).argmax(1) == labels).float().mean().item()


def test_every_snippet_is_run_here():
    assert len(SNIPPETS) == 8


def test_plain_pytorch():
    assert run(snippet("optimiser.zero_grad"))["accuracy"] > FIRST


def test_transforms_of_torchvision():
    needed("torchvision.transforms.v2")
    torch.manual_seed(0)
    names = run(snippet("RandomCrop"))
    assert names["images"].shape == (50, 1, 8, 8)
    assert not torch.equal(names["images"].sort(0).values, names["synthetic"].images.sort(0).values)


def test_folders_of_torchvision():
    needed("torchvision.datasets")
    for split in ("train", "test"):
        for label in ("cat", "dog"):
            for number in range(5):
                path = Path("photos", split, label, f"{number}.png")
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(np.full((4, 4, 3), 40 * number + 9, np.uint8)).save(path)
    assert len(run(snippet("ImageFolder"))["photos"].test) == 10


def test_lightning():
    needed("lightning")
    assert run(snippet("LightningModule"))["accuracy"] > FIRST


def test_datasets():
    assert run(snippet("table[0]"))["table"].num_rows == 50


def test_the_trainer_of_transformers():
    needed("accelerate")
    needed("transformers").set_seed(0)
    assert accuracy(run(snippet("TrainingArguments"))["network"].cpu()) > FIRST


def test_scikit_learn():
    assert run(snippet("LogisticRegression"))["accuracy"] > FIRST
