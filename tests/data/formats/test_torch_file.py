"""Files of torch.save: read for tensors and numbers; nothing is executed, nothing is larger than it claims."""

from __future__ import annotations

import copy as copying
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from potstill.data.formats.torch_file import read_torch_file
from potstill.runtime.errors import UserError


class Code:
    """What loading a pickle would run."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Any, ...]:
        return exec, (f"open({str(self.target)!r}, 'w').close()",)


def test_tensors_and_numbers_come_back(tmp_path: Path):
    path = tmp_path / "res.pt"
    content = {
        "data": [[torch.randn(3, 1, 4, 4), torch.arange(3)]],
        "accs_all_exps": {"ConvNet": [[np.float64(0.5), 0.25, np.int64(3), np.float32(1)]]},
    }
    torch.save(content, path)
    found = read_torch_file(path)
    assert found["data"][0][0].equal(content["data"][0][0])
    assert found["accs_all_exps"] == content["accs_all_exps"]


def test_code_is_refused_by_name_and_not_run(tmp_path: Path):
    target, path = tmp_path / "executed", tmp_path / "res.pt"
    torch.save({"data": [torch.zeros(1), Code(target)]}, path)
    with pytest.raises(UserError, match=r"res.pt holds more than tensors \(__builtin__\.exec\)"):
        read_torch_file(path)
    torch.save({"data": [torch.zeros(1), Code(target)]}, path, pickle_protocol=4)
    with pytest.raises(UserError, match=r"res.pt holds more than tensors \(the instruction STACK_GLOBAL\)"):
        read_torch_file(path)
    torch.save(torch.zeros(3), path, _use_new_zipfile_serialization=False)
    with pytest.raises(UserError, match=r"or was written before PyTorch 1\.6"):
        read_torch_file(path)
    (tmp_path / "plain.pt").write_bytes(pickle.dumps(Code(target)))
    with pytest.raises(UserError, match=r"plain\.pt"):
        read_torch_file(tmp_path / "plain.pt")
    assert not target.exists()


def test_a_module_is_refused_by_name(tmp_path: Path):
    torch.save(torch.nn.Linear(2, 2), tmp_path / "net.pt")
    with pytest.raises(UserError, match=r"holds more than tensors \(torch.nn.modules.linear.Linear\)"):
        read_torch_file(tmp_path / "net.pt")


def test_what_claims_more_than_it_has_is_refused(tmp_path: Path):
    torch.save(torch.zeros(1).expand(1_000_000, 1_000_000), tmp_path / "wide.pt")
    with pytest.raises(UserError, match=r"holds a tensor \(1000000, 1000000\) without that many values"):
        read_torch_file(tmp_path / "wide.pt")
    torch.save([torch.zeros(3, device="meta")], tmp_path / "meta.pt")
    with pytest.raises(UserError, match="holds more than tensors"):
        read_torch_file(tmp_path / "meta.pt")
    torch.save([torch.zeros(3, dtype=torch.complex64)], tmp_path / "complex.pt")
    with pytest.raises(UserError, match="holds more than tensors"):
        read_torch_file(tmp_path / "complex.pt")
    torch.save(torch.zeros(10_000), tmp_path / "set.pt")
    with (
        zipfile.ZipFile(tmp_path / "set.pt") as there,
        zipfile.ZipFile(tmp_path / "bomb.pt", "w", zipfile.ZIP_DEFLATED) as made,
    ):
        for entry in there.infolist():
            made.writestr(entry.filename, there.read(entry))
    with pytest.raises(UserError, match=r"bomb\.pt is a compressed archive"):
        read_torch_file(tmp_path / "bomb.pt")


@pytest.mark.parametrize("content", [b"", b"words", b"PK\x03\x04", b"\x80\x02."])
def test_damaged_files_get_one_line(content: bytes, tmp_path: Path):
    path = tmp_path / "set.pt"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"is not a file of torch\.save, or is damaged") as refused:
        read_torch_file(path)
    assert "\n" not in str(refused.value)


def test_cut_files_and_absent_ones(tmp_path: Path):
    path = tmp_path / "set.pt"
    torch.save(torch.zeros(10_000), path)
    path.write_bytes(path.read_bytes()[:20_000])
    with pytest.raises(UserError, match=r"set\.pt is not a file of torch\.save"):
        read_torch_file(path)
    with pytest.raises(UserError, match=r"cannot read .*absent\.pt"):
        read_torch_file(tmp_path / "absent.pt")
    with pytest.raises(UserError, match="cannot read"):
        read_torch_file(tmp_path)


def program(path: Path, *instructions: bytes) -> Path:
    """A file of torch.save with a pickle of our own."""
    torch.save(torch.zeros(1), path)
    with zipfile.ZipFile(path) as there:
        contents = {entry.filename: there.read(entry) for entry in there.infolist()}
    with zipfile.ZipFile(path, "w") as made:
        for name, content in contents.items():
            made.writestr(name, b"\x80\x02" + b"".join(instructions) + b"." if name.endswith(".pkl") else content)
    return path


DTYPE = b"cnumpy\ndtype\n"
SCALAR = b"cnumpy._core.multiarray\nscalar\n"
ATTACKS = {
    "an empty number of objects": (SCALAR, DTYPE, b"X\x03\0\0\0O,O\x85R", b"\x85R"),
    "a number of a gigabyte": (SCALAR, DTYPE, b"X\x0b\0\0\0V1500000000\x85R", b"\x85R"),
    "too few bytes": (SCALAR, DTYPE, b"X\x02\0\0\0f8\x85R", b"X\x01\0\0\0a\x86R"),
    "three gigabytes of nothing": (b"c__builtin__\nbytearray\n", b"J\0\0\0\x40\x85R"),
    "an importer": (b"cposix\nsystem\n", b"X\x02\0\0\0ls\x85R"),
}


@pytest.mark.parametrize("case", ATTACKS)
def test_forged_pickles_are_refused(case: str, tmp_path: Path):
    with pytest.raises(UserError, match=r"set\.pt (holds more|is not a file)"):
        read_torch_file(program(tmp_path / "set.pt", *ATTACKS[case]))


def test_an_archive_that_claims_more_than_it_has(tmp_path: Path):
    path = tmp_path / "set.pt"
    torch.save(torch.zeros(1000), path)
    with zipfile.ZipFile(path, "a") as made:
        first = made.infolist()[0]
        for number in range(200):
            copy = copying.copy(first)
            copy.filename, copy.file_size, copy.compress_size = f"{first.filename}-{number}", 4000, 4000
            made.filelist.append(copy)
        made._didModify = True  # type: ignore[attr-defined]
    with pytest.raises(UserError, match=r"set\.pt claims more than it has"):
        read_torch_file(path)
