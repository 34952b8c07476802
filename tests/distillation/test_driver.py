"""The driver: a run's folder, its events, and what it refuses."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from potstill.data import Choices, ImageDataset, load_dataset, share_of
from potstill.distillation import driver, validation
from potstill.distillation.driver import DistillationResult, distill, log_progress
from potstill.distillation.plan import resolve
from potstill.distillation.run_folder import RunFolder
from potstill.distillation.settings import Settings
from potstill.distillation.starts import make_start
from potstill.distillation.unseen_steps import UnseenSteps
from potstill.engine import layout
from potstill.engine.layout import chunk_size
from potstill.methods import DATM, DC, DM, IDC, LD, PAD, FRePo, LinearGradient, Method, Random
from potstill.networks import ImageShape, build_network
from potstill.runtime.compute import CPU
from potstill.runtime.errors import Diverged, UserError
from potstill.runtime.events import read_events
from potstill.runtime.files import write_json
from potstill.synthetic import SyntheticSet
from tests.runs import ITERATIONS, SETTINGS, dataset, lasting, pretended, quick_validation
from tests.small import NETWORK, few, problem

__all__ = ["dataset", "quick_validation"]

# A run and what it leaves.


def test_a_dataset_of_ones_own_gives_its_name(dataset: ImageDataset, tmp_path: Path):
    pets = replace(dataset, name="pets", spec="")
    done = distill(SETTINGS, pets, out=tmp_path / "run")
    assert done.settings.dataset == done.synthetic.provenance["dataset"] == "pets"
    assert 'dataset = "pets"' in (tmp_path / "run" / "config.toml").read_text()
    assert distill(SETTINGS, pets, out=tmp_path / "run", resume=True).status == "complete"


def test_a_dataset_that_was_loaded_is_asked_for_again_as_it_was(tmp_path: Path):
    loaded = load_dataset("digits", image_size=16)
    path = tmp_path / "digits16.npz"
    arrays: dict[str, Any] = {f"{split}_{of}": array for split, of, array in published(loaded)}
    np.savez(path, **arrays)
    chosen = load_dataset(str(path), choices=Choices(split_map="train=train,test=val"))
    for number, given in enumerate((loaded, load_dataset(str(path)), chosen)):
        out = tmp_path / f"run{number}"
        done = distill(SETTINGS, given, out=out)
        assert (done.settings.dataset, done.settings.image_size) == (given.spec, given.image_size)
        assert Choices.among(done.synthetic.provenance) == given.choices
        settings = Settings.from_toml(out / "config.toml")
        again = load_dataset(settings.dataset, image_size=settings.image_size, choices=settings.choices)
        assert again.fingerprint == given.fingerprint
    assert chosen.fingerprint != load_dataset(str(path)).fingerprint


@pytest.mark.parametrize("method", [DM(), DC(), IDC(network_images=4)])
def test_a_single_class_is_distilled_like_several(method: Method, dataset: ImageDataset, tmp_path: Path):
    one = share_of(dataset, dataset.train.class_index[3])
    distill(replace(SETTINGS, method=method, ipc=2, validate_every=0), one, out=tmp_path / "run")
    kept = SyntheticSet.load(RunFolder(tmp_path / "run").synthetic)
    assert (kept.class_names, kept.labels.tolist()) == (("3",), [0, 0])
    start = SyntheticSet.load(RunFolder(tmp_path / "run").start)
    assert not kept.images.equal(start.images), "there is something to learn from one class"


@pytest.mark.parametrize("method", [LD(), FRePo(), DATM(), PAD(), LinearGradient()], ids=lambda method: method.name)
def test_what_tells_classes_apart_needs_several(method: Method, dataset: ImageDataset):
    one = share_of(dataset, dataset.train.class_index[3])
    given = problem(real=one.train, network=method.default_network or NETWORK)
    with pytest.raises(UserError, match=f"the dataset has a single class, and {method.name} needs several"):
        method.prepare(given)


def published(dataset: ImageDataset) -> Iterator[tuple[str, str, np.ndarray]]:
    for split, part in (("train", dataset.train), ("val", dataset.validation), ("test", dataset.test)):
        yield split, "images", part.images[:, 0].numpy()
        yield split, "labels", part.labels[:, None].numpy()


def test_a_run_does_not_go_on_with_images_of_another_whitening(tmp_path: Path):
    whitened, plain = load_dataset("digits", zca=True), load_dataset("digits")
    assert whitened.fingerprint == plain.fingerprint
    settings = replace(SETTINGS, zca=True)
    distill(settings, whitened, out=tmp_path / "run", time_limit=0)
    with pytest.raises(UserError, match="the dataset is not whitened, the settings have zca = True"):
        distill(settings, plain, out=tmp_path / "run", resume=True)


def test_the_manifest_of_a_run_that_went_on_says_how_it_was_begun(dataset: ImageDataset, tmp_path: Path):
    folder = RunFolder(tmp_path / "run")
    distill(SETTINGS, dataset, out=folder.path, time_limit=0, command="potstill distill dm")
    begun = {**folder.read_manifest().to_json(), "started": "2030-01-02T03:04:05+00:00", "peak_memory_bytes": 10**15}
    write_json(folder.manifest, begun)
    distill(SETTINGS, dataset, out=folder.path, resume=True, command="potstill distill --resume")
    ended = folder.read_manifest().to_json()
    assert ended["status"] == "complete"
    same = ("command", "started", "peak_memory_bytes")
    assert [ended[name] for name in same] == [begun[name] for name in same]
    assert ended["command"] == "potstill distill dm"


def test_a_run_begins_with_a_look_at_its_dataset_which_the_manifest_keeps(dataset: ImageDataset, tmp_path: Path):
    images = dataset.test.images.clone()
    images[0] = dataset.train.images[0]
    leaking = replace(dataset, test=replace(dataset.test, stored=images))
    told: list[tuple[str, dict[str, Any]]] = []
    folder = RunFolder(tmp_path / "run")
    distill(SETTINGS, leaking, out=folder.path, time_limit=0, listen=lambda *event: told.append(event))
    names = [name for name, _ in told if name != "doing"]
    assert names[:4] == ["settings", "inspection", "memory", "start"]
    account = dict(told)["inspection"]["inspection"].account
    assert any("also in train" in warning for warning in account.warnings)
    assert folder.read_manifest().dataset.account == account
    told.clear()
    distill(SETTINGS, leaking, out=folder.path, resume=True, listen=lambda *event: told.append(event))
    assert "inspection" not in [name for name, _ in told], "that was said when the run began"
    assert folder.read_manifest().dataset.account == account


def test_settings_that_ask_for_other_images_than_the_dataset_has_are_refused(dataset: ImageDataset):
    with pytest.raises(UserError, match="the dataset is not whitened, the settings have zca = True"):
        distill(replace(SETTINGS, zca=True), dataset)
    with pytest.raises(UserError, match="images are 8x8, the settings have image_size = 16"):
        distill(replace(SETTINGS, image_size=16), dataset)


LACKS_OF_MEMORY = {
    "gpu": torch.OutOfMemoryError("CUDA out of memory"),
    "cpu": RuntimeError("[enforce fail at alloc_cpu.cpp:121] DefaultCPUAllocator: can't allocate memory"),
    "python": MemoryError(),
}
lacks_of_memory = pytest.mark.parametrize("lack", LACKS_OF_MEMORY.values(), ids=LACKS_OF_MEMORY)


@lacks_of_memory
def test_a_device_without_enough_memory_is_told_and_the_run_kept(
    lack: Exception, dataset: ImageDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    step = DM.step

    def full(method: DM, problem: Any, state: Any, iteration: int) -> Any:
        if iteration == 2:
            raise lack
        return step(method, problem, state, iteration)

    monkeypatch.setattr(DM, "step", full)
    with pytest.raises(UserError, match=r"the memory of cpu is too small for an iteration; .*smaller `ipc`"):
        distill(SETTINGS, dataset, out=tmp_path / "run")
    assert RunFolder(tmp_path / "run").read_manifest().to_json()["iterations"]["done"] == 2


@lacks_of_memory
def test_a_step_without_enough_memory_is_done_again_in_smaller_chunks(
    lack: Exception, run: Run, dataset: ImageDataset, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(layout, "CPU_CHUNK_PIXELS", 64 * 64)  # 64 images of 8x8 pixels
    step, sizes = DM.step, []
    some, shape = torch.empty(9, 1, 8, 8), ImageShape(1, 8, 8)
    network = build_network("convnet:depth=1", shape, 10, torch.Generator())

    def full(method: DM, problem: Any, state: Any, iteration: int) -> Any:
        sizes.append((iteration, chunk_size(some, network, CPU.device)))
        if sizes[-1] in ((2, 64), (2, 32), (4, 16)):
            raise lack
        return step(method, problem, state, iteration)

    monkeypatch.setattr(DM, "step", full)
    told: list[str] = []
    done = distill(SETTINGS, dataset, listen=log_progress(told.append))
    assert sizes == [(0, 64), (1, 64), (2, 64), (2, 32), (2, 16), (3, 16), (4, 16), (4, 8), (5, 8)]
    warning = "too little memory on cpu: trying again with fewer images at a time"
    assert [line for line in told if "memory" in line] == [warning] * 3
    torch.testing.assert_close(done.synthetic.images, run[0].synthetic.images, rtol=1e-4, atol=1e-4)
    assert chunk_size(some, network, CPU.device) == 64, "the next run begins as usual"


@pytest.fixture
def run(
    dataset: ImageDataset, tmp_path: Path
) -> tuple[DistillationResult, RunFolder, list[tuple[str, dict[str, Any]]]]:
    heard: list[tuple[str, dict[str, Any]]] = []
    done = distill(
        SETTINGS,
        dataset,
        out=tmp_path / "run",
        command="potstill distill dm",
        listen=lambda event, fields: heard.append((event, fields)),
    )
    return done, RunFolder(tmp_path / "run"), heard


Run = tuple[DistillationResult, RunFolder, list[tuple[str, dict[str, Any]]]]


def test_folder_holds_what_is_promised(run: Run):
    _, folder, _ = run
    files = sorted(str(path.relative_to(folder.path)) for path in folder.path.rglob("*") if path.is_file())
    assert files == [
        "checkpoint/start.safetensors",
        "checkpoint/state.safetensors",
        "config.toml",
        "manifest.json",
        "metrics.jsonl",
        "synthetic.safetensors",
    ]


def test_events_are_told_and_recorded(run: Run):
    _, folder, heard = run
    recorded = list(read_events(folder.metrics))
    told = {"settings", "inspection", "memory", "doing", "set", "validated", "manifest"}  # that no file records
    heard = [(event, fields) for event, fields in heard if event not in told]
    assert recorded == [{"event": event, **fields} for event, fields in heard]
    assert [event for event, _ in heard] == ["start", *["step", "step", "validation"] * 3, "finish"]
    steps = [fields for event, fields in heard if event == "step"]
    assert [fields["iteration"] for fields in steps] == [1, 2, 3, 4, 5, 6]
    assert all(fields["loss"] > 0 and fields["seconds"] >= 0 for fields in steps)
    validations = [fields for event, fields in heard if event == "validation"]
    assert [fields["iteration"] for fields in validations] == [2, 4, 6]
    assert recorded[-1]["status"] == "complete"


def test_a_listener_is_told_of_settings_sets_and_the_manifest(run: Run):
    done, folder, heard = run
    names = [event for event, _ in heard]
    assert names.index("settings") < names.index("start")
    assert dict(heard)["settings"]["settings"] == done.settings.to_dict()
    judged = [fields for event, fields in heard if event == "validated"]
    assert [fields["iteration"] for fields in judged] == [2, 4, 6]
    assert all(pretended(fields["synthetic"]) == fields["accuracy"] for fields in judged)
    first, last = (fields for event, fields in heard if event == "set")
    assert first["iteration"] == 0
    assert torch.equal(first["synthetic"].images, SyntheticSet.load(folder.start).images)
    assert last["iteration"] == done.synthetic.provenance["chosen_iteration"]
    assert last["synthetic"].fingerprint() == done.synthetic.fingerprint()
    assert dict(heard)["manifest"]["manifest"] == folder.read_manifest()


def test_manifest_describes_the_run(run: Run, dataset: ImageDataset):
    done, folder, _ = run
    manifest = folder.read_manifest().to_json()
    assert dataset.account is not None
    assert manifest["schema"] == 1
    assert manifest["method"] == {
        "name": "dm",
        "title": "Dataset Condensation with Distribution Matching",
        "citation": DM.citation.bibtex(),
        "url": "https://arxiv.org/abs/2110.04181",
    }
    assert manifest["dataset"] == {
        "name": "digits",
        "fingerprint": dataset.fingerprint,
        "shape": [1, 8, 8],
        "classes": 10,
        "train": 200,
        "validation": 50,
        "test": 50,
        "account": manifest["dataset"]["account"],
    }
    assert [sum(split["class_sizes"]) for split in manifest["dataset"]["account"]["splits"]] == [200, 50, 50]
    assert manifest["seed"] == 0
    assert manifest["iterations"] == {"done": 6, "asked": 6}
    assert manifest["seconds"] > 0
    assert manifest["peak_memory_bytes"] > 10_000_000
    assert manifest["set_bytes"] == done.synthetic.size_bytes == 10 * 64 * 4 + 10 * 8
    assert manifest["tensors_sha256"] == SyntheticSet.load(folder.synthetic).fingerprint()
    machine = {"processor", "cores", "accelerator", "system", "python", "torch", "potstill"}
    assert set(manifest["machine"]) == machine
    assert manifest["compute"] == {"device": "cpu", "precision": "float32", "compile": False, "ranks": 1}
    assert manifest["status"] == "complete"
    assert datetime.fromisoformat(manifest["started"]).tzinfo is not None
    assert manifest["command"] == "potstill distill dm"


def test_the_set_on_file_is_the_one_returned(run: Run, dataset: ImageDataset):
    done, folder, _ = run
    stored = SyntheticSet.load(folder.synthetic)
    assert stored.fingerprint() == done.synthetic.fingerprint()
    assert stored.provenance == done.synthetic.provenance
    assert stored.provenance["method"]["name"] == "dm"
    assert stored.provenance["dataset_fingerprint"] == dataset.fingerprint
    assert (done.status, done.folder) == ("complete", folder.path)


def test_the_start_is_kept(run: Run, dataset: ImageDataset):
    done, folder, _ = run
    start = SyntheticSet.load(folder.start)
    assert start.images.equal(make_start(resolve(done.settings, dataset), dataset).images)
    assert not start.images.equal(done.synthetic.images)
    assert start.provenance["chosen_iteration"] == 0


def test_config_repeats_the_run(run: Run, dataset: ImageDataset, tmp_path: Path):
    done, folder, _ = run
    settings = Settings.from_toml(folder.config)
    assert settings == done.settings == resolve(SETTINGS, dataset).settings
    again = distill(settings, dataset, out=tmp_path / "again")
    assert again.folder is not None
    assert lasting(again.folder) == lasting(folder.path)


def test_the_set_that_did_best_on_validation_is_kept(run: Run, dataset: ImageDataset):
    done, folder, heard = run
    validations = {fields["iteration"]: fields["accuracy"] for event, fields in heard if event == "validation"}
    best = max(validations, key=lambda iteration: validations[iteration])
    assert folder.read_manifest().to_json()["chosen_iteration"] == best == done.synthetic.provenance["chosen_iteration"]
    assert pretended(done.synthetic) == validations[best]


def test_of_sets_that_do_equally_well_the_earliest_is_kept(dataset: ImageDataset, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(validation, "validation_accuracy", lambda *given, **named: 0.5)
    tied = distill(SETTINGS, dataset)
    assert tied.synthetic.provenance["chosen_iteration"] == SETTINGS.validate_every
    assert tied.synthetic.images.equal(distill(replace(SETTINGS, iterations=2), dataset).synthetic.images)


def test_without_validation_the_last_set_is_kept(dataset: ImageDataset):
    last = distill(replace(SETTINGS, validate_every=0), dataset)
    assert last.synthetic.provenance["chosen_iteration"] == ITERATIONS
    empty = replace(dataset, validation=dataset.validation.take(torch.tensor([], dtype=torch.int64)))
    assert distill(SETTINGS, empty).synthetic.fingerprint() == last.synthetic.fingerprint()


def test_a_method_alone_is_enough(dataset: ImageDataset):
    done = distill(Random(), dataset)
    assert done.settings == resolve(Settings(method=Random()), dataset).settings
    real = {image.numpy().tobytes() for image in dataset.train.normalised()}
    assert len(done.synthetic) == 100
    assert {image.numpy().tobytes() for image in done.synthetic.images} <= real
    assert done.folder is None


def test_too_few_real_images_are_an_error_before_a_folder_is_made(dataset: ImageDataset, tmp_path: Path):
    with pytest.raises(UserError, match="fewer than 21 per class"):
        distill(replace(SETTINGS, ipc=21), dataset, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_complete_run_can_be_resumed_to_no_effect(run: Run, dataset: ImageDataset):
    _, folder, _ = run
    before = lasting(folder.path)
    assert distill(SETTINGS, dataset, out=folder.path, resume=True).status == "complete"
    assert lasting(folder.path) == before


# What is refused.


def test_an_existing_folder_is_refused_and_left_alone(run: Run, dataset: ImageDataset):
    _, folder, _ = run
    before = lasting(folder.path)
    with pytest.raises(UserError, match=r"run already exists; use `resume=True` to continue it, or another `out`"):
        distill(SETTINGS, dataset, out=folder.path)
    assert lasting(folder.path) == before


def test_a_folder_of_something_else_is_refused(dataset: ImageDataset, tmp_path: Path):
    (tmp_path / "thesis.tex").write_text("dear to someone")
    with pytest.raises(UserError, match="already exists"):
        distill(SETTINGS, dataset, out=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_an_empty_folder_will_do(dataset: ImageDataset, tmp_path: Path):
    assert distill(replace(SETTINGS, iterations=0), dataset, out=tmp_path).folder == tmp_path


@pytest.mark.parametrize("out", [None, "nothing here"])
def test_there_must_be_a_run_to_resume(out: str | None, dataset: ImageDataset, tmp_path: Path):
    with pytest.raises(UserError, match="there is no run to resume"):
        distill(SETTINGS, dataset, out=out and tmp_path / out, resume=True)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seed": 5}, r"other settings: `seed` \(0 there, 5 here\); resume it with its own settings"),
        (
            {"ipc": 2, "network": "lenet"},
            r"other settings: `ipc` \(1 there, 2 here\), `network` \(.* there, lenet here\)",
        ),
        ({"method": DM(batch_real=9)}, r"other settings: `batch_real` \(.* there, 9 here\), `learning_rate` \(.*\)"),
        ({"method": Random()}, "is a run of dm, not of random"),
    ],
)
def test_other_settings_cannot_resume_a_run(changes: dict[str, Any], message: str, run: Run, dataset: ImageDataset):
    _, folder, _ = run
    before = lasting(folder.path)
    with pytest.raises(UserError, match=message):
        distill(replace(SETTINGS, **changes), dataset, out=folder.path, resume=True)
    assert lasting(folder.path) == before


def test_another_dataset_cannot_resume_a_run(run: Run, dataset: ImageDataset):
    _, folder, _ = run
    other = replace(dataset, train=few(dataset.train, (19,) * 10), fingerprint="another")
    before = lasting(folder.path)
    with pytest.raises(UserError, match=r"dataset 'digits' is not the one that .* was started with"):
        distill(SETTINGS, other, out=folder.path, resume=True)
    assert lasting(folder.path) == before


@pytest.mark.parametrize("content", [b"", b"not safetensors", b"\xff" * 100])
def test_a_damaged_checkpoint_is_named(content: bytes, run: Run, dataset: ImageDataset):
    _, folder, _ = run
    folder.checkpoint.write_bytes(content)
    with pytest.raises(UserError, match=r"state\.safetensors is damaged"):
        distill(SETTINGS, dataset, out=folder.path, resume=True)


# What goes wrong on the way.


def failing_at(iteration: int, step: Any) -> Any:
    """A step with a mistake in it."""

    def fails(method: Any, problem: Any, state: Any, now: int) -> Any:
        if now == iteration:
            raise ValueError("a mistake in a method")
        return step(method, problem, state, now)

    return fails


def ignoring(event: str, fields: dict[str, Any]) -> None:
    pass


def fault_in_a_listener(event: str, fields: dict[str, Any]) -> None:
    if event == "step" and fields["iteration"] == 3:
        raise ValueError("a mistake in a listener")


@pytest.mark.parametrize("place", ["method", "listener"])
def test_a_fault_is_raised_and_what_was_made_before_is_kept(
    place: str, run: Run, dataset: ImageDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    folder, listen = RunFolder(tmp_path / "faulty"), fault_in_a_listener if place == "listener" else ignoring
    with monkeypatch.context() as patch:
        patch.setattr(DM, "step", failing_at(3, DM.step) if place == "method" else DM.step)
        with pytest.raises(ValueError, match=f"a mistake in a {place}") as raised:
            distill(SETTINGS, dataset, out=folder.path, listen=listen)
    assert not hasattr(raised.value, "__notes__")
    manifest = folder.read_manifest()
    assert (manifest.status, manifest.to_json()["iterations"]["done"]) == ("interrupted", 3)
    assert SyntheticSet.load(folder.synthetic).fingerprint() == manifest.tensors_sha256
    assert list(read_events(folder.metrics))[-1]["status"] == "interrupted"
    assert distill(SETTINGS, dataset, out=folder.path, resume=True).status == "complete"
    assert lasting(folder.path) == lasting(run[1].path)


def test_a_fault_is_the_one_that_is_raised_even_if_the_run_cannot_be_closed(
    dataset: ImageDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(DM, "step", failing_at(3, DM.step))

    def unclosable(*given: Any, **named: Any) -> Any:
        raise OSError("a mistake in closing")

    monkeypatch.setattr(driver, "describe_run", unclosable)
    with pytest.raises(ValueError, match="a mistake in a method") as raised:
        distill(SETTINGS, dataset, out=tmp_path / "run")
    assert raised.value.__notes__ == ["The run could not be closed either: a mistake in closing."]


def test_divergence_keeps_the_last_good_set(dataset: ImageDataset, tmp_path: Path):
    explosive = replace(SETTINGS, method=DM(batch_real=8, learning_rate=1e30), validate_every=0)
    with pytest.raises(Diverged, match=r"try a smaller `learning_rate` than 1e\+30") as error:
        distill(explosive, dataset, out=tmp_path / "run")
    assert "\n" not in str(error.value)
    folder = RunFolder(tmp_path / "run")
    manifest = folder.read_manifest().to_json()
    assert manifest["status"] == "diverged"
    assert manifest["iterations"]["done"] < ITERATIONS
    kept = SyntheticSet.load(folder.synthetic)
    assert kept.images.isfinite().all()
    assert kept.fingerprint() == manifest["tensors_sha256"]
    assert list(read_events(folder.metrics))[-1]["status"] == "diverged"


@pytest.fixture
def seldom_looking(monkeypatch: pytest.MonkeyPatch):
    """As on an accelerator, but longer: nothing is looked at unless a number is needed."""
    monkeypatch.setattr(UnseenSteps, "due", False)
    monkeypatch.setattr(driver, "LOGGED_STEPS", 1)


@pytest.mark.usefixtures("seldom_looking")
def test_a_set_does_not_depend_on_how_often_its_steps_are_looked_at(run: Run, dataset: ImageDataset):
    assert distill(SETTINGS, dataset).synthetic.fingerprint() == run[0].synthetic.fingerprint()


@pytest.mark.usefixtures("seldom_looking")
@pytest.mark.parametrize("validate_every", [0, 2])
def test_divergence_is_seen_late_and_keeps_a_good_set(validate_every: int, dataset: ImageDataset, tmp_path: Path):
    class Explodes(DM):
        def step(self, problem: Any, state: Any, iteration: int) -> tuple[Any, Any]:
            state, loss = super().step(problem, state, iteration)
            return ({**state, "images": state["images"] * float("nan")}, loss) if iteration == 2 else (state, loss)

    method = Explodes(batch_real=8, learning_rate=0.1)
    with pytest.raises(Diverged, match=r"at iteration 3 images stopped being finite"):
        distill(replace(SETTINGS, method=method, validate_every=validate_every), dataset, out=tmp_path / "run")
    manifest = RunFolder(tmp_path / "run").read_manifest().to_json()
    assert manifest["iterations"]["done"] == (2 if validate_every else 1), "the first iteration is looked at"
    assert SyntheticSet.load(tmp_path / "run" / "synthetic.safetensors").images.isfinite().all()


@pytest.mark.usefixtures("seldom_looking")
def test_an_interrupt_while_looking_keeps_no_steps_that_diverged(
    dataset: ImageDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    class Explodes(DM):
        def step(self, problem: Any, state: Any, iteration: int) -> tuple[Any, Any]:
            state, loss = super().step(problem, state, iteration)
            return {**state, "images": state["images"] * float("nan")}, loss

    look = UnseenSteps.look

    def interrupted(unseen: UnseenSteps) -> Any:
        monkeypatch.setattr(UnseenSteps, "look", look)
        look(unseen)
        raise KeyboardInterrupt

    monkeypatch.setattr(UnseenSteps, "look", interrupted)
    with pytest.raises(KeyboardInterrupt):
        distill(replace(SETTINGS, method=Explodes(batch_real=8), validate_every=0), dataset, out=tmp_path / "run")
    assert RunFolder(tmp_path / "run").read_manifest().to_json()["iterations"]["done"] == 0
    assert SyntheticSet.load(tmp_path / "run" / "synthetic.safetensors").images.isfinite().all()


@pytest.mark.usefixtures("seldom_looking")
def test_an_error_after_unseen_steps_that_diverged_is_called_divergence(dataset: ImageDataset):
    class Fails(DM):
        def step(self, problem: Any, state: Any, iteration: int) -> tuple[Any, Any]:
            if iteration == 3:
                raise ValueError("no solution")
            state, loss = super().step(problem, state, iteration)
            return state, float("inf") if iteration == 2 else loss

    with pytest.raises(Diverged, match="at iteration 3 the loss stopped being finite"):
        distill(replace(SETTINGS, method=Fails(batch_real=8), validate_every=0), dataset)


def test_a_loss_is_kept_as_it_is(dataset: ImageDataset):
    class Tells(DM):
        def step(self, problem: Any, state: Any, iteration: int) -> tuple[Any, Any]:
            return super().step(problem, state, iteration)[0], 1e300

    heard: list[dict[str, Any]] = []
    settings = replace(SETTINGS, method=Tells(batch_real=8), validate_every=0)
    distill(settings, dataset, listen=lambda event, fields: heard.append({"event": event, **fields}))
    assert {fields["loss"] for fields in heard if fields["event"] == "step"} == {1e300}


@pytest.mark.usefixtures("seldom_looking")
def test_an_interrupt_keeps_no_steps_that_diverged(dataset: ImageDataset, tmp_path: Path):
    class Interrupted(DM):
        def step(self, problem: Any, state: Any, iteration: int) -> tuple[Any, Any]:
            if iteration == 3:
                raise KeyboardInterrupt
            state, loss = super().step(problem, state, iteration)
            return state, loss * float("inf") if iteration == 2 else loss

    settings = replace(SETTINGS, method=Interrupted(batch_real=8, learning_rate=0.1), validate_every=0)
    with pytest.raises(KeyboardInterrupt):
        distill(settings, dataset, out=tmp_path / "run")
    assert RunFolder(tmp_path / "run").read_manifest().to_json()["iterations"]["done"] == 1


def test_divergence_keeps_the_best_set_by_validation(dataset: ImageDataset, tmp_path: Path):
    class Explodes(DM):
        def step(self, problem: Any, state: Any, iteration: int) -> tuple[Any, Any]:
            state, loss = super().step(problem, state, iteration)
            return (state, loss) if iteration < 3 else ({**state, "images": state["images"] * float("nan")}, loss)

    with pytest.raises(Diverged, match="at iteration 4 "):
        distill(replace(SETTINGS, method=Explodes(batch_real=8, learning_rate=0.1)), dataset, out=tmp_path / "run")
    sound = distill(replace(SETTINGS, iterations=2), dataset)
    assert RunFolder(tmp_path / "run").read_manifest().to_json()["chosen_iteration"] == 2
    kept = SyntheticSet.load(tmp_path / "run" / "synthetic.safetensors")
    assert kept.images.equal(sound.synthetic.images)


def test_a_run_that_may_be_there_is_started_or_continued(dataset: ImageDataset, tmp_path: Path):
    stopped = distill(SETTINGS, dataset, out=tmp_path / "run", resume="auto", time_limit=0)
    assert (stopped.status, len(list((tmp_path / "run").iterdir())) > 0) == ("time limit", True)
    continued = distill(SETTINGS, dataset, out=tmp_path / "run", resume="auto")
    assert continued.synthetic.fingerprint() == distill(SETTINGS, dataset, resume="auto").synthetic.fingerprint()


def test_a_method_may_be_named(dataset: ImageDataset):
    assert distill("random", dataset).settings.method == Random()
    with pytest.raises(UserError, match="unknown method 'rndom'"):
        distill("rndom", dataset)
