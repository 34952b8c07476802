"""Where units are done: a device, and the sets and datasets that units name by their content."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from potstill.data import ImageDataset
from potstill.data.dataset_file import prepared_sha256, read_dataset, write_dataset
from potstill.runtime.compute import Compute
from potstill.runtime.errors import UserError
from potstill.runtime.machine import machine_in_words
from potstill.runtime.progress import Progress, silent
from potstill.synthetic import SyntheticSet

T = TypeVar("T")


class Materials:
    """The sets and datasets that units work on, by the SHA-256 of their contents.

    Each is an object in this process, a file, or both: another process takes the files.
    """

    def __init__(self) -> None:
        self._files: dict[str, Path] = {}
        self._there: dict[str, ImageDataset | SyntheticSet] = {}

    def add(self, material: ImageDataset | SyntheticSet) -> str:
        """Make a set or dataset known, and return the SHA-256 by which units name it."""
        key = prepared_sha256(material) if isinstance(material, ImageDataset) else material.fingerprint()
        self._there.setdefault(key, material)
        return key

    def dataset(self, key: str) -> ImageDataset:
        """The dataset with this SHA-256.

        Raises:
            UserError: it is not there, or its file holds another one.
        """
        if key not in self._there:
            self._there[key] = self._read(key, read_dataset, prepared_sha256)
        return self._of(key, ImageDataset)

    def synthetic(self, key: str) -> SyntheticSet:
        """The set with this SHA-256.

        Raises:
            UserError: it is not there, or its file holds another one.
        """
        if key not in self._there:
            self._there[key] = self._read(key, SyntheticSet.load, SyntheticSet.fingerprint)
        return self._of(key, SyntheticSet)

    def kept_in(self, folder: Path) -> dict[str, Path]:
        """The file of each set and dataset; those that have none are written into a folder.

        Raises:
            UserError: a file cannot be written.
        """
        for key, material in self._there.items():
            if key not in self._files:
                path = folder / f"{key}.safetensors"
                if path.exists():
                    pass  # written by other units
                elif isinstance(material, ImageDataset):
                    write_dataset(material, path)
                else:
                    material.save(path)
                self._files[key] = path
        return dict(self._files)

    def find_only(self, files: Mapping[str, Path]) -> None:
        """Know these sets and datasets, by their files as ``kept_in`` returns them, and no others. None is read yet."""
        self._files = dict(files)
        self._there = {key: material for key, material in self._there.items() if key in files}

    def _read(self, key: str, read: Callable[[Path], T], sha256: Callable[[T], str]) -> T:
        if key not in self._files:
            raise UserError(f"a unit names the data {key[:12]}, which are not there", "start the command again")
        found = read(self._files[key])
        if sha256(found) != key:
            raise UserError(f"{self._files[key]} has changed since the work began", "start the command again")
        return found

    def _of(self, key: str, kind: type[T]) -> T:
        found: Any = self._there[key]
        if not isinstance(found, kind):
            raise TypeError(f"the data {key[:12]} are a {type(found).__name__}")
        return found


@dataclass
class Workplace:
    """Where units are done.

    Attributes:
        materials: the sets and datasets that units name.
        compute: device, precision and compilation.
        progress: called with a short message now and then during long work.
        threads: of the CPU; None if there are as many as cores.
    """

    materials: Materials
    compute: Compute
    progress: Progress = silent
    threads: int | None = None
    _tools: dict[str, tuple[Hashable, Any]] = field(default_factory=dict)

    @property
    def in_words(self) -> str:
        """The place as results record it: precision, machine and versions, and how many cores if these are few."""
        cores = "" if self.threads is None else f"; {self.threads} thread" + "s" * (self.threads > 1)
        return f"{self.compute}; {machine_in_words()}{cores}"

    def dataset(self, key: str) -> ImageDataset:
        """The dataset with this SHA-256, on the device."""
        return self.tool("dataset", key, lambda: self.materials.dataset(key).to(self.compute.device))

    def synthetic(self, key: str) -> SyntheticSet:
        """The set with this SHA-256, on the CPU."""
        return self.materials.synthetic(key)

    def tool(self, kind: str, which: Hashable, make: Callable[[], T]) -> T:
        """What is costly to make and used by many units, such as a compiled network. The last of each kind is kept.

        Args:
            kind: what it is.
            which: what distinguishes it from others of its kind.
            make: makes it.
        """
        if kind not in self._tools or self._tools[kind][0] != which:
            self._tools[kind] = which, make()
        return self._tools[kind][1]
