"""Which column is the label and which the image: by names and types, and refused where they leave a choice."""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa
import pytest

from potstill.data import NO_CHOICES, Choices
from potstill.data.sources.columns import Columns, Described, find_columns
from potstill.runtime.errors import UserError

IMAGE = pa.struct({"bytes": pa.binary(), "path": pa.string()})
TYPES: dict[str, pa.DataType] = {
    "image": IMAGE,
    "class": pa.int64(),
    "int": pa.int32(),
    "text": pa.string(),
    "bool": pa.bool_(),
    "list": pa.list_(pa.int64()),
    "float": pa.float32(),
    "raw": pa.large_binary(),
    "coded": pa.dictionary(pa.int8(), pa.string()),
}


def described(columns: dict[str, str]) -> Described:
    """A table whose columns have types of ``TYPES``; those of images and classes are declared as the hub does."""
    features: dict[str, Any] = {}
    for name, kind in columns.items():
        if kind == "image":
            features[name] = {"_type": "Image"}
        if kind == "class":
            features[name] = {"names": ["cat", "dog"], "_type": "ClassLabel"}
    metadata = {"huggingface": json.dumps({"info": {"features": features}})}
    return Described.of(pa.schema({name: TYPES[kind] for name, kind in columns.items()}, metadata), "table")


def found(columns: dict[str, str], choices: Choices = NO_CHOICES, preferred: tuple[str, str] | None = None) -> Columns:
    return find_columns(described(columns), choices, preferred)


@pytest.mark.parametrize(
    ("columns", "image", "label"),
    [
        ({"image": "image", "label": "class"}, "image", "label"),
        ({"image_id": "int", "image": "image", "label": "text"}, "image", "label"),
        ({"image": "image", "label": "coded", "index": "int"}, "image", "label"),
        ({"image": "image", "breed": "class", "age": "int", "note": "text"}, "image", "breed"),
        ({"img": "image", "coarse_label": "class", "fine_label": "class"}, "img", "fine_label"),
        ({"picture": "raw", "digit": "int", "file_name": "text", "width": "int"}, "picture", "digit"),
        ({"mask": "image", "image": "image", "label": "class"}, "image", "label"),
        ({"thumbnail": "raw", "photo": "image", "label": "class"}, "photo", "label"),
        ({"image": "image", "label": "bool", "id": "int"}, "image", "label"),
        ({"image": "image", "imageId": "int", "rowIndex": "int", "kind": "class"}, "image", "kind"),
    ],
)
def test_what_is_beyond_doubt_is_taken(columns: dict[str, str], image: str, label: str):
    taken = found(columns)
    assert (taken.image, taken.label) == (image, label)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"image": "image", "artist": "class", "genre": "class"}, "several .*: artist, genre; .*`label_column=artist`"),
        ({"image": "image", "person": "int", "smiling": "bool"}, "several .*: person, smiling; .*`label_column"),
        ({"image": "image", "species": "text", "cage": "int"}, "several .*: species, cage; .*`label_column"),
        ({"image": "image", "label": "int", "genre": "class"}, "several .*: label, genre; .*`label_column"),
        ({"image": "image", "species": "text"}, "no column of class labels .*`label_column=species`"),
        ({"image": "image", "smiling": "bool"}, "no column of class labels .*`label_column=smiling`"),
        ({"image_id": "int", "image": "image", "width": "int"}, "no column of class labels among image_id, image"),
        ({"image": "image", "caption": "text"}, "no column of class labels"),
        ({"id": "int", "image": "image", "labels": "list"}, "'labels' .*multi-label"),
        ({"id": "int", "image": "image", "tags": "list"}, "'tags' .*multi-label"),
        ({"image": "image", "label": "float"}, "not integers or text .*float"),
        (
            {"mask": "image", "photo": "image", "label": "class"},
            "several columns of images: mask, photo; .*`image",
        ),
        ({"image": "list", "label": "int"}, "no column of images .*'image' holds arrays as lists.*"),
        ({"image": "text", "label": "int"}, "no column of images .*paths and base64 are not read"),
        ({"image": "float", "label": "int"}, "no column of images .*holds float"),
    ],
)
def test_what_leaves_a_choice_or_none_is_refused(columns: dict[str, str], message: str):
    with pytest.raises(UserError, match=message):
        found(columns)


def test_the_users_choice_goes_before_the_catalogues_and_both_before_the_rest():
    columns = {"mask": "image", "photo": "image", "genre": "class", "style": "class"}
    assert found(columns, preferred=("photo", "genre")).label == "genre"
    chosen = found(columns, Choices(label_column="style", image_column="mask"), ("photo", "genre"))
    assert (chosen.image, chosen.label) == ("mask", "style")
    assert chosen.remark == "images are in the column mask, labels in the column style, not in genre"
    assert found({"image": "image", "label": "class"}, preferred=("img", "fine")).label == "label"


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        (Choices(label_column="absent"), "no column 'absent' among photo, tags, weight, genre; correct `label_column`"),
        (Choices(label_column="tags"), "'tags' .*multi-label"),
        (Choices(label_column="weight"), "'weight' holds float"),
        (Choices(image_column="absent"), "'absent' of table does not exist; .*`image_column=photo`"),
        (Choices(image_column="tags"), "'tags' of table holds arrays as lists"),
        (Choices(image_column="genre"), "'genre' of table holds int64, not encoded images"),
    ],
)
def test_a_choice_that_cannot_be_read_is_refused(choices: Choices, message: str):
    with pytest.raises(UserError, match=message):
        found({"photo": "image", "tags": "list", "weight": "float", "genre": "class"}, choices)


def test_an_index_may_be_chosen_but_is_never_taken():
    assert found({"image": "image", "image_id": "int"}, Choices(label_column="image_id")).label == "image_id"
    with pytest.raises(UserError, match="no column of class labels"):
        found({"image": "image", "image_id": "int"})


@pytest.mark.parametrize("metadata", [b"{", b"[]", b'{"info": 3}', b'{"info": {"features": []}}', b"[" * 100_000])
def test_damaged_metadata_count_as_absent(metadata: bytes):
    schema = pa.schema({"image": IMAGE, "label": pa.int64()}, {b"huggingface": metadata})
    table = Described.of(schema, "table")
    assert table.class_names("label") is None
    assert find_columns(table, Choices(), None).label == "label"


def test_two_columns_of_one_name_are_refused():
    schema = pa.schema([("label", pa.int64()), ("label", pa.string()), ("image", IMAGE)])
    with pytest.raises(UserError, match="two columns called 'label'"):
        Described.of(schema, "table")
