"""Which column of a table holds the images or vectors and which the classes; an index or an id is never a label.

The decision is made by names and types alone, in this order: the user's choice, the catalogue's, a column with a usual
name, the only column that the hub's library declares as classes, the only column of integers that may be classes.
Everything else is refused with the candidates.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from potstill.data.choices import Choices
from potstill.data.found import multi_label
from potstill.runtime.errors import Unlabelled, UserError

if TYPE_CHECKING:
    import pyarrow

IMAGE_COLUMNS = ("image", "img", "images", "pixel_values")
VECTOR_COLUMNS = ("embedding", "embeddings", "vector", "vectors", "features")
LABEL_COLUMNS = ("label", "labels", "fine_label", "class", "target")
NO_LABELS = frozenset(
    word
    for words in (
        "area count depth height length level size width x xmax xmin y ymax ymin",
        "date day hour minute month second time timestamp year",
        "fold frame guid hash id ids idx index md5 no num number order page row seed sha sha1 sha256 split uid uuid",
        "caption description file filename license name path prompt score source text title url",
    )
    for word in words.split()
)
"""Words in the names of columns that count, measure or describe images: such a column is never taken for labels."""

FILE_COLUMNS = (
    *("file_path", "filepath", "image_path", "path", "paths"),
    *("file_name", "filename", "file_names", "filenames", "file", "files"),
)
"""The names of a column that says which file each row is of; the first that there is counts."""

Kind = Literal["class", "integer", "text", "boolean", "list", "other"]
USABLE: tuple[Kind, ...] = ("class", "integer", "text", "boolean")


@dataclass(frozen=True)
class Columns:
    """The columns to read.

    Attributes:
        image: the name of the column of images, or of vectors in a table without images.
        label: the name of the column of classes.
        certain: whether the column of classes was chosen, is declared as such, or holds numbers and has a usual name;
            otherwise its values have to look like classes.
        remark: which columns were taken, and which other ones there are.
    """

    image: str
    label: str
    certain: bool
    remark: str


@dataclass(frozen=True)
class Described:
    """A table's columns and what is known about them.

    Attributes:
        schema: names and types.
        features: what the hub's library has written about each; empty if it has not written the table.
        where: the table's name in errors.
    """

    schema: pyarrow.Schema
    features: Mapping[str, Any]
    where: str

    @classmethod
    def of(cls, schema: pyarrow.Schema, where: str) -> Described:
        """The columns of a table; damaged metadata of the hub's library count as absent.

        Raises:
            UserError: two columns have the same name.
        """
        twice = next((name for name in schema.names if schema.names.count(name) > 1), None)
        if twice is not None:
            raise UserError(f"{where} has two columns called {twice!r}", "rename one of them")
        try:
            features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
        except (KeyError, TypeError, ValueError, RecursionError):
            features = {}
        return cls(schema, features if isinstance(features, dict) else {}, where)

    def type_of(self, name: str) -> pyarrow.DataType:
        """The type of a column, of its values if it is a dictionary."""
        from pyarrow import types

        kind = self.schema.field(name).type
        return kind.value_type if types.is_dictionary(kind) else kind

    def kind(self, name: str) -> Kind:
        """What a column holds, as far as labels are concerned."""
        from pyarrow import types

        kind = self.type_of(name)
        if types.is_integer(kind):
            return "class" if self.class_names(name) else "integer"
        if types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind):
            return "text"
        if types.is_boolean(kind):
            return "boolean"
        nested = (types.is_list, types.is_large_list, types.is_fixed_size_list, types.is_list_view)
        return "list" if any(is_nested(kind) for is_nested in nested) else "other"

    def class_names(self, name: str) -> tuple[str, ...] | None:
        """The names of a column's numbers, if the hub's library has written them."""
        feature = self.features.get(name)
        names = feature.get("names") if isinstance(feature, dict) and feature.get("_type") == "ClassLabel" else None
        return tuple(map(str, names)) if isinstance(names, list) and names else None

    def holds_images(self, name: str) -> bool:
        """Whether a column holds encoded images, also in a file whose metadata were lost."""
        from pyarrow import types

        kind = self.type_of(name)
        if types.is_struct(kind):
            return kind.get_field_index("bytes") >= 0
        return types.is_binary(kind) or types.is_large_binary(kind) or types.is_binary_view(kind)

    def holds_vectors(self, name: str) -> bool:
        """Whether a column holds a list of floating-point numbers for each row."""
        from pyarrow import types

        kind = self.type_of(name)
        return self.kind(name) == "list" and types.is_floating(kind.value_type)

    @property
    def vector_columns(self) -> list[str]:
        """The columns of vectors: those with a usual name if there are any, and none that is called an image."""
        found = [name for name in self.schema.names if name not in IMAGE_COLUMNS and self.holds_vectors(name)]
        return [name for name in found if name in VECTOR_COLUMNS] or found

    @property
    def may_hold_classes(self) -> bool:
        """Whether a column may hold classes, as far as names and types tell."""
        named = (name for name in self.schema.names if name in LABEL_COLUMNS)
        return any(named) or any(_is_candidate(self, name) for name in self.schema.names)

    def declared_image(self, name: str) -> bool:
        """Whether the hub's library declares a column as images."""
        feature = self.features.get(name)
        return isinstance(feature, dict) and feature.get("_type") == "Image"


