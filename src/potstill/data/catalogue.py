"""The datasets that are known by name, as a table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
IMAGENET_TERMS = "ImageNet terms of access (non-commercial research)"

CONVERTED = "refs/convert/parquet"  # the hub's own conversion of datasets that were published as a script


@dataclass(frozen=True, kw_only=True)
class CatalogueEntry:
    """What is known about a dataset before its first image is read.

    Attributes:
        name: the name in requests, and the name of its folder in the local data root.
        title: its full name.
        shape: (C, H, W) of an image as loaded without ``image_size``.
        classes: the number of classes.
        sizes: the number of images of each published split, by the name that we give it; without ``test`` it was
            published in one piece.
        licence: of the images, if their publishers state one.
        hub: ``OWNER/NAME`` on the Hugging Face hub; None if it is embedded.
        config: its configuration on the hub.
        revision: a branch other than the main one; its configurations are folders.
        image_column: the name of the column of images.
        label_column: the name of the column of labels.
        splits: for each of our splits the published one to take, if the names alone would mislead.
        mean: of each channel, of pixels in [0, 1]; None computes it from the training images.
        std: of each channel, likewise.
        flips: whether a mirrored image keeps its class.
        resized: whether the published images differ in size, so that they are always resized to ``shape``.
        class_names: the names of the classes, if some published files number them only.
    """

    name: str
    title: str
    shape: tuple[int, int, int]
    classes: int
    sizes: Mapping[str, int]
    licence: str
    hub: str | None = None
    config: str | None = None
    revision: str | None = None
    image_column: str = "image"
    label_column: str = "label"
    splits: Mapping[str, str] = field(default_factory=dict)
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    flips: bool = True
    resized: bool = False
    class_names: tuple[str, ...] = ()


def short_name(spec: str) -> str:
    """The name of a dataset in the folder names of runs: ``mhist:photos/v1.5`` gives ``v1.5``."""
    path = Path(spec.rpartition(":")[2])
    files = (".npy", ".npz", ".zip", ".mat", ".h5", ".parquet", ".arrow")
    return path.stem if path.suffix.lower() in files else path.resolve().name


_ENTRIES = (
    CatalogueEntry(
        name="digits",
        title="Optical recognition of handwritten digits (UCI test part, from scikit-learn)",
        shape=(1, 8, 8),
        classes=10,
        sizes={"train": 1_797},
        licence="CC-BY-4.0",
        mean=(0.3054,),
        std=(0.3758,),
        flips=False,
    ),
    CatalogueEntry(
        name="mnist",
        title="MNIST handwritten digits",
        shape=(1, 28, 28),
        classes=10,
        sizes={"train": 60_000, "test": 10_000},
        licence="CC-BY-SA-3.0",
        hub="ylecun/mnist",
        config="mnist",
        mean=(0.1307,),
        std=(0.3081,),
        flips=False,
    ),
    CatalogueEntry(
        name="fashion-mnist",
        title="Fashion-MNIST articles of clothing",
        shape=(1, 28, 28),
        classes=10,
        sizes={"train": 60_000, "test": 10_000},
        licence="MIT",
        hub="zalando-datasets/fashion_mnist",
        config="fashion_mnist",
        mean=(0.2860,),
        std=(0.3530,),
        class_names=(
            "T - shirt / top",
            "Trouser",
            "Pullover",
            "Dress",
            "Coat",
            "Sandal",
            "Shirt",
            "Sneaker",
            "Bag",
            "Ankle boot",
        ),
    ),
    CatalogueEntry(
        name="svhn",
        title="Street View House Numbers, cropped digits",
        shape=(3, 32, 32),
        classes=10,
        sizes={"train": 73_257, "test": 26_032},
        licence="non-commercial use only",
        hub="ufldl-stanford/svhn",
        config="cropped_digits",
        mean=(0.4377, 0.4438, 0.4728),
        std=(0.1980, 0.2010, 0.1970),
        flips=False,
    ),
    CatalogueEntry(
        name="usps",
        title="USPS handwritten digits",
        shape=(1, 16, 16),
        classes=10,
        sizes={"train": 7_291, "test": 2_007},
        licence="not stated",
        hub="flwrlabs/usps",
        mean=(0.2545,),
        std=(0.3846,),
        flips=False,
    ),
    CatalogueEntry(
        name="cifar10",
        title="CIFAR-10",
        shape=(3, 32, 32),
        classes=10,
        sizes={"train": 50_000, "test": 10_000},
        licence="not stated",
        hub="uoft-cs/cifar10",
        config="plain_text",
        image_column="img",
        mean=(0.4914, 0.4822, 0.4465),
        # By convention the mean of the deviations of single images. Published results were obtained with it.
        std=(0.2023, 0.1994, 0.2010),
    ),
    CatalogueEntry(
        name="cifar100",
        title="CIFAR-100, fine labels",
        shape=(3, 32, 32),
        classes=100,
        sizes={"train": 50_000, "test": 10_000},
        licence="not stated",
        hub="uoft-cs/cifar100",
        config="cifar100",
        image_column="img",
        label_column="fine_label",
        mean=(0.5071, 0.4866, 0.4409),
        std=(0.2673, 0.2564, 0.2762),
    ),
    CatalogueEntry(
        name="tiny-imagenet",
        title="Tiny ImageNet, 200 classes of 64×64",
        shape=(3, 64, 64),
        classes=200,
        sizes={"train": 100_000, "test": 10_000},
        licence=IMAGENET_TERMS,
        hub="zh-plus/tiny-imagenet",
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
    ),
    CatalogueEntry(
        name="imagenette",
        title="Imagenette, ten easy classes of ImageNet",
        shape=(3, 128, 128),
        classes=10,
        sizes={"train": 9_469, "test": 3_925},
        licence="Apache-2.0 (the selection); " + IMAGENET_TERMS,
        hub="frgfm/imagenette",
        config="320px",
        revision=CONVERTED,
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
        resized=True,
    ),
    CatalogueEntry(
        name="imagewoof",
        title="Imagewoof, ten dog breeds of ImageNet",
        shape=(3, 128, 128),
        classes=10,
        sizes={"train": 9_025, "test": 3_929},
        licence="Apache-2.0 (the selection); " + IMAGENET_TERMS,
        hub="frgfm/imagewoof",
        config="320px",
        revision=CONVERTED,
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
        resized=True,
    ),
    CatalogueEntry(
        name="imagenet-1k",
        title="ImageNet (ILSVRC 2012), resized to 64×64",
        shape=(3, 64, 64),
        classes=1000,
        sizes={"train": 1_281_167, "test": 50_000},
        licence=IMAGENET_TERMS,
        hub="ILSVRC/imagenet-1k",
        # The hub's test split has no labels; the field reports accuracy on the validation split.
        splits={"train": "train", "test": "validation"},
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
        resized=True,
    ),
)

CATALOGUE: Mapping[str, CatalogueEntry] = MappingProxyType({entry.name: entry for entry in _ENTRIES})


def names_vectors(spec: str) -> bool:
    """Whether a user names a file that can only hold vectors, and not a dataset of images."""
    return spec.lower().endswith(".npy")


def may_name_vectors(spec: str) -> bool:
    """Whether a user names a file of a kind that may hold vectors; an archive or a table may hold images as well."""
    return spec.lower().endswith((".npy", ".npz", ".parquet"))
