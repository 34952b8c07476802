"""Reading what anyone may have written: regular files, and JSON within bounds."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from potstill.runtime import reading
from potstill.runtime.errors import UserError
from potstill.runtime.reading import NotRegular, TooLarge, open_regular, parse_json, read_json, read_regular, read_toml


@pytest.fixture
def odd(tmp_path: Path) -> Iterator[dict[str, Path]]:
    """Paths that are not regular files."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(os.path.relpath(tmp_path / "socket"))  # a short path: sockets allow 108 bytes
        (tmp_path / "link").symlink_to("pipe")
        yield {name: tmp_path / name for name in ("pipe", "folder", "socket", "link")} | {"device": Path("/dev/zero")}


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("pipe", "a named pipe"),
        ("link", "a named pipe"),
        ("folder", "a folder"),
        ("socket", "a socket"),
        ("device", "a device"),
    ],
)
def test_only_regular_files_are_opened(name: str, kind: str, odd: dict[str, Path]):
    with pytest.raises(NotRegular, match=f"it is {kind}, not a regular file"):
        open_regular(odd[name])
    with pytest.raises(UserError, match=f"cannot read .*: it is {kind}, not a regular file; check the path"):
        read_json(odd[name])


def test_a_pipe_that_takes_the_place_of_a_file_is_not_waited_for(odd: dict[str, Path], monkeypatch: pytest.MonkeyPatch):
    earlier = Path(__file__).stat()
    monkeypatch.setattr(Path, "stat", lambda path: earlier)
    with pytest.raises(NotRegular, match="a named pipe"):
        open_regular(odd["pipe"])


def test_links_to_files_are_followed(tmp_path: Path):
    (tmp_path / "file").write_bytes(b"content")
    (tmp_path / "link").symlink_to("file")
    assert read_regular(tmp_path / "link", 7) == b"content"


@pytest.mark.parametrize("name", ["a\x00b", "\ud800"])
def test_a_name_that_no_file_can_have_is_absent(name: str, tmp_path: Path):
    with pytest.raises(FileNotFoundError, match="no file can have such a name"):
        open_regular(tmp_path / name)


def test_reading_is_bounded(tmp_path: Path):
    (tmp_path / "file").write_bytes(b"content")
    with pytest.raises(TooLarge, match="more than 6 bytes"):
        read_regular(tmp_path / "file", 6)


def test_files_are_closed_in_processes_that_are_started_later(tmp_path: Path):
    (tmp_path / "file").touch()
    with open_regular(tmp_path / "file") as stream:
        assert not os.get_inheritable(stream.fileno())


@pytest.mark.parametrize("text", ['{"a": [1, -2.5e3, null, true, "Zoë"]}', "[]", '"x"', "7", str(2**128)])
def test_json_is_parsed(text: str):
    import json

    assert parse_json(text) == parse_json(text.encode()) == json.loads(text)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[" * 100_000 + "]" * 100_000, "more than 64 levels"),
        ('{"a":' * 65 + "1" + "}" * 65, "more than 64 levels"),
        ("1" * 400, "a whole number has 400 digits"),
        ("-" + "1" * 10_000, "10001 digits"),
        ("1e400", "larger than any float"),
        ("[NaN]", "NaN is not a JSON number"),
        ('{"a": -Infinity}', "-Infinity is not a JSON number"),
        ('{"a": {"b": 1, "c": 2, "b": 1}}', "the key 'b' appears twice"),
        (b'"\xff"', "can't decode"),
        ("[1]".encode("utf-16"), "can't decode"),
        ("\ufeff1", "BOM"),
        ("[1", "Expecting"),
    ],
)
def test_other_json_is_refused(text: str | bytes, problem: str):
    with pytest.raises(ValueError, match=problem):
        parse_json(text)


def test_the_deepest_that_is_allowed():
    assert parse_json("[" * 64 + "]" * 64)


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-Infinity", "1e400"])
def test_losses_need_not_be_finite(text: str):
    assert parse_json(text, nonfinite=True) != 0


def test_absent_json_is_named(tmp_path: Path):
    with pytest.raises(UserError, match=r"cannot read .*gone\.json: No such file"):
        read_json(tmp_path / "gone.json")


@pytest.mark.parametrize("content", [b"", b'{"a": ', b"\xff\xfe\x00", b"nonsense"])
def test_damaged_json_is_named(content: bytes, tmp_path: Path):
    (tmp_path / "bad.json").write_bytes(content)
    with pytest.raises(UserError, match=r"bad\.json is not valid JSON: .*damaged"):
        read_json(tmp_path / "bad.json")


def test_overlong_json_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(reading, "JSON_BYTES", 10)
    (tmp_path / "long.json").write_text(" " * 11)
    with pytest.raises(UserError, match=r"cannot read .*long\.json: it has more than 10 bytes"):
        read_json(tmp_path / "long.json")


def test_toml_is_read_with_its_text(tmp_path: Path):
    (tmp_path / "config.toml").write_text('name = "Zoë"\n', encoding="utf-8")
    assert read_toml(tmp_path / "config.toml") == ('name = "Zoë"\n', {"name": "Zoë"})


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"a = ", "is not valid TOML: Invalid value"),
        (b"a = \xff", "is not valid TOML: .*can't decode"),
        (b"a = " + b"[" * 5000 + b"]" * 5000, "is not valid TOML: it is nested too deeply"),
        (b"a = " + b"1" * 5000, "is not valid TOML: .*digits"),
        (b"[b]\na = [-" + b"1" * 400 + b"]", "a whole number has more than 64 digits"),
        (b"#" * (2**20 + 1), r"cannot read .*config\.toml: it has more than 1,048,576 bytes"),
    ],
)
def test_damaged_toml_is_named(content: bytes, problem: str, tmp_path: Path):
    (tmp_path / "config.toml").write_bytes(content)
    with pytest.raises(UserError, match=problem):
        read_toml(tmp_path / "config.toml")
    with pytest.raises(UserError, match=r"cannot read .*: it is a folder"):
        read_toml(tmp_path)
