"""Files of vectors: mapped and not read, checked value by value, and refused in one line."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from potstill.data import read_vectors
from potstill.runtime.errors import UserError


class Code:
    """What a pickle would call."""

    def __reduce__(self) -> tuple[object, ...]:
        return exec, ("raise SystemExit('executed')",)


def test_a_file_is_mapped_and_left_as_it_is(tmp_path: Path):
    path = tmp_path / "e.npy"
    np.save(path, np.arange(12, dtype=np.float16).reshape(4, 3))
    found = read_vectors(path)
    assert isinstance(found.values, np.memmap)
    assert found.rows(torch.tensor([2, 0])).tolist() == [[6, 7, 8], [0, 1, 2]]
    found.rows(torch.arange(4)).zero_()
    assert np.load(path).sum() == 66


BAD = {
    "whole numbers": (np.zeros((3, 2), np.int64), r"holds int64 \(3, 2\), not vectors"),
    "one dimension": (np.zeros(3), r"holds float64 \(3,\), not vectors"),
    "nothing": (np.zeros((0, 4)), r"not vectors|not an .npy file"),
    "another byte order": (np.zeros((3, 2), ">f4"), "byte order of another kind of machine"),
    "not a number": (np.array([[1.0, 2.0], [np.nan, 1.0]]), r"row 1 has values that are not finite"),
    "infinite": (np.array([[np.inf, 2.0], [1.0, 1.0]]), r"row 0 has values that are not finite"),
    "objects": (np.array([["a", None]], dtype=object), r"not an .npy file of numbers \(it holds objects\)"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_is_refused(case: str, tmp_path: Path):
    values, words = BAD[case]
    np.save(tmp_path / "e.npy", values, allow_pickle=True)
    with pytest.raises(UserError, match=words):
        read_vectors(tmp_path / "e.npy")


def test_files_of_another_kind(tmp_path: Path):
    (tmp_path / "text.npy").write_text("words")
    (tmp_path / "code.npy").write_bytes(pickle.dumps(Code()))
    np.savez(tmp_path / "archive.npz", a=np.zeros((3, 2)))
    (tmp_path / "archive.npz").rename(tmp_path / "archive.npy")
    np.save(tmp_path / "cut.npy", np.zeros((300, 2)))
    (tmp_path / "cut.npy").write_bytes((tmp_path / "cut.npy").read_bytes()[:1000])
    header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (100000000000000, 8), }".ljust(117) + b"\n"
    (tmp_path / "huge.npy").write_bytes(b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header)
    for name in ("text", "code", "archive", "cut", "huge", "absent"):
        with pytest.raises(UserError, match=rf"{name}.npy"):
            read_vectors(tmp_path / f"{name}.npy")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
@pytest.mark.parametrize("pipe", ["e.npy", "e.labels.npy", "e.labels.txt"])
def test_a_named_pipe_is_not_waited_for(pipe: str, tmp_path: Path):
    np.save(tmp_path / "e.npy", np.zeros((2, 3)))
    (tmp_path / pipe).unlink(missing_ok=True)
    os.mkfifo(tmp_path / pipe)
    with pytest.raises(UserError, match="it is a named pipe"):
        read_vectors(tmp_path / "e.npy", tmp_path / pipe)


def test_labels_of_another_number_or_kind(tmp_path: Path):
    np.save(tmp_path / "e.npy", np.zeros((3, 2)))
    (tmp_path / "two.txt").write_text("a\nb\n")
    (tmp_path / "empty.txt").write_text("")
    (tmp_path / "bytes.txt").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "blank.txt").write_text("a\n\nb\n")
    np.save(tmp_path / "real.npy", np.zeros(3))
    words = {
        "two.txt": "3 vectors, but .* has 2 labels",
        "empty.txt": "is empty",
        "blank.txt": "label 1 is empty",
        "bytes.txt": "is not a text file",
        "real.npy": r"holds float64 \(3,\), not labels",
        "absent.txt": "cannot read .*absent.txt",
    }
    for name, said in words.items():
        with pytest.raises(UserError, match=said):
            read_vectors(tmp_path / "e.npy", tmp_path / name)


def test_a_byte_order_mark_is_no_part_of_a_label(tmp_path: Path):
    np.save(tmp_path / "e.npy", np.zeros((3, 2)))
    (tmp_path / "labels.txt").write_text("a\nb\na\n", encoding="utf-8-sig")
    assert read_vectors(tmp_path / "e.npy", tmp_path / "labels.txt").class_names == ("a", "b")
