"""From a file or folder of another program to a synthetic set."""

from __future__ import annotations

import math
import shlex
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from potstill.data import ImageDataset, Whitening
from potstill.runtime.errors import UserError
from potstill.runtime.files import expanded, sha256_of_files
from potstill.schema.set_file import IMPORTED
from potstill.schema.shapes import is_vector
from potstill.synthetic import SyntheticSet
from potstill.synthetic.formation import check_factor
from potstill.synthetic.hub import SET_FILE
from potstill.synthetic.importing.archives import read_archive
from potstill.synthetic.importing.classes import in_order, matched, numbered
from potstill.synthetic.importing.folder import SUFFIXES, is_own_export, read_folder
from potstill.synthetic.importing.logged import logged_set
from potstill.synthetic.importing.released import Released, read_released
from potstill.synthetic.importing.units import Pixels, check_units, suspicions, unlikely, unlikely_vectors
from potstill.synthetic.place import holds_set

SUM_TOLERANCE = 0.05  # probabilities of low precision, or of many classes
ROUNDING = 1e-5  # probabilities whose sums are exact up to float32 rounding are kept as they are


@dataclass(frozen=True, eq=False)
class Imported:
    """A set that another program wrote.

    Attributes:
        synthetic: the set.
        remarks: what was decided where the file leaves it open, a sentence each.
        warnings: what looks wrong, a sentence each.
    """

    synthetic: SyntheticSet
    remarks: tuple[str, ...]
    warnings: tuple[str, ...]


def import_set(
    path: str | Path,
    dataset: ImageDataset,
    *,
    pixels: str | None = None,
    labels: str | Path | None = None,
    experiment: int | None = None,
    step_size: float | None = None,
    mean: tuple[float, ...] | None = None,
    std: tuple[float, ...] | None = None,
    formation: int = 1,
) -> Imported:
    """Read a set that another program wrote. Nothing in the file is executed.

    Args:
        path: a file that ``torch.save`` wrote or an ``.npz`` archive, in a layout of
            :mod:`potstill.synthetic.importing.released`; the folder of a run that holds one; a folder of images with
            a folder for each class; or parquet files.
        dataset: the dataset that the set stands for, whitened if the set is.
        pixels: the units of pixels: ``normalised``, ``whitened``, ``unit`` or ``bytes``. Files do not state them; only
            bytes and image files are known by their type. Vectors are ``normalised`` or ``raw``.
        labels: a file of labels for a file of images, or ``by-class`` if they are in the order of the classes, as many
            of each; by default the file that goes with the name of that of images.
        experiment: which experiment of a file with several; by default the first.
        step_size: the learned step size; by default the one beside the file, if there is one.
        mean: of each channel, by which pixels are normalised; by default the dataset's.
        std: likewise.
        formation: the pictures along each side of an image, as IDC and programs after it store several. Our own exports
            hold every picture in full size.

    Returns:
        The set, ordered by class, with hard labels as class indices and soft ones as probabilities, and what was
        noticed.

    Raises:
        UserError: the file cannot be read or holds something else, or is a set already; the units of its pixels are not
            named or cannot be right, or it does not fit the dataset.
    """
    path = expanded(path)
    if not path.exists():
        raise UserError(f"{path} does not exist", "check the path")
    check_foreign(path)
    own_mean, own_std = _normalisation(dataset, pixels, mean, std)
    remarks: list[str] = []
    if path.is_dir() and (logged := logged_set(path)) is not None:
        remarks.append(f"read from {logged.relative_to(path)}")
        path = logged
    if path.is_dir() or path.suffix.lower() in SUFFIXES:
        _refuse_without_effect(path, labels=labels, experiment=experiment)
        found, units = _from_pictures(path, dataset, pixels, formation)
    else:
        found = _from_arrays(path, dataset, labels, experiment)
        if found.mean is None or found.std is None:
            units = check_units(found.images, pixels)
        else:
            _refuse_formation(path, formation)
            units = _stated_units(path, found, pixels, mean, std)
            own_mean, own_std = found.mean, found.std
    check_factor(formation, *dataset.shape[1:])
    _check_whitening(dataset, units)
    images = _normalised(found.images, units, own_mean, own_std)
    if not images.isfinite().all():
        raise UserError(f"{path} has pixels beyond the range of float32", "ask its authors for another file")
    given, said = _labels(path, found, dataset)
    classes = given if given.dim() == 1 else given.argmax(1)
    order = classes.argsort(stable=True)
    made = SyntheticSet(
        images=images[order].contiguous(),
        labels=given[order].contiguous(),
        class_names=dataset.class_names,
        mean=own_mean,
        std=own_std,
        step_size=_step_size(step_size if step_size is not None else found.step_size),
        whitening=(found.whitening or dataset.train.whitening) if units == "whitened" else None,
        formation=formation,
        provenance=_provenance(path, dataset),
    )
    remarks += [*found.remarks, *said]
    if not torch.equal(order, torch.arange(len(order))):
        remarks.append("its images are now ordered by class")
    return Imported(made, tuple(remarks), tuple(_warnings(found, units, made, dataset)))