def find_columns(table: Described, choices: Choices, preferred: tuple[str, str] | None) -> Columns:
    """Decide which columns to read.

    Args:
        table: the columns that there are.
        choices: the user's.
        preferred: the image and label columns that the catalogue names, if it knows the dataset.

    Raises:
        UserError: a column is missing, or there are several candidates.
    """
    image = _image_column(table, choices.image_column, preferred and preferred[0])
    label, certain = _label_column(table, choices.label_column, preferred and preferred[1])
    others = [name for name in table.schema.names if name not in (image, label) and _is_candidate(table, name)]
    beside = f", not in {_listed(others)}" if others else ""
    what = "vectors" if table.holds_vectors(image) else "images"
    return Columns(image, label, certain, f"{what} are in the column {image}, labels in the column {label}{beside}")


def _image_column(table: Described, chosen: str | None, preferred: str | None) -> str:
    candidates = [name for name in table.schema.names if table.holds_images(name)]
    if chosen is not None:
        if chosen not in candidates and not (chosen in table.schema.names and table.holds_vectors(chosen)):
            raise UserError(
                f"the column {chosen!r} of {table.where} {_why_no_images(table, chosen)}", _offer(candidates)
            )
        return chosen
    if not candidates and table.vector_columns:
        return vector_column(table)
    if not candidates:
        likely = next((name for name in IMAGE_COLUMNS if name in table.schema.names), None)
        why = "" if likely is None else f"; the column {likely!r} {_why_no_images(table, likely)}"
        raise UserError(
            f"{table.where} has no column of images among {_listed(table.schema.names)}{why}",
            "store encoded images in a column named image",
        )
    declared = [name for name in candidates if table.declared_image(name)]
    named = next((name for name in (preferred, *IMAGE_COLUMNS) if name in candidates), None)
    if named is not None:
        return named
    if len(candidates) > 1 and len(declared) != 1:
        raise UserError(f"{table.where} has several columns of images: {_listed(candidates)}", _offer(candidates))
    return declared[0] if declared else candidates[0]


