"""Datasets of objects in memory: the same as the same images in files, and refused by the same rules."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset, Subset, TensorDataset

from potstill.data import Choices, ImageDataset, dataset_of, load_dataset
from potstill.runtime.errors import UserError
from tests.optional import needed

CLASSES = ("cat", "dog")
SIZES = {"train": 20, "test": 6}


class Folder(Dataset[Any]):
    """What torchvision's ``ImageFolder`` is: files with their classes, opened and changed one by one."""

    def __init__(self, root: Path, transform: Callable[[Image.Image], Any] = lambda image: image) -> None:
        self.classes = sorted(folder.name for folder in root.iterdir())
        self.samples = [(path, n) for n, name in enumerate(self.classes) for path in sorted((root / name).iterdir())]
        self.targets = [label for _, label in self.samples]
        self.transform = transform

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> tuple[Any, int]:
        path, label = self.samples[index]
        return self.transform(Image.open(path)), label


def bytes_tensor(image: Image.Image) -> Tensor:
    """(C, H, W), as ``v2.PILToTensor``."""
    pixels = np.array(image)
    return torch.from_numpy(pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1).copy())


def shares_of_white(image: Image.Image) -> Tensor:
    """(C, H, W), as ``ToTensor``."""
    return bytes_tensor(image).float() / 255


TRANSFORMS = {
    "lazily opened": lambda image: image,
    "loaded": lambda image: image.copy(),
    "bytes": bytes_tensor,
    "shares of white": shares_of_white,
    "halves": lambda image: bytes_tensor(image).double() / 255,
    "arrays": np.array,
}


