"""The files of released programs: which tensors are the images, which the labels, which the step size.

Layouts of ``.pt`` files:

- ``data``, a list of experiments of images and labels each (DC, DSA, DM and programs after them), or one pair of them;
- a list or tuple of images and labels (IDC and programs after it);
- ``images`` and ``labels`` in a dictionary;
- images alone, as ``images_best.pt``, beside ``labels_best.pt`` and perhaps ``lr_best.pt`` (MTT, TESLA, DATM, PAD and
  DD-Ranking), or in the order of the classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from potstill.data import Whitening
from potstill.data.formats.npz_archive import open_npz
from potstill.data.formats.torch_file import read_torch_file
from potstill.runtime.errors import UserError
from potstill.runtime.text import visible

WANTED = "images and labels in a list, or in a dictionary as 'data' or 'images' and 'labels', or a tensor of images"
BY_CLASS = "by-class"
"""In the place of a file of labels: the images are in the order of the classes, as many of each."""


@dataclass(frozen=True, eq=False)
class Released:
    """What a file holds.

    Attributes:
        images: (N, C, H, W), of any number type.
        labels: (N,) integers, or (N, classes) probabilities or logits.
        step_size: a learned step size; None without one.
        remarks: what was decided, a sentence each.
        class_names: of what the labels count, if the file says so.
        mean: of each channel, by which pixels are normalised, if the file says so; then it says everything.
        std: likewise.
        whitening: the whitening of such a file, if its images are whitened.
    """

    images: Tensor
    labels: Tensor
    step_size: float | None = None
    remarks: tuple[str, ...] = ()
    class_names: tuple[str, ...] | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    whitening: Whitening | None = None


def read_released(path: Path, *, classes: int, labels: Path | None = None, experiment: int | None = None) -> Released:
    """Read the file of a released program.

    Args:
        path: the file, or that of the images.
        classes: of the dataset.
        labels: a file of labels, or ``by-class`` for images in the order of the classes; by default the file that goes
            with the name of the file of images.
        experiment: which experiment of a file with several, from 0; None takes the first, and says so.

    Raises:
        UserError: the file holds something else, or the labels are not found, or there is no such experiment.
    """
    content = _read(path)
    if isinstance(content, dict):
        found, entries = _in_dictionary(path, content)
        said = not_read(path, [name for name in content if name not in entries])
        read = read_content(path, found, classes, labels, experiment)
        return replace(read, remarks=(*read.remarks, *said))
    return read_content(path, content, classes, labels, experiment)


def not_read(path: Path, names: Sequence[Any]) -> tuple[str, ...]:
    """The entries of a file that are not read, in one sentence."""
    shown = ", ".join(visible(str(name)[:40]) for name in names[:5]) + (", ..." if names[5:] else "")
    return (f"not read from {path.name}: {shown}",) if names else ()


def _in_dictionary(path: Path, content: dict[Any, Any]) -> tuple[Any, tuple[str, ...]]:
    """The part of a dictionary that is a set, and the entries that it is made of.

    Raises:
        UserError: there is none.
    """
    labels = content.get("labels")
    for name in ("images", "data"):
        if not isinstance(images := content.get(name), Tensor):
            continue
        if labels is None:
            return images, (name, "labels")
        if isinstance(labels, Tensor):
            return (images, labels), (name, "labels")
    if isinstance(content.get("data"), list | tuple):
        return content["data"], ("data",)
    raise _not_a_set(path, content)


def read_content(path: Path, content: Any, classes: int, labels: Path | None, experiment: int | None) -> Released:
    """Images alone, images and labels, or experiments of both.

    Raises:
        UserError: it is neither, or the labels are not found, or there is no such experiment.
    """
    if isinstance(content, Tensor):
        if experiment is not None:
            raise UserError(f"{path} holds one set, not several experiments", "leave `experiment` out")
        return _beside(path, content, classes, labels)
    if labels is not None:
        raise UserError(f"{path} has labels of its own", "leave `labels` out")
    if _is_pair(content):
        if experiment is not None:
            raise UserError(f"{path} holds one set, not several experiments", "leave `experiment` out")
        return _of_pair(content)
    if isinstance(content, list | tuple) and content and all(_is_pair(each) for each in content):
        number = experiment or 0
        if not 0 <= number < len(content):
            raise UserError(f"{path} has {len(content)} experiments, but no experiment {number}", "count from 0")
        said = () if len(content) == 1 else (f"experiment {number} of {len(content)}, counted from 0",)
        read = _of_pair(content[number])
        return replace(read, remarks=(*said, *read.remarks))
    raise _not_a_set(path, content)


def _of_pair(pair: Sequence[Any]) -> Released:
    """Images and labels; that more follows them is said."""
    more = len(pair) - 2
    return Released(
        pair[0], pair[1], remarks=(f"not read: what follows the images and labels ({more} more)",) * (more > 0)
    )


def _not_a_set(path: Path, content: Any) -> UserError:
    return UserError(f"{path} holds {_kind(content)}", f"give a file with {WANTED}")


def _read(path: Path) -> Any:
    """What a file holds, with arrays as tensors.

    Raises:
        UserError: it cannot be read.
    """
    if path.suffix.lower() != ".npz":
        content = read_torch_file(path)
        if isinstance(content, dict):
            return {name: as_tensor(value) for name, value in content.items()}
        return [as_tensor(value) for value in content] if isinstance(content, list | tuple) else as_tensor(content)
    with open_npz(path) as archive:
        return {name: as_tensor(archive.read(name)) for name in archive.names}


def as_tensor(value: Any) -> Any:
    """An array of numbers as a tensor; anything else as it is."""
    if not isinstance(value, np.ndarray):
        return value
    plain = value.astype(value.dtype.newbyteorder("="))
    return torch.from_numpy(plain.astype(np.int64) if plain.dtype.kind == "u" and plain.itemsize > 1 else plain)


def _beside(path: Path, images: Tensor, classes: int, labels: Path | None) -> Released:
    """A file of images, and the files of labels and of a step size that go with its name."""
    prefix, found, rest = path.name.partition("images")
    rest = rest.removeprefix("_zca")  # MTT's name for images whose whitening is undone
    guess = path.with_name(f"{prefix}labels{rest}") if found else None
    if labels is not None and str(labels) == BY_CLASS:
        own, said = _by_class(path, images, classes)
    else:
        own, said = _labels_in(path, labels or guess)
    rate = path.with_name(f"{prefix}lr{rest}") if found else None
    if rate is None or not rate.exists():
        return Released(images, own, None, (said,))
    step_size = one_number(rate, _read(rate))
    return Released(images, own, step_size, (said, f"step size {step_size:.4g} from {rate.name}"))


def one_number(where: Path, value: Any) -> float:
    """A step size, as a number or a tensor or array of one.

    Raises:
        UserError: it is something else.
    """
    try:
        return float(value.item() if isinstance(value, Tensor | np.ndarray) else value)
    except (TypeError, ValueError, RuntimeError, OverflowError) as error:
        raise UserError(f"{where} holds {_kind(value)}, not one step size", "move it away, or correct it") from error


def _labels_in(path: Path, file: Path | None) -> tuple[Tensor, str]:
    """The labels in a file of their own, and where they are from."""
    if file is None or not file.exists():
        where = f" ({file} does not exist)" if file is not None else ""
        remedy = (
            f"name the file of labels with `labels`, or `labels={BY_CLASS}` if they are in the order of the classes"
        )
        raise UserError(f"{path} holds images without labels{where}", remedy)
    there = _read(file)
    if not isinstance(there, Tensor):
        raise UserError(f"{file} holds {_kind(there)}, not a tensor of labels", "name another file with `labels`")
    return there, f"labels from {file.name}"


def _by_class(path: Path, images: Tensor, classes: int) -> tuple[Tensor, str]:
    """The labels of images in the order of the classes, and that they are.

    Raises:
        UserError: there are not as many of each class.
    """
    each, rest = divmod(len(images) if images.dim() else 0, classes)
    if rest or not each:
        raise UserError(
            f"{path} has {each * classes + rest} images, which cannot be equally many of each of {classes} classes",
            "name the file of labels with `labels`",
        )
    return torch.arange(classes).repeat_interleave(each), f"labels in the order of the classes, {each} images of each"


def _is_pair(value: Any) -> bool:
    """Whether a value is images and labels, perhaps followed by more."""
    return (
        isinstance(value, list | tuple)
        and len(value) >= 2
        and all(isinstance(each, Tensor) for each in value[:2])
        and value[0].dim() in (2, 3, 4)
        and value[1].dim() in (1, 2)
    )


def _kind(value: Any) -> str:
    """What a value is, in words."""
    if isinstance(value, Tensor):
        return f"a tensor {tuple(value.shape)}"
    if isinstance(value, dict):
        shown = ", ".join(visible(repr(name)[:40]) for name in list(value)[:5])
        return f"a dictionary of {len(value)} entries ({shown}{', ...' if len(value) > 5 else ''})"
    kind = type(value).__name__
    article = "an" if kind[0] in "aeiou" else "a"
    return f"{article} {kind}" + (f" of {len(value)}" if isinstance(value, list | tuple) else "")
