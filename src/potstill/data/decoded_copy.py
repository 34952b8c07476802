"""A decoded copy of a dataset: one safetensors file that is written image by image, and read whole or in part.

Labels, checksums and counts come first, then the images of each split. The header is written last, into room that is
left for it: a file that is not finished has none.
"""

from __future__ import annotations

import hashlib
import json
import operator
import zlib
from collections.abc import Mapping
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import torch
from torch import Tensor

from potstill.data.images_on_disk import BLOCK_BYTES, ImagesOnDisk, StoredImages, value_counts
from potstill.data.raw import RawDataset, Split
from potstill.runtime.errors import UserError
from potstill.runtime.safetensors_io import SHA256, UNREADABLE, content_sha256, read_header, read_safetensors
from potstill.schema.account import Account
from potstill.schema.fields import Fields

FORMAT = "potstill.decoded/5"
ROOM = 2**20
"""What the header may take beside the names of the classes."""

IMAGES = ".images"
"""How the names of the tensors end that hold images, after the name of the split."""

Shape = tuple[int, int, int, int]
"""(N, C, H, W)."""


class Draft:
    """A copy that is being written: ``put`` every image, then ``finish`` it.

    Args:
        path: the new file.
        shapes: (N, C, H, W) of the images of each split.
        labels: int64 (N,) of each split.
        class_names: for which room is left.
    """

    def __init__(
        self, path: Path, shapes: Mapping[str, Shape], labels: Mapping[str, Tensor], class_names: tuple[str, ...]
    ) -> None:
        self.path, self._shapes, self._labels = path, dict(shapes), dict(labels)
        names = len(json.dumps(json.dumps(class_names)))
        self._header_bytes = -(-(ROOM + names + 64 * len(class_names)) // 8) * 8
        self._checksums = {split: torch.zeros(shape[0], dtype=torch.int64) for split, shape in shapes.items()}
        self._counts = {split: torch.zeros(shape[1], 256, dtype=torch.int64) for split, shape in shapes.items()}
        self._offsets, self._end = self._laid_out()
        self._lock = Lock()
        self._file = path.open("w+b", buffering=0)
        self._file.truncate(8 + self._header_bytes + self._end)

    def put(self, split: str, first: int, images: np.ndarray) -> None:
        """Write some images; several threads may do so.

        Args:
            split: the name of the split.
            first: the number of the first image.
            images: uint8 (n, C, H, W).

        Raises:
            OSError: they cannot be written, or have another shape than was declared.
        """
        if images.shape[1:] != self._shapes[split][1:]:
            raise OSError(f"an image of {split} has the shape {images.shape[1:]}, not {self._shapes[split][1:]}")
        images = np.ascontiguousarray(images)
        sums = torch.tensor([zlib.crc32(image.data) for image in images.reshape(len(images), -1)], dtype=torch.int64)
        counts = value_counts(torch.from_numpy(images))
        with self._lock:
            self._write(self._offsets[f"{split}{IMAGES}"] + first * images[0].nbytes, images)
            self._checksums[split][first : first + len(images)] = sums
            self._counts[split] += counts

    def finish(self, account: Account) -> None:
        """Write what describes the images.

        Args:
            account: how they were found and understood.

        Raises:
            OSError: it cannot be written.
        """
        small = self._small_tensors()
        for name, tensor in small.items():
            self._write(self._offsets[name], tensor.numpy())
        metadata = {
            "account": json.dumps(account.to_json()),
            "digests": json.dumps({split: self._digest(split) for split in self._shapes}),
            "shapes": json.dumps(self._shapes),
        }
        header: dict[str, Any] = {"__metadata__": metadata | {SHA256: content_sha256(small, metadata)}}
        for name, begin in self._offsets.items():
            kind, shape, size = self._declared(name)
            header[name] = {"dtype": kind, "shape": shape, "data_offsets": [begin, begin + size]}
        text = json.dumps(header, separators=(",", ":")).encode()
        if len(text) > self._header_bytes:
            raise OSError(f"its description takes {len(text):,} bytes, for which there is no room")
        self._file.seek(0)
        self._file.write(self._header_bytes.to_bytes(8, "little") + text.ljust(self._header_bytes))
        self._file.close()

    def _small_tensors(self) -> dict[str, Tensor]:
        return {
            f"{split}.{name}": part[split]
            for split in self._shapes
            for name, part in (("labels", self._labels), ("checksums", self._checksums), ("counts", self._counts))
        }

    def _laid_out(self) -> tuple[dict[str, int], int]:
        """Where each tensor begins after the header, and where the last one ends."""
        offsets, end = {}, 0
        for name in (*self._small_tensors(), *(f"{split}{IMAGES}" for split in self._shapes)):
            offsets[name] = end
            end += self._declared(name)[2]
        return offsets, end

    def _declared(self, name: str) -> tuple[str, list[int], int]:
        """Type, shape and bytes of a tensor."""
        split, _, part = name.rpartition(".")
        if part == "images":
            shape = self._shapes[split]
            return "U8", [*shape], int(np.prod(shape, dtype=np.int64))
        tensor = self._small_tensors()[name]
        return "I64", [*tensor.shape], tensor.nbytes

    def _write(self, offset: int, array: np.ndarray) -> None:
        self._file.seek(8 + self._header_bytes + offset)
        content = array.reshape(-1).view(np.uint8).data
        while content:
            content = content[self._file.write(content) :]

    def _digest(self, split: str) -> str:
        digest = hashlib.sha256(repr(self._shapes[split]).encode())
        begin, left = self._offsets[f"{split}{IMAGES}"], self._declared(f"{split}{IMAGES}")[2]
        self._file.seek(8 + self._header_bytes + begin)
        while left:
            if not (content := self._file.read(min(left, BLOCK_BYTES))):
                raise OSError("it was cut while it was written")
            digest.update(content)
            left -= len(content)
        digest.update(self._labels[split].numpy().data)
        return digest.hexdigest()


def write_copy(raw: RawDataset, path: Path) -> None:
    """Write a copy of images that are in memory.

    Raises:
        OSError: it cannot be written.
    """
    shapes = {name: _shape_of(split) for name, split in raw.splits.items()}
    draft = Draft(path, shapes, {name: split.labels for name, split in raw.splits.items()}, raw.class_names)
    for name, split in raw.splits.items():
        first = 0
        for block in split.blocks():
            if len(block):
                draft.put(name, first, block.numpy())
            first += len(block)
    draft.finish(raw.account)


def _shape_of(split: Split) -> Shape:
    count, channels, height, width = split.images.shape
    return count, channels, height, width


def read_copy(path: Path, in_memory: float) -> RawDataset | None:
    """The dataset in a copy, or None if the file is absent or differs from what was written.

    Args:
        path: the file.
        in_memory: the most bytes of images that are read into memory; more of them stay in the file.
    """
    try:
        entries, _ = read_header(path)
        on_disk = sum(entry.size for name, entry in entries.items() if name.endswith(IMAGES)) > in_memory
        tensors, metadata = read_safetensors(path, choose=lambda name: not (on_disk and name.endswith(IMAGES)))
        described = {name: tensor for name, tensor in tensors.items() if not name.endswith(IMAGES)}
        if metadata.pop(SHA256, None) != content_sha256(described, metadata):
            return None
        fields = Fields.of_metadata(path, metadata)
        digests = fields.value("digests", dict[str, str])
        account = Account.from_json(fields.part("account"))
        splits = {}
        for name, shape in fields.value("shapes", dict[str, tuple[int, int, int, int]]).items():
            entry = entries[f"{name}{IMAGES}"]
            labels, checksums, counts = (tensors[f"{name}.{part}"] for part in ("labels", "checksums", "counts"))
            if (entry.dtype, entry.shape) != ("U8", shape) or not _are_declared(shape, labels, checksums, counts):
                return None
            if on_disk:
                stored = StoredImages.opened(path, name, entry.begin, shape, checksums.numpy(), counts)
                splits[name] = Split(ImagesOnDisk.all_of(stored), labels)
            elif _are_intact(found := tensors[f"{name}{IMAGES}"], checksums):
                splits[name] = Split(found, labels)
            else:
                return None
    except (*UNREADABLE, UserError, KeyError):
        return None
    return RawDataset(splits, account, digests={name: digests[name] for name in splits if name in digests})


def _are_declared(shape: Shape, labels: Tensor, checksums: Tensor, counts: Tensor) -> bool:
    """Whether what describes images of a shape has the right shapes and types itself."""
    wanted = ((labels, shape[:1]), (checksums, shape[:1]), (counts, (shape[1], 256)))
    return all(tensor.shape == size and tensor.dtype == torch.int64 for tensor, size in wanted)


def _are_intact(images: Tensor, checksums: Tensor) -> bool:
    return all(map(operator.eq, map(zlib.crc32, images.flatten(1).numpy()), checksums.tolist()))