def check_foreign(path: str | Path) -> None:
    """Refuse a set of our own, which needs no import and would only lose by one.

    Args:
        path: as for :func:`import_set`.

    Raises:
        UserError: it is one, or a safetensors file with other contents.
    """
    path = expanded(path)
    file = path / SET_FILE if path.is_dir() else path
    if not file.is_file() or (file == path and path.suffix.lower() != ".safetensors"):
        return
    if not holds_set(file):
        if file != path:
            return  # a file beside others, which is named when these are read
        raise UserError(
            f"{path} is a safetensors file, but not a set of potstill",
            "store its images and labels as arrays of these names in an .npz",
        )
    raise UserError(
        f"{path} is a set of potstill already", f"use it as it is: potstill evaluate {shlex.quote(str(path))}"
    )


def _refuse_without_effect(path: Path, **options: object) -> None:
    """Refuse options that are for files of arrays only.

    Raises:
        UserError: one is given.
    """
    for name, value in options.items():
        if value is not None:
            raise UserError(f"`{name}={value}` has no effect on {path}, which has labels of its own", "leave it out")


def _from_pictures(path: Path, dataset: ImageDataset, pixels: str | None, formation: int) -> tuple[Released, Pixels]:
    """What a folder of images or parquet files hold, and the units of their pixels.

    Raises:
        UserError: they cannot be read, or an option does not fit them.
    """
    if is_own_export(path):
        _refuse_formation(path, formation)
    found = read_folder(path, dataset)
    if pixels not in (None, "bytes") and not is_vector(found.images.shape[1:]):
        raise UserError(f"image files have bytes, not pixels that are {pixels}", "leave `pixels` out")
    return found, check_units(found.images, pixels)


def _from_arrays(path: Path, dataset: ImageDataset, labels: str | Path | None, experiment: int | None) -> Released:
    """What a file that ``torch.save`` wrote or an ``.npz`` archive holds, its images as (N, C, H, W).

    Raises:
        UserError: it cannot be read, or its images are not those of such a dataset.
    """
    named = None if labels is None else expanded(labels)
    read = read_archive if path.suffix.lower() == ".npz" else read_released
    found = _channels_first(read(path, classes=dataset.class_count, labels=named, experiment=experiment), dataset)
    _check_images(path, found.images, dataset)
    return found


def _stated_units(
    path: Path,
    found: Released,
    pixels: str | None,
    mean: tuple[float, ...] | None,
    std: tuple[float, ...] | None,
) -> Pixels:
    """The units of a file that says them.

    Raises:
        UserError: an option says them again, and otherwise.
    """
    units: Pixels = "normalised" if found.whitening is None else "whitened"
    if pixels not in (None, units):
        raise UserError(f"{path} itself says that its pixels are {units}, not {pixels}", "leave `pixels` out")
    for name, value in (("mean", mean), ("std", std)):
        if value is not None:
            raise UserError(f"{path} itself says how its pixels are normalised", f"leave `{name}` out")
    return units


def _refuse_formation(path: Path, formation: int) -> None:
    """Refuse a formation for an export of our own, whose pictures are no longer stored together.

    Raises:
        UserError: there is one.
    """
    if formation != 1:
        raise UserError(
            f"{path} is an export of potstill, which stores every picture separately", "leave `formation` out"
        )


def _whitened_alike(ours: Whitening, theirs: Whitening | None) -> bool:
    return theirs is not None and torch.allclose(ours.matrix, theirs.matrix.cpu(), rtol=1e-2, atol=1e-3)


