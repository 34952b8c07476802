"""Export of a synthetic set to formats that other programs read."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from potstill.data import LabeledImages
from potstill.runtime.errors import UserError, unknown
from potstill.runtime.files import staged
from potstill.runtime.hub import hub_address
from potstill.synthetic import SyntheticSet

if TYPE_CHECKING:
    from datasets import Dataset

Format = Literal["imagefolder", "parquet", "npz"]

CARD = "README.md"
"""What says in an exported folder what it holds."""
MADE_BY = "made by Potstill to train networks in place of a larger set of real ones."
"""What every card says."""

_PARQUET = "data/train-00000-of-00001.parquet"
_PARQUET_CONFIGURATION = """\
---
configs:
- config_name: default
  data_files:
  - split: train
    path: data/train-*
---
"""


def export(synthetic: SyntheticSet, target: str | Path, format: Format) -> Path:
    """Write ``synthetic`` to ``target``, completely or, if anything fails, not at all.

    Of a set with a formation, every picture is written in full size, as networks see it: f² times as many images.

    Only ``npz`` stores the images exactly. The other formats contain 8-bit PNG images, and a README that quantifies the
    resulting error. Vectors are stored exactly, as numbers in the units of the data that they were made from.

    - ``imagefolder``: ``CLASS/00000.png``, and ``labels.json`` if labels are soft. Folders have the names of their
      classes if that preserves the order of the classes; otherwise they are prefixed with the class number.
      Vectors are not stored like this.
    - ``parquet``: columns ``image``, ``label`` and, if labels are soft, ``soft_label``, as Hugging Face ``datasets``
      stores them; of vectors, a column ``vector`` instead of ``image``.
    - ``npz``: MedMNIST's ``train_images`` uint8 (N, H, W) or (N, H, W, C) and ``train_labels`` int64 (N, 1); also
      ``images_normalised`` float32 (N, C, H, W), ``mean``, ``std``, ``class_names`` and, if the set has them,
      ``soft_labels``, ``step_size``, ``whitening_matrix``, ``whitening_mean``, ``replay_rates`` float32 (steps,) and
      ``replay``: JSON with the number of batches and the initial weights of the learned steps. Of vectors,
      ``train_vectors`` float32 (N, D) instead of ``train_images``.

    Args:
        synthetic: the set, with 1 to 4 channels.
        target: the folder to create or, for ``npz``, the file.
        format: one of the formats above.

    Returns:
        The path that was written: ``target``, with the suffix ``.npz`` added if that format lacks it.

    Raises:
        UserError: the target exists or cannot be written, or the format is not for vectors.
    """
    target = Path(target)
    if synthetic.holds_vectors and format == "imagefolder":
        raise UserError("vectors are not stored as pictures", "use `format=npz` or `format=parquet`")
    if format not in _WRITERS:
        raise unknown("format", format, _WRITERS, listing="potstill export --help")
    if format == "npz" and target.suffix != ".npz":
        target = target.with_name(f"{target.name}.npz")
    if target.exists():
        raise UserError(f"{target} already exists", "choose another `out`")
    pictures = synthetic.decoded()
    with staged(target) as made:
        _WRITERS[format](pictures, made)
    return target


def folder_names(class_names: Sequence[str]) -> list[str]:
    """A portable folder name for each class, such that sorting the names preserves the order of the classes.

    Programs number classes by their sorted folder names. If the names would sort differently, or two coincide when
    case is ignored, every name is prefixed with its class number.
    """
    safe = [re.sub(r"[^\w .()+-]+", "_", name)[:60].strip(" .") for name in class_names]
    distinct = len({name.casefold() for name in safe}) == len(safe)
    if all(safe) and distinct and sorted(safe) == safe:
        return safe
    width = len(str(len(safe) - 1))
    return [f"{index:0{width}}_{name or 'class'}" for index, name in enumerate(safe)]


def _write_image_folder(synthetic: SyntheticSet, folder: Path) -> None:
    names = folder_names(synthetic.class_names)
    for name in names:
        (folder / name).mkdir(parents=True)
    files = [f"{names[label]}/{index:05}.png" for index, label in enumerate(synthetic.hard_labels.tolist())]
    for file, png in zip(files, _pngs(synthetic), strict=True):
        (folder / file).write_bytes(png)
    if synthetic.has_soft_labels:
        probabilities = dict(zip(files, synthetic.labels.tolist(), strict=True))
        described = {"class_names": synthetic.class_names, "probabilities": probabilities}
        (folder / "labels.json").write_text(json.dumps(described, ensure_ascii=False), encoding="utf-8")
    (folder / CARD).write_text(_card(synthetic), encoding="utf-8")


def write_parquet(synthetic: SyntheticSet, folder: Path) -> None:
    """Write the images of a set as 8-bit PNG files in a parquet file, ``data/train-*``, as ``datasets`` stores them.

    Args:
        synthetic: the set, decoded.
        folder: an existing folder.
    """
    import pyarrow.parquet

    (folder / _PARQUET).parent.mkdir(parents=True)
    # Dataset.to_parquet would print a progress bar.
    pyarrow.parquet.write_table(_table(synthetic).with_format("arrow")[:], folder / _PARQUET)


def _write_parquet(synthetic: SyntheticSet, folder: Path) -> None:
    folder.mkdir()
    write_parquet(synthetic, folder)
    (folder / CARD).write_text(_PARQUET_CONFIGURATION + _card(synthetic), encoding="utf-8")


def _write_npz(synthetic: SyntheticSet, file: Path) -> None:
    tensors = synthetic.tensors()
    shown = (
        {"train_vectors": synthetic.vectors().numpy()}
        if synthetic.holds_vectors
        else {"train_images": _channels_last(synthetic)}
    )
    arrays: dict[str, Any] = {
        **shown,
        "train_labels": synthetic.hard_labels.numpy()[:, None],
        "images_normalised": tensors.pop("images").numpy(),
        "mean": np.array(synthetic.mean),
        "std": np.array(synthetic.std),
        "class_names": np.array(synthetic.class_names),
    }
    labels = tensors.pop("labels")
    if synthetic.has_soft_labels:
        arrays["soft_labels"] = labels.numpy()
    if synthetic.replay is not None:
        arrays["replay"] = np.array(json.dumps(synthetic.replay.to_json()))
    arrays |= {name.replace(".", "_"): tensor.numpy() for name, tensor in tensors.items()}
    np.savez_compressed(file, **arrays)


_WRITERS: Mapping[str, Callable[[SyntheticSet, Path], None]] = {
    "imagefolder": _write_image_folder,
    "parquet": _write_parquet,
    "npz": _write_npz,
}


def _table(synthetic: SyntheticSet) -> Dataset:
    hub_address()  # raises for an invalid address, with which the next import would fail
    from datasets import ClassLabel, Dataset, Features, Sequence, Value
    from datasets import Image as EncodedImage

    features: dict[str, Any]
    if synthetic.holds_vectors:
        features = {"vector": Sequence(Value("float32"), length=synthetic.shape[0])}
        columns = {"vector": synthetic.vectors().tolist()}
    else:
        features = {"image": EncodedImage()}
        columns = {"image": [{"bytes": png, "path": None} for png in _pngs(synthetic)]}
    features["label"] = ClassLabel(names=list(synthetic.class_names))
    columns["label"] = synthetic.hard_labels.tolist()
    if synthetic.has_soft_labels:
        features["soft_label"] = Sequence(Value("float32"), length=synthetic.class_count)
        columns["soft_label"] = synthetic.labels.tolist()
    return Dataset.from_dict(columns, features=Features(features))


def _rounded(synthetic: SyntheticSet) -> Tensor:
    """uint8 (N, C, H, W)."""
    return (synthetic.pixels() * 255).round().to(torch.uint8)


def _channels_last(synthetic: SyntheticSet) -> np.ndarray:
    """uint8 (N, H, W) for grey images, otherwise (N, H, W, C)."""
    images = _rounded(synthetic)
    return (images[:, 0] if images.shape[1] == 1 else images.permute(0, 2, 3, 1)).numpy()


def _pngs(synthetic: SyntheticSet) -> list[bytes]:
    """Each image as PNG: grey, grey with alpha, RGB or RGBA, depending on the number of channels."""
    encoded = []
    for pixels in _channels_last(synthetic):
        stream = io.BytesIO()
        Image.fromarray(pixels).save(stream, "PNG")
        encoded.append(stream.getvalue())
    return encoded


def rounding_errors(synthetic: SyntheticSet) -> Tensor:
    """float32 (N, C, H, W): absolute errors of the images as 8-bit pixels, in normalised units."""
    rounded = LabeledImages(
        _rounded(synthetic),
        synthetic.hard_labels,
        synthetic.class_names,
        synthetic.mean,
        synthetic.std,
        synthetic.whitening,
    )
    return (rounded.normalised() - synthetic.images).abs()


def _card(synthetic: SyntheticSet) -> str:
    """The README: what the set is, the rounding error of 8-bit pixels, and how the set was made."""
    described = {
        "class_names": synthetic.class_names,
        "mean": synthetic.mean,
        "std": synthetic.std,
        "step_size": None if synthetic.step_size is None else synthetic.step_size.item(),
        "replay": None if synthetic.replay is None else synthetic.replay.to_json(),
        "provenance": dict(synthetic.provenance),
    }
    title, what, precision = _of_vectors(synthetic) if synthetic.holds_vectors else _of_images(synthetic)
    return f"""\
