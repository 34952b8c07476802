"""Which folders are splits and which are classes, judged by their names and their nesting alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from potstill.data.choices import Choices
from potstill.data.sources.image_tree import Folder
from potstill.data.split_names import SPLIT_ALIASES, role_in
from potstill.runtime.errors import Unlabelled, UserError
from potstill.schema.account import LeftOut

LAYOUTS = "arrange them as CLASS/IMAGE, or as train/CLASS/IMAGE beside test/CLASS/IMAGE"
NAME_SPLITS = (
    "name the splits with `split_map=train=FOLDER,test=FOLDER`, "
    "or put the images of each class directly into its folder"
)
ONE_KIND = "put the images of each class directly into its folder, and masks or other kinds of images elsewhere"

Classes = Mapping[str, Folder]  # the folder of each class by its name


@dataclass(frozen=True)
class FolderLayout:
    """How class folders are arranged.

    Attributes:
        words: the layout in words.
        splits: for each published split, by its name, its class folders; "" is the name of a dataset in one piece.
        left_out: images that are not in a class folder, and why they are not read.
        remarks: further decisions, one sentence each.
    """

    words: str
    splits: Mapping[str, Classes]
    left_out: tuple[LeftOut, ...] = ()
    remarks: tuple[str, ...] = field(default=())


def understand_folders(root: Folder, where: str, choices: Choices) -> FolderLayout:
    """Tell splits from classes.

    A folder is a split if its name suggests one, as ``training_set`` does, and has folders of images: a class may also
    be called train. Names of splits alone are never classes, neither above the images nor between class and images.

    Args:
        root: all folders that have images.
        where: the dataset's name in errors.
        choices: ``split_map`` names folders that are splits whatever they are called.

    Raises:
        UserError: there are no class folders, or the folders may be meant in several ways.
    """
    used = {name: folder for name, folder in root.folders.items() if folder.count}
    nested = _nested(used)
    speaking = {name for name in nested if _role(name)}
    chosen = {name for names in choices.roles.values() for name in names}
    if chosen & set(nested) or speaking:
        _check_meaning(nested, speaking, chosen, where)
        return _splits(root, used, nested, where)
    _check_flat(used, nested, where)
    if len(nested) == len(used) > 1 and all(map(_is_class_of_splits, nested.values())):
        return _classes_of_splits(used)
    if len(root.folders) == 1 and not root.images and nested and _is_wrapping(next(iter(nested.values()))):
        inner = understand_folders(next(iter(nested.values())), where, choices)
        remark = f"the classes are in the folder {next(iter(nested))}"
        return FolderLayout(inner.words, inner.splits, inner.left_out, (remark, *inner.remarks))
    _check_twins(nested, used, where, NAME_SPLITS)
    return FolderLayout("class folders", {"": root.folders}, _beside(root))


def _splits(root: Folder, used: Classes, nested: Classes, where: str) -> FolderLayout:
    """Folders of splits; images outside of class folders have no label."""
    training = {name for split in nested if _role(split) == "train" for name in _class_folders(nested[split])}
    left_out = list(_beside(root))
    splits: dict[str, Classes] = {}
    for name, folder in used.items():
        classes = _class_folders(folder)
        holds_no_class = len(classes) == 1 and bool(training) and not training & set(classes)
        if name not in nested or (_role(name) != "train" and holds_no_class):
            left_out.append(LeftOut(count=folder.count, what=f"images in {name}", why="they are not in a class folder"))
        else:
            _check_twins(_nested(classes), classes, f"{where}, {name}", ONE_KIND)
            splits[name] = folder.folders
            left_out += _beside(folder)
    return FolderLayout("class folders in folders of splits", splits, tuple(left_out))


def _classes_of_splits(classes: Classes) -> FolderLayout:
    """Class folders that have the splits within them."""
    splits: dict[str, dict[str, Folder]] = {}
    for name, folder in classes.items():
        for split, images in folder.folders.items():
            splits.setdefault(split, {})[name] = images
    return FolderLayout("folders of splits in class folders", splits)


def _check_meaning(nested: Classes, speaking: set[str], chosen: set[str], where: str) -> None:
    """Refuse a class called train beside other classes that also have folders."""
    silent = sorted(set(nested) - speaking)
    if silent and len(speaking) == 1 and not chosen:
        raise UserError(
            f"in {where} the folders {silent[0]} and {next(iter(speaking))} have folders within them, so "
            "they may be splits or classes",
            NAME_SPLITS,
        )


def _check_flat(used: Classes, nested: Classes, where: str) -> None:
    """Refuse splits without class folders: what is in them has no label."""
    flat = {name: role for name in used if name not in nested and (role := _role(name))}
    plain = {SPLIT_ALIASES[name.lower()] for name in flat if name.lower() in SPLIT_ALIASES}
    if flat and (len(flat) == len(used) or len(plain) > 1):
        names = " and ".join(sorted(flat)[:3])
        verb = "is a split" if len(flat) == 1 else "are splits"
        raise Unlabelled(f"{names} in {where} {verb} without class folders, so no image has a label", LAYOUTS)


def _check_twins(nested: Classes, used: Classes, where: str, remedy: str) -> None:
    """Refuse folders that all have the same folders within them, as folds have, or classes with images and masks.

    Args:
        nested: those with class folders within them.
        used: all folders.
        where: their place in errors.
        remedy: what to do.

    Raises:
        UserError: they all contain the same two folders or more.
    """
    within = {frozenset(_class_folders(folder)) for folder in nested.values()}
    if len(nested) == len(used) > 1 and len(within) == 1 and len(shared := next(iter(within))) > 1:
        names, first = " and ".join(list(nested)[:2]), " and ".join(sorted(shared)[:2])
        raise UserError(
            f"the folders {names} in {where} all contain {first}: they may be splits, classes or kinds of images",
            remedy,
        )


def split_folders(root: Folder) -> dict[str, str]:
    """The splits that the names of outermost folders with images suggest, each with the first such folder."""
    found: dict[str, str] = {}
    for name, folder in root.folders.items():
        if folder.count and (role := _role(name)) is not None:
            found.setdefault(role, name)
    return found


def _is_class_of_splits(folder: Folder) -> bool:
    splits = _class_folders(folder)
    return not folder.images and all(_role(name) and not _class_folders(split) for name, split in splits.items())


def _is_wrapping(folder: Folder) -> bool:
    """Whether a folder, the only one, merely contains the dataset."""
    within = _class_folders(folder)
    return not folder.images and (len(within) > 1 or any(_class_folders(inner) for inner in within.values()))


def _nested(folders: Classes) -> Classes:
    return {name: folder for name, folder in folders.items() if _class_folders(folder)}


def _class_folders(folder: Folder) -> Classes:
    return {name: inner for name, inner in folder.folders.items() if inner.count}


def _beside(folder: Folder) -> tuple[LeftOut, ...]:
    """Images that lie beside class folders."""
    if not folder.images:
        return ()
    place = f"images directly in {folder.name}" if folder.name else "images beside the class folders"
    return (LeftOut(count=len(folder.images), what=place, why="they are not in a class folder"),)


def _role(name: str) -> str | None:
    """The split that a name suggests, if it suggests only one."""
    try:
        return role_in(name)
    except UserError:
        return None


def class_names(classes: Classes, where: str) -> Sequence[str]:
    """The names of classes that all have images.

    Raises:
        UserError: a class has no image, or its name is not UTF-8, so that no record could hold it.
    """
    for name, folder in classes.items():
        if any(0xD800 <= ord(letter) <= 0xDFFF for letter in name):
            raise UserError(f"the class folder {name!a} in {where} has a name that is not UTF-8", "rename it")
        if not folder.count:
            raise UserError(
                f"class {name!r} has no images in {'/'.join((where, *folder.parts))}", "add images or remove the folder"
            )
    return list(classes)