@pytest.fixture(params=["L", "RGB", "RGBA"])
def folder(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """Class folders of both splits, in one mode."""
    return write_folder(tmp_path / "pets", request.param)


def write_folder(root: Path, mode: str, side: tuple[int, int] = (5, 4)) -> Path:
    generator = np.random.default_rng(len(mode))
    for split, count in SIZES.items():
        for number in range(count):
            path = root / split / CLASSES[number % 2] / f"{number:02}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            bands = len(Image.new(mode, (1, 1)).getbands())
            pixels = generator.integers(0, 256, (*side, bands), dtype=np.uint8)
            Image.fromarray(pixels[..., 0] if bands == 1 else pixels, mode).save(path)
    return root


def same(one: ImageDataset, other: ImageDataset) -> None:
    """Both have the same images in the same splits, and look the same to networks."""
    for name, part in one.splits.items():
        assert torch.equal(part.images, other.splits[name].images)
        assert torch.equal(part.labels, other.splits[name].labels)
    assert (one.class_names, one.mean, one.std) == (other.class_names, other.mean, other.std)
    assert one.fingerprint == other.fingerprint


@pytest.mark.parametrize("transform", TRANSFORMS.values(), ids=TRANSFORMS.keys())
def test_a_dataset_of_pytorch_is_what_its_files_are(folder: Path, transform: Callable[[Image.Image], Any]):
    made = dataset_of(Folder(folder / "train", transform), test=Folder(folder / "test", transform))
    same(made, load_dataset(folder, cache=None))


@pytest.mark.parametrize("mode", ["1", "P", "LA", "CMYK", "I;16", "I", "F"])
def test_every_kind_of_pixel_is_read_as_in_a_file(tmp_path: Path, mode: str):
    """Sixteen bits, palettes and floats take the decisions of files: what white is, and which channels there are."""
    suffix = "tiff" if mode in ("CMYK", "F", "I") else "png"
    for number in range(20):
        path = tmp_path / "pets" / CLASSES[number % 2] / f"{number:02}.{suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        picture(mode, number).save(path)
    from_files = load_dataset(tmp_path / "pets", cache=None)
    same(dataset_of(Folder(tmp_path / "pets")), from_files)
    same(dataset_of(Folder(tmp_path / "pets", lambda image: image.copy())), from_files)


def picture(mode: str, seed: int) -> Image.Image:
    generator = np.random.default_rng(seed)
    if mode in ("I;16", "I"):
        values = generator.integers(0, 65536, (4, 4))
        return Image.fromarray(values.astype(np.uint16 if mode == "I;16" else np.int32))
    if mode == "F":
        return Image.fromarray(generator.random((4, 4)).astype(np.float32))
    coloured = Image.fromarray(generator.integers(0, 256, (4, 4, 3), dtype=np.uint8))
    return coloured.convert("L").convert("LA") if mode == "LA" else coloured.convert(mode)


def test_the_images_of_the_program_stay_as_they_are(tmp_path: Path):
    """They are read without a change to them: to their size and turn, their mode, or what is known of them."""
    turned = Image.Exif()
    turned[0x0112] = 6
    picture("RGB", 0).resize((4, 6)).save(tmp_path / "turned.png", exif=turned)
    held = [Image.open(tmp_path / "turned.png") for _ in range(4)]
    made = dataset_of([(image, number % 2) for number, image in enumerate(held)], test_fraction=0)
    assert made.shape == (3, 4, 6)
    assert all(image.size == (4, 6) and image.getexif()[0x0112] == 6 for image in held)


class Watched(Image.Image):
    """It notes how many threads load it at once."""

    inside, most = 0, 0

    def load(self) -> Any:
        self.inside += 1
        self.most = max(self.most, self.inside)
        time.sleep(0.001)
        self.inside -= 1
        return super().load()


def test_one_image_held_many_times_is_read_by_one_thread_at_a_time():
    """Pillow's images that are opened lazily cannot be loaded by two threads."""
    one = picture("RGB", 0)
    one.__class__ = Watched
    assert isinstance(one, Watched)
    dataset_of([(one, number % 2) for number in range(200)])
    assert one.most == 1


def test_images_are_resized_as_those_of_files(tmp_path: Path):
    folder = write_folder(tmp_path / "pets", "RGB", (9, 7))
    loaded = load_dataset(folder, image_size=5, cache=None)
    for transform in (TRANSFORMS["loaded"], bytes_tensor):
        splits = {split: Folder(folder / split, transform) for split in SIZES}
        same(dataset_of(splits, image_size=5), loaded)


@pytest.mark.parametrize("transform", [bytes_tensor, lambda image: image.copy()], ids=["tensors", "images"])
def test_images_of_several_sizes_need_one(tmp_path: Path, transform: Callable[[Image.Image], Any]):
    write_folder(tmp_path / "pets", "RGB", (9, 7))
    for number, path in enumerate(sorted(tmp_path.rglob("*.png"))):
        Image.open(path).resize((6 + number % 3, 8)).save(path)
    made = dataset_of(Folder(tmp_path / "pets/train", transform), image_size=6)
    same(made, load_dataset(tmp_path / "pets/train", image_size=6, cache=None))
    with pytest.raises(UserError, match=r"images differ in size.*`image_size`"):
        dataset_of(Folder(tmp_path / "pets/train", transform))


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 999),
    channels=st.sampled_from([1, 3, 4]),
    per_class=st.integers(3, 9),
    classes=st.integers(2, 4),
)
def test_arrays_tensors_and_files_are_one_dataset(
    tmp_path_factory: pytest.TempPathFactory, seed: int, channels: int, per_class: int, classes: int
):
    generator = np.random.default_rng(seed)
    labels = np.repeat(np.arange(classes), per_class)
    generator.shuffle(labels)
    images = generator.integers(0, 256, (len(labels), 4, 6, channels), dtype=np.uint8)
    path = tmp_path_factory.mktemp("npz") / "some.npz"
    np.savez(path, images=images, labels=labels)
    expected = load_dataset(path, cache=None)
    tensor = torch.from_numpy(images).permute(0, 3, 1, 2)
    same(dataset_of((images, labels)), expected)
    same(dataset_of((images, labels.tolist())), expected)
    same(dataset_of((tensor, torch.from_numpy(labels))), expected)
    same(dataset_of((tensor.float() / 255, torch.from_numpy(labels))), expected)
    same(dataset_of(TensorDataset(tensor, torch.from_numpy(labels))), expected)
    same(dataset_of((list(tensor), labels)), expected)
    if channels == 1:
        same(dataset_of((images[..., 0], labels)), expected)


