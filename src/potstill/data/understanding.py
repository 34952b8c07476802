"""What a dataset means: the one place that decides which part is which split, and which label is which class."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from potstill.data.choices import Choices
from potstill.data.class_labels import join_labels
from potstill.data.found import Found, Part
from potstill.data.split_names import parts_by_role, unnumbered
from potstill.runtime.errors import UserError
from potstill.schema.account import LeftOut


@dataclass(frozen=True, eq=False)
class Understood:
    """What was found, as splits with labels; the images are not yet decoded.

    Attributes:
        layout: the layout that was recognised.
        class_names: the name of each class.
        parts: the parts of each split, in order.
        labels: int64 (N,) for each split, indices into ``class_names``.
        left_out: what is not read, and why.
        remarks: decisions, one sentence each.
    """

    layout: str
    class_names: tuple[str, ...]
    parts: Mapping[str, tuple[Part, ...]]
    labels: Mapping[str, np.ndarray]
    left_out: tuple[LeftOut, ...]
    remarks: tuple[str, ...]

    def origin(self, split: str) -> str:
        """Where the images of a split come from, in words."""
        first, *others = (part.origin for part in self.parts[split])
        return f"{first} and {len(others)} more" if others else first


def understand(found: Found, choices: Choices) -> Understood:
    """Decide what a dataset means, or refuse it.

    Args:
        found: what the source found.
        choices: the user's choices where several readings are possible.

    Raises:
        UserError: it can be understood in several ways or in none.
    """
    _check_choices(found, choices)
    parts = parts_by_role(found, choices)
    left_out = [*found.left_out, *_unused(found, parts)]
    for split in [split for split, pieces in parts.items() if split != "train" and _is_unlabelled(pieces)]:
        count = sum(len(piece.images) for piece in parts.pop(split))
        left_out.append(LeftOut(count=count, what=f"images of the split {split}", why="they have no labels"))
    for pieces in parts.values():
        for piece in pieces:
            if len(piece.images) != len(piece.labels.values):
                raise UserError(
                    f"{found.where}: {piece.origin} has {len(piece.images)} images but {len(piece.labels.values)} "
                    "labels",
                    "store one label per image",
                )
    classes = join_labels(parts, found.where)
    return Understood(
        layout=found.layout,
        class_names=classes.names,
        parts=parts,
        labels=classes.labels,
        left_out=tuple(left_out),
        remarks=(*found.remarks, *classes.remarks),
    )


def _check_choices(found: Found, choices: Choices) -> None:
    """Refuse a choice that the layout cannot follow."""
    for option, column in (("image_column", choices.image_column), ("label_column", choices.label_column)):
        if column is not None and not found.columns:
            problem = f"`{option}={column}` chooses a column, but {found.where} has none"
            raise UserError(problem, f"leave `{option}` out")


def _unused(found: Found, parts: Mapping[str, tuple[Part, ...]]) -> list[LeftOut]:
    """The parts that belong to no split, by their published names."""
    used = {id(part) for pieces in parts.values() for part in pieces}
    counts: dict[str, int] = {}
    for part in found.parts:
        if id(part) not in used and len(part.images):
            name = unnumbered(part.names[0]) if part.names else part.origin
            counts[name] = counts.get(name, 0) + len(part.images)
    why = "it is not used as train, validation or test; `split_map` chooses others"
    return [LeftOut(count=count, what=f"images of the split {name}", why=why) for name, count in counts.items()]


def _is_unlabelled(pieces: tuple[Part, ...]) -> bool:
    """Whether no image of a split has a label, as a competition publishes its test split."""
    values = [piece.labels.values for piece in pieces if len(piece.labels.values)]
    return bool(values) and all((labels < 0).all() for labels in values)
