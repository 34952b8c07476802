"""What a user chooses where the files of a dataset can be read in several ways."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

from potstill.runtime.errors import UserError

ROLES = ("train", "validation", "test")


@dataclass(frozen=True, kw_only=True)
class Choices:
    """How to read a dataset whose files can be understood in several ways.

    A choice that the files cannot follow is refused, never ignored.

    Attributes:
        image_column: the column of images, in a table with several.
        label_column: the column of classes, in a table with several.
        split_map: which published splits are used as what, such as ``train=fold1,train=fold2,test=fold3``; all other
            splits are left out.

    Raises:
        UserError: ``split_map`` cannot be understood, or names no training split.
    """

    image_column: str | None = None
    label_column: str | None = None
    split_map: str | None = None

    def __post_init__(self) -> None:
        if self.split_map is not None and "train" not in self.roles:
            raise UserError(f"`split_map={self.split_map}` names no training split", "add train=NAME")

    @classmethod
    def among(cls, values: Mapping[str, Any]) -> Choices:
        """The choices among settings by name, such as those that a set records.

        Raises:
            UserError: a choice is not text, or as above.
        """
        chosen = {field.name: values.get(field.name) for field in fields(cls)}
        for name, value in chosen.items():
            if value is not None and not isinstance(value, str):
                raise UserError(f"{name} is {value!r}, not text", "correct it where it is recorded")
        return cls(**chosen)

    @cached_property
    def roles(self) -> Mapping[str, tuple[str, ...]]:
        """For each of our splits the published ones, from ``split_map``; empty without one."""
        roles: dict[str, tuple[str, ...]] = {}
        for pair in (self.split_map or "").split(",") if self.split_map is not None else ():
            role, _, published = (word.strip() for word in pair.partition("="))
            if role not in ROLES or not published:
                raise UserError(
                    f"`split_map={self.split_map}` cannot be understood at {pair.strip()!r}",
                    "write train=NAME,test=NAME, with train, validation or test before each =",
                )
            roles[role] = (*roles.get(role, ()), published)
        return roles


NO_CHOICES = Choices()
