"""Seeded mutations of a valid file: of its bytes, and of the structure that its kind has.

A mutation of the structure reaches further than one of bytes: the file stays JSON, TOML, safetensors or a zip archive,
and only one value in it is wrong.
"""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import Callable, Sequence
from random import Random
from typing import Any, Literal

Structure = Literal["bytes", "json", "jsonl", "toml", "safetensors", "zip"]

RAW = "@@raw@@"
"""Stands in serialised JSON where a text is put that JSON cannot express, or that would be expensive to build."""

VALUES: Sequence[Any] = (
    None, True, False, 0, 1, -1, 2, 7.5, -0.5, 1e308, -1e308, 2**31, 2**63, -(2**63), 10**40, 10**18,
    "", "x", "1", "nan", "../../x", "x" * 5000, "a\x1b[2Jb\nc", "\u202egnp", "\ud800", "\x00",
    [], {}, [[]], [None], ["x"], [1, 2, 3], [0.5] * 300, {"": ""}, {"x": {"x": [1]}}, [{}], [[1], [1, 2]],
)  # fmt: skip
RAW_VALUES: Sequence[str] = (
    "NaN", "Infinity", "-Infinity", "1e400", "-1e400", "1" * 400, "-" + "1" * 5000, "0." + "0" * 3000 + "1",
    "[" * 100_000 + "]" * 100_000, '{"a":' * 3000 + "1" + "}" * 3000, '{"a": 1, "a": 2}', '"\\ud83d"', "[1, 2", "nul",
)  # fmt: skip
TOML_VALUES: Sequence[str] = (
    "nan", "inf", "-inf", "-1", "0", "1e400", "1" * 400, "true", '""', '"x"', "[]", "{}", "[1, 2]",
    "0x7fffffffffffffff", "1979-05-27", "[" * 2000 + "]" * 2000, '"' + "x" * 5000 + '"', '"\\u001b[2J\\n"', "'''",
    "1.5", "{a.b.c = 1}", "9" * 19, '"no.such.module:Class"', '"nowhere:Method"', '"/dev/zero"', '"random"',
)  # fmt: skip
NUMBERS: Sequence[bytes] = (
    b"\x00" * 8, b"\xff" * 8, b"\x7f" * 8, b"\x00\x00\xc0\x7f" * 2, b"\x00\x00\x80\x7f" * 2, b"\xff\xff\xff\x7f" * 2,
    (2**62).to_bytes(8, "little"), (1).to_bytes(8, "little"), b"\x00\x00\x80\xff" * 2,
    (5_000_000).to_bytes(8, "little"),
)  # fmt: skip


def mutated(content: bytes, structure: Structure, random: Random) -> bytes:
    """A file that differs from a valid one in one to three places.

    Args:
        content: the valid file.
        structure: what it is made of.
        random: decides everything.
    """
    if structure == "bytes" or random.random() < 0.3:
        return _bytes(content, random)
    try:
        return STRUCTURED[structure](content, random)
    except (ValueError, KeyError, IndexError, RecursionError, zipfile.BadZipFile):  # a mutation broke the structure
        return _bytes(content, random)


def _bytes(content: bytes, random: Random) -> bytes:
    for _ in range(random.choice((1, 1, 1, 2, 3))):
        content = random.choice(BYTEWISE)(content, random)
    return content


def _flip(content: bytes, random: Random) -> bytes:
    changed = bytearray(content)
    for _ in range(min(random.choice((1, 1, 2, 8, 64)), len(changed))):
        changed[random.randrange(len(changed))] ^= 1 << random.randrange(8)
    return bytes(changed)


def _truncate(content: bytes, random: Random) -> bytes:
    return content[: random.randrange(len(content) + 1)]


def _insert(content: bytes, random: Random) -> bytes:
    at = random.randrange(len(content) + 1)
    added = random.choice((random.randbytes(random.choice((1, 4, 100))), b"\x00" * 64, b"\n", b"[", b'"', b"\xff\xfe"))
    return content[:at] + added + content[at:]


def _delete(content: bytes, random: Random) -> bytes:
    start, stop = sorted(random.randrange(len(content) + 1) for _ in range(2))
    return content[:start] + content[min(stop, start + random.choice((1, 8, 300, len(content)))) :]


def _overwrite(content: bytes, random: Random) -> bytes:
    at = random.randrange(len(content) + 1)
    number = random.choice(NUMBERS)[: random.choice((1, 2, 4, 8))]
    return content[:at] + number + content[at + len(number) :]


def _repeat(content: bytes, random: Random) -> bytes:
    start, stop = sorted(random.randrange(len(content) + 1) for _ in range(2))
    part = content[start : min(stop, start + 2000)]
    return content[:stop] + part * random.choice((1, 2, 20)) + content[stop:]


