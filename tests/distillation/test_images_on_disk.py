"""What is distilled from images on disk is what is distilled from the same images in memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from potstill.data import ImageDataset, load_dataset
from potstill.data.images_on_disk import ImagesOnDisk
from potstill.distillation import RunFolder, Settings, distill
from potstill.evaluation import Session, evaluate, measure_attacks
from potstill.methods import DC, DM, METHODS, Method
from potstill.methods.coresets import Herding
from potstill.runtime import memory_limit
from potstill.runtime.errors import UserError
from potstill.units import Crew

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("few_epochs")]


def settings_for(method: Method, folder: Path, iterations: int | None, validate_every: int) -> Settings:
    return Settings(
        method=method,
        dataset=str(folder),
        ipc=1,
        network="convnet:depth=2:width=8",
        iterations=iterations,
        validate_every=validate_every,
        precision="float32",
        compile="off",
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, draws = tmp_path_factory.mktemp("images") / "set", np.random.default_rng(0)
    for split, count in (("train", 30), ("test", 10)):
        for label in range(3):
            (folder / split / f"class {label}").mkdir(parents=True)
            for number in range(count):
                pixels = draws.integers(0, 100, (16, 16, 3)) + 50 * np.eye(3, dtype=int)[label]
                Image.fromarray(pixels.astype(np.uint8)).save(folder / split / f"class {label}" / f"{number}.png")
    return folder


def on_disk(folder: Path) -> ImageDataset:
    with memory_limit(200_000):
        found = load_dataset(folder, cache=folder.parent / "cache")
    assert isinstance(found.train.stored, ImagesOnDisk)
    return found


@pytest.mark.parametrize(
    "method",
    [
        DM(batch_real=8),
        DC(batch_real=8),
        Herding(teacher_epochs=1),
        METHODS["k-means"](),
        METHODS["average"](),
    ],
    ids=lambda method: method.name,
)
def test_the_set_is_the_same(method: Any, folder: Path, tmp_path: Path):
    settings = settings_for(method, folder, 4 if isinstance(method, (DM, DC)) else None, 2)
    sets = [distill(settings, data).synthetic for data in (load_dataset(folder, cache=None), on_disk(folder))]
    assert sets[0].images.equal(sets[1].images)


@pytest.mark.parametrize("method", [DM(batch_real=8), DC(batch_real=8)], ids=lambda method: method.name)
def test_batches_that_are_read_ahead_make_the_same_set(method: Method, folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("potstill.methods.problem.VALUES_AT_ONCE", 8 * 3 * 16 * 16)  # one class at a time
    settings = settings_for(method, folder, 4, 0)
    sets = [distill(settings, data).synthetic for data in (load_dataset(folder, cache=None), on_disk(folder))]
    assert sets[0].images.equal(sets[1].images)


def test_evaluations_by_another_process_read_the_copy(folder: Path, crew: Crew):
    settings = settings_for(DM(batch_real=8), folder, 2, 0)
    found = []
    for data, executor in ((load_dataset(folder, cache=None), "here"), (on_disk(folder), crew)):
        made = distill(settings, data).synthetic
        session = Session(data, executor=executor)
        found.append(evaluate(made, session, networks=["mlp"], repeats=2, baselines=["random"], recipe="quick"))
    first, second = (each.networks["mlp"].accuracies for each in found)
    assert first == second


def test_attacked_images_are_read_from_the_copy(folder: Path):
    made = distill(settings_for(METHODS["random"](), folder, None, 0), load_dataset(folder, cache=None)).synthetic
    found = [
        measure_attacks(made, data, recipe="quick", networks=["mlp"], repeats=1, attacked_images=6).networks["mlp"]
        for data in (load_dataset(folder, cache=None), on_disk(folder))
    ]
    first, second = ([each.accuracies for each in networks] for networks in found)
    assert first == second


def test_a_copy_that_is_cut_under_a_run_ends_it_and_it_goes_on_with_a_new_one(folder: Path, tmp_path: Path):
    settings = settings_for(DM(batch_real=8), folder, 6, 0)
    expected = distill(settings, load_dataset(folder, cache=None)).synthetic
    data, harmed = on_disk(folder), []
    (copy,) = (folder.parent / "cache").glob("*.safetensors")

    def harm(event: str, fields: dict[str, Any]) -> None:
        if event == "step" and fields["iteration"] == 2 and not harmed:
            harmed.append(copy.stat().st_size)
            with copy.open("r+b") as stream:
                stream.truncate(harmed[0] - 100_000)

    with pytest.raises(UserError, match="a copy of decoded images, is damaged: it ends before image"):
        distill(settings, data, out=tmp_path / "run", listen=harm)
    assert RunFolder(tmp_path / "run").read_manifest().status == "interrupted"
    done = distill(settings, on_disk(folder), out=tmp_path / "run", resume=True)
    assert done.synthetic.images.equal(expected.images)
