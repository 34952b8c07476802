"""The synthetic set: the initial value, the intermediate value and the result of a distillation."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor
from torch.utils.data import TensorDataset

from potstill.data import LabeledImages, Whitening
from potstill.networks import InitialWeights
from potstill.runtime.errors import UserError
from potstill.runtime.files import write_atomic
from potstill.runtime.hub import hub_address
from potstill.runtime.safetensors_io import UNREADABLE, pack, read_safetensors
from potstill.schema.set_file import (
    FORMAT,
    FORMED,
    InitialRecord,
    ReplayRecord,
    SetMetadata,
    set_sha256,
    unusable_set,
)
from potstill.schema.shapes import is_vector, shape_in_words
from potstill.synthetic.formation import check_factor, enlarged, formed

if TYPE_CHECKING:
    from datasets import Dataset


@dataclass(frozen=True, kw_only=True)
class Replay:
    """The training that a set was optimised for: a fixed sequence of gradient descent steps with learned rates.

    Attributes:
        rates: float32 (S,), positive: the learned learning rate of each step.
        batches: number of batches, each with equally many consecutive images of every class; step s uses batch
            s mod ``batches``.
        initial: initial weights of the network.
        hashed: whether batches and initial weights are part of the set's fingerprint, as the rates always are. They
            are not in older files, whose fingerprints are on record.
    """

    rates: Tensor
    batches: int
    initial: InitialWeights
    hashed: bool = True

    def to_json(self) -> dict[str, Any]:
        """The steps as JSON, except for the rates, which are stored as a tensor."""
        return {"batches": self.batches, "initial": self.initial.to_json()}


class Step(NamedTuple):
    """One step of a replay: a batch of images (n, C, H, W), its labels, and the learning rate."""

    images: Tensor
    labels: Tensor
    rate: float


@dataclass(frozen=True, kw_only=True)
class SyntheticSet:
    """A small labelled set of images, to train networks on in place of a large one.

    A vector is an image of one pixel, whose channels are the features.

    Attributes:
        images: float32 (N, C, H, W) in normalised units, ordered by class; as they are stored.
        labels: int64 (N,) class indices, or float32 (N, classes) probabilities.
        class_names: the name of each class.
        mean: mean of each channel, for pixels in [0, 1], or of each feature: normalised = (pixel - mean) / std.
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

    @property
    def pictures(self) -> int:
        """The number of pictures that networks are trained on: that of the images, unless there is a formation."""
        return len(self) * self.formation**2

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
        labels = "soft" if self.has_soft_labels else "hard"
        held = "" if self.formation == 1 else f", formation {self.formation}"
        shape = shape_in_words(self.shape)
        return f"SyntheticSet({len(self)} {shape}, {self.class_count} classes, {labels} labels{held})"

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
            raise ValueError("the stored images of a set with a formation are not examples; use decoded()")
        return self.images if indices is None else self.images[indices]

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W) of one image."""
        return self.images.shape[1], self.images.shape[2], self.images.shape[3]

    @property
    def holds_vectors(self) -> bool:
        """Whether the set holds vectors rather than images."""
        return is_vector(self.shape)

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
        return sum(tensor.nbytes for tensor in self.tensors().values())

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
        """float32 (N, C, H, W) in [0, 1], for display: whitening and normalisation inverted, then clipped.

        Raises:
            UserError: the whitening cannot be inverted, or the set holds vectors.
        """
        if self.holds_vectors:
            raise UserError("a set of vectors has no pixels", "use its vectors")
        try:
            images = self.images if self.whitening is None else self.whitening.invert(self.images)
        except RuntimeError as error:  # a matrix without inverse
            raise UserError("the whitening of the set cannot be inverted", "distil the set again") from error
        mean = torch.tensor(self.mean)[:, None, None]
        std = torch.tensor(self.std)[:, None, None]
        return (images * std + mean).clamp(0, 1)

    def vectors(self) -> Tensor:
        """float32 (N, D): the vectors of the set in the units of the data that it was made from.

        Raises:
            UserError: the set holds images.
        """
        if not self.holds_vectors:
            raise UserError("a set of images has no vectors", "use its pixels")
        return self.images.flatten(1) * torch.tensor(self.std) + torch.tensor(self.mean)

    def as_dataset(self) -> TensorDataset:
        """A ``torch.utils.data.Dataset`` of (image, label) pairs, for any PyTorch training loop."""
        pictures = self.decoded()
        return TensorDataset(pictures.images, pictures.labels)

    def as_hf_dataset(self) -> Dataset:
        """A ``datasets.Dataset`` in memory, with the exact numbers that networks are trained on.

        Its columns are ``pixel_values``, float32 (C, H, W) in normalised units, of a set of vectors ``vector``, float32
        (D,); ``label``, a class; and of a set with soft labels ``soft_label``, float32 (classes,).
        """
        hub_address()  # raises for an invalid address, with which the next import would fail
        from datasets import Array3D, ClassLabel, Dataset, Features, Sequence, Value

        pictures = self.decoded()
        name, kind = "pixel_values", Array3D(self.shape, "float32")
        if self.holds_vectors:
            name, kind = "vector", Sequence(Value("float32"), length=self.shape[0])
        columns = {
            name: pictures.images.flatten(1).numpy() if self.holds_vectors else pictures.images.numpy(),
            "label": pictures.hard_labels.numpy(),
        }
        features = {name: kind, "label": ClassLabel(names=list(self.class_names))}
        if self.has_soft_labels:
            columns["soft_label"] = pictures.labels.numpy()
            features["soft_label"] = Sequence(Value("float32"), length=self.class_count)
        return Dataset.from_dict(columns, features=Features(features)).with_format("torch")

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
        """The SHA-256 that identifies the set; see :func:`potstill.schema.set_file.set_sha256`."""
        return set_sha256(self.tensors(), self.metadata())

    def metadata(self) -> SetMetadata:
        """Everything but the tensors."""
        replay = self.replay
        return SetMetadata(
            class_names=self.class_names,
            mean=self.mean,
            std=self.std,
            provenance=self.provenance,
            replay=None
            if replay is None
            else ReplayRecord(
                batches=replay.batches, initial=InitialRecord(**replay.initial.to_json()), hashed=replay.hashed
            ),
            formation=self.formation,
        )

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
            described["replay"] = self.replay.to_json() | ({"hashed": True} if self.replay.hashed else {})
        metadata = {key: value if isinstance(value, str) else json.dumps(value) for key, value in described.items()}
        write_atomic(Path(path), pack(self.tensors(), metadata))

    @classmethod
    def load(cls, path: str | Path) -> SyntheticSet:
        """Read a set that ``save`` wrote. All contents are validated, and no code in the file is executed.

        Raises:
            UserError: the file is missing, truncated, not safetensors, or its contents are inconsistent.
        """
        path = Path(path)
        metadata = SetMetadata.of_file(path)
        try:
            tensors, _ = read_safetensors(path)
        except UNREADABLE as error:
            raise unusable_set(path, f"it cannot be read ({error})") from error
        replay = metadata.replay
        loaded = cls(
            images=tensors["images"],
            labels=tensors["labels"],
            class_names=metadata.class_names,
            mean=metadata.mean,
            std=metadata.std,
            step_size=tensors.get("step_size"),
            replay=None
            if replay is None
            else Replay(
                rates=tensors["replay.rates"],
                batches=replay.batches,
                initial=InitialWeights(**vars(replay.initial)),
                hashed=replay.hashed,
            ),
            whitening=Whitening(matrix=tensors["whitening.matrix"], mean=tensors["whitening.mean"])
            if "whitening.matrix" in tensors
            else None,
            formation=metadata.formation,
            provenance=dict(metadata.provenance),
        )
        for problem in _problems(loaded):
            raise unusable_set(path, problem)
        return loaded

    @classmethod
    def from_hub(cls, name: str, *, revision: str | None = None) -> SyntheticSet:
        """The exact set of a dataset repository on the Hugging Face hub, as ``potstill push`` put it there.

        Args:
            name: ``OWNER/NAME``.
            revision: a branch, tag or commit; None takes the newest.

        Raises:
            UserError: the hub cannot be reached, or has no such set, or its file is damaged.
        """
        from potstill.synthetic.hub import fetch_set

        return cls.load(fetch_set(name, revision=revision))

    @classmethod
    def from_noise(cls, real: LabeledImages, images_per_class: int, generator: torch.Generator) -> SyntheticSet:
        """A set of noise, drawn from N(0, 1) in normalised units.

        Args:
            real: the real images, which provide classes, image shape, normalisation and whitening.
            images_per_class: number of images of each class.
            generator: a CPU generator.
        """
        labels = torch.arange(real.class_count).repeat_interleave(images_per_class)
        return cls.from_images(real, torch.randn(len(labels), *real.shape, generator=generator), labels)

    @classmethod
    def from_indices(cls, real: LabeledImages, indices: Tensor) -> SyntheticSet:
        """A set of the real images at ``indices`` int64 (N,), sorted by class."""
        labels = real.labels[indices]
        order = labels.argsort(stable=True)
        return cls.from_images(real, real.normalised(indices[order]), labels[order])

    @classmethod
    def from_images(cls, real: LabeledImages, images: Tensor, labels: Tensor) -> SyntheticSet:
        """A set of any images, on the CPU.

        Args:
            real: the real images, which provide classes, normalisation and whitening.
            images: float32 (N, C, H, W) in the normalised units of the real images, ordered by class.
            labels: int64 (N,) or float32 (N, classes).
        """
        return cls(
            images=images.cpu(),
            labels=labels.cpu(),
            class_names=real.class_names,
            mean=real.mean,
            std=real.std,
            whitening=None if real.whitening is None else real.whitening.to("cpu"),
        )


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


def _problems(loaded: SyntheticSet) -> Iterator[str]:
    """What is wrong with the values of a set whose metadata, shapes and types are right, each in a few words."""
    labels, classes = loaded.labels, loaded.class_count
    if not loaded.images.isfinite().all():
        yield "images contain values that are not finite"
    if not loaded.has_soft_labels:
        if not 0 <= labels.min() <= labels.max() < classes:
            yield f"labels outside 0..{classes - 1}"
    elif not (labels.isfinite().all() and (labels >= 0).all() and (labels.sum(1) - 1).abs().max() < 1e-3):
        yield "soft labels are not probabilities: each row must be positive and sum to 1"
    step = loaded.step_size
    if step is not None and not (step.isfinite() and step > 0):
        yield "the step size is not one positive number"
    if (replay := loaded.replay) is not None:
        if not (replay.rates.isfinite().all() and (replay.rates > 0).all()):
            yield "the rates of the replay are not a vector of positive numbers"
        if not _balanced(loaded.hard_labels, classes):
            yield f"its images cannot be divided into {replay.batches} balanced batches"
    whitening = loaded.whitening
    if whitening is not None and not (whitening.matrix.isfinite().all() and whitening.mean.isfinite().all()):
        yield "the whitening contains values that are not finite"


def _balanced(labels: Tensor, classes: int) -> bool:
    return labels.equal(torch.arange(classes).repeat_interleave(len(labels) // classes))
