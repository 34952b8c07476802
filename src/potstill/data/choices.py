"""What a user chooses where the files of a dataset leave a choice."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

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
            raise UserError(f"--split-map {self.split_map} names no training split", "add train=NAME")

    @cached_property
    def roles(self) -> Mapping[str, tuple[str, ...]]:
        """For each of our splits the published ones, from ``split_map``; empty without one."""
        roles: dict[str, tuple[str, ...]] = {}
        for pair in (self.split_map or "").split(",") if self.split_map is not None else ():
            role, _, published = (word.strip() for word in pair.partition("="))
            if role not in ROLES or not published:
                raise UserError(
                    f"--split-map {self.split_map} cannot be understood at {pair.strip()!r}",
                    "write train=NAME,test=NAME, with train, validation or test before each =",
                )
            roles[role] = (*roles.get(role, ()), published)
        return roles


NO_CHOICES = Choices()
