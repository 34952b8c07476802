"""Images that do not fit in memory: the same images, read from their decoded copy, and no wrong ones."""

from __future__ import annotations

import io
import json
import os
import pickle
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from torch import Tensor

from potstill.data import ImageDataset, LabeledImages, load_dataset, with_classes
from potstill.data.dataset_file import prepared_sha256, read_dataset, write_dataset
from potstill.data.decode_onto_disk import Encodings
from potstill.data.decoded_copy import Draft
from potstill.data.found import Encoded
from potstill.data.images_on_disk import ImagesOnDisk
from potstill.data.raster import read_raster
from potstill.data.views import brought_together
from potstill.inspection import inspect
from potstill.runtime import memory_limit
from potstill.runtime.errors import UserError
from potstill.schema.account import Account

pytestmark = pytest.mark.slow

CHANNELS = {"L": 1, "LA": 2, "RGB": 3, "RGBA": 4}


def drawn(mode: str, draws: np.random.Generator) -> Image.Image:
    if mode == "I;16":
        return Image.fromarray(draws.integers(0, 65536, (40, 30)).astype(np.uint16))
    pixels = draws.integers(0, 250, (40, 30, CHANNELS[mode]), dtype=np.uint8)
    return Image.fromarray(pixels[..., 0] if mode == "L" else pixels)


def make(folder: Path, modes: Sequence[str] = ("RGB",), splits: Sequence[str] = ("train", "test")) -> Path:
    draws, turns = np.random.default_rng(0), cycle(modes)
    for split in splits:
        for label in ("a", "b", "c"):
            (folder / split / label).mkdir(parents=True)
            for number in range(10):
                drawn(next(turns), draws).save(folder / split / label / f"{number}.png")
    return folder


@contextmanager
def little_memory() -> Iterator[None]:
    """Memory for less than the images of any of these datasets."""
    with memory_limit(100_000):
        yield


def both(folder: Path, tmp_path: Path, **options: Any) -> tuple[ImageDataset, ImageDataset]:
    """A dataset in memory and on disk."""
    in_memory = load_dataset(folder, cache=tmp_path / "cache in memory", **options)
    with little_memory():
        on_disk = load_dataset(folder, cache=tmp_path / "cache on disk", **options)
    assert all(isinstance(part.stored, Tensor) for part in in_memory.splits.values())
    assert all(isinstance(part.stored, ImagesOnDisk) for part in on_disk.splits.values())
    return in_memory, on_disk


def everything(part: LabeledImages) -> Tensor:
    return torch.cat(list(part.blocks()))


@pytest.mark.parametrize(
    "modes",
    [
        ("L",),
        ("RGB", "L"),
        ("L", "RGB"),
        ("RGBA", "RGBA", "RGB"),
        ("RGB", "RGBA", "RGB"),
        ("L", "LA"),
        ("I;16",),
        ("L", "I;16"),
        ("RGB", "I;16"),
        ("RGB", "RGB", "RGBA", "I;16"),
        ("RGBA", "RGBA", "I;16"),
    ],
    ids=" ".join,
)
def test_images_of_every_kind_are_the_same_on_disk_and_in_memory(modes: tuple[str, ...], tmp_path: Path):
    in_memory, on_disk = both(make(tmp_path / "set", modes), tmp_path)
    for name, part in in_memory.splits.items():
        other = on_disk.splits[name]
        assert everything(other).equal(everything(part))
        assert other.labels.equal(part.labels)
        assert other.normalised(torch.tensor([2, 0, 2])).equal(part.normalised(torch.tensor([2, 0, 2])))
        assert other.normalised(slice(1, 3)).equal(part.normalised(slice(1, 3)))
    assert (on_disk.mean, on_disk.std) == (in_memory.mean, in_memory.std)
    assert on_disk.fingerprint == in_memory.fingerprint
    assert on_disk.account == in_memory.account
    assert prepared_sha256(on_disk) == prepared_sha256(in_memory)


