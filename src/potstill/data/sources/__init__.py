"""Where images come from: one file per kind of source.

A source recognises the specs that it can read, and returns what it finds there as
:class:`~potstill.data.found.Found`; what that means is decided in :mod:`potstill.data.understanding`. A new kind of
source is a file here and an entry of :data:`SOURCES`; nothing else knows the kinds.
"""

from __future__ import annotations

from potstill.data.sources.arrow import SavedTables
from potstill.data.sources.base import Request, Source
from potstill.data.sources.digits import Digits
from potstill.data.sources.folder import ImageFolder
from potstill.data.sources.hub import Hub
from potstill.data.sources.mhist import Mhist
from potstill.data.sources.npy import Npy
from potstill.data.sources.npz import Npz
from potstill.data.sources.parquet import ParquetFiles
from potstill.data.sources.published import PublishedFiles
from potstill.data.sources.tiny_imagenet import TinyImagenet

SOURCES: tuple[type[Source], ...] = (
    Hub,  # hf:OWNER/NAME, and names of the catalogue without a local copy
    Mhist,  # mhist:FOLDER
    Digits,  # digits, without a local copy
    Npz,  # a path that ends in .npz
    Npy,  # a path that ends in .npy, or a folder of such files with their labels
    SavedTables,  # a folder that save_to_disk wrote, arrow files at any depth, or one
    ParquetFiles,  # parquet files at any depth, or one
    PublishedFiles,  # the files of MNIST, CIFAR, SVHN, STL-10 or USPS
    TinyImagenet,  # Tiny ImageNet as unzipped
    ImageFolder,  # any other folder that has folders, or a path that ends in .zip
)
"""Every kind of source; the first that recognises a request reads it."""

__all__ = ["SOURCES", "Request", "Source"]
