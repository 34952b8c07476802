"""The synthetic set: starts, files, and what a damaged file is told."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor
from torch.utils.data import DataLoader

from potstill.data import LabeledImages, Whitening
from potstill.networks import InitialWeights
from potstill.report.images import read_images
from potstill.runtime.errors import UserError
from potstill.runtime.files import sha256
from potstill.runtime.safetensors_io import pack, read_header
from potstill.schema.set_file import FORMAT
from potstill.synthetic import Replay, SyntheticSet
from tests.forks import forked

in_one_folder = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
NAMES = ("cat", "Straße", 'a "quoted", name')
METADATA = {
    "format": FORMAT,
    "class_names": json.dumps(NAMES),
    "mean": "[0.5, 0.25]",
    "std": "[0.2, 0.3]",
    "provenance": "{}",
}


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def whitening(dimension: int) -> Whitening:
    matrix = torch.eye(dimension) + 0.1 * torch.rand(dimension, dimension, generator=generator())
    return Whitening(matrix, torch.rand(dimension, generator=generator(1)))


def synthetic_set(*, soft: bool = False, step_size: float | None = None, whitened: bool = False) -> SyntheticSet:
    """Two images (2, 3, 4) of each of three classes."""
    labels = torch.arange(3).repeat_interleave(2)
    return SyntheticSet(
        images=torch.randn(6, 2, 3, 4, generator=generator()),
        labels=torch.rand(6, 3, generator=generator()).softmax(1) if soft else labels,
        class_names=NAMES,
        mean=(0.5, 0.25),
        std=(0.2, 0.3),
        step_size=None if step_size is None else torch.tensor(step_size),
        whitening=whitening(24) if whitened else None,
        provenance={"method": "dm", "ipc": 2, "options": {"rate": 0.1, "note": None}},
    )


def real_images(labels: list[int], *, whitened: bool = False) -> LabeledImages:
    images = torch.randint(0, 256, (len(labels), 2, 3, 4), dtype=torch.uint8, generator=generator())
    transform = whitening(24) if whitened else None
    return LabeledImages(images, torch.tensor(labels), NAMES, (0.5, 0.25), (0.2, 0.3), transform)


def good_tensors() -> dict[str, Tensor]:
    return {"images": torch.zeros(3, 2, 3, 4), "labels": torch.arange(3)}


def assert_equal(one: SyntheticSet, other: SyntheticSet) -> None:
    first, second = one.tensors(), other.tensors()
    assert first.keys() == second.keys()
    for name, tensor in first.items():
        assert tensor.dtype == second[name].dtype
        assert torch.equal(tensor, second[name])
    described = ("class_names", "mean", "std", "provenance")
    assert [getattr(one, name) for name in described] == [getattr(other, name) for name in described]


# What a set says of itself


def test_describes_itself():
    synthetic = synthetic_set()
    assert (len(synthetic), synthetic.shape, synthetic.class_count) == (6, (2, 3, 4), 3)
    assert not synthetic.has_soft_labels
    assert torch.equal(synthetic.hard_labels, synthetic.labels)


def test_the_hard_label_of_soft_ones_is_the_most_probable():
    labels = torch.tensor([[0.1, 0.7, 0.2], [0.5, 0.2, 0.3]])
    synthetic = replace(synthetic_set(), images=torch.zeros(2, 2, 3, 4), labels=labels)
    assert synthetic.has_soft_labels
    assert synthetic.hard_labels.tolist() == [1, 0]


def test_soft_labels_and_the_step_size_are_not_free():
    images = 6 * 24 * 4
    assert synthetic_set().size_bytes == images + 6 * 8
    assert synthetic_set(soft=True, step_size=0.1).size_bytes == images + 6 * 3 * 4 + 4


def test_pixels_undo_the_normalisation_and_stay_in_range():
    synthetic = replace(synthetic_set(), images=10 * synthetic_set().images)
    pixels = synthetic.pixels()
    assert pixels.dtype == torch.float32
    for c in range(2):
        expected = synthetic.images[:, c] * synthetic.std[c] + synthetic.mean[c]
        torch.testing.assert_close(pixels[:, c], expected.clamp(0, 1))
    assert pixels.min() == 0
    assert pixels.max() == 1


@pytest.mark.parametrize("whitened", [False, True])
def test_pixels_of_real_images_are_those_of_the_real_images(whitened: bool):
    real = real_images([0, 1, 2], whitened=whitened)
    pixels = SyntheticSet.from_indices(real, torch.arange(3)).pixels()
    torch.testing.assert_close(pixels, real.images / 255, rtol=0, atol=1e-4)


# Starts


@in_one_folder
@given(labels=st.permutations([0, 0, 1, 1, 1, 2]), chosen=st.permutations(range(6)), count=st.integers(1, 6))
def test_real_images_come_in_order_of_class_each_with_its_label(labels: list[int], chosen: list[int], count: int):
    real = real_images(labels)
    synthetic = SyntheticSet.from_indices(real, torch.tensor(chosen[:count]))
    expected = sorted(chosen[:count], key=lambda index: labels[index])
    assert synthetic.labels.tolist() == [labels[index] for index in expected]
    assert torch.equal(synthetic.images, real.normalised(torch.tensor(expected)))
    assert (synthetic.class_names, synthetic.mean, synthetic.std) == (real.class_names, real.mean, real.std)


@pytest.mark.parametrize("images_per_class", [1, 7])
def test_noise_is_standard_normal_and_balanced(images_per_class: int):
    synthetic = SyntheticSet.from_noise(real_images([0, 1, 2, 2]), images_per_class, generator())
    assert synthetic.images.shape == (3 * images_per_class, 2, 3, 4)
    assert synthetic.images.dtype == torch.float32
    assert synthetic.labels.tolist() == sorted([0, 1, 2] * images_per_class)
    size = synthetic.images.numel()
    assert abs(synthetic.images.mean()) < 4 / size**0.5
    assert abs(synthetic.images.std() - 1) < 4 / (2 * size) ** 0.5


def test_noise_is_a_function_of_the_generator():
    real = real_images([0, 1, 2])
    state = torch.get_rng_state()
    first, again, other = (SyntheticSet.from_noise(real, 2, generator(seed)) for seed in (1, 1, 2))
    assert torch.equal(first.images, again.images)
    assert not torch.equal(first.images, other.images)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("start", ["noise", "real", "images"])
def test_a_start_keeps_the_whitening_of_the_real_images(start: str):
    real = real_images([0, 1, 2], whitened=True)
    if start == "noise":
        synthetic = SyntheticSet.from_noise(real, 1, generator())
    elif start == "images":
        synthetic = SyntheticSet.from_images(real, torch.zeros(3, 2, 3, 4), torch.eye(3))
        assert synthetic.has_soft_labels
    else:
        synthetic = SyntheticSet.from_indices(real, torch.arange(3))
    assert synthetic.whitening is not None
    assert real.whitening is not None
    assert synthetic.whitening.matrix.equal(real.whitening.matrix)
    assert synthetic.whitening.mean.equal(real.whitening.mean)


# Files


@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("step_size", [None, 0.02])
@pytest.mark.parametrize("whitened", [False, True])
def test_what_is_saved_is_loaded(soft: bool, step_size: float | None, whitened: bool, tmp_path: Path):
    synthetic = synthetic_set(soft=soft, step_size=step_size, whitened=whitened)
    synthetic.save(tmp_path / "new" / "set.safetensors")
    loaded = SyntheticSet.load(str(tmp_path / "new" / "set.safetensors"))
    assert_equal(loaded, synthetic)
    assert loaded.fingerprint() == synthetic.fingerprint()


@in_one_folder
@given(
    names=st.lists(st.text(max_size=4), min_size=2, max_size=4),
    shape=st.tuples(st.integers(1, 4), st.integers(1, 4), st.integers(1, 4)),
    per_class=st.integers(1, 3),
    numbers=st.lists(st.floats(1e-6, 1e6), min_size=8, max_size=8),
    provenance=st.dictionaries(st.text(max_size=4), st.integers() | st.text(max_size=4) | st.none(), max_size=3),
)
def test_any_shape_and_any_name_come_back(
    tmp_path: Path,
    names: list[str],
    shape: tuple[int, int, int],
    per_class: int,
    numbers: list[float],
    provenance: dict[str, Any],
):
    labels = torch.arange(len(names)).repeat_interleave(per_class)
    synthetic = SyntheticSet(
        images=torch.randn(len(labels), *shape, generator=generator()),
        labels=labels,
        class_names=tuple(names),
        mean=tuple(numbers[: shape[0]]),
        std=tuple(numbers[4 : 4 + shape[0]]),
        provenance=provenance,
    )
    synthetic.save(tmp_path / "set")
    assert_equal(SyntheticSet.load(tmp_path / "set"), synthetic)


def test_a_set_under_gradient_and_in_strides_is_saved_as_plain_numbers(tmp_path: Path):
    images = torch.randn(6, 3, 4, 2, generator=generator()).permute(0, 3, 1, 2).requires_grad_()
    replace(synthetic_set(), images=images).save(tmp_path / "set")
    loaded = SyntheticSet.load(tmp_path / "set")
    assert torch.equal(loaded.images, images)
    assert not loaded.images.requires_grad


def test_any_reader_of_safetensors_can_read_it(tmp_path: Path):
    synthetic = synthetic_set(step_size=0.5)
    synthetic.save(tmp_path / "set")
    with safe_open(tmp_path / "set", framework="pt") as archive:
        assert sorted(archive.keys()) == ["images", "labels", "step_size"]
        metadata = archive.metadata()
    assert metadata["format"] == "potstill.synthetic/1"
    assert json.loads(metadata["class_names"]) == list(NAMES)
    assert json.loads(metadata["mean"]) == [0.5, 0.25]
    assert json.loads(metadata["std"]) == [0.2, 0.3]
    assert json.loads(metadata["provenance"]) == synthetic.provenance
    size = int.from_bytes((tmp_path / "set").read_bytes()[:8], "little")
    assert size % 8 == 0  # readers map the tensors that follow, and expect them aligned


def test_equal_sets_are_equal_files(tmp_path: Path):
    contents = set()
    for _ in range(20):
        synthetic_set(soft=True, step_size=0.1, whitened=True).save(tmp_path / "set")
        contents.add((tmp_path / "set").read_bytes())
    assert len(contents) == 1


@pytest.mark.slow
def test_another_process_writes_the_same_file(tmp_path: Path):
    program = (
        "import sys, torch; from potstill.synthetic import SyntheticSet; SyntheticSet(images=torch.zeros(2, 1, 2, 2),"
        "labels=torch.arange(2), class_names=('a', 'b'), mean=(0.5,), std=(0.5,)).save(sys.argv[1])"
    )
    with forked("-c", program, str(tmp_path / "theirs"), folder=tmp_path / "said") as process:
        assert process.wait(60) == 0
    ours = SyntheticSet.load(tmp_path / "theirs")
    ours.save(tmp_path / "ours")
    assert (tmp_path / "ours").read_bytes() == (tmp_path / "theirs").read_bytes()


@pytest.mark.parametrize("changed", ["images", "labels", "step_size", "whitening"])
def test_the_fingerprint_is_of_every_tensor_and_of_nothing_else(changed: str):
    synthetic = synthetic_set(step_size=0.1, whitened=True)
    other = {
        "images": synthetic.images + 1,
        "labels": synthetic.labels.flip(0),
        "step_size": torch.tensor(0.2),
        "whitening": None,
    }
    assert replace(synthetic, provenance={}).fingerprint() == synthetic.fingerprint()
    assert replace(synthetic, **{changed: other[changed]}).fingerprint() != synthetic.fingerprint()


RATES = torch.tensor([0.1, 0.2])
FIXED = InitialWeights("fixed", seed=3)
PRETRAINED = InitialWeights("experts", sha256="ab" * 32)


@pytest.mark.parametrize(
    ("one", "another"),
    [
        (Replay(rates=RATES, batches=1, initial=FIXED), Replay(rates=RATES, batches=2, initial=FIXED)),
        *(
            (Replay(rates=RATES, batches=1, initial=one), Replay(rates=RATES, batches=1, initial=another))
            for one, another in [
                (FIXED, InitialWeights()),
                (FIXED, replace(FIXED, seed=4)),
                (FIXED, replace(FIXED, scheme="xavier")),
                (PRETRAINED, replace(PRETRAINED, sha256="cd" * 32)),
            ]
        ),
    ],
    ids=["batches", "source", "seed", "scheme", "weights"],
)
def test_sets_with_the_same_tensors_but_different_steps_are_told_apart(one: Replay, another: Replay, tmp_path: Path):
    first, second = (replace(synthetic_set(), replay=replay) for replay in (one, another))
    assert first.fingerprint() != second.fingerprint()
    first.save(tmp_path / "set")
    assert SyntheticSet.load(tmp_path / "set").fingerprint() == first.fingerprint()
    assert read_images(tmp_path / "set").tensors_sha256 == first.fingerprint()


@pytest.mark.parametrize(
    ("one", "another"),
    [(PRETRAINED, replace(PRETRAINED, source="moved", seed=7)), (InitialWeights(), InitialWeights(seed=7))],
    ids=["where the weights are", "the seed of nothing"],
)
def test_what_changes_no_step_changes_no_fingerprint(one: InitialWeights, another: InitialWeights):
    first, second = (
        replace(synthetic_set(), replay=Replay(rates=RATES, batches=1, initial=initial)) for initial in (one, another)
    )
    assert first.fingerprint() == second.fingerprint()


def test_an_older_file_keeps_its_fingerprint_and_its_bytes(tmp_path: Path):
    older = replace(synthetic_set(), replay=Replay(rates=RATES, batches=2, initial=FIXED, hashed=False))
    older.save(tmp_path / "set")
    assert json.loads(read_header(tmp_path / "set")[1]["replay"]) == {"batches": 2, "initial": FIXED.to_json()}
    loaded = SyntheticSet.load(tmp_path / "set")
    assert loaded.fingerprint() == sha256(pack(loaded.tensors(), {})) == older.fingerprint()
    loaded.save(tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == (tmp_path / "set").read_bytes()


def test_a_set_that_cannot_be_written_leaves_the_old_one(tmp_path: Path):
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(UserError, match=r"cannot write .*set\.safetensors"):
        synthetic_set().save(tmp_path / "file" / "set.safetensors")


# What a file that cannot be used is told


def assert_unusable(path: Path, problem: str) -> None:
    with pytest.raises(UserError) as caught:
        SyntheticSet.load(path)
    assert caught.value.problem.startswith(f"{path} is not a usable synthetic set: ")
    assert problem in caught.value.problem
    assert caught.value.remedy == "distil it again with potstill distill"
    assert "\n" not in str(caught.value)


def test_an_absent_file_is_named(tmp_path: Path):
    with pytest.raises(UserError, match=r"gone does not exist; name the folder of a run, or a synthetic\.safetensors"):
        SyntheticSet.load(tmp_path / "gone")


def test_a_folder_is_no_set(tmp_path: Path):
    with pytest.raises(UserError, match=r"is a folder, not .*; name the file in it, .*synthetic\.safetensors"):
        SyntheticSet.load(tmp_path)


def test_a_file_cut_off_anywhere_is_refused(tmp_path: Path):
    synthetic_set().save(tmp_path / "whole")
    whole, part = (tmp_path / "whole").read_bytes(), tmp_path / "part"
    for length in {*range(20), *range(20, len(whole), 97), len(whole) - 1}:
        part.write_bytes(whole[:length])
        assert_unusable(part, "truncated or not safetensors")


def test_other_kinds_of_file_are_refused(tmp_path: Path):
    (tmp_path / "set.txt").write_text("images: none")
    assert_unusable(tmp_path / "set.txt", "truncated or not safetensors")


@pytest.mark.parametrize("options", [{}, {"_use_new_zipfile_serialization": False}])
def test_a_pickle_is_named_and_not_read(options: dict[str, bool], tmp_path: Path):
    torch.save({"images": torch.zeros(2, 1, 2, 2)}, tmp_path / "set.pt", **options)
    words = r"set\.pt is a PyTorch pickle, which is not read: .*; read its tensors alone with: potstill import"
    with pytest.raises(UserError, match=words):
        SyntheticSet.load(tmp_path / "set.pt")


@in_one_folder
@given(st.binary(max_size=64))
def test_any_bytes_are_refused_politely(tmp_path: Path, content: bytes):
    (tmp_path / "noise").write_bytes(content)
    with pytest.raises(UserError, match=r"not safetensors|a PyTorch pickle"):
        SyntheticSet.load(tmp_path / "noise")


@in_one_folder
@given(place=st.floats(0, 1, exclude_max=True), value=st.integers(0, 255))
def test_a_changed_byte_is_loaded_or_refused_politely(tmp_path: Path, place: float, value: int):
    synthetic_set(step_size=0.1).save(tmp_path / "set")
    content = bytearray((tmp_path / "set").read_bytes())
    content[int(place * len(content))] = value
    (tmp_path / "set").write_bytes(content)
    try:
        loaded = SyntheticSet.load(tmp_path / "set")
    except UserError:
        return
    assert loaded.images.isfinite().all()
    assert loaded.pixels().shape == loaded.images.shape


@pytest.mark.parametrize(
    ("tensors", "problem"),
    [
        ({"images": torch.zeros(3, 3, 4)}, "images are float32 (3, 3, 4), not float32 (N, C, H, W)"),
        ({"images": torch.zeros(3, 2, 3, 4).double()}, "images are float64 (3, 2, 3, 4), not float32"),
        ({"images": torch.zeros(0, 2, 3, 4), "labels": torch.arange(0)}, "images are float32 (0, 2, 3, 4)"),
        ({"images": torch.zeros(3, 2, 0, 4)}, "images are float32 (3, 2, 0, 4)"),
        ({"images": torch.full((3, 2, 3, 4), torch.nan)}, "images contain values that are not finite"),
        ({"images": torch.full((3, 2, 3, 4), torch.inf)}, "images contain values that are not finite"),
        ({"images": torch.zeros(3, 1, 3, 4)}, "mean and std do not have 1 channels"),
        ({"labels": torch.arange(2)}, "labels (2,) for 3 images"),
        ({"labels": torch.tensor(1)}, "labels () for 3 images"),
        ({"labels": torch.tensor([0, 1, 3])}, "labels outside 0..2"),
        ({"labels": torch.tensor([0, -1, 2])}, "labels outside 0..2"),
        ({"labels": torch.zeros(3)}, "labels are float32 (3,), not int64 (N,) or float32 (N, 3)"),
        ({"labels": torch.zeros(3, dtype=torch.int32)}, "labels are int32 (3,)"),
        ({"labels": torch.zeros(3, 2)}, "labels are float32 (3, 2), not int64 (N,) or float32 (N, 3)"),
        ({"labels": torch.full((3, 3), torch.nan)}, "soft labels are not probabilities"),
        ({"labels": torch.full((3, 3), 0.5)}, "soft labels are not probabilities"),
        ({"labels": torch.tensor([[1.5, -0.5, 0.0]]).expand(3, 3).contiguous()}, "soft labels are not probabilities"),
        ({"step_size": torch.tensor(0.0)}, "the step size is not one positive number"),
        ({"step_size": torch.tensor(torch.nan)}, "the step size is not one positive number"),
        ({"step_size": torch.ones(2)}, "the step size is not one positive number"),
        ({"whitening.matrix": torch.eye(5), "whitening.mean": torch.zeros(5)}, "the whitening does not have the size"),
        ({"whitening.matrix": torch.eye(5), "whitening.mean": torch.zeros(24)}, "the whitening does not have the size"),
        ({"whitening.matrix": torch.eye(24)}, "the whitening does not have the size"),
        (
            {"whitening.matrix": torch.full((24, 24), torch.nan), "whitening.mean": torch.zeros(24)},
            "the whitening contain",
        ),
        ({"replay.rates": torch.ones(3)}, "the rates of the replay or its description is missing"),
    ],
)
def test_tensors_that_do_not_fit_together_are_refused(tensors: dict[str, Tensor], problem: str, tmp_path: Path):
    save_file({**good_tensors(), **tensors}, tmp_path / "set", METADATA)
    assert_unusable(tmp_path / "set", problem)


def test_the_tensors_that_these_tests_damage_are_good(tmp_path: Path):
    save_file(good_tensors(), tmp_path / "set", METADATA)
    assert len(SyntheticSet.load(tmp_path / "set")) == 3


@pytest.mark.parametrize("missing", ["images", "labels"])
def test_a_missing_tensor_is_named(missing: str, tmp_path: Path):
    tensors = {name: tensor for name, tensor in good_tensors().items() if name != missing}
    save_file(tensors, tmp_path / "set", METADATA)
    assert_unusable(tmp_path / "set", f"it has no {missing}")


@pytest.mark.parametrize(
    ("metadata", "problem"),
    [
        ({"class_names": "[]"}, "no classes"),
        ({"mean": "[0.5]"}, "mean and std do not have 2 channels"),
        ({"std": "[0.5, 0.5, 0.5]"}, "mean and std do not have 2 channels"),
        ({"std": "[0.2, 0]"}, "mean and std are not those of pixels in [0, 1]"),
        ({"mean": "[1e300, 0]"}, "mean and std are not those of pixels in [0, 1]"),
    ],
)
def test_metadata_that_do_not_fit_are_refused(metadata: dict[str, str], problem: str, tmp_path: Path):
    save_file(good_tensors(), tmp_path / "set", {**METADATA, **metadata})
    assert_unusable(tmp_path / "set", problem)


@pytest.mark.parametrize(
    ("metadata", "problem"),
    [
        ({"class_names": "cat, dog"}, "class_names is not valid JSON"),
        ({"class_names": "3"}, "class_names is not a list"),
        ({"class_names": "[1, 2, 3]"}, r"class_names\[0\] is not text"),
        ({"mean": '["grey", "white"]'}, r"mean\[0\] is not a number"),
        ({"mean": "[NaN, 0.5]"}, "NaN is not a JSON number"),
        ({"mean": f"[0.5, {'1' * 400}]"}, "a whole number has 400 digits"),
        ({"std": "[0.2, Infinity]"}, "Infinity is not a JSON number"),
        ({"provenance": "7"}, "provenance is not an object"),
        ({"provenance": "[" * 100_000}, "provenance is not valid JSON: it is nested more than 64 levels deep"),
        ({"provenance": '{"dataset": 3}'}, r"provenance\.dataset is not text"),
        ({"provenance": '{"image_size": -3}'}, r"provenance\.image_size is not a whole number of at least 1"),
        ({"replay": '{"batches": 0, "initial": {}}'}, r"replay\.batches is not"),
        (
            {"replay": '{"batches": 1, "initial": {"source": "random", "scheme": "x"}}'},
            r"initial\.scheme is not one of",
        ),
    ],
)
def test_damaged_metadata_are_named(metadata: dict[str, str], problem: str, tmp_path: Path):
    save_file(good_tensors(), tmp_path / "set", {**METADATA, **metadata})
    with pytest.raises(UserError, match=rf"synthetic set: .*{problem}.*; distil it again"):
        SyntheticSet.load(tmp_path / "set")


@pytest.mark.parametrize("missing", ["class_names", "mean", "std", "provenance"])
def test_missing_metadata_are_named(missing: str, tmp_path: Path):
    save_file(good_tensors(), tmp_path / "set", {name: text for name, text in METADATA.items() if name != missing})
    with pytest.raises(UserError, match=rf"synthetic set: {missing} is missing; distil it again"):
        SyntheticSet.load(tmp_path / "set")


def test_a_whitening_without_inverse_shows_no_pixels():
    synthetic = replace(synthetic_set(), whitening=Whitening(torch.zeros(24, 24), torch.zeros(24)))
    with pytest.raises(UserError, match="cannot be inverted"):
        synthetic.pixels()


def test_safetensors_of_another_kind_are_refused(tmp_path: Path):
    save_file({"weight": torch.zeros(2)}, tmp_path / "set")
    with pytest.raises(UserError, match=r"format is 'not given'; name a set .* format 'potstill\.synthetic/1'"):
        SyntheticSet.load(tmp_path / "set")


# Training on it


@pytest.mark.parametrize("soft", [False, True])
def test_any_training_loop_can_use_it(soft: bool):
    synthetic = synthetic_set(soft=soft)
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(24, 3))
    for parameter in network.parameters():
        torch.nn.init.zeros_(parameter)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.3)
    losses = []
    for epoch in range(15):
        loader = DataLoader(synthetic.as_dataset(), batch_size=4, shuffle=True, generator=generator(epoch))
        for images, labels in loader:
            loss = torch.nn.functional.cross_entropy(network(images), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    assert sum(losses[-4:]) < sum(losses[:4])
    if not soft:
        assert torch.equal(network(synthetic.images).argmax(1), synthetic.labels)


def test_a_dataset_has_the_images_with_their_labels():
    synthetic = synthetic_set()
    dataset = synthetic.as_dataset()
    assert len(dataset) == 6
    for index in range(6):
        image, label = dataset[index]
        assert torch.equal(image, synthetic.images[index])
        assert label == synthetic.labels[index]


@pytest.fixture
def without_torchvision(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where that is imported, ``datasets`` before version 5 looks in it for what newer ones have no longer."""
    monkeypatch.delitem(sys.modules, "torchvision", raising=False)