@pytest.fixture
def table(folder: Path) -> datasets.DatasetDict:
    """The images of the folder as ``datasets`` opens them."""
    loaded = datasets.load_dataset("imagefolder", data_dir=str(folder), cache_dir=str(folder.parent / "cache"))
    assert isinstance(loaded, datasets.DatasetDict)
    return loaded


def test_datasets_of_the_hubs_library_are_what_their_files_are(folder: Path, table: datasets.DatasetDict):
    """Their images may be files anywhere, as those of ``imagefolder`` are."""
    same(dataset_of(table), load_dataset(folder, cache=None))
    same(dataset_of(table["train"], test=table["test"]), load_dataset(folder, cache=None))


def test_formats_and_transforms_of_a_table_play_no_part(folder: Path, table: datasets.DatasetDict):
    expected = load_dataset(folder, cache=None)
    same(dataset_of(table.with_format("torch")), expected)
    same(dataset_of(table.with_transform(lambda batch: {"image": [0] * len(batch["image"])})), expected)


def test_rows_of_a_table_are_those_of_its_selection(table: datasets.DatasetDict):
    every = dataset_of(table["train"], validation_fraction=0, test_fraction=0)
    few = [19, 0, 3, 12]
    some = dataset_of(table["train"].select(few), validation_fraction=0, test_fraction=0)
    assert torch.equal(some.train.images, every.train.images[torch.tensor(few)])


def test_tables_made_of_images_in_memory(tmp_path: Path):
    images = [picture("RGB", seed) for seed in range(12)]
    features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=["b", "a"])})
    made = datasets.Dataset.from_dict({"image": images, "label": [0, 1] * 6}, features=features)
    assert dataset_of(made).class_names == ("b", "a")
    same(dataset_of(made), dataset_of((images, [0, 1] * 6), class_names=("b", "a")))
    made.to_parquet(tmp_path / "all.parquet")
    same(dataset_of(made), load_dataset(tmp_path / "all.parquet", cache=None))


def test_columns_and_splits_are_chosen_as_in_files(tmp_path: Path):
    images = [picture("RGB", seed) for seed in range(12)]
    made = datasets.Dataset.from_dict(
        {"left": images, "right": images[::-1], "kind": [0, 1] * 6, "fold": list(range(12))}
    )
    with pytest.raises(UserError, match=r"several columns of images: left, right.*`image_column`"):
        dataset_of(made)
    chosen = Choices(image_column="right", label_column="kind", split_map="train=one,test=two")
    same(
        dataset_of({"one": made, "two": made, "three": made}, choices=chosen),
        dataset_of((images[::-1], [0, 1] * 6), test=(images[::-1], [0, 1] * 6)),
    )


def test_vectors(tmp_path: Path):
    generator = np.random.default_rng(0)
    values, labels = generator.normal(size=(30, 7)), np.arange(30) % 3
    np.savez(tmp_path / "some.npz", vectors=values, labels=labels)
    expected = load_dataset(tmp_path / "some.npz")
    same(dataset_of((values, labels)), expected)
    same(dataset_of((torch.from_numpy(values), labels)), expected)
    same(dataset_of(TensorDataset(torch.from_numpy(values), torch.from_numpy(labels))), expected)
    same(dataset_of(datasets.Dataset.from_dict({"embedding": values.tolist(), "label": labels})), expected)


