"""Zip archives: read in place, bounded, and without leading anywhere else."""

from __future__ import annotations

import stat
import zipfile
from pathlib import Path

import pytest

from potstill.data.formats.zip_archive import Member, list_members, read_members
from potstill.runtime.errors import UserError


def written(path: Path, files: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in files.items():
            info = zipfile.ZipInfo("placeholder")
            info.filename, info.compress_type = name, method
            archive.writestr(info, content)
    return path


def test_files_are_listed_and_read_in_the_order_of_asking(tmp_path: Path):
    path = written(tmp_path / "a.zip", {"cat/": b"", "cat/0.png": b"zero", "./dog\\1.png": b"one"})
    assert list_members(path) == [Member(("cat", "0.png"), False), Member(("dog", "1.png"), False)]
    assert list(read_members(path, [("dog", "1.png"), ("cat", "0.png")])) == [b"one", b"zero"]


@pytest.mark.parametrize("name", ["../cat/0.png", "cat/../../0.png", "/etc/passwd", "C:/0.png", "..\\0.png"])
def test_names_that_lead_out_are_refused(tmp_path: Path, name: str):
    with pytest.raises(UserError, match=r"a\.zip .* points outside"):
        list_members(written(tmp_path / "a.zip", {name: b"x"}))


def test_links_are_told_apart(tmp_path: Path):
    link = zipfile.ZipInfo("cat/link.png")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(link, "/etc/passwd")
    assert [member.is_link for member in list_members(tmp_path / "a.zip")] == [True]


def test_a_claimed_size_costs_nothing(tmp_path: Path):
    path = written(tmp_path / "a.zip", {"cat/0.png": b"x" * 1000})
    content = path.read_bytes()
    entry = content.index(b"PK\x01\x02")
    forged = content[: entry + 24] + (3 * 10**9).to_bytes(4, "little") + content[entry + 28 :]
    path.write_bytes(forged)
    with pytest.raises(UserError, match="cannot hold"):
        list(read_members(path, [("cat", "0.png")]))


def test_damage_is_refused(tmp_path: Path):
    path = written(tmp_path / "a.zip", {"cat/0.png": bytes(range(256)) * 9})
    content = bytearray(path.read_bytes())
    content[45] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"a\.zip, cat/0\.png"):
        list(read_members(path, [("cat", "0.png")]))
    path.write_bytes(content[:-10])
    with pytest.raises(UserError, match=r"a\.zip"):
        list_members(path)


def test_encryption_and_other_compression_are_refused(tmp_path: Path):
    path = written(tmp_path / "a.zip", {"0.png": b"x" * 99}, zipfile.ZIP_LZMA)
    with pytest.raises(UserError, match="compressed"):
        list(read_members(path, [("0.png",)]))
    content = bytearray(written(path, {"0.png": b"x"}).read_bytes())
    content[content.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(content)
    with pytest.raises(UserError, match="encrypted"):
        list(read_members(path, [("0.png",)]))
