"""Files that are whole or absent, and the folders that the environment names."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from potstill.runtime import files
from potstill.runtime.errors import UserError
from potstill.runtime.files import (
    cache_folder,
    check_writable,
    data_root,
    expanded,
    sha256,
    sha256_of_files,
    shared_root,
    staged,
    write_atomic,
    write_json,
)
from potstill.runtime.reading import cannot_write, read_json
from tests.runtime.test_writer import ended

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
in_one_folder = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.mark.parametrize(
    ("content", "written"), [("Straße ↑", "Straße ↑".encode()), (b"\x00\xff\r\n", b"\x00\xff\r\n")]
)
def test_writes_text_as_utf8_and_bytes_as_they_are(content: bytes | str, written: bytes, tmp_path: Path):
    write_atomic(tmp_path / "new" / "folders" / "file", content)
    assert (tmp_path / "new" / "folders" / "file").read_bytes() == written


def test_replaces_what_was_there_and_leaves_nothing_else(tmp_path: Path):
    for content in ("a long first version", "second"):
        write_atomic(tmp_path / "file", content)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_text() == "second"


def test_others_may_read_what_was_written(tmp_path: Path):
    write_atomic(tmp_path / "file", "x")
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o644


def test_a_reader_never_sees_a_part(tmp_path: Path, fsync: Callable[[int], None], monkeypatch: pytest.MonkeyPatch):
    path, seen = tmp_path / "file", []
    write_atomic(path, "old")

    def look_and_sync(handle: int) -> None:
        seen.append(path.read_text())
        fsync(handle)

    monkeypatch.setattr(os, "fsync", look_and_sync)
    write_atomic(path, "new")
    assert seen == ["old"]
    assert path.read_text() == "new"


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_full_disk_keeps_the_old_file(step: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "set"
    write_atomic(path, "old")

    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, step, fail)
    with pytest.raises(UserError, match=r"cannot write .*set: No space left on device; free some space"):
        write_atomic(path, "new")
    assert {found.name: found.read_text() for found in tmp_path.iterdir()} == {"set": "old"}


def test_an_interruption_keeps_the_old_file_and_goes_on_upwards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "set"
    write_atomic(path, "old")

    def interrupt(_: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_atomic(path, "new")
    assert {found.name: found.read_text() for found in tmp_path.iterdir()} == {"set": "old"}


def test_a_file_where_a_folder_should_be_is_the_users_to_mend(tmp_path: Path):
    (tmp_path / "runs").write_text("not a folder")
    for file in (tmp_path / "runs" / "one.json", tmp_path / "runs" / "deeper" / "one.json"):
        for write in (lambda file=file: write_atomic(file, "x"), lambda file=file: check_writable(file)):
            with pytest.raises(
                UserError, match=r"cannot write .*one\.json: .*runs is not a folder; choose another `out`$"
            ):
                write()


@pytest.mark.parametrize(
    ("number", "remedy"),
    [
        (errno.ENOSPC, "No space left on device; free some space or choose another `out`"),
        (errno.EDQUOT, "Disk quota exceeded; free some space or choose another `out`"),
        (errno.EACCES, "Permission denied; get the permission, or choose another `out`"),
        (errno.EROFS, "Read-only file system; get the permission, or choose another `out`"),
        (errno.ENOENT, "No such file or directory; choose another `out`"),
    ],
)
def test_what_to_do_about_a_file_that_cannot_be_written_suits_the_reason(number: int, remedy: str, tmp_path: Path):
    error = cannot_write(tmp_path / "x", OSError(number, os.strerror(number)))
    assert str(error) == f"cannot write {tmp_path / 'x'}: {remedy}"


@in_one_folder
@given(json_values)
def test_json_comes_back(tmp_path: Path, value: object):
    write_json(tmp_path / "value.json", value)
    assert read_json(tmp_path / "value.json") == value


def test_json_is_for_people_too(tmp_path: Path):
    write_json(tmp_path / "value.json", {"name": "Zoë", "classes": [1]})
    assert (tmp_path / "value.json").read_text(encoding="utf-8") == (
        '{\n  "name": "Zoë",\n  "classes": [\n    1\n  ]\n}\n'
    )


def test_numbers_that_json_lacks_are_refused_before_anything_is_written(tmp_path: Path):
    write_json(tmp_path / "value.json", 1)
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "value.json", float("nan"))
    assert read_json(tmp_path / "value.json") == 1


@given(st.binary())
def test_sha256_is_hexadecimal(data: bytes):
    assert bytes.fromhex(sha256(data)) == hashlib.sha256(data).digest()


def test_files_together_have_one_sha256(tmp_path: Path):
    for name in "ab":
        (tmp_path / name).write_text(name)
    assert sha256_of_files([tmp_path / "a", tmp_path / "b"]) == sha256((sha256(b"a") + sha256(b"b")).encode())
    with pytest.raises(UserError, match=r"cannot read .*gone: No such file"):
        sha256_of_files([tmp_path / "gone"])


def test_names_that_utf8_cannot_encode_come_back(tmp_path: Path):
    write_json(tmp_path / "value.json", {"class": os.fsdecode(b"\xff")})
    assert read_json(tmp_path / "value.json") == {"class": os.fsdecode(b"\xff")}


def test_data_root_is_what_is_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("POTSTILL_DATA", "~/sets")
    assert data_root() == Path.home() / "sets"


@pytest.mark.parametrize("value", [None, ""])
def test_data_root_may_be_absent(value: str | None, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("POTSTILL_DATA", raising=False)
    if value is not None:
        monkeypatch.setenv("POTSTILL_DATA", value)
    assert data_root() is None


def test_cache_folder_follows_the_platform(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder("decoded") == tmp_path / "potstill" / "decoded"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_folder("decoded") == Path.home() / ".cache" / "potstill" / "decoded"


def test_a_user_without_a_home_has_no_cache(monkeypatch: pytest.MonkeyPatch):
    for name in ("XDG_CACHE_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("pwd.getpwuid", lambda _: (_ for _ in ()).throw(KeyError("unknown user")))
    assert cache_folder("decoded") is None
    monkeypatch.setenv("POTSTILL_DATA", "~/data")
    assert data_root() == Path("~/data")


def test_what_machines_share_is_where_it_is_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("POTSTILL_SHARED", "/net/shared")
    assert shared_root() == Path("/net/shared")
    for nothing in ("", None):
        monkeypatch.delenv("POTSTILL_SHARED") if nothing is None else monkeypatch.setenv("POTSTILL_SHARED", nothing)
        assert shared_root() == Path()


def test_the_environment_is_used_where_the_docstring_says_so():
    package = Path(files.__file__).parents[1]
    users = [path for path in package.rglob("*.py") if re.search(r"\bos\.(environ|getenv)\b", path.read_text())]
    said = ["files", "machine", "ranks", "doctor_of_pytorch", "compilation", "tracking.on_mlflow"]
    assert all(f"``{name}``" in str(files.__doc__) for name in said[1:])
    expected = {f"runtime.{name}" if "." not in name else name for name in said}
    assert {".".join(path.relative_to(package).with_suffix("").parts) for path in users} == expected


def test_what_a_killed_process_left_of_a_folder_is_removed_when_the_next_is_made(tmp_path: Path):
    left = tmp_path / f"{ended().unfinished_prefix}x.tmp"
    (left / "run").mkdir(parents=True)
    with staged(tmp_path / "run") as unfinished:
        unfinished.mkdir()
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_the_home_of_nobody_is_named():
    assert expanded("~/sets") == Path.home() / "sets"
    with pytest.raises(UserError, match="~nobody-of-this-name/x is below a home directory that does not exist"):
        expanded("~nobody-of-this-name/x")