def test_the_account_says_what_was_found(folder: Path):
    made = dataset_of(Folder(folder / "train"), test=Folder(folder / "test"), name="pets", flips=False)
    assert (made.name, made.flips, made.spec) == ("pets", False, "")
    said = made.describe()
    assert "objects in memory" in said
    assert "10% of each class of train, held out" in said
    assert "test of pets" in said


def test_splits_that_are_absent_are_held_out(folder: Path):
    made = dataset_of(Folder(folder / "train"))
    assert [part.class_sizes for part in made.splits.values()] == [(7, 7), (1, 1), (2, 2)]
    published = dataset_of(Folder(folder / "train"), validation=Folder(folder / "test"))
    assert len(published.test) == SIZES["test"]


def test_classes_are_named_by_the_caller_the_dataset_or_their_numbers(folder: Path):
    data = Folder(folder / "train")
    assert dataset_of(data).class_names == CLASSES
    assert dataset_of(Subset(data, range(0, 20, 2))).class_names == CLASSES
    assert dataset_of(data, class_names=["x", "y"]).class_names == ("x", "y")
    assert dataset_of([data[n] for n in range(20)]).class_names == ("0", "1")
    assert (
        dataset_of([(image, CLASSES[label]) for image, label in map(data.__getitem__, range(20))]).class_names
        == CLASSES
    )


def test_classes_of_splits_are_matched_by_name(folder: Path):
    test = Folder(folder / "test")
    test.classes.reverse()
    made = dataset_of(Folder(folder / "train"), test=test)
    expected = load_dataset(folder, cache=None)
    assert torch.equal(made.test.labels, 1 - expected.test.labels)
    assert "matched by name" in made.describe()


class Changing(Folder):
    """Its labels depend on how often it was read."""

    count = 0

    def __getitem__(self, index: int) -> tuple[Any, int]:
        self.count += 1
        return super().__getitem__(index)[0], self.count % 2


class Transformed(Folder):
    """Its items have other labels than its ``targets``, and it says so."""

    target_transform = "something"

    def __getitem__(self, index: int) -> tuple[Any, int]:
        image, label = super().__getitem__(index)
        return image, 1 - label


def test_labels_are_those_of_the_items(folder: Path):
    made = dataset_of(Transformed(folder / "train"), test_fraction=0, validation_fraction=0)
    expected = dataset_of(Folder(folder / "train"), test_fraction=0, validation_fraction=0)
    assert torch.equal(made.train.labels, 1 - expected.train.labels)


def test_items_that_change_are_refused(folder: Path):
    with pytest.raises(UserError, match="item 0 of train of in-memory has the label 1, but had 0 before"):
        dataset_of(Changing(folder / "train"))


def stream() -> Iterator[int]:
    yield 1