def _begin_late(content: bytes, random: Random) -> bytes:
    return content[random.randrange(min(len(content), 64) + 1) :]


BYTEWISE: Sequence[Callable[[bytes, Random], bytes]] = (
    _flip, _flip, _truncate, _insert, _delete, _overwrite, _overwrite, _repeat, _begin_late,
)  # fmt: skip


def mutated_json(text: str, random: Random) -> str:
    """JSON with one to three values that were replaced, removed, doubled, renamed or moved."""
    value = json.loads(text)
    raw = ""
    for _ in range(random.choice((1, 1, 1, 2, 3))):
        places = [*_places(value)]
        if not places or random.random() < 0.03:
            value, raw = _replacement(random, raw)
            continue
        parent, key = random.choice(places)
        match random.choice(("replace", "replace", "replace", "remove", "rename", "swap", "repeat", "wrap")):
            case "replace":
                parent[key], raw = _replacement(random, raw)
            case "remove":
                del parent[key]
            case "rename" if isinstance(parent, dict):
                parent[random.choice(("", "x", f"{key}x", *parent))] = parent.pop(key)
            case "swap":
                other, place = random.choice(places)
                if _contains(parent[key], other) or _contains(other[place], parent):
                    other[place] = "swapped"
                else:
                    parent[key], other[place] = other[place], parent[key]
            case "repeat" if isinstance(parent, list):
                # Parts of a record take some milliseconds each: a thousand of them would be no hang.
                most = 20 if isinstance(parent[key], dict) else 1000
                parent.extend([parent[key]] * random.choice((1, 3, most)))
            case _:
                parent[key] = random.choice(([parent[key]], {str(key): parent[key]}, str(parent[key])))
    written = json.dumps(value)
    if random.random() < 0.05:  # a key twice
        written = re.sub(r'("(?:[^"\\]|\\.)*": (?:\d+|null|"[^"\\]*"))', r"\1, \1", written, count=1)
    return written.replace(json.dumps(RAW), raw)


def _replacement(random: Random, raw: str) -> tuple[Any, str]:
    """A value, and the text that ``RAW`` stands for, if it is not in use already."""
    if random.random() < 0.3 and not raw:
        return RAW, random.choice(RAW_VALUES)
    return json.loads(json.dumps(random.choice(VALUES))), raw


def _places(value: Any) -> list[tuple[Any, Any]]:
    """Every value within ``value``, by the object or list that holds it and its key there."""
    found: list[tuple[Any, Any]] = []
    waiting = [value]
    while waiting and len(found) < 10_000:
        parent = waiting.pop()
        keys = parent if isinstance(parent, dict) else range(len(parent)) if isinstance(parent, list) else ()
        found.extend((parent, key) for key in keys)
        waiting.extend(parent[key] for key in keys)
    return found


def _contains(whole: Any, part: Any) -> bool:
    return whole is part or any(parent[key] is part for parent, key in _places(whole))


def _json(content: bytes, random: Random) -> bytes:
    return mutated_json(content.decode(), random).encode("utf-8", "surrogatepass")


def _jsonl(content: bytes, random: Random) -> bytes:
    lines = content.decode().splitlines()
    for _ in range(random.choice((1, 1, 2))):
        at = random.randrange(len(lines))
        match random.choice(("mutate", "mutate", "mutate", "remove", "repeat", "join", "empty")):
            case "mutate":
                lines[at] = mutated_json(lines[at], random)
            case "remove":
                del lines[at]
            case "repeat":
                lines[at:at] = [lines[at]] * random.choice((1, 100))
            case "join":
                lines[at : at + 2] = ["".join(lines[at : at + 2])]
            case _:
                lines[at] = random.choice(("", " ", "[]", "null", "{}"))
    return "\n".join([*lines, ""]).encode("utf-8", "surrogatepass")


def _toml(content: bytes, random: Random) -> bytes:
    lines = content.decode().splitlines()
    for _ in range(random.choice((1, 1, 2))):
        at = random.choice([number for number, line in enumerate(lines) if line])
        name, equals, value = lines[at].partition(" = ")
        match random.choice(("replace", "replace", "replace", "remove", "repeat", "rename", "move")):
            case "replace" if equals:
                lines[at] = f"{name} = {random.choice(TOML_VALUES)}"
            case "remove":
                del lines[at]
            case "repeat":
                lines.insert(at, lines[at])
            case "rename":
                lines[at] = f"{random.choice(('x', name[:-1], name.upper(), '[method]'))}{equals}{value}"
            case _:
                lines.insert(random.randrange(len(lines)), lines.pop(at))
    return "\n".join([*lines, ""]).encode()