@pytest.mark.usefixtures("without_torchvision")
@pytest.mark.parametrize("soft", [False, True])
def test_a_dataset_of_the_hubs_library_has_the_exact_images(soft: bool):
    given = synthetic_set(soft=soft)
    table = given.as_hf_dataset()
    assert table.features["label"].names == list(given.class_names)
    assert torch.equal(torch.stack(list(table["pixel_values"])), given.images)
    assert torch.equal(torch.stack(list(table["label"])), given.hard_labels)
    assert ("soft_label" in table.column_names) == soft
    if soft:
        assert torch.equal(torch.stack(list(table["soft_label"])), given.labels)


@pytest.mark.usefixtures("without_torchvision")
def test_a_dataset_of_the_hubs_library_has_vectors_and_all_pictures():
    vectors = SyntheticSet(
        images=torch.randn(4, 3, 1, 1),
        labels=torch.arange(4) % 2,
        class_names=("a", "b"),
        mean=(0.0,) * 3,
        std=(1.0,) * 3,
    )
    assert torch.equal(torch.stack(list(vectors.as_hf_dataset()["vector"])), vectors.images.flatten(1))
    formed = SyntheticSet(
        images=torch.randn(2, 1, 8, 8),
        labels=torch.arange(2),
        class_names=("a", "b"),
        mean=(0.0,),
        std=(1.0,),
        formation=2,
    )
    assert torch.equal(torch.stack(list(formed.as_hf_dataset()["pixel_values"])), formed.decoded().images)