@pytest.mark.parametrize("fraction", [0, 0.1, 0.9])
@pytest.mark.parametrize("splits", [("train", "test"), ("all",)])
def test_splits_and_statistics_do_not_depend_on_where_images_are(
    fraction: float, splits: tuple[str, ...], tmp_path: Path
):
    in_memory, on_disk = both(make(tmp_path / "set", splits=splits), tmp_path, validation_fraction=fraction)
    assert [len(part) for part in on_disk.splits.values()] == [len(part) for part in in_memory.splits.values()]
    assert everything(on_disk.test).equal(in_memory.test.images)
    assert (on_disk.mean, on_disk.std) == (in_memory.mean, in_memory.std)


def test_a_copy_serves_both(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    folder = make(tmp_path / "set")
    with little_memory():
        first = load_dataset(folder, cache=tmp_path / "cache")
    monkeypatch.setattr(Image, "open", None)  # nothing is decoded again
    in_memory = load_dataset(folder, cache=tmp_path / "cache")
    with little_memory():
        again = load_dataset(folder, cache=tmp_path / "cache")
    assert isinstance(in_memory.train.stored, Tensor)
    assert isinstance(again.train.stored, ImagesOnDisk)
    assert first.fingerprint == in_memory.fingerprint == again.fingerprint
    assert in_memory.train.images.equal(everything(first.train))


def test_images_in_files_of_arrays_are_read_from_the_copy_too(tmp_path: Path):
    pixels = np.random.default_rng(0).integers(0, 256, (30, 8, 8), dtype=np.uint8)
    for name, count in (("train", 30), ("t10k", 10)):
        labels = (np.arange(count) % 10).astype(np.uint8)
        (tmp_path / f"{name}-images-idx3-ubyte").write_bytes(idx(pixels[:count]))
        (tmp_path / f"{name}-labels-idx1-ubyte").write_bytes(idx(labels))
    with memory_limit(5000):
        found = load_dataset(tmp_path, cache=tmp_path / "cache")
    assert isinstance(found.train.stored, ImagesOnDisk)
    assert everything(found.test).equal(torch.from_numpy(pixels[:10, None]))


def idx(values: np.ndarray) -> bytes:
    sizes = b"".join(size.to_bytes(4, "big") for size in values.shape)
    return bytes([0, 0, 8, values.ndim]) + sizes + values.tobytes()


def test_views_read_nothing_and_are_those_of_images_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    in_memory, on_disk = both(make(tmp_path / "set", ("L",)), tmp_path)
    coloured = make(tmp_path / "coloured")
    with monkeypatch.context() as patched:
        patched.setattr("potstill.data.images_on_disk.StoredImages.read", None)
        views = with_classes(on_disk, [2, 0]), on_disk.train.take(torch.tensor([5, 1])), on_disk.to("cpu")
    assert everything(views[0].train).equal(with_classes(in_memory, [2, 0]).train.images)
    assert everything(views[1]).equal(in_memory.train.images[[5, 1]])
    assert everything(views[2].test).equal(in_memory.test.images)
    other = load_dataset(coloured, cache=tmp_path / "cache in memory")
    ours, theirs = brought_together([on_disk, other])[0], brought_together([in_memory, other])[0]
    assert everything(ours.train).equal(theirs.train.images)
    assert (ours.mean, ours.std, ours.shape) == (theirs.mean, theirs.std, theirs.shape)


def test_statistics_of_grey_made_colour_are_those_of_images_in_memory(tmp_path: Path):
    folder = make(tmp_path / "set", ("L",), splits=("train",))
    make(tmp_path / "colour", splits=("test",))
    (tmp_path / "colour" / "test").rename(folder / "test")
    in_memory, on_disk = both(folder, tmp_path)
    assert on_disk.shape == in_memory.shape == (3, 40, 30)
    assert (on_disk.mean, on_disk.std) == (in_memory.mean, in_memory.std)
    assert everything(on_disk.train).equal(in_memory.train.images)


def test_an_inspection_sees_the_same(tmp_path: Path):
    in_memory, on_disk = both(make(tmp_path / "set"), tmp_path)
    assert inspect(on_disk).to_json() == inspect(in_memory).to_json()


def test_what_needs_all_images_in_memory_is_refused(tmp_path: Path):
    _, on_disk = both(make(tmp_path / "set"), tmp_path)
    with pytest.raises(UserError, match="needs all 27 images in memory"):
        _ = on_disk.train.images
    with little_memory(), pytest.raises(UserError, match="stay on disk; omit `zca`"):
        load_dataset(tmp_path / "set", cache=tmp_path / "cache on disk", zca=True)


def test_without_a_place_on_disk_images_are_in_memory_if_it_holds_them(tmp_path: Path):
    folder = make(tmp_path / "set")
    with memory_limit(400_000):
        assert isinstance(load_dataset(folder, cache=None).train.stored, Tensor)
    with little_memory(), pytest.raises(UserError, match=r"need more than the 100 kB of memory"):
        load_dataset(folder, cache=None)


def test_a_cache_that_cannot_be_written_is_said_with_what_to_do(tmp_path: Path):
    (tmp_path / "cache").write_text("a file")
    with little_memory(), pytest.raises(UserError, match=r"cannot write .*; free some space, .* XDG_CACHE_HOME"):
        load_dataset(make(tmp_path / "set"), cache=tmp_path / "cache")


def test_a_disk_that_is_too_full_is_said_before_anything_is_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("potstill.runtime.files.shutil.disk_usage", lambda _: type("Usage", (), {"free": 10}))
    with little_memory(), pytest.raises(UserError, match=r"but the disk of .* has 10 bytes free"):
        load_dataset(make(tmp_path / "set"), cache=tmp_path / "cache")
    assert not [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]


def test_images_of_different_sizes_and_unreadable_ones_are_named(tmp_path: Path):
    folder = make(tmp_path / "set")
    last = folder / "test" / "c" / "9.png"
    Image.new("RGB", (7, 7)).save(last)
    with little_memory(), pytest.raises(UserError, match=r"0.png is 30×40, .*9.png is 7×7; resize"):
        load_dataset(folder, cache=tmp_path / "cache")
    last.write_bytes(b"no image")
    with little_memory(), pytest.raises(UserError, match=r"cannot read image .*9.png"):
        load_dataset(folder, cache=tmp_path / "cache")
    assert not [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]


def cut(path: Path) -> None:
    with path.open("r+b") as stream:
        stream.truncate(path.stat().st_size - 50)


def change(path: Path) -> None:
    with path.open("r+b") as stream:
        stream.seek(-1, 2)
        last = stream.read(1)[0]
        stream.seek(-1, 2)
        stream.write(bytes([last ^ 1]))


@pytest.mark.parametrize(("harm", "what"), [(cut, "it ends before image 29"), (change, "image 29 has changed")])
def test_a_copy_that_is_harmed_under_a_run_is_noticed_and_made_anew(
    harm: Callable[[Path], None], what: str, tmp_path: Path
):
    folder = make(tmp_path / "set", splits=("test", "train"))
    with little_memory():
        found = load_dataset(folder, cache=tmp_path / "cache", validation_fraction=0)
    pixels = everything(found.train)
    (copy,) = (tmp_path / "cache").glob("*.safetensors")
    harm(copy)  # the last of the images, which are those of train
    assert found.train.read(slice(0, 29)).equal(pixels[:29])
    with pytest.raises(UserError, match=f"is damaged: {what}"):
        found.train.read(slice(20, 30))
    assert not copy.exists()
    with little_memory():
        again = load_dataset(folder, cache=tmp_path / "cache", validation_fraction=0)
    assert everything(again.train).equal(pixels)
    with pytest.raises(UserError, match="is damaged"):
        found.train.read(slice(20, 30))
    assert copy.exists(), "it is another one"


def test_a_damaged_copy_that_cannot_be_deleted_is_damaged_still(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    _, on_disk = both(make(tmp_path / "set"), tmp_path)
    (copy,) = (tmp_path / "cache on disk").glob("*.safetensors")
    change(copy)

    def refuse(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(Path, "unlink", refuse)
    with pytest.raises(UserError, match="is damaged"):
        [everything(part) for part in on_disk.splits.values()]


def test_more_images_at_once_than_memory_holds_are_refused(tmp_path: Path):
    _, on_disk = both(make(tmp_path / "set"), tmp_path)
    with little_memory(), pytest.raises(UserError, match="reading 27 images at once needs 486 kB"):
        on_disk.train.normalised()


@pytest.mark.parametrize("row", [-1, 30, 10**6])
def test_images_that_are_not_there_are_not_read(row: int, tmp_path: Path):
    _, on_disk = both(make(tmp_path / "set"), tmp_path)
    assert isinstance(on_disk.train.stored, ImagesOnDisk)
    with pytest.raises(IndexError):
        replace(on_disk.train.stored, rows=torch.tensor([row])).read()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are not forked here")
def test_forked_processes_read_at_once(tmp_path: Path):
    in_memory, on_disk = both(make(tmp_path / "set"), tmp_path)
    children = []
    for seed in range(4):
        if (child := os.fork()) == 0:
            generator, right = torch.Generator().manual_seed(seed), True
            for _ in range(200):
                indices = torch.randint(27, (4,), generator=generator)
                right &= on_disk.train.read(indices).equal(in_memory.train.images[indices])
            os._exit(0 if right else 1)
        children.append(child)
    assert [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children] == [0] * 4


def test_a_pickled_dataset_reads_the_same_images(tmp_path: Path):
    _, on_disk = both(make(tmp_path / "set"), tmp_path)
    assert everything(pickle.loads(pickle.dumps(on_disk.train))).equal(everything(on_disk.train))


def rewritten(copy: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """The copy with another header of the same length."""
    content = copy.read_bytes()
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    change(header)
    copy.write_bytes(
        content[:8] + json.dumps(header, separators=(",", ":")).encode().ljust(length) + content[8 + length :]
    )


@pytest.mark.parametrize(
    "declared",
    [{"shape": [30, 3, 30, 40]}, {"shape": [30, 1, 40, 90]}, {"shape": [30, 3600]}, {"dtype": "I8"}],
    ids=str,
)
def test_a_header_that_declares_other_images_is_not_believed(declared: dict[str, Any], tmp_path: Path):
    folder = make(tmp_path / "set")
    for where in ("cache in memory", "cache on disk"):
        expected = both(folder, tmp_path)
        (copy,) = (tmp_path / where).glob("*.safetensors")
        rewritten(copy, lambda header: header["train.images"].update(declared))
        for found, right in zip(both(folder, tmp_path), expected, strict=True):
            assert everything(found.train).equal(everything(right.train))


def test_a_copy_may_be_replaced_or_deleted_while_it_is_read(tmp_path: Path):
    with little_memory():
        found = load_dataset(make(tmp_path / "set"), cache=tmp_path / "cache")
    pixels = everything(found.train)
    for path in (tmp_path / "cache").iterdir():
        path.unlink()
    assert everything(found.train).equal(pixels)


def test_many_threads_read_at_once(tmp_path: Path):
    in_memory, on_disk = both(make(tmp_path / "set"), tmp_path)
    wrong = []

    def read(seed: int) -> None:
        generator = torch.Generator().manual_seed(seed)
        for _ in range(50):
            indices = torch.randint(27, (4,), generator=generator)
            if not on_disk.train.read(indices).equal(in_memory.train.images[indices]):
                wrong.append(indices)

    threads = [threading.Thread(target=read, args=[seed]) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_another_process_reads_the_same_copy(tmp_path: Path):
    _, on_disk = both(make(tmp_path / "set"), tmp_path)
    write_dataset(on_disk, tmp_path / "prepared")
    found = read_dataset(tmp_path / "prepared")
    assert isinstance(found.train.stored, ImagesOnDisk)
    assert everything(found.train).equal(everything(on_disk.train))
    (copy,) = (tmp_path / "cache on disk").glob("*.safetensors")
    content = copy.read_bytes()
    assert (tmp_path / "prepared").stat().st_size < len(content)
    copy.unlink()
    with pytest.raises(UserError, match="are missing or have changed"):
        read_dataset(tmp_path / "prepared")


@pytest.mark.parametrize("at", ["put", "finish"])
def test_an_interruption_leaves_no_copy(at: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    folder = make(tmp_path / "set")

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, little_memory():
        patched.setattr(f"potstill.data.decoded_copy.Draft.{at}", interrupted)
        with pytest.raises(KeyboardInterrupt):
            load_dataset(folder, cache=tmp_path / "cache")
    assert not [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]
    with little_memory():
        assert len(load_dataset(folder, cache=tmp_path / "cache").train) == 27


def test_the_copy_of_files_that_nobody_watches_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("potstill.data.sources.folder.Encoded", partial(Encoded, stamped=False))
    folder = make(tmp_path / "set")
    with little_memory():
        found = load_dataset(folder, cache=tmp_path / "cache")
    assert not [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]
    assert len(everything(found.train)) == 27
    with pytest.raises(UserError, match="a decoded copy that is not kept, which other processes cannot read"):
        write_dataset(found, tmp_path / "prepared")


def test_an_empty_split_costs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    draws, decoded = np.random.default_rng(0), []
    contents = [io.BytesIO() for _ in range(30)]
    for content in contents:
        drawn("RGB", draws).save(content, "PNG")
    images = pa.array([{"bytes": content.getvalue(), "path": None} for content in contents])
    table = pa.table({"image": images, "label": [number % 3 for number in range(30)]})
    pq.write_table(table, tmp_path / "train.parquet")
    pq.write_table(table.slice(0, 0), tmp_path / "test.parquet")
    monkeypatch.setattr("potstill.data.decode_onto_disk.read_raster", spied(read_raster, decoded))
    with little_memory():
        found = load_dataset(tmp_path, cache=tmp_path / "cache")
    assert len(decoded) == 30
    assert len(everything(found.train)) + len(found.validation) + len(found.test) == 30


def test_a_source_with_other_images_than_it_said_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for more in (-1, 1):
        monkeypatch.setattr(
            "potstill.data.reading.Encodings", lambda count, read, more=more: Encodings(count - more, read)
        )
        with little_memory(), pytest.raises(UserError, match=r"(more|29|30) images could be read for (29|31) labels"):
            load_dataset(make(tmp_path / str(more)), cache=tmp_path / "cache")


def spied(function: Callable[..., Any], calls: list[object]) -> Callable[..., Any]:
    def spy(*arguments: object, **options: object) -> Any:
        calls.append(arguments)
        return function(*arguments, **options)

    return spy


def test_a_file_that_is_cut_while_it_is_written_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def cut_first(draft: Draft, account: Account) -> None:
        os.truncate(draft.path, 100_000)
        finish(draft, account)

    finish = Draft.finish
    monkeypatch.setattr(Draft, "finish", cut_first)
    with little_memory(), pytest.raises(UserError, match="it was cut while it was written"):
        load_dataset(make(tmp_path / "set"), cache=tmp_path / "cache")


@pytest.mark.parametrize("limit", [0, -1, float("nan")])
def test_a_limit_that_is_none_is_refused(limit: float):
    with pytest.raises(UserError, match="memory_limit"), memory_limit(limit):
        pass