# A distilled {title}

{len(synthetic)} synthetic {what}
{MADE_BY}

## Precision

{precision}

## How it was made

```json
{json.dumps(described, indent=2, ensure_ascii=False)}
```
"""


def _of_images(synthetic: SyntheticSet) -> tuple[str, str, str]:
    """What images are called in a README, and how exact they are."""
    channels, height, width = synthetic.shape
    errors = rounding_errors(synthetic)
    precision = f"""\
These are 8-bit PNG files, which lose precision: distilled images are floating-point numbers without bounds, and here
they were clipped at black and white and rounded. In the units in which networks see them, (pixel / 255 - mean) / std,
this changes them by {errors.mean():.2g} on average and by {errors.max():.2g} at most. A network may do worse on these
files than on the set itself, which `synthetic.safetensors` and `potstill export --format npz` keep exactly."""
    size = f"({width}×{height} pixels, channels: {channels})"
    return "image dataset", f"images of {synthetic.class_count} classes {size},", precision


def _of_vectors(synthetic: SyntheticSet) -> tuple[str, str, str]:
    """The same of vectors."""
    precision = """\
These are 32-bit numbers in the units of the real vectors. Networks see them minus the mean and divided by the
standard deviation below."""
    size = f"({synthetic.shape[0]} numbers each)"
    return "dataset of vectors", f"vectors of {synthetic.class_count} classes {size},", precision
