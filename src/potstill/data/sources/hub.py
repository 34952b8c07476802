"""Datasets of the Hugging Face hub."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from potstill.data.catalogue import CatalogueEntry
from potstill.data.sources.base import RawDataset, first_line, split_role
from potstill.runtime.errors import UserError


@dataclass(frozen=True)
class Hub:
    """A dataset of the hub; ``datasets`` downloads it, resumes what was interrupted and keeps it for offline use."""

    name: str
    repository: str
    config: str | None = None
    entry: CatalogueEntry | None = None

    def signature(self) -> Any:
        """What is asked for. The hub is not asked for changes, so that decoded copies also load offline."""
        return {"hub": self.repository, "config": self.config, "entry": self.entry and self.entry.name}

    def read(self, image_size: int | None, channels: int | None) -> RawDataset:
        """The dataset's images.

        Raises:
            UserError: the hub cannot be reached or has no such dataset, or as
                :func:`potstill.data.sources.table.read_tables`.
        """
        from potstill.data.sources.table import read_tables

        published = self._download()
        chosen = self.entry.splits if self.entry is not None else {}
        tables = {role: table for split, table in published.items() if (role := split_role(str(split), chosen))}
        if "train" not in tables:
            if len(published) != 1:
                raise UserError(
                    f"{self.repository} has no split called train among {', '.join(map(str, published))}",
                    "save the splits that you want as parquet files in a folder and name the folder",
                )
            tables = {"train": next(iter(published.values()))}
        return read_tables(tables, self.repository, self.entry, image_size=image_size, channels=channels)

    def _download(self) -> Any:
        import datasets

        options: dict[str, Any] = {"name": self.config}
        if self.entry is not None and self.entry.revision is not None:
            # A branch of converted files knows its configurations as folders only.
            options = {"data_dir": self.config, "revision": self.entry.revision}
        try:
            with _only_errors():
                return datasets.load_dataset(self.repository, **options)
        except Exception as error:  # what fails below `datasets` ranges from DNS to a missing licence agreement
            folder = self.entry.name if self.entry is not None else "FOLDER"
            remedy = "connect to the hub, or put a local copy (parquet files train-*, test-*) in "
            where = f"$POTSTILL_DATA/{folder}" if self.entry is not None else "a folder and give its path as --dataset"
            raise UserError(
                f"cannot get {self.repository} from the Hugging Face hub ({first_line(error)})", remedy + where
            ) from error


@contextmanager
def _only_errors() -> Iterator[None]:
    """Keep the hub's client from printing each failed attempt: the error that ends them says enough."""
    from huggingface_hub.utils import logging

    usual = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(usual)