def vector_column(table: Described, chosen: str | None = None) -> str:
    """The column of vectors in a table without images.

    Args:
        table: the columns that there are.
        chosen: the user's choice.

    Raises:
        UserError: there is none, or several and no choice.
    """
    if chosen is not None:
        if chosen not in table.schema.names or not table.holds_vectors(chosen):
            raise UserError(
                f"{table.where} has no column {chosen!r} of vectors among {_listed(table.schema.names)}",
                "correct `image_column`",
            )
        return chosen
    found = table.vector_columns
    if not found:
        raise UserError(
            f"{table.where} has no column of vectors among {_listed(table.schema.names)}",
            "store lists of floating-point numbers in a column named embedding",
        )
    if len(found) > 1:
        raise UserError(f"{table.where} has several columns of vectors: {_listed(found)}", _offer(found))
    return found[0]


def _label_column(table: Described, chosen: str | None, preferred: str | None) -> tuple[str, bool]:
    """The column of classes, and whether it is certain."""
    names = table.schema.names
    if chosen is not None:
        if chosen not in names:
            raise UserError(f"{table.where} has no column {chosen!r} among {_listed(names)}", "correct `label_column`")
        _check_usable(table, chosen)
        return chosen, True
    if preferred is not None and preferred in names and table.kind(preferred) in USABLE:
        return preferred, True
    declared = [name for name in names if table.kind(name) == "class"]
    named = next((usual for usual in LABEL_COLUMNS for name in names if name == usual), None)
    if named is not None and (named in declared or not declared):
        _check_usable(table, named)
        return named, table.kind(named) != "text"
    candidates = declared if named is None else [named, *declared]
    candidates = candidates or [name for name in names if _is_candidate(table, name)]
    if candidates == declared and len(declared) == 1:
        return declared[0], True
    if len(candidates) == 1 and table.kind(candidates[0]) == "integer":
        return candidates[0], False
    if len(candidates) > 1:
        raise UserError(
            f"{table.where} has several columns that may be the labels: {_listed(candidates)}",
            f"choose one with `label_column`, for example `label_column={candidates[0]}`",
        )
    lists = [name for name in names if table.kind(name) == "list" and not table.holds_vectors(name)]
    if lists and not candidates:
        raise multi_label(f"the column {lists[0]!r} of {table.where}")
    raise Unlabelled(
        f"{table.where} has no column of class labels among {_listed(names)}",
        f"choose one with `label_column`, for example `label_column={candidates[0]}`"
        if candidates
        else "store class indices or names in a column named label, or name their column with `label_column`",
    )


def _check_usable(table: Described, name: str) -> None:
    """Refuse a column that cannot hold one class for each image."""
    kind = table.kind(name)
    if kind == "list":
        raise multi_label(f"the column {name!r} of {table.where}")
    if kind not in USABLE:
        raise UserError(
            f"labels of {table.where} are not integers or text (column {name!r} holds {table.schema.field(name).type})",
            "store one class index or name per image, or name another column with `label_column`",
        )


def _is_candidate(table: Described, name: str) -> bool:
    """Whether a column may hold classes, as far as its name and type tell."""
    return table.kind(name) == "class" or (table.kind(name) in USABLE and not names_no_labels(name))


def names_no_labels(name: str) -> bool:
    """Whether the name of a column or an array says that it counts, measures or describes: it is never labels."""
    words = re.findall(r"[a-z]+\d*", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name).lower())
    return name in FILE_COLUMNS or not NO_LABELS.isdisjoint(words)


def _why_no_images(table: Described, name: str) -> str:
    if name not in table.schema.names:
        return f"does not exist; its columns are {_listed(table.schema.names)}"
    kind = table.kind(name)
    if kind == "list":
        return "holds arrays as lists, which are not read: store them as an .npz with train_images and train_labels"
    if kind == "text":
        return "holds text: paths and base64 are not read as images"
    return f"holds {table.schema.field(name).type}, not encoded images"


def _offer(candidates: Sequence[str]) -> str:
    if not candidates:
        return "store encoded images in a column"
    return f"choose one with `image_column`, for example `image_column={candidates[0]}`"


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:20]) + (f" and {len(names) - 20} more" if len(names) > 20 else "")
