"""Pickles of plain data come back as they were; any other is refused before it has done anything."""

from __future__ import annotations

import contextlib
import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from potstill.data.formats.pickles import read_plain_pickle
from potstill.runtime.errors import UserError

BATCH = {
    "batch_label": "training batch 1 of 5",
    "labels": [6, 9, 300, 70_000],
    b"bytes": [b"a", b"\xff"],
    7: "a number",
    "data": np.arange(24, dtype=np.uint8).reshape(4, 6),
    "filenames": ["leptodactylus_pentadactylus_s_000004.png", "ünï"],
    "more": [None, True, False, 1.5, -1, 2**40, (1, (2,), (), (3, 4, 5, 6))],
}


def written(folder: Path, content: bytes) -> Path:
    path = folder / "data_batch_1"
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("protocol", range(5))
@pytest.mark.parametrize("order", ["C", "F"])
def test_plain_data_come_back(tmp_path: Path, protocol: int, order: Any):
    batch = BATCH | {"data": np.asarray(BATCH["data"], order=order)}
    read = read_plain_pickle(written(tmp_path, pickle.dumps(batch, protocol)))
    np.testing.assert_array_equal(read.pop("data"), BATCH["data"])
    assert read == {key: value for key, value in BATCH.items() if key != "data"}


def test_a_batch_of_cifar_as_python_2_wrote_it(tmp_path: Path):
    """Protocol 2 with byte strings as texts, and the names of modules that NumPy had in 2009."""
    pixels = bytes(range(200, 212))
    content = (
        b"\x80\x02}q\x01(U\x0bbatch_labelq\x02U\x15training batch 1 of 5q\x03U\x06labelsq\x04]q\x05(K\x06K\te"
        b"U\x04dataq\x06cnumpy.core.multiarray\n_reconstruct\nq\x07cnumpy\nndarray\nq\x08K\x00\x85U\x01b\x87Rq\t"
        b"(K\x01K\x02K\x06\x86cnumpy\ndtype\nq\nU\x02u1K\x00K\x01\x87Rq\x0b(K\x03U\x01|NNNJ\xff\xff\xff\xff"
        b"J\xff\xff\xff\xffK\x00tb\x89T" + len(pixels).to_bytes(4, "little") + pixels + b"tbu."
    )
    read = read_plain_pickle(written(tmp_path, content))
    assert read["labels"] == [6, 9]
    assert read["data"].tobytes() == pixels
    assert read["data"].shape == (2, 6)


class Harmful:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("touch harmed",)


class Eval:
    def __reduce__(self) -> tuple[Any, ...]:
        return eval, ("open('harmed', 'w')",)


HIDDEN_IN_ARRAY = np.array([Harmful()], dtype=object)


@pytest.mark.parametrize("value", [Harmful(), {"labels": Eval()}, HIDDEN_IN_ARRAY, {(1,): 2}, {1, 2}, 3 + 4j])
@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_anything_else_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: Any, protocol: int):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="not unpickled"):
        read_plain_pickle(written(tmp_path, pickle.dumps(value, protocol)))
    assert not (tmp_path / "harmed").exists()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b".",
        b"hello",
        b"cos\nsystem\n(S'touch harmed'\ntR.",
        b"(S'touch harmed'\nios\nsystem\n.",  # INST
        b"\x80\x02cnumpy\nndarray\n.",  # a name instead of data
        b"\x80\x02]cnumpy\ndtype\na.",  # the same, hidden in a list
        b"\x80\x02cnumpy\ndtype\nU\x02O8K\x00K\x01\x87R.",
        b"\x80\x02h\x00.",
        b"\x80\x02(((((.",
        b"\x80\x02}(U\x01au.",
        b"\x80\x02" + b"K\x01" * 5 + b".",
        b"\x80\x02" + b"K\x01" + b"\x85q\x000" + b"}h\x00K\x01s.",  # a tuple as a key
    ],
)
def test_malformed_programs_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="data_batch_1"):
        read_plain_pickle(written(tmp_path, content))
    assert not (tmp_path / "harmed").exists()


def test_copies_cost_no_more_than_the_file(tmp_path: Path):
    """A text that is remembered and made into an array again and again."""
    text = b"T" + (10**6).to_bytes(4, "little") + bytes(10**6) + b"q\x000"
    array = (
        b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R(K\x01J\x40\x42\x0f\x00\x85"
        b"cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R\x89h\x00tba"
    )
    path = written(tmp_path, b"\x80\x02" + text + b"]" + array + b".")
    assert len(read_plain_pickle(path)) == 1
    with pytest.raises(UserError, match="copies"):
        read_plain_pickle(written(tmp_path, b"\x80\x02" + text + b"]" + array * 50 + b"."))


@pytest.mark.parametrize("shape", [(3, 6), (-2, -12), (2**40, 0), (1, 1, 1, 1, 24)])
def test_impossible_shapes_are_refused(tmp_path: Path, shape: tuple[int, ...]):
    content = pickle.dumps({"data": np.zeros((4, 6), np.uint8)}, 2)
    forged = content.replace(pickle.dumps((4, 6), 2)[2:-3], pickle.dumps(shape, 2)[2:-1].partition(b"q\x00")[0])
    assert forged != content
    with pytest.raises(UserError, match=r"array|operand"):
        read_plain_pickle(written(tmp_path, forged))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150)
@given(st.integers(0, 10**6), st.integers(0, 255), st.integers(0, 4))
def test_a_changed_byte_raises_nothing_but_user_errors(tmp_path: Path, place: int, byte: int, protocol: int):
    content = bytearray(pickle.dumps(BATCH, protocol))
    content[place % len(content)] = byte
    with contextlib.suppress(UserError):
        read_plain_pickle(written(tmp_path, bytes(content)))
