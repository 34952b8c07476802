"""Local data make no connection: not in this process, and not where there is no network to connect to."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import datasets
import pytest

from potstill.data import load_dataset
from tests.data.sources.published import catalogue_layout, encode, noise, write_images, write_parquet


@pytest.fixture
def local(tmp_path: Path) -> Path:
    """A folder of datasets in every layout that is read from tables, and class folders."""
    images = [encode(image) for image in noise(8)]
    write_parquet(tmp_path / "tables" / "train.parquet", images, [0, 1] * 4, "ab")
    datasets.Dataset.from_parquet(str(tmp_path / "tables" / "train.parquet")).save_to_disk(str(tmp_path / "saved"))
    catalogue_layout(tmp_path / "usps", "usps")
    for name in ("cat", "dog"):
        write_images(tmp_path / "folders" / name, noise(4))
    return tmp_path


def read_all(folder: Path) -> None:
    for name in ("tables", "saved", "folders", "tables/train.parquet"):
        assert load_dataset(str(folder / name), cache=None).class_count == 2
    assert load_dataset("usps", data_root=folder, cache=None).class_count == 10
    assert load_dataset("digits", cache=None).class_count == 10


def test_no_socket_is_opened(local: Path, monkeypatch: pytest.MonkeyPatch):
    def refuse(*arguments: object, **options: object) -> None:
        raise AssertionError("a socket is opened")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    read_all(local)


@pytest.mark.slow
def test_local_data_are_read_without_a_network_and_without_the_hubs_library(local: Path):
    unshare = shutil.which("unshare")
    if unshare is None or subprocess.run([unshare, "-rn", "true"], capture_output=True, check=False).returncode:
        pytest.skip("a process without a network is not permitted here")
    code = (
        "import sys; from pathlib import Path; from potstill.data import load_dataset\n"
        f"folder = Path({str(local)!r})\n"
        "for name in ('tables', 'saved', 'folders', 'tables/train.parquet'):\n"
        "    assert load_dataset(str(folder / name), cache=None).class_count == 2\n"
        "assert load_dataset('usps', data_root=folder, cache=None).class_count == 10\n"
        "assert 'datasets' not in sys.modules and 'huggingface_hub' not in sys.modules\n"
    )
    command = [unshare, "-rn", sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ})
    assert done.returncode == 0, done.stderr
