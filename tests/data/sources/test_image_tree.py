"""What is found below a folder or in an archive, and what is left out of it."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

import pytest

from potstill.data.sources.image_tree import ImageTree, tree_of_archive, tree_of_folder
from potstill.runtime.errors import UserError


def made(root: Path, *files: str) -> Path:
    for name in files:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    return root


def images(tree: ImageTree) -> list[str]:
    return sorted("/".join(parts) for parts in tree.root.walk())


def told(tree: ImageTree) -> dict[str, int]:
    return {left.what: left.count for left in tree.left_out}


def test_images_are_told_by_their_suffixes_at_any_depth(tmp_path: Path):
    made(tmp_path, "cat/0.png", "cat/more/1.JPEG", "cat/2.WebP", "dog/3.tga", "cat/boxes.txt", "LICENSE")
    tree = tree_of_folder(tmp_path)
    assert images(tree) == ["cat/0.png", "cat/2.WebP", "cat/more/1.JPEG", "dog/3.tga"]
    assert told(tree) == {"other files": 2}
    assert tree.left_out[0].why == "their suffixes are not those of images (.txt, none)"
    assert tree.root.folders["cat"].count == 3


def test_hidden_files_and_folders_are_left_out_at_every_depth(tmp_path: Path):
    made(tmp_path, "cat/0.png", "cat/._0.png", "cat/.ipynb_checkpoints/0.png", ".git/x.png", "cat/a/.b/1.png")
    tree = tree_of_folder(tmp_path)
    assert images(tree) == ["cat/0.png"]
    assert told(tree) == {"hidden files and folders": 4}


def test_links_are_followed_once(tmp_path: Path):
    made(tmp_path, "set/cat/0.png", "elsewhere/1.png", "elsewhere/deep/2.png")
    folder = tmp_path / "set"
    (folder / "cat" / "more").symlink_to(tmp_path / "elsewhere")  # read
    (folder / "dog").symlink_to(tmp_path / "elsewhere")  # the same once more
    (folder / "cat" / "file.png").symlink_to(tmp_path / "elsewhere" / "1.png")  # a link to a file is a file
    (folder / "cat" / "loop").symlink_to(folder)
    (folder / "cat" / "up").symlink_to(tmp_path)
    (folder / "a-link").symlink_to(folder / "cat")
    (folder / "cat" / "gone.png").symlink_to(tmp_path / "gone")
    (folder / "self.png").symlink_to(folder / "self.png")
    tree = tree_of_folder(folder)
    assert images(tree) == ["cat/0.png", "cat/file.png", "cat/more/1.png", "cat/more/deep/2.png"]
    assert told(tree) == {"links": 2, "links to folders": 4}


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_pipes_are_left_out(tmp_path: Path):
    made(tmp_path, "cat/0.png")
    os.mkfifo(tmp_path / "cat" / "1.png")
    assert told(tree_of_folder(tmp_path)) == {"pipes, devices and the like": 1}


def test_folders_nested_without_end_are_refused(tmp_path: Path):
    made(tmp_path, "/".join("a" * 70) + "/0.png")
    with pytest.raises(UserError, match="nested"):
        tree_of_folder(tmp_path)


def test_an_archive_is_read_like_the_folder_that_it_unpacks_to(tmp_path: Path):
    files = ("set/cat/0.png", "set/cat/._0.png", "set/dog/1.png", "set/notes.txt", "__MACOSX/set/cat/0.png")
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        for name in files:
            archive.writestr(name, b"")
    tree, unpacked = tree_of_archive(tmp_path / "set.zip"), tree_of_folder(made(tmp_path / "unpacked", *files))
    assert tree.root == unpacked.root
    assert told(unpacked) == told(tree)
    assert told(tree) == {"hidden files and folders": 2, "other files": 1}
