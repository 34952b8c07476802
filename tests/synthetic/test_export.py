"""Exports: what other programs read is the set, and a failed export leaves nothing."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from potstill.data import Whitening, load_dataset
from potstill.networks import InitialWeights
from potstill.runtime.errors import UserError
from potstill.synthetic import Replay, SyntheticSet
from potstill.synthetic.export import export, folder_names


def synthetic_set(
    *, channels: int = 3, soft: bool = False, whitened: bool = False, names: tuple[str, ...] = ("ant", "bee", "cat")
) -> SyntheticSet:
    """Four images (channels, 4, 6) of each class, some of whose pixels are beyond black and white."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(len(names)).repeat_interleave(4)
    size = channels * 24
    soft_labels = (
        3 * torch.eye(len(names))[labels] + torch.rand(len(labels), len(names), generator=generator)
    ).softmax(1)
    return SyntheticSet(
        images=torch.randn(len(labels), channels, 4, 6, generator=generator),
        labels=soft_labels if soft else labels,
        class_names=names,
        mean=(0.5, 0.4, 0.3, 0.6)[:channels],
        std=(0.3, 0.25, 0.2, 0.4)[:channels],
        step_size=torch.tensor(0.02),
        whitening=Whitening(2 * torch.eye(size), torch.ones(size)) if whitened else None,
        provenance={"method": "datadam", "iterations": 600},
    )


def rounded(synthetic: SyntheticSet) -> torch.Tensor:
    """The pixels that a file of bytes should hold: uint8 (N, C, H, W)."""
    return torch.floor(synthetic.pixels() * 255 + 0.5).to(torch.uint8)


def decoded(image: Image.Image) -> torch.Tensor:
    pixels = torch.from_numpy(np.array(image))
    return pixels[None] if pixels.dim() == 2 else pixels.permute(2, 0, 1)


# Folders of images


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_image_files_hold_the_pixels(channels: int, tmp_path: Path):
    synthetic = synthetic_set(channels=channels)
    folder = export(synthetic, tmp_path / "images", "imagefolder")
    files = sorted(folder.rglob("*.png"))
    assert [file.relative_to(folder).as_posix() for file in files] == [
        f"{name}/{index:05}.png" for index, name in enumerate(n for n in synthetic.class_names for _ in range(4))
    ]
    for file, pixels in zip(files, rounded(synthetic), strict=True):
        with Image.open(file) as image:
            assert image.format == "PNG"
            assert torch.equal(decoded(image), pixels)


@pytest.mark.parametrize("soft", [False, True])
def test_an_image_folder_is_a_dataset_of_ours(soft: bool, tmp_path: Path):
    synthetic = synthetic_set(soft=soft)
    folder = export(synthetic, tmp_path / "images", "imagefolder")
    loaded = load_dataset(str(folder), validation_fraction=0, cache=None)
    assert loaded.class_names == synthetic.class_names
    found = [*loaded.train.images, *loaded.test.images]
    labels = [*loaded.train.labels.tolist(), *loaded.test.labels.tolist()]
    expected = zip(rounded(synthetic), synthetic.hard_labels.tolist(), strict=True)
    assert {(image.numpy().tobytes(), label) for image, label in zip(found, labels, strict=True)} == {
        (image.numpy().tobytes(), label) for image, label in expected
    }


def test_an_image_folder_is_read_by_hugging_face(tmp_path: Path):
    synthetic = synthetic_set(soft=True, names=("nine", "ten", "eleven"))
    folder = export(synthetic, tmp_path / "images", "imagefolder")
    read: Any = datasets.load_dataset(
        "imagefolder", data_dir=str(folder), cache_dir=str(tmp_path / "cache"), split="train"
    )
    assert read.features["label"].names == ["0_nine", "1_ten", "2_eleven"]
    assert read["label"] == synthetic.hard_labels.tolist()
    assert torch.equal(torch.stack([decoded(row["image"]) for row in read]), rounded(synthetic))


def test_soft_labels_lie_beside_the_images_exactly(tmp_path: Path):
    synthetic = synthetic_set(soft=True)
    folder = export(synthetic, tmp_path / "images", "imagefolder")
    labels = json.loads((folder / "labels.json").read_text(encoding="utf-8"))
    assert labels["class_names"] == list(synthetic.class_names)
    assert sorted(labels["probabilities"]) == sorted(
        file.relative_to(folder).as_posix() for file in folder.rglob("*.png")
    )
    for file, probabilities in labels["probabilities"].items():
        index = int(Path(file).stem)
        assert torch.equal(torch.tensor(probabilities), synthetic.labels[index])


def test_hard_labels_need_no_file(tmp_path: Path):
    folder = export(synthetic_set(), tmp_path / "images", "imagefolder")
    assert sorted(path.name for path in folder.iterdir()) == ["README.md", "ant", "bee", "cat"]


names = st.lists(
    st.text(max_size=70) | st.sampled_from(["../up", "a/b", "A", "a", ".", "", " x ", "10", "9"]), max_size=12
)


@given(names)
def test_folder_names_are_safe_distinct_and_in_order(class_names: list[str]):
    folders = folder_names(class_names)
    assert len(folders) == len(class_names)
    assert folders == sorted(folders)
    assert len({folder.casefold() for folder in folders}) == len(folders)
    for folder in folders:
        assert folder == folder.strip(" .") != ""
        assert not set(folder) & set('/\\:*?"<>|\0\n\t')
        assert len(os.fsencode(folder)) <= 255


