"""The file of a synthetic set: its metadata, and the tensors that it declares, checked before any of them is read."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

from potstill.runtime.errors import UserError
from potstill.runtime.files import sha256
from potstill.runtime.reading import is_pickle
from potstill.runtime.safetensors_io import UNREADABLE, DeclaredTensor, pack, read_header
from potstill.schema import Record
from potstill.schema.fields import Count, Fields, Positive
from potstill.schema.privacy import Privacy
from potstill.schema.shapes import is_vector

FORMAT = "potstill.synthetic/1"
FORMED = "potstill.synthetic/2"
"""The format of sets with a formation, which older versions would take for ordinary images."""
SetKind = Literal["selection", "method", "set"]
"""Where a set comes from: a selection, another method, or a set that was made before."""

LARGEST = 1e6
"""The largest mean and standard deviation that are accepted, so that pixels stay within the range of float32."""
LARGEST_OF_VECTORS = 1e30
"""The same for vectors, whose numbers may be of any size."""


@dataclass(frozen=True, kw_only=True)
class InitialRecord(Record):
    """Initial weights that learned steps begin from; see :class:`potstill.networks.InitialWeights`."""

    source: str
    seed: int = 0
    sha256: str | None = None
    scheme: Literal["kaiming", "xavier"] = "kaiming"

    def identity(self) -> dict[str, Any]:
        """What decides the weights that are drawn: of files what they hold, not where they are."""
        if self.source == "random":
            return {"source": self.source, "scheme": self.scheme}
        if self.source == "fixed":
            return {"source": self.source, "scheme": self.scheme, "seed": self.seed}
        return {"sha256": self.sha256} if self.sha256 else {"source": self.source}


@dataclass(frozen=True, kw_only=True)
class ReplayRecord(Record):
    """The learned steps of a set, except for their rates, which are a tensor.

    Attributes:
        batches: see :class:`potstill.synthetic.Replay`, and so are the others.
    """

    batches: Positive
    initial: InitialRecord
    hashed: bool = False

    def identity(self) -> dict[str, Any]:
        """What distinguishes these steps from others with the same rates."""
        return {"batches": self.batches, "initial": self.initial.identity()}


@dataclass(frozen=True, kw_only=True)
class ProvenanceRecord(Record):
    """What commands take from the provenance of a set; whatever else it holds is kept and shown, but not used."""

    dataset: str | None = None
    dataset_fingerprint: str | None = None
    reads_sha256: str | None = None
    network: str | None = None
    seed: int | None = None
    image_size: Positive | None = None
    chosen_iteration: Count | None = None
    privacy: Privacy | None = None


IMPORTED = "imported"
"""Stands for the method of a set that another program made."""


def made_by(provenance: Mapping[str, Any]) -> str | None:
    """The name of the method in the provenance of a set; ``IMPORTED`` for a set of another program, None if unknown."""
    method = provenance.get("method")
    name = method.get("name") if isinstance(method, Mapping) else method
    return name if isinstance(name, str) and name else None


@dataclass(frozen=True, kw_only=True)
class SetMetadata(Record):
    """The metadata of a set's file.

    Attributes:
        class_names: the name of each class, at least two.
        mean: mean of each channel, for pixels in [0, 1].
        std: standard deviation of each channel, likewise; positive.
        provenance: how the set was made.
        replay: the learned steps, if the set has any.
        formation: 1, or f if each stored image holds f × f pictures.
    """

    class_names: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    provenance: Mapping[str, Any]
    replay: ReplayRecord | None = None
    formation: Positive = 1

    @classmethod
    def of_file(cls, file: Path) -> Self:
        """Read the metadata of a set, and check the tensors that its file declares, without reading any of them.

        Raises:
            UserError: the file is missing, truncated or not safetensors, or what it declares does not fit together.
        """
        if file.is_dir():
            inside = f"name the file in it, such as {file / 'synthetic.safetensors'}"
            raise UserError(f"{file} is a folder, not a synthetic set", inside)
        try:
            declared, metadata = read_header(file)
        except FileNotFoundError as error:
            raise UserError(f"{file} does not exist", "name the folder of a run, or a synthetic.safetensors") from error
        except UNREADABLE as error:
            if is_pickle(file):  # only now: the first bytes of a safetensors file may be any
                remedy = "read its tensors alone with: potstill import"
                raise UserError(
                    f"{file} is a PyTorch pickle, which is not read: loading one can run any code", remedy
                ) from error
            raise unusable_set(file, f"it is truncated or not safetensors ({error})") from error
        if metadata.get("format") not in (FORMAT, FORMED):
            problem = f"{file} is not a synthetic set: its format is {metadata.get('format', 'not given')!r}"
            raise UserError(problem, f"name a set that potstill distill wrote, in the format {FORMAT!r}")
        try:
            fields = Fields.of_metadata(file, metadata, texts=("format",))
            made = cls.from_json(fields)
            ProvenanceRecord.from_json(fields.part("provenance"))
        except UserError as error:
            raise unusable_set(file, error.problem.removeprefix(f"{file}: ")) from error
        if (metadata["format"] == FORMED) != (made.formation > 1):
            raise unusable_set(file, f"a formation of {made.formation} does not fit its format, {metadata['format']!r}")
        for problem in made._problems(declared):
            raise unusable_set(file, problem)
        return made

    def _problems(self, declared: Mapping[str, DeclaredTensor]) -> Iterator[str]:
        """What does not fit together, each as a short description."""
        if absent := [name for name in ("images", "labels") if name not in declared]:
            yield f"it has no {' and no '.join(absent)}"
            return
        images, labels, classes = declared["images"], declared["labels"], len(self.class_names)
        if images.dtype != "F32" or len(images.shape) != 4 or 0 in images.shape:
            yield f"images are {images}, not float32 (N, C, H, W)"
            return
        count, channels = images.shape[:2]
        if labels.shape[:1] != (count,):
            yield f"labels {labels.shape} for {count} images"
        if (labels.dtype, labels.shape[1:]) not in (("I64", ()), ("F32", (classes,))):
            yield f"labels are {labels}, not int64 (N,) or float32 (N, {classes})"
        if not classes:
            yield "no classes"
        if self.formation > largest_formation(*images.shape[2:]):
            yield f"a formation of {self.formation} does not suit images of {images.shape[3]}×{images.shape[2]} pixels"
        if len(self.mean) != channels or len(self.std) != channels:
            yield f"mean and std do not have {channels} channels"
        elif is_vector(images.shape[1:]):
            if min(self.std) <= 0 or max(map(abs, (*self.mean, *self.std))) > LARGEST_OF_VECTORS:
                yield "mean and std are not those of 32-bit numbers"
        elif min(self.std) <= 0 or max(map(abs, (*self.mean, *self.std))) > LARGEST:
            yield "mean and std are not those of pixels in [0, 1]"
        yield from self._problems_of_extras(declared, images)

    def _problems_of_extras(self, declared: Mapping[str, DeclaredTensor], images: DeclaredTensor) -> Iterator[str]:
        step, rates = declared.get("step_size"), declared.get("replay.rates")
        if step is not None and (step.dtype not in ("F32", "F64") or step.shape):
            yield "the step size is not one positive number"
        if (rates is None) != (self.replay is None):
            yield "the rates of the replay or its description is missing"
        if rates is not None and (rates.dtype != "F32" or len(rates.shape) != 1 or rates.shape[0] < 1):
            yield "the rates of the replay are not a vector of positive numbers"
        pictures = images.shape[0] * self.formation**2
        if self.replay is not None and pictures % (len(self.class_names) * self.replay.batches):
            yield f"its images cannot be divided into {self.replay.batches} balanced batches"
        size = images.size // images.shape[0]
        whitening = {name: str(entry) for name, entry in declared.items() if name.startswith("whitening.")}
        if whitening and whitening != {
            "whitening.matrix": f"float32 {(size, size)}",
            "whitening.mean": f"float32 {(size,)}",
        }:
            yield "the whitening does not have the size of the images"


def largest_formation(height: int, width: int) -> int:
    """The most pictures along each side of an image of so many pixels; each has at least 2 × 2 of them."""
    return max(min(height, width) // 2, 1)


def set_sha256(tensors: Mapping[str, Any], metadata: SetMetadata) -> str:
    """The SHA-256 that identifies a set: of its tensors, and of those metadata without which they are another set.

    These are the formation and the replay, where there is one, and the normalisation of the sets of other programs:
    the same numbers, imported by another mean, are another set. Those that Potstill makes are normalised as their
    dataset is.

    Args:
        tensors: PyTorch tensors or NumPy arrays by their names in the file; contiguous, on the CPU.
        metadata: the metadata.
    """
    told: dict[str, Any] = {}
    if metadata.formation != 1:
        told["formation"] = metadata.formation
    if metadata.replay is not None and metadata.replay.hashed:
        told["replay"] = metadata.replay.identity()
    if made_by(metadata.provenance) == IMPORTED:
        told |= {"mean": list(metadata.mean), "std": list(metadata.std)}
    return sha256(pack(tensors, {name: json.dumps(value, sort_keys=True) for name, value in told.items()}))


def unusable_set(file: Path, problem: str) -> UserError:
    """The error for a file that is not a usable set."""
    return UserError(f"{file} is not a usable synthetic set: {problem}", "distil it again with potstill distill")
