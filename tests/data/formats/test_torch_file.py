"""Files of torch.save: read for tensors and numbers; nothing is executed, nothing is larger than it claims."""

from __future__ import annotations

import contextlib
import copy as copying
import io
import pickle
import pickletools
import zipfile
from collections.abc import Iterator
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


OLD = {"_use_new_zipfile_serialization": False}
FORMS = {"archive": {}, "old": OLD}
form = pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)


@form
def test_tensors_and_numbers_come_back(form: dict[str, bool], tmp_path: Path):
    path = tmp_path / "res.pt"
    accuracies = [np.float64(0.5), 0.25, np.int64(3), np.float32(1), True, None, np.array([[1.5, 2], [3, 4]])]
    content = {
        "data": [[torch.randn(3, 1, 4, 4), torch.arange(3)]],
        "accs_all_exps": {"ConvNet": accuracies, 10: "x" * 300, "largest": 2**70},
        "types": [torch.ones(3, dtype=dtype) for dtype in (torch.bool, torch.uint8, torch.float16, torch.bfloat16)],
        "weights": torch.nn.Linear(2, 3).state_dict(),
    }
    torch.save(content, path, **form)
    found = read_torch_file(path)
    assert found["data"][0][0].equal(content["data"][0][0])
    assert found["data"][0][1].equal(content["data"][0][1])
    read = found["accs_all_exps"]["ConvNet"]
    assert read[:-1] == accuracies[:-1]
    assert np.array_equal(read[-1], accuracies[-1])
    assert found["accs_all_exps"]["largest"] == 2**70
    for ours, theirs in zip(found["types"], content["types"], strict=True):
        assert ours.dtype == theirs.dtype
        assert ours.equal(theirs)
    assert found["weights"]["weight"].equal(content["weights"]["weight"])


@form
def test_views_and_shared_storages_come_back(form: dict[str, bool], tmp_path: Path):
    whole = torch.randn(4, 6)
    torch.save([whole, whole[1:3, ::2].t(), whole[4:], torch.zeros(())], tmp_path / "a.pt", **form)
    found = read_torch_file(tmp_path / "a.pt")
    assert found[1].equal(whole[1:3, ::2].t())
    assert found[2].shape == (0, 6)
    assert found[0].untyped_storage().data_ptr() == found[1].untyped_storage().data_ptr()


@form
@pytest.mark.filterwarnings("error")
def test_parameters_come_without_gradients_and_warnings(form: dict[str, bool], tmp_path: Path):
    torch.save([torch.nn.Parameter(torch.ones(2)), torch.ones((), requires_grad=True)], tmp_path / "a.pt", **form)
    for tensor in read_torch_file(tmp_path / "a.pt"):
        assert not tensor.requires_grad
        assert float(tensor.max()) == 1


@form
def test_code_is_refused_by_name_and_not_run(form: dict[str, bool], tmp_path: Path):
    target, path = tmp_path / "executed", tmp_path / "res.pt"
    torch.save({"data": [torch.zeros(1), Code(target)]}, path, **form)
    with pytest.raises(UserError, match=r"res.pt holds more than tensors \(__builtin__\.exec\)"):
        read_torch_file(path)
    torch.save({"data": [torch.zeros(1), Code(target)]}, path, pickle_protocol=4, **form)
    with pytest.raises(UserError, match=r"res.pt uses (FRAME|STACK_GLOBAL|SHORT_BINUNICODE|MEMOIZE)"):
        read_torch_file(path)
    assert not target.exists()


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_plain_pickles_are_refused(protocol: int, tmp_path: Path):
    target, path = tmp_path / "executed", tmp_path / "plain.pt"
    path.write_bytes(pickle.dumps(Code(target), protocol))
    with pytest.raises(UserError, match=r"plain\.pt"):
        read_torch_file(path)
    path.write_bytes(pickle.dumps([1.5, 2], 2))
    with pytest.raises(UserError, match="is a pickle from another program"):
        read_torch_file(path)
    assert not target.exists()


def numbered_pickles(path: Path) -> list[bytes]:
    """The pickles of a file of the old form, and its storages as the last part."""
    content = path.read_bytes()
    stream, ends = io.BytesIO(content), [0]
    for _ in range(5):
        list(pickletools.genops(stream))
        ends.append(stream.tell())
    return [content[start:stop] for start, stop in zip(ends, [*ends[1:], len(content)], strict=True)]


