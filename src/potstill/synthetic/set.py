"""The synthetic set: the initial value, the intermediate value and the result of a distillation."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError
from torch import Tensor
from torch.utils.data import TensorDataset

from potstill.data import LabeledImages, Whitening
from potstill.networks import InitialWeights
from potstill.runtime.errors import UserError
from potstill.runtime.files import sha256, write_atomic
from potstill.runtime.reading import is_pickle
from potstill.runtime.safetensors_io import pack, read_safetensors
from potstill.schema.run_folder import RunPaths
from potstill.synthetic.formation import check_factor, enlarged, formed

FORMAT = "potstill.synthetic/1"
FORMED = "potstill.synthetic/2"
"""The format of sets with a formation, which older versions would take for ordinary images."""


@dataclass(frozen=True, kw_only=True)
class Replay:
    """The training that a set was optimised for: a fixed sequence of gradient descent steps with learned rates.

    Attributes:
        rates: float32 (S,), positive: the learned learning rate of each step.
        batches: number of batches, each with equally many consecutive images of every class; step s uses batch
            s mod ``batches``.
        initial: initial weights of the network.
    """

    rates: Tensor
    batches: int
    initial: InitialWeights

    def to_json(self) -> dict[str, Any]:
        """The JSON form of everything but the rates, which are stored as a tensor."""
        return {"batches": self.batches, "initial": self.initial.to_json()}


class Step(NamedTuple):
    """One step of a replay: a batch of images (n, C, H, W), its labels, and the learning rate."""

    images: Tensor
    labels: Tensor
    rate: float


@dataclass(frozen=True, kw_only=True)
class SyntheticSet:
    """A small labelled set of images, to train networks on in place of a large one.

    Attributes:
        images: float32 (N, C, H, W) in normalised units, ordered by class; as they are stored.
        labels: int64 (N,) class indices, or float32 (N, classes) probabilities.
        class_names: the name of each class.
        mean: mean of each channel, for pixels in [0, 1]: normalised = (pixel - mean) / std.
        std: standard deviation of each channel, likewise.
        step_size: the learned learning rate for ordinary training, a positive scalar; None if the method learns none.
        replay: the training steps that the set was optimised for; None if it is for ordinary training.
        whitening: the ZCA transform that has been applied to the images, if any.
        formation: 1, or f if each stored image holds f × f pictures (``potstill.synthetic.formation``): networks are
            trained on the pictures, which ``decoded`` returns.
        provenance: how the set was made; JSON values only, and none that differ between identical runs.
    """

    images: Tensor
    labels: Tensor
    class_names: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    step_size: Tensor | None = None
    replay: Replay | None = None
    whitening: Whitening | None = None
    formation: int = 1
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.images)

    def decoded(self) -> SyntheticSet:
        """The set of all pictures that the stored images hold, each of full size: what networks are trained on.

        Without a formation, the set itself.
        """
        if self.formation == 1:
            return self
        labels = self.labels.repeat_interleave(self.formation**2, dim=0)
        return replace(self, images=enlarged(self.images, self.formation), labels=labels, formation=1)

    def formed(self, factor: int) -> SyntheticSet:
        """A set with a formation, in which each image holds ``factor`` × ``factor`` shrunk images of this one.

        Args:
            factor: the pictures along each side; its square must divide the number of images of each class.

        Raises:
            UserError: the factor does not suit the size of the images.
        """
        check_factor(factor, *self.shape[1:])
        labels = self.labels[:: factor**2]
        return replace(self, images=formed(self.images, factor), labels=labels, formation=factor)

    def __repr__(self) -> str:
        """One line with counts and shape, without the tensors."""
        shape = "×".join(map(str, self.shape))
        labels = "soft" if self.has_soft_labels else "hard"
        held = "" if self.formation == 1 else f", formation {self.formation}"
        return f"SyntheticSet({len(self)} images of {shape} pixels, {self.class_count} classes, {labels} labels{held})"

    def __getitem__(self, index: int | slice | Tensor) -> tuple[Tensor, Tensor]:
        """The normalised image and the label at ``index``, or the images and labels at several.

        Raises:
            IndexError: there is no such image.
            ValueError: as for :meth:`normalised`.
        """
        if isinstance(index, int):
            place = range(len(self))[index]
            return self.normalised(slice(place, place + 1))[0], self.labels[place]
        return self.normalised(index), self.labels[index]

    def normalised(self, indices: Tensor | slice | None = None) -> Tensor:
        """float32 (n, C, H, W): the images at ``indices``, or all images.

        Raises:
            ValueError: the set has a formation: networks are trained on ``decoded()``, not on stored images.
        """
        if self.formation != 1:
            raise ValueError("the stored images of a set with a formation are no examples; use decoded()")
        return self.images if indices is None else self.images[indices]

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W) of one image."""
        return self.images.shape[1], self.images.shape[2], self.images.shape[3]

    @property
    def class_count(self) -> int:
        """The number of classes."""
        return len(self.class_names)

    @property
    def has_soft_labels(self) -> bool:
        """Whether labels are probabilities rather than class indices."""
        return self.labels.dim() == 2

    @property
    def hard_labels(self) -> Tensor:
        """int64 (N,): the class of each image, or the most probable one."""
        return self.labels.argmax(dim=1) if self.has_soft_labels else self.labels

    @property
    def size_bytes(self) -> int:
        """Size in bytes of images, labels, learned rates and whitening; soft labels count in full."""
        step = 0 if self.step_size is None else self.step_size.nbytes
        rates = 0 if self.replay is None else self.replay.rates.nbytes
        labels = self.labels.nbytes if self.has_soft_labels else len(self.labels) * 8
        whitening = 0 if self.whitening is None else self.whitening.matrix.nbytes + self.whitening.mean.nbytes
        return self.images.nbytes + labels + step + rates + whitening

    def replayed(self) -> list[Step]:
        """The steps of the replay, in their order.

        Raises:
            UserError: the set has no replay.
        """
        if self.replay is None:
            raise UserError("the set has no learned steps to replay", "evaluate it with another recipe")
        pictures = self.decoded()
        indices = batch_indices(len(pictures), self.class_count, self.replay.batches)
        batches = [(pictures.images[chosen], pictures.labels[chosen]) for chosen in indices]
        return [Step(*batches[step % len(batches)], rate) for step, rate in enumerate(self.replay.rates.tolist())]

    def pixels(self) -> Tensor:
        """float32 (N, C, H, W) in [0, 1], for display: whitening and normalisation inverted, then clipped."""
        images = self.images if self.whitening is None else self.whitening.invert(self.images)
        mean = torch.tensor(self.mean)[:, None, None]
        std = torch.tensor(self.std)[:, None, None]
        return (images * std + mean).clamp(0, 1)

    def as_dataset(self) -> TensorDataset:
        """A ``torch.utils.data.Dataset`` of (image, label) pairs, for any PyTorch training loop."""
        pictures = self.decoded()
        return TensorDataset(pictures.images, pictures.labels)

    def tensors(self) -> dict[str, Tensor]:
        """The tensors, by their names in a file."""
        tensors = {"images": self.images, "labels": self.labels}
        if self.step_size is not None:
            tensors["step_size"] = self.step_size
        if self.replay is not None:
            tensors["replay.rates"] = self.replay.rates
        if self.whitening is not None:
            tensors["whitening.matrix"], tensors["whitening.mean"] = self.whitening.matrix, self.whitening.mean
        return {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}

    def fingerprint(self) -> str:
        """SHA-256 of the tensors, and of the formation if there is one."""
        return sha256(pack(self.tensors(), {} if self.formation == 1 else {"formation": str(self.formation)}))

    def save(self, path: str | Path) -> None:
        """Write the set as safetensors, atomically.

        Raises:
            UserError: the file cannot be written.
        """
        described = {
            "format": FORMAT if self.formation == 1 else FORMED,
            "class_names": self.class_names,
            "mean": self.mean,
            "std": self.std,
            "provenance": dict(self.provenance),
        }
        if self.formation != 1:
            described["formation"] = self.formation
        if self.replay is not None:
            described["replay"] = self.replay.to_json()
        metadata = {key: value if isinstance(value, str) else json.dumps(value) for key, value in described.items()}
        write_atomic(Path(path), pack(self.tensors(), metadata))

    @classmethod
    def load(cls, path: str | Path) -> SyntheticSet:
        """Read a set that ``save`` wrote. All contents are validated, and no code in the file is executed.

        Raises:
            UserError: the file is missing, truncated, not safetensors, or its contents are inconsistent.
        """
        path = Path(path)
        tensors, metadata = _read_safetensors(path)
        if metadata.get("format") not in (FORMAT, FORMED):
            problem = f"{path} is not a synthetic set: its format is {metadata.get('format', 'not given')!r}"
            raise UserError(problem, f"name a set that potstill distill wrote, in the format {FORMAT!r}")
        try:
            described = {key: json.loads(metadata[key]) for key in ("class_names", "mean", "std", "provenance")}
            loaded = cls(
                images=tensors["images"],
                labels=tensors["labels"],
                class_names=tuple(str(name) for name in described["class_names"]),
                mean=tuple(float(value) for value in described["mean"]),
                std=tuple(float(value) for value in described["std"]),
                step_size=tensors.get("step_size"),
                replay=_replay(tensors, metadata),
                whitening=_whitening(tensors),
                formation=_formation(metadata),
                provenance=dict(described["provenance"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise _unfit(path, f"a field is missing or malformed ({error})") from error
        for problem in _problems(loaded):
            raise _unfit(path, problem)
        return loaded

    @classmethod
    def from_noise(cls, real: LabeledImages, images_per_class: int, generator: torch.Generator) -> SyntheticSet:
        """A set of noise, drawn from N(0, 1) in normalised units.

        Args:
            real: the real images, which provide classes, image shape, normalisation and whitening.
            images_per_class: number of images of each class.
            generator: a CPU generator.
        """
        labels = torch.arange(real.class_count).repeat_interleave(images_per_class)
        return _like(real, torch.randn(len(labels), *real.shape, generator=generator), labels)

    @classmethod
    def from_indices(cls, real: LabeledImages, indices: Tensor) -> SyntheticSet:
        """A set of the real images at ``indices`` int64 (N,), sorted by class."""
        labels = real.labels[indices]
        order = labels.argsort(stable=True)
        return _like(real, real.normalised(indices[order]), labels[order])


def batch_indices(count: int, classes: int, batches: int) -> Tensor:
    """The images of each batch of a replay, with equally many consecutive images of every class.

    Args:
        count: number of images, ordered by class and equally many of each.
        classes: number of classes.
        batches: number of batches; must divide the images per class.

    Returns:
        int64 (batches, count / batches): indices of images.
    """
    of_class = torch.arange(count).reshape(classes, batches, -1)
    return of_class.transpose(0, 1).reshape(batches, -1)


def _like(real: LabeledImages, images: Tensor, labels: Tensor) -> SyntheticSet:
    return SyntheticSet(
        images=images.cpu(),
        labels=labels.cpu(),
        class_names=real.class_names,
        mean=real.mean,
        std=real.std,
        whitening=None if real.whitening is None else real.whitening.to(torch.device("cpu")),
    )


def _read_safetensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    if path.is_dir():
        raise UserError(
            f"{path} is a folder, not a synthetic set", f"name the file in it, such as {RunPaths(path).synthetic}"
        )
    try:
        return read_safetensors(path, "pt")
    except FileNotFoundError as error:
        raise UserError(f"{path} does not exist", "use a run directory or a synthetic.safetensors") from error
    except (SafetensorError, OSError) as error:
        if is_pickle(path):  # only now: the first bytes of a safetensors file may be any
            remedy = "convert it: docs/python-api.md, Sets of other programs"
            raise UserError(f"{path} is a PyTorch pickle, not read: loading one can run any program", remedy) from error
        raise _unfit(path, f"it is truncated or not safetensors ({error})") from error


def _whitening(tensors: Mapping[str, Tensor]) -> Whitening | None:
    if "whitening.matrix" not in tensors:
        return None
    return Whitening(matrix=tensors["whitening.matrix"], mean=tensors["whitening.mean"])


def _formation(metadata: Mapping[str, str]) -> int:
    if metadata["format"] == FORMAT:
        return 1
    factor = json.loads(metadata["formation"])
    if type(factor) is not int or factor < 2:
        raise ValueError(f"formation {factor!r}")
    return factor


def _replay(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> Replay | None:
    if "replay.rates" not in tensors:
        return None
    described = json.loads(metadata["replay"])
    initial = InitialWeights(**described["initial"])
    return Replay(rates=tensors["replay.rates"], batches=int(described["batches"]), initial=initial)


def _problems(loaded: SyntheticSet) -> list[str]:
    """The inconsistencies of a set, each as a short description."""
    images, labels, classes = loaded.images, loaded.labels, loaded.class_count
    if images.dim() != 4 or images.dtype != torch.float32 or 0 in images.shape:
        return [f"images are {images.dtype} {tuple(images.shape)}, not float32 (N, C, H, W)"]
    problems = []
    try:
        check_factor(loaded.formation, *images.shape[2:])
    except UserError as error:
        problems.append(error.problem)
    if labels.shape[:1] != images.shape[:1]:
        problems.append(f"labels {tuple(labels.shape)} for {len(images)} images")
    if classes < 2:
        problems.append("fewer than two classes")
    if labels.dim() == 1 and labels.dtype == torch.int64:
        if len(labels) and not (int(labels.min()) >= 0 and int(labels.max()) < classes):
            problems.append(f"labels outside 0..{classes - 1}")
    elif not (labels.dim() == 2 and labels.dtype == torch.float32 and labels.shape[1] == classes):
        problems.append(f"labels are {labels.dtype} {tuple(labels.shape)}, not int64 (N,) or float32 (N, {classes})")
    elif not (labels.isfinite().all() and (labels >= 0).all() and (labels.sum(1) - 1).abs().max() < 1e-3):
        problems.append("soft labels are not probabilities: each row must be positive and sum to 1")
    if len(loaded.mean) != images.shape[1] or len(loaded.std) != images.shape[1]:
        problems.append(f"mean and std do not have {images.shape[1]} channels")
    elif not (all(math.isfinite(value) for value in (*loaded.mean, *loaded.std)) and min(loaded.std) > 0):
        problems.append("mean and std are not finite, or a std is not positive")
    if not images.isfinite().all():
        problems.append("images contain values that are not finite")
    step = loaded.step_size
    if step is not None and (step.dim() != 0 or not (step.isfinite() and step > 0)):
        problems.append("the step size is not one positive number")
    if (replay := loaded.replay) is not None:
        if replay.rates.dim() != 1 or not (replay.rates.isfinite().all() and (replay.rates > 0).all()):
            problems.append("the rates of the replay are not a vector of positive numbers")
        share, pictures = classes * replay.batches, len(images) * loaded.formation**2
        if replay.batches < 1 or pictures % share or not _balanced(loaded.hard_labels, classes):
            problems.append(f"its images cannot be divided into {replay.batches} balanced batches")
    whitening, size = loaded.whitening, images[0].numel()
    if whitening is not None and (whitening.matrix.shape != (size, size) or whitening.mean.shape != (size,)):
        problems.append("the whitening does not have the size of the images")
    return problems


def _balanced(labels: Tensor, classes: int) -> bool:
    return labels.equal(torch.arange(classes).repeat_interleave(len(labels) // classes))


def _unfit(path: Path, problem: str) -> UserError:
    return UserError(f"{path} is not a usable synthetic set: {problem}", "distil it again with potstill distill")