@pytest.mark.parametrize("soft", [False, True])
def test_a_set_is_shown_in_one_line_and_is_indexed_like_a_list(soft: bool):
    given = synthetic_set(soft=soft)
    labels = "soft" if soft else "hard"
    assert repr(given) == f"SyntheticSet({len(given)} images of 2×3×4 pixels, 3 classes, {labels} labels)"
    image, label = given[-1]
    assert image.equal(given.images[-1])
    assert label.equal(given.labels[-1])
    images, labels = given[1:3]
    assert images.equal(given.images[1:3])
    assert labels.equal(given.labels[1:3])
    with pytest.raises(IndexError):
        given[len(given)]
    assert [label.tolist() for _, label in (given[place] for place in range(len(given)))] == given.labels.tolist()


@pytest.mark.parametrize("second", [2, 3, 4, 5])
def test_a_cut_set_whose_first_bytes_are_those_of_a_pickle_is_no_pickle(second: int, tmp_path: Path):
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(bytes([0x80, second, 0, 0, 0, 0, 0, 0]) + b'{"__metadata__":')
    with pytest.raises(UserError, match=r"cut\.safetensors is .*truncated or not safetensors"):
        SyntheticSet.load(cut)


def test_a_set_whose_first_bytes_are_those_of_a_pickle_is_read(tmp_path: Path):
    given, path = synthetic_set(), tmp_path / "set"
    for padding in range(3000):
        given = replace(given, provenance={"padding": "x" * padding})
        given.save(path)
        if path.read_bytes()[:2] == b"\x80\x04":
            break
    assert path.read_bytes()[:2] == b"\x80\x04"
    assert SyntheticSet.load(path).provenance == given.provenance