@pytest.mark.parametrize("place", range(5))
def test_code_in_any_pickle_of_the_old_form_does_not_run(place: int, tmp_path: Path):
    target, path = tmp_path / "executed", tmp_path / "res.pt"
    torch.save(torch.zeros(3), path, **OLD)
    parts = numbered_pickles(path)
    parts[place] = pickle.dumps(Code(target), 2)
    path.write_bytes(b"".join(parts))
    with pytest.raises(UserError, match=r"holds more than tensors \(__builtin__\.exec\)"):
        read_torch_file(path)
    assert not target.exists()


def test_files_of_the_old_form_have_what_they_claim_and_no_more(tmp_path: Path):
    path = tmp_path / "res.pt"
    torch.save([torch.zeros(1000), torch.arange(7)], path, **OLD)
    whole = path.read_bytes()
    for cut in (*range(0, len(whole), 97), len(whole) - 1):
        path.write_bytes(whole[:cut])
        with pytest.raises(UserError, match=r"res\.pt is (not a torch\.save file|cut off)"):
            read_torch_file(path)
    with pytest.raises(UserError, match=r"is cut off: [\d,]+ bytes of a tensor should follow, and [\d,]+ do"):
        read_torch_file(path)
    path.write_bytes(whole + b"rubbish")
    with pytest.raises(UserError, match="7 bytes follow its last tensor"):
        read_torch_file(path)


COUNT, LARGE = (1000).to_bytes(8, "little"), (2**31 - 1).to_bytes(8, "little")
FORGED: dict[str, tuple[dict[int, tuple[bytes, bytes]], str]] = {
    "a larger storage": ({3: (b"M\xe8\x03", b"J\xff\xff\xff\x7f")}, "does not have the number of values"),
    "a larger count": ({5: (COUNT, LARGE)}, "does not have the number of values"),
    "both larger": (
        {3: (b"M\xe8\x03", b"J\xff\xff\xff\x7f"), 5: (COUNT, LARGE)},
        r"is cut off: 8,589,934,588 bytes of a tensor should follow, and 4,\d{3} do",
    ),
    "fewer storages": ({4: (b"]q", b"]q\x00]q")}, "damaged"),
    "no list of storages": ({4: (b"]", b"}")}, "damaged"),
    "another mark": ({0: (b"P\x19", b"P\x18")}, "a pickle from another program"),
    "another version": ({1: (b"M\xe9\x03", b"M\xea\x03")}, "has an unknown version"),
}


@pytest.mark.parametrize("case", FORGED)
def test_forged_files_of_the_old_form_are_refused(case: str, tmp_path: Path):
    changes, words = FORGED[case]
    path = tmp_path / "res.pt"
    torch.save([torch.zeros(1000), torch.arange(7)], path, **OLD)
    parts = numbered_pickles(path)
    for place, (there, instead) in changes.items():
        assert there in parts[place]
        parts[place] = parts[place].replace(there, instead, 1)
    path.write_bytes(b"".join(parts))
    with pytest.raises(UserError, match=words):
        read_torch_file(path)


@form
def test_a_tensor_larger_than_its_storage_takes_no_memory(form: dict[str, bool], tmp_path: Path):
    """PyTorch's reader would enlarge the storage."""
    path = tmp_path / "res.pt"
    torch.save(torch.zeros(1000), path, **form)
    with rewritten(path, form) as parts:
        start, found, rest = parts["program"].rpartition(b"M\xe8\x03")
        parts["program"] = start + b"J\xff\xff\xff\x7f" + rest
    assert found
    with pytest.raises(UserError, match=r"holds a tensor \(2147483647,\) without that many values"):
        read_torch_file(path)


@form
def test_a_storage_of_two_sizes_is_refused(form: dict[str, bool], tmp_path: Path):
    path = tmp_path / "res.pt"
    whole = torch.zeros(1000)
    torch.save([whole, whole[:3]], path, **form)
    with rewritten(path, form) as parts:
        pieces = parts["program"].split(b"M\xe8\x03")
        parts["program"] = b"M\xe8\x03".join(pieces[:-1]) + b"M\xe9\x03" + pieces[-1]
    with pytest.raises(UserError, match=r"the storage \d+ has two sizes"):
        read_torch_file(path)


@contextlib.contextmanager
def rewritten(path: Path, form: dict[str, bool]) -> Iterator[dict[str, bytes]]:
    """A file whose ``program`` may be changed."""
    if form == OLD:
        contents = dict(enumerate(numbered_pickles(path)))
        parts = {"program": contents[3]}
        yield parts
        path.write_bytes(b"".join((contents | {3: parts["program"]}).values()))
        return
    with zipfile.ZipFile(path) as there:
        entries = {entry.filename: there.read(entry) for entry in there.infolist()}
    name = next(name for name in entries if name.endswith(".pkl"))
    parts = {"program": entries[name]}
    yield parts
    with zipfile.ZipFile(path, "w") as made:
        for each, content in (entries | {name: parts["program"]}).items():
            made.writestr(each, content)