@pytest.mark.parametrize(
    ("class_names", "folders"),
    [
        (["airplane", "automobile", "bird"], ["airplane", "automobile", "bird"]),
        (["HP", "SSA"], ["HP", "SSA"]),
        (["English springer", "Straße"], ["English springer", "Straße"]),
        ([str(digit) for digit in range(10)], [str(digit) for digit in range(10)]),
        (["tench", "ape"], ["0_tench", "1_ape"]),
        (["Cat", "cat"], ["0_Cat", "1_cat"]),
        (["a/b", "a:b"], ["0_a_b", "1_a_b"]),
        (["..", "b"], ["0_class", "1_b"]),
    ],
)
def test_folders_are_called_by_their_classes_where_that_keeps_the_order(class_names: list[str], folders: list[str]):
    assert folder_names(class_names) == folders


def test_many_numbered_classes_stay_in_order():
    folders = folder_names([str(number) for number in range(11)])
    assert folders[:3] == ["00_0", "01_1", "02_2"]
    assert folders == sorted(folders)


# Parquet


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("soft", [False, True])
def test_parquet_is_read_by_hugging_face(channels: int, soft: bool, tmp_path: Path):
    synthetic = synthetic_set(channels=channels, soft=soft)
    folder = export(synthetic, tmp_path / "parquet", "parquet")
    read: Any = datasets.load_dataset("parquet", data_dir=str(folder), cache_dir=str(tmp_path / "cache"), split="train")
    assert isinstance(read.features["image"], datasets.Image)
    assert read.features["label"].names == list(synthetic.class_names)
    assert read["label"] == synthetic.hard_labels.tolist()
    assert torch.equal(torch.stack([decoded(row["image"]) for row in read]), rounded(synthetic))
    assert ("soft_label" in read.features) is soft
    if soft:
        assert torch.equal(torch.tensor(read["soft_label"][:]), synthetic.labels)


@pytest.mark.parametrize("soft", [False, True])
def test_parquet_is_a_dataset_of_ours(soft: bool, tmp_path: Path):
    synthetic = synthetic_set(soft=soft)
    folder = export(synthetic, tmp_path / "parquet", "parquet")
    loaded = load_dataset(str(folder), validation_fraction=0, cache=None)
    assert loaded.class_names == synthetic.class_names
    found = torch.cat([loaded.train.images, loaded.test.images])
    assert sorted(image.numpy().tobytes() for image in found) == sorted(
        image.numpy().tobytes() for image in rounded(synthetic)
    )


def test_parquet_is_written_silently(tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    export(synthetic_set(), tmp_path / "parquet", "parquet")
    assert capfd.readouterr() == ("", "")


# Archives


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_npz_is_laid_out_as_medmnist(channels: int, tmp_path: Path):
    synthetic = synthetic_set(channels=channels)
    file = export(synthetic, tmp_path / "set.npz", "npz")
    with np.load(file, allow_pickle=False) as archive:
        images, labels = archive["train_images"], archive["train_labels"]
    assert images.dtype == np.uint8
    assert images.shape == ((12, 4, 6) if channels == 1 else (12, 4, 6, channels))
    assert np.array_equal(images.reshape(12, 4, 6, channels), rounded(synthetic).permute(0, 2, 3, 1).numpy())
    assert labels.tolist() == synthetic.labels[:, None].tolist()
    loaded = load_dataset(str(file), validation_fraction=0, cache=None)
    assert len(loaded.train) + len(loaded.test) == 12
    assert loaded.shape == synthetic.shape


def test_npz_keeps_every_bit(tmp_path: Path):
    synthetic = synthetic_set(soft=True, whitened=True)
    assert synthetic.whitening is not None
    with np.load(export(synthetic, str(tmp_path / "set.npz"), "npz"), allow_pickle=False) as archive:
        kept = {name: archive[name] for name in archive.files}
    exact = {
        "images_normalised": synthetic.images,
        "soft_labels": synthetic.labels,
        "step_size": torch.tensor(0.02),
        "whitening_matrix": synthetic.whitening.matrix,
        "whitening_mean": synthetic.whitening.mean,
    }
    for name, tensor in exact.items():
        assert kept[name].dtype == np.float32
        assert np.array_equal(kept[name], tensor.numpy())
    assert tuple(kept["mean"].tolist()) == synthetic.mean
    assert tuple(kept["std"].tolist()) == synthetic.std
    assert tuple(kept["class_names"].tolist()) == synthetic.class_names
    assert kept["train_labels"][:, 0].tolist() == synthetic.hard_labels.tolist()


def test_npz_keeps_learned_steps(tmp_path: Path):
    replayed = Replay(rates=torch.tensor([0.1, 0.2]), batches=2, initial=InitialWeights("fixed", seed=3))
    synthetic = replace(synthetic_set(), step_size=None, replay=replayed)
    with np.load(export(synthetic, str(tmp_path / "set.npz"), "npz"), allow_pickle=False) as archive:
        assert archive["replay_rates"].tolist() == replayed.rates.tolist()
        assert json.loads(str(archive["replay"])) == {"batches": 2, "initial": replayed.initial.to_json()}


def test_npz_leaves_out_what_the_set_has_not(tmp_path: Path):
    synthetic = replace(synthetic_set(), step_size=None)
    with np.load(export(synthetic, tmp_path / "set.npz", "npz")) as archive:
        assert sorted(archive.files) == [
            "class_names",
            "images_normalised",
            "mean",
            "std",
            "train_images",
            "train_labels",
        ]


def test_npz_gets_its_suffix(tmp_path: Path):
    assert export(synthetic_set(), tmp_path / "v1.0", "npz") == tmp_path / "v1.0.npz"
    assert [path.name for path in tmp_path.iterdir()] == ["v1.0.npz"]
    with pytest.raises(UserError, match=r"v1\.0\.npz already exists"):
        export(synthetic_set(), tmp_path / "v1.0", "npz")
