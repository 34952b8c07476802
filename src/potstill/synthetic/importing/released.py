"""The files of released programs: which tensors are the images, which the labels, which the step size.

Three layouts are known:

- one file with ``data``, a list of experiments of images and labels each (DC, DSA, DM and programs after them), or one
  pair of them;
- one file with a list or tuple of images and labels (IDC and programs after it);
- a file of images, ``images_best.pt``, beside ``labels_best.pt`` and perhaps ``lr_best.pt`` (MTT, TESLA, DATM, PAD and
  DD-Ranking).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from potstill.data.formats.torch_file import read_torch_file
from potstill.runtime.errors import UserError

WANTED = "a list of images and labels, a dictionary with such a list as 'data', or a tensor of images"


@dataclass(frozen=True, eq=False)
class Released:
    """What a file holds.

    Attributes:
        images: (N, C, H, W), of any number type.
        labels: (N,) integers, or (N, classes) probabilities or logits.
        step_size: a learned step size; None without one.
        remarks: what was decided, a sentence each.
    """

    images: Tensor
    labels: Tensor
    step_size: float | None = None
    remarks: tuple[str, ...] = ()


def read_released(path: Path, *, labels: Path | None = None, experiment: int | None = None) -> Released:
    """Read the file of a released program.

    Args:
        path: the file, or that of the images.
        labels: a file of labels; by default the one that goes with the name of the file of images.
        experiment: which experiment of a file with several, from 0; None takes the first, and says so.

    Raises:
        UserError: the file holds something else, or the labels are not found, or there is no such experiment.
    """
    content = read_torch_file(path)
    if isinstance(content, Tensor):
        if experiment is not None:
            raise UserError(f"{path} holds one set, not several experiments", "leave `experiment` out")
        return _beside(path, content, labels)
    if labels is not None:
        raise UserError(f"{path} has labels of its own", "leave `labels` out")
    found: Any = content.get("data") if isinstance(content, dict) else content
    if _is_pair(found):
        if experiment is not None:
            raise UserError(f"{path} holds one set, not several experiments", "leave `experiment` out")
        return Released(found[0], found[1])
    if isinstance(found, list | tuple) and found and all(_is_pair(each) for each in found):
        number = experiment or 0
        if not 0 <= number < len(found):
            raise UserError(f"{path} has {len(found)} experiments, none of number {number}", "count from 0")
        said = () if len(found) == 1 else (f"experiment {number} of {len(found)}, counted from 0",)
        return Released(found[number][0], found[number][1], remarks=said)
    raise UserError(f"{path} holds {_kind(content)}", f"give a file with {WANTED}")


def _beside(path: Path, images: Tensor, labels: Path | None) -> Released:
    """A file of images, and the files of labels and of a step size that go with its name."""
    prefix, found, rest = path.name.partition("images")
    rest = rest.removeprefix("_zca")  # MTT's name for images whose whitening is undone
    guess = path.with_name(f"{prefix}labels{rest}") if found else None
    file = labels or guess
    if file is None or not file.exists():
        where = f" ({guess} does not exist)" if guess is not None else ""
        raise UserError(f"{path} holds images without labels{where}", "name the file of labels with `labels`")
    there = read_torch_file(file)
    if not isinstance(there, Tensor):
        raise UserError(f"{file} holds {_kind(there)}, not a tensor of labels", "name another file with `labels`")
    remarks = [f"labels from {file.name}"]
    rate = path.with_name(f"{prefix}lr{rest}") if found else None
    step_size = None
    if rate is not None and rate.exists():
        value = read_torch_file(rate)
        try:
            step_size = float(value.item() if isinstance(value, Tensor) else value)
        except (TypeError, ValueError, RuntimeError, OverflowError) as error:
            raise UserError(f"{rate} holds {_kind(value)}, not one step size", "move it away, or correct it") from error
        remarks.append(f"step size {step_size:.4g} from {rate.name}")
    return Released(images, there, step_size, tuple(remarks))


def _is_pair(value: Any) -> bool:
    """Whether a value is images and labels, perhaps followed by more."""
    return (
        isinstance(value, list | tuple)
        and len(value) >= 2
        and isinstance(value[0], Tensor)
        and value[0].dim() == 4
        and isinstance(value[1], Tensor)
    )


def _kind(value: Any) -> str:
    """What a value is, in words."""
    if isinstance(value, Tensor):
        return f"a tensor {tuple(value.shape)}"
    if isinstance(value, dict):
        shown = ", ".join(map(repr, list(value)[:5]))
        return f"a dictionary of {len(value)} entries ({shown}{', ...' if len(value) > 5 else ''})"
    kind = type(value).__name__
    article = "an" if kind[0] in "aeiou" else "a"
    return f"{article} {kind}" + (f" of {len(value)}" if isinstance(value, list | tuple) else "")