def _safetensors(content: bytes, random: Random) -> bytes:
    end = 8 + int.from_bytes(content[:8], "little")
    text, data = content[8:end].decode(), content[end:]
    header = json.loads(text)
    names = [name for name in header if name != "__metadata__"]
    match random.choice(("header", "metadata", "metadata", "metadata", "data", "shape", "type", "drop", "rename")):
        case "header":
            text = mutated_json(text, random)
        case "metadata":
            described = header["__metadata__"]
            name = random.choice([*described])
            try:
                described[name] = mutated_json(described[name], random)
            except ValueError:
                described[name] = random.choice(("", "x", "[]", "1" * 400, "x" * 5000))
            text = json.dumps(header)
        case "data":
            return content[:end] + _overwrite(_overwrite(data, random), random)[: len(data)]
        case "shape":
            entry = header[random.choice(names)]
            entry["shape"] = random.choice((entry["shape"][::-1], [1, *entry["shape"]], [*entry["shape"], 1]))
            text = json.dumps(header)
        case "type":
            entry = header[random.choice(names)]
            same = {"F32": ("I32",), "I64": ("F64",), "F64": ("I64",), "I32": ("F32",)}
            entry["dtype"] = random.choice(same.get(entry["dtype"], ("U8", "BOOL")))
            text = json.dumps(header)
        case "drop":
            text, data = _without(header, random.choice(names), data)
        case _:
            name = random.choice(names)
            header[random.choice(("x", f"{name}.x", "", "state.x", "-1.x", "9999.x"))] = header.pop(name)
            text = json.dumps(header)
    encoded = text.encode("utf-8", "surrogatepass")
    return len(encoded).to_bytes(8, "little") + encoded + data


def _without(header: dict[str, Any], name: str, data: bytes) -> tuple[str, bytes]:
    """The header and the data of a safetensors file without one of its tensors."""
    begin, end = header.pop(name)["data_offsets"]
    for entry in header.values():
        offsets = entry.get("data_offsets", [0, 0])
        if offsets[0] >= end:
            offsets[:] = [offset - (end - begin) for offset in offsets]
    return json.dumps(header), data[:begin] + data[end:]


def _zip(content: bytes, random: Random) -> bytes:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = [(info.filename, archive.read(info)) for info in archive.infolist()]
    method = random.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA))
    at = random.randrange(len(members))
    name, inner = members[at]
    match random.choice(("bytes", "npy", "npy", "npy", "remove", "repeat", "rename", "swap")):
        case "npy":
            members[at] = (name, _npy(inner, random))
        case "remove":
            del members[at]
        case "repeat":
            members.append((name, inner))
        case "rename":
            members[at] = (random.choice(("x", "../x.npy", "/x.npy", "", "x" * 3000, f"{name}.npy", "a\nb.npy")), inner)
        case "swap":
            members[at] = (name, random.choice(members)[1])
        case _:
            members[at] = (name, _bytes(inner, random))
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for name, inner in members:  # a name alone would be written with the present time
            archive.writestr(zipfile.ZipInfo(name), inner, method)
    changed = made.getvalue()
    return _bytes(changed, random) if random.random() < 0.2 else changed


def _npy(content: bytes, random: Random) -> bytes:
    """An array file with another header, which may declare more than there is."""
    if not content.startswith(b"\x93NUMPY"):
        return _bytes(content, random)
    length = int.from_bytes(content[8:10], "little")
    header, data = content[10 : 10 + length].decode("latin-1"), content[10 + length :]
    descr = (
        "|O",
        "<U4",
        "|S3",
        "<M8",
        "<c8",
        "|b1",
        "<f8",
        "<f2",
        ">i4",
        "<u8",
        "<i8",
        "|V8",
        "[('a', '<i4')]",
        "<f16",
    )
    shape = (
        "()",
        "(0,)",
        "(1,)",
        "(-1,)",
        "(99999999999,)",
        "(2**62,)",
        "(1048576, 1048576)",
        "('x',)",
        "None",
        "(3, 4)",
    )
    changes = (
        lambda text: re.sub(r"'descr': '[^']*'", f"'descr': {random.choice(descr)!r}", text),
        lambda text: re.sub(r"'shape': \([^)]*\)", f"'shape': {random.choice(shape)}", text),
        lambda text: text.replace("False", random.choice(("True", "None", "x", "(" * 200))),
        lambda text: random.choice(("", "{", "{}", "[" * 5000, "\x00", "'" * 100, "{'descr': '<i8'}")),
    )
    changed = random.choice(changes)(header).encode("latin-1")
    return content[:8] + min(len(changed), 65535).to_bytes(2, "little") + changed[:65535] + data


STRUCTURED: dict[str, Callable[[bytes, Random], bytes]] = {
    "json": _json,
    "jsonl": _jsonl,
    "toml": _toml,
    "safetensors": _safetensors,
    "zip": _zip,
}