IMAGES = torch.zeros(4, 3, 6, 5, dtype=torch.uint8) + torch.arange(4, dtype=torch.uint8)[:, None, None, None]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("digits", "train of in-memory is text, not a dataset in memory; use potstill.load_dataset"),
        (stream(), "train of in-memory is a generator, which has no length"),
        ((IMAGES, [0, 1, 0]), "has 4 images but 3 labels"),
        ((list(IMAGES), [0, 1, 0]), "has 4 images but 3 labels"),
        ((IMAGES, [0.0, 1.0, 0.0, 1.0]), "labels of train of in-memory are not integers"),
        ((IMAGES, torch.eye(4).long()), "several for each image"),
        ((IMAGES, [0, -1, 1, 1]), "missing or negative"),
        ((IMAGES, [0, 0, 0, 0]), "fewer than two classes"),
        ((IMAGES.float() / 255 - 0.5, [0, 1, 0, 1]), "has negative pixels, as normalised images do; leave out the"),
        ((IMAGES.float() / 2, [0, 1, 0, 1]), r"neither \[0, 1\] nor \[0, 255\]"),
        ((IMAGES * 1.0 * torch.nan, [0, 1, 0, 1]), "NaN or infinite pixels"),
        ((IMAGES.permute(0, 2, 3, 1), [0, 1, 0, 1]), "holds uint8 (4, 5, 3, 6)"),
        ((torch.rand(4, 3).mul(9).int(), [0, 1, 0, 1]), "store images as"),
        ([(IMAGES[0], 0, 1)], "item 0 of train of in-memory is a tuple, not an image and its label"),
        ([{"image": IMAGES[0]}], "item 0 of train of in-memory is a dict, not an image and its label"),
        ([(IMAGES[0], 0.5)], "the label of item 0 of train of in-memory is a float, not a number"),
        ([(IMAGES[0], True)], "is a bool, not a number"),
        (
            [(IMAGES[0], 0), (picture("RGB", 0), 1)],
            "the image of item 1 of train of in-memory is of the type Image; give all images as",
        ),
        (
            [(picture("RGB", 0), 0), (IMAGES[0], 1)],
            "the image of item 1 of train of in-memory is of the type Tensor; give all images as",
        ),
        ([("a.png", 0)], "is of the type str"),
        ([], "in-memory has no training images"),
    ],
)
def test_what_cannot_be_read_is_refused(data: object, message: str):
    with pytest.raises(UserError) as raised:
        dataset_of(data, test_fraction=0, validation_fraction=0)
    assert message.replace("\\", "") in str(raised.value)


def test_contradictory_arguments_are_refused(table: datasets.DatasetDict, folder: Path):
    with pytest.raises(UserError, match="already has splits"):
        dataset_of(table, test=table["test"])
    with pytest.raises(UserError, match=r"train of in-memory is a datasets\.Dataset, and test is not"):
        dataset_of(table["train"], test=Folder(folder / "test"))
    with pytest.raises(UserError, match="leave `class_names` out"):
        dataset_of(table, class_names=["a", "b"])
    with pytest.raises(UserError, match="are names already; leave `class_names` out"):
        dataset_of((IMAGES, ["a", "b", "a", "b"]), class_names=["a", "b"])
    with pytest.raises(UserError, match="`label_column=x` chooses a column"):
        dataset_of((IMAGES, [0, 1, 0, 1]), choices=Choices(label_column="x"))
    with pytest.raises(UserError, match="`test_fraction=2` is outside"):
        dataset_of((IMAGES, [0, 1, 0, 1]), test_fraction=2)
    with pytest.raises(UserError, match="IterableDataset, which has no length"):
        dataset_of(table["train"].to_iterable_dataset())


def test_a_distillation_takes_them(folder: Path):
    """Nothing later asks for a name or a path."""
    from potstill import DM, Settings, distill

    made = dataset_of(Folder(folder / "train"), test=Folder(folder / "test"), name="pets")
    run = distill(Settings(method=DM(batch_real=4), ipc=1, iterations=1, network="mlp:width=4"), made)
    assert run.settings.dataset == "pets"
    assert run.synthetic.class_names == CLASSES


@pytest.mark.parametrize("tensors", [False, True], ids=["images", "tensors"])
def test_the_folders_of_torchvision_itself(tmp_path: Path, tensors: bool):
    torchvision = needed("torchvision.datasets")
    v2 = needed("torchvision.transforms.v2")
    folder = write_folder(tmp_path / "pets", "RGB")
    to_tensor = v2.Compose([v2.ToImage(), v2.ToDtype(torch.float32, scale=True)]) if tensors else None
    made = dataset_of({split: torchvision.ImageFolder(folder / split, to_tensor) for split in SIZES})
    same(made, load_dataset(folder, cache=None))
    normalising = v2.Compose([v2.ToImage(), v2.ToDtype(torch.float32, scale=True), v2.Normalize([0.5], [0.5])])
    with pytest.raises(UserError, match="as normalised images do"):
        dataset_of(torchvision.ImageFolder(folder / "train", normalising))