@form
def test_lists_within_lists_take_no_time(form: dict[str, bool], tmp_path: Path):
    nested: list[Any] = [torch.zeros(1)]
    for _ in range(60):
        nested = [nested, nested]
    torch.save(nested, tmp_path / "deep.pt", **form)
    read_torch_file(tmp_path / "deep.pt")


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


@pytest.mark.parametrize("content", [b"", b"<!DOCTYPE html>", b"PK\x03\x04", b"\x80\x02."])
def test_damaged_files_get_one_line(content: bytes, tmp_path: Path):
    path = tmp_path / "set.pt"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"set\.pt is (not a torch\.save file|cut off)") as refused:
        read_torch_file(path)
    assert "\n" not in str(refused.value)


def test_cut_files_and_absent_ones(tmp_path: Path):
    path = tmp_path / "set.pt"
    torch.save(torch.zeros(10_000), path)
    whole = path.read_bytes()
    for cut in (10, 1000, 20_000, len(whole) - 1):
        path.write_bytes(whole[:cut])
        with pytest.raises(
            UserError, match=r"set\.pt is cut off: the end of its archive is missing; download it again"
        ):
            read_torch_file(path)
    with pytest.raises(UserError, match=r"cannot read .*absent\.pt"):
        read_torch_file(tmp_path / "absent.pt")
    with pytest.raises(UserError, match="cannot read"):
        read_torch_file(tmp_path)


def program(path: Path, form: dict[str, bool], *instructions: bytes) -> Path:
    """A file of torch.save with a pickle of our own."""
    torch.save(torch.zeros(1), path, **form)
    with rewritten(path, form) as parts:
        parts["program"] = b"\x80\x02" + b"".join(instructions) + b"."
    return path


DTYPE = b"cnumpy\ndtype\n"
SCALAR = b"cnumpy._core.multiarray\nscalar\n"
ATTACKS = {
    "an empty number of objects": (SCALAR, DTYPE, b"X\x03\0\0\0O,O\x85R", b"\x85R"),
    "a number of a gigabyte": (SCALAR, DTYPE, b"X\x0b\0\0\0V1500000000\x85R", b"\x85R"),
    "too few bytes": (SCALAR, DTYPE, b"X\x02\0\0\0f8\x85R", b"X\x01\0\0\0a\x86R"),
    "three gigabytes of nothing": (b"c__builtin__\nbytearray\n", b"J\0\0\0\x40\x85R"),
    "fields of a type": (
        DTYPE,
        b"X\x02\0\0\0f8K\0K\1\x87R",
        b"(K\3X\1\0\0\0<N)}J\xff\xff\xff\xffJ\xff\xff\xff\xffK\0tb",
    ),
    "a type that others use": (DTYPE, b"X\x02\0\0\0f8K\0K\0\x87R"),
    "an array of objects": (b"cnumpy._core.multiarray\n_reconstruct\n", b"cnumpy\nndarray\nK\1\x85X\1\0\0\0b\x87R"),
    "objects in the place of an array": (
        b"cnumpy._core.multiarray\n_reconstruct\n",
        b"cnumpy\nndarray\nK\0\x85X\1\0\0\0O\x87R\x85",
    ),
    "hooks": (b"ctorch._utils\n_rebuild_parameter\n", b"N\x89}X\1\0\0\0aK\1s\x87R"),
    "a storage of no file": (b"(X\x07\0\0\0storagectorch\nFloatStorage\nX\1\0\0\0xX\x03\0\0\0cpuK\1tQ",),
    "a tuple as a key": (b"})K\1s",),
    "an importer": (b"cposix\nsystem\n", b"X\x02\0\0\0ls\x85R"),
}


@form
@pytest.mark.parametrize("case", ATTACKS)
def test_forged_pickles_are_refused(case: str, form: dict[str, bool], tmp_path: Path):
    with pytest.raises(UserError, match=r"set\.pt (holds more|is not a torch\.save file)"):
        read_torch_file(program(tmp_path / "set.pt", form, *ATTACKS[case]))


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


@pytest.mark.parametrize("forged", ["set/DATA.PKL", "set/Data/0"])
def test_an_archive_has_no_entries_that_differ_in_case_alone(forged: str, tmp_path: Path):
    path = tmp_path / "set.pt"
    torch.save(torch.zeros(1000), path)
    with zipfile.ZipFile(path, "a") as made:  # PyTorch's reader would take it in the place of the one that was checked
        made.writestr(forged, b"\x80\x02K\x01.")
    with pytest.raises(UserError, match=r"set\.pt has two entries of one name"):
        read_torch_file(path)
