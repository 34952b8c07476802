"""Datasets on the Hugging Face hub."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from potstill.data.catalogue import CatalogueEntry
from potstill.data.choices import Choices
from potstill.data.found import Found
from potstill.data.sources.base import Request
from potstill.data.sources.tables import ROWS, Collection, Named
from potstill.runtime.errors import UserError, in_one_line
from potstill.runtime.hub import quiet_hub, unresolved_hub

if TYPE_CHECKING:
    import pyarrow


@dataclass(frozen=True)
class Hub:
    """A dataset on the hub; ``datasets`` downloads it, resumes interrupted downloads and keeps it for offline use."""

    name: str
    repository: str
    config: str | None = None
    entry: CatalogueEntry | None = None

    @classmethod
    def recognise(cls, request: Request) -> Self | None:
        """``hf:OWNER/NAME``, ``hf:OWNER/NAME/CONFIG``, or a catalogue dataset without a local copy."""
        entry = request.entry
        if entry is not None and entry.hub is not None and request.path is None:
            return cls(entry.name, entry.hub, entry.config, entry)
        if not request.spec.startswith("hf:"):
            return None
        parts = request.spec.removeprefix("hf:").split("/")
        if len(parts) not in (2, 3) or not all(parts):
            raise UserError(
                f"{request.spec!r} is not a dataset on the hub", "write hf:OWNER/NAME or hf:OWNER/NAME/CONFIG"
            )
        repository = "/".join(parts[:2])
        return cls(repository, repository, parts[2] if len(parts) == 3 else None)

    def signature(self) -> Any:
        """The repository and how it is read. The hub is not asked for changes, so that decoded copies load offline."""
        return {"hub": self.repository, "config": self.config, "entry": self.entry and self.entry.name}

    def find(self, choices: Choices) -> Found:
        """Download the dataset.

        Raises:
            UserError: the hub cannot be reached or has no such dataset, or as in
                :func:`potstill.data.sources.tables.Collection.found`.
        """
        entry = self.entry
        return Collection(
            tables=[
                Named(HubTable(table), f"split {split}", (str(split),)) for split, table in self._download().items()
            ],
            layout="a dataset of the hub",
            where=self.repository,
            preferred=None if entry is None else (entry.image_column, entry.label_column),
            splits={} if entry is None else entry.splits,
            named=True,
        ).found(choices)

    def _download(self) -> Any:
        unresolved = unresolved_hub()  # before the client is imported, which a bad address breaks
        import datasets

        options: dict[str, Any] = {"name": self.config}
        if self.entry is not None and self.entry.revision is not None:
            # A branch of converted files has its configurations as folders only.
            options = {"data_dir": self.config, "revision": self.entry.revision}
        try:
            with quiet_hub(), _cached_only(unresolved is not None):
                return datasets.load_dataset(self.repository, **options)
        except Exception as error:  # `datasets` fails in many ways, from DNS to a missing licence agreement
            reason = unresolved if unresolved and isinstance(error, ConnectionError) else in_one_line(error)
            folder = self.entry.name if self.entry is not None else "FOLDER"
            remedy = "connect to the hub, or put a local copy (parquet files train-*, test-*) in "
            where = f"$POTSTILL_DATA/{folder}" if self.entry is not None else "a folder and give its path as `dataset`"
            raise UserError(
                f"cannot get {self.repository} from the Hugging Face hub ({reason})", remedy + where
            ) from error


@contextmanager
def _cached_only(cached_only: bool) -> Iterator[None]:
    """Within this context ``datasets`` takes what it has downloaded before, and asks the hub for nothing."""
    from datasets import config

    usual = config.HF_HUB_OFFLINE
    config.HF_HUB_OFFLINE = usual or cached_only
    try:
        yield
    finally:
        config.HF_HUB_OFFLINE = usual


class HubTable:
    """A split as the hub's library opens it.

    Args:
        table: a ``datasets.Dataset``; its format and its transforms play no part.
        folders: those in which image files may lie that it names; by default the caches of the hub.
    """

    def __init__(self, table: Any, folders: Sequence[Path] | None = None) -> None:
        from datasets import config
        from huggingface_hub import constants

        self.table = table
        self.folders = folders or (Path(constants.HF_HUB_CACHE), Path(config.HF_DATASETS_CACHE))
        self.schema: pyarrow.Schema = table.features.arrow_schema
        self.rows: int = len(table)

    def batches(self, column: str) -> Iterator[pyarrow.Array]:
        """The values of a column, some rows at a time."""
        chosen = self.table.select_columns([column]).with_format("arrow")
        for batch in chosen.iter(batch_size=ROWS):
            yield from batch[column].chunks