def _normalisation(
    dataset: ImageDataset, pixels: str | None, mean: tuple[float, ...] | None, std: tuple[float, ...] | None
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """The mean and standard deviation of each channel, as given or the dataset's.

    Raises:
        UserError: one is given for whitened pixels, has another number of values, or cannot be.
    """
    for name, values in (("mean", mean), ("std", std)):
        if values is None:
            continue
        shown = ",".join(f"{value:g}" for value in values)
        if pixels == "whitened":
            raise UserError(f"`{name}={shown}` has no effect on whitened pixels", "leave it out")
        if len(values) != dataset.shape[0]:
            raise UserError(
                f"`{name}={shown}` is not a number for each of {dataset.shape[0]} channels", "give one for each"
            )
        if not all(map(math.isfinite, values)) or (name == "std" and min(values) <= 0):
            raise UserError(f"`{name}={shown}` cannot be that of pixels from 0 to 1", "correct it")
    return tuple(mean or dataset.mean), tuple(std or dataset.std)


def _provenance(path: Path, dataset: ImageDataset) -> dict[str, Any]:
    """Where a set comes from, and what it stands for."""
    return {
        "method": IMPORTED,
        "imported_from": path.name,
        "imported_sha256": sha256_of_files(_files(path)),
        "dataset": dataset.spec or dataset.name,
        "dataset_fingerprint": dataset.fingerprint,
        "image_size": dataset.image_size,
        **asdict(dataset.choices),
    }


def _warnings(found: Released, units: Pixels, made: SyntheticSet, dataset: ImageDataset) -> list[str]:
    """What looks wrong with a set, a sentence each.

    Args:
        found: what the file holds.
        units: the units that were named.
        made: the set, if they are right.
        dataset: what it stands for.
    """
    warnings = _doubts(found.images.float(), units, made, dataset)
    if found.whitening is not None and not _whitened_alike(found.whitening, dataset.train.whitening):
        warnings.append(f"its whitening is not that of {dataset.name}: check that the dataset is the set's own")
    classes = made.labels if made.labels.dim() == 1 else made.labels.argmax(1)
    counts = torch.bincount(classes, minlength=dataset.class_count)
    if absent := int((counts == 0).sum()):
        warnings.append(f"{absent} of {dataset.class_count} classes have no image")
    return warnings


def _doubts(stored: Tensor, units: Pixels, made: SyntheticSet, dataset: ImageDataset) -> list[str]:
    """What speaks against the units of a set, a sentence each.

    Args:
        stored: float32, the images as they are in the file.
        units: the units that were named.
        made: the set, if they are right.
        dataset: what it stands for.
    """
    shift, scale = _columns(made.mean, made.std)
    shown = made.images * scale + shift
    if made.holds_vectors:
        shift, scale = _columns(dataset.mean, dataset.std)
        doubt = unlikely_vectors((shown - shift) / scale)
        return [] if doubt is None else [doubt]
    found = suspicions(stored, units)
    doubt = unlikely(shown, dataset.mean, dataset.std) if units == "normalised" and not found else None
    return found if doubt is None else [doubt]


def _columns(mean: Sequence[float], std: Sequence[float]) -> tuple[Tensor, Tensor]:
    """(C, 1, 1) mean and standard deviation."""
    return torch.tensor(mean)[:, None, None], torch.tensor(std)[:, None, None]


def _step_size(rate: float | None) -> Tensor | None:
    """The step size of a set.

    Raises:
        UserError: it is not positive, or beyond the range of float32.
    """
    if rate is None:
        return None
    made = torch.tensor(float(rate), dtype=torch.float32)
    if not 0 < made.item() < math.inf:
        raise UserError(f"the step size {rate:g} is not a positive number", "give another with `step_size`")
    return made


def _files(path: Path) -> list[Path]:
    """The file, or all files in the folder."""
    return sorted(each for each in path.rglob("*") if each.is_file()) if path.is_dir() else [path]


def _channels_first(found: Released, dataset: ImageDataset) -> Released:
    """Images whose channels are last, or which have one and do not say so, and vectors, as (N, C, H, W)."""
    channels, height, width = dataset.shape
    sides, images = tuple(found.images.shape[1:]), found.images
    if sides == (height, width, channels) and sides != dataset.shape:
        remarks = ("the channels of its images are last", *found.remarks)
        return replace(found, images=images.permute(0, 3, 1, 2), remarks=remarks)
    if sides == (height, width) and channels == 1:
        return replace(found, images=images[:, None])
    if sides == (channels,) and height == width == 1:  # vectors
        return replace(found, images=images[:, :, None, None])
    return found


def _check_images(path: Path, images: Tensor, dataset: ImageDataset) -> None:
    if images.dim() != 4 or not len(images) or images.is_complex() or images.dtype == torch.bool:
        raise UserError(f"{path} holds images {tuple(images.shape)} of {images.dtype}", "store (N, C, H, W) numbers")
    if tuple(images.shape[1:]) != dataset.shape:
        raise UserError(
            f"{path} has images {tuple(images.shape[1:])}, and {dataset.name} has {tuple(dataset.shape)} (C, H, W)",
            "name the dataset that the set stands for, with `image_size` if it was resized",
        )
    if not images.isfinite().all():
        raise UserError(f"{path} has pixels that are not finite", "ask its authors for another file")


def _check_whitening(dataset: ImageDataset, units: Pixels) -> None:
    if units == "whitened" and dataset.train.whitening is None:
        raise UserError(
            "a whitened set needs the whitening of its dataset",
            "use `pixels=whitened` on the command line, or load the dataset with zca=True",
        )
    if units != "whitened" and dataset.train.whitening is not None:
        raise UserError(f"pixels that are {units} are not whitened, and the dataset is", "leave `zca` out")


def _normalised(images: Tensor, units: Pixels, mean: tuple[float, ...], std: tuple[float, ...]) -> Tensor:
    """float32 (N, C, H, W) in normalised units."""
    images = images.float()
    if units in ("normalised", "whitened"):
        return images
    shift, scale = _columns(mean, std)
    return (images / (255 if units == "bytes" else 1) - shift) / scale


def _labels(path: Path, found: Released, dataset: ImageDataset) -> tuple[Tensor, list[str]]:
    """The labels as class indices of the dataset or probabilities, and how they were understood.

    Raises:
        UserError: they are neither, or there is not one for each image, or not of these classes.
    """
    labels, names, count = found.labels, found.class_names, len(found.images)
    if labels.shape[:1] != (count,) or labels.dim() > 2:
        raise UserError(f"{path} has labels {tuple(labels.shape)} for {count} images", "give one label for each image")
    if labels.dim() == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.dim() == 1 and names is not None:
        places, said = matched(str(path), names, dataset, "class")
        values = labels.double()
        if not ((values == values.round()).all() and values.min() >= 0 and values.max() < len(names)):
            raise UserError(f"{path} has labels that are not positions in its class_names", "correct them")
        return places[values.long()], list(said)
    if labels.dim() == 1:
        return numbered(str(path), labels, dataset)
    if names is None and labels.shape[1] != dataset.class_count:
        raise UserError(
            f"{path} has labels of {labels.shape[1]} classes, not {dataset.class_count}", "name the set's dataset"
        )
    if names is not None:
        labels, said = in_order(str(path), labels, names, dataset)
        given, understood = _soft(path, labels)
        return given, [*said, *understood]
    return _soft(path, labels)


def _soft(path: Path, labels: Tensor) -> tuple[Tensor, list[str]]:
    """Labels (N, classes) as classes or probabilities, and how they were understood.

    Raises:
        UserError: they are not finite, or neither probabilities nor logits.
    """
    values = labels.float()
    if not values.isfinite().all():
        raise UserError(f"{path} has labels that are not finite", "ask its authors for another file")
    if (values >= 0).all() and (values <= 1).all():
        sums = values.sum(1)
        if ((values == 0) | (values == 1)).all() and (sums == 1).all():
            return values.argmax(1), ["labels are one-hot: read as classes"]
        if (off := float((sums - 1).abs().max())) < SUM_TOLERANCE:
            return values if off < ROUNDING else values / sums[:, None], ["labels are probabilities"]
        raise UserError(
            f"{path} has labels from 0 to 1 whose sums are {float(sums.min()):.3g} to {float(sums.max()):.3g}",
            "store classes, probabilities that sum to 1, or logits",
        )
    return F.softmax(values, dim=1), ["labels are logits: their softmax is stored"]
