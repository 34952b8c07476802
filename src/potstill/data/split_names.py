"""Which split a published name stands for."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from potstill.data.choices import Choices
from potstill.data.found import Found, Part
from potstill.runtime.errors import UserError

SPLIT_ALIASES: Mapping[str, str] = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "dev": "validation",
    "eval": "validation",
    "evaluation": "validation",
    "test": "test",
    "testing": "test",
}
"""Words in published names, and the split that each stands for."""


def role_in(name: str) -> str | None:
    """The split that a name suggests, such as ``train`` for ``train-00000-of-00002`` or ``training_set``.

    Raises:
        UserError: the name suggests two splits.
    """
    words = re.split(r"[^a-z]+", name.lower())
    roles = list(dict.fromkeys(SPLIT_ALIASES[word] for word in words if word in SPLIT_ALIASES))
    if len(roles) > 1:
        raise UserError(f"the name {name!r} suggests both {roles[0]} and {roles[1]}", "rename it")
    return roles[0] if roles else None


def usual_role(names: Sequence[str]) -> str | None:
    """The split of the first name that suggests one."""
    return next((role for name in names if (role := role_in(name))), None)


def parts_by_role(found: Found, choices: Choices) -> dict[str, tuple[Part, ...]]:
    """Decide for each part which split it belongs to.

    The user's ``split_map`` decides first, then the catalogue, then the names alone. If nothing is named train, parts
    whose names say nothing are.

    Args:
        found: what the source found.
        choices: the user's choices.

    Returns:
        The parts of each of our splits, in order; parts of no split are missing.

    Raises:
        UserError: no part is a training split, ``split_map`` names a split that does not exist, or two of our splits
            would share a part.
    """
    if choices.roles:
        return _chosen(found, choices.roles)
    if found.splits:
        usual = {published: role for role, published in found.splits.items()}
        named = _grouped((usual.get(usual_role(part.names) or ""), part) for part in found.parts)
    else:
        named = _grouped((usual_role(part.names), part) for part in found.parts)
    nameless = tuple(part for part in found.parts if usual_role(part.names) is None)
    one_split = not found.named or len({part.names for part in nameless}) == 1
    if "train" not in named and nameless and one_split:
        named = {"train": nameless, **named}
    if "train" not in named:
        raise UserError(
            f"{found.where} has no training images, only {published_names(found.parts)}",
            "add a split called train, or choose one with `split_map=train=NAME`",
        )
    return named


def published_names(parts: Iterable[Part]) -> str:
    """The names of parts, for messages."""
    return ", ".join(dict.fromkeys(unnumbered(part.names[0]) for part in parts if part.names)) or "one unnamed split"


def unnumbered(name: str) -> str:
    """The name of a file without the number of its shard: ``train`` for ``train-00000-of-00002``."""
    return re.sub(r"-\d+-of-\d+$", "", name)


def _chosen(found: Found, roles: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[Part, ...]]:
    """The parts that the user chose by their published names."""
    chosen: dict[str, tuple[Part, ...]] = {}
    taken: dict[int, str] = {}
    for role, wanted in roles.items():
        indices = sorted({index for name in wanted for index in _called(found, name)})
        for index in indices:
            if index in taken:
                raise UserError(
                    f"`split_map` takes {found.parts[index].origin} for {taken[index]} and for {role}",
                    "choose each published split once",
                )
            taken[index] = role
        chosen[role] = tuple(found.parts[index] for index in indices)
    return chosen


def _called(found: Found, name: str) -> list[int]:
    """The indices of the parts with a published name; if it is none but a usual word, of the parts of that split."""
    wanted = name.lower()
    by_name = [
        index
        for index, part in enumerate(found.parts)
        if any(wanted in (own.lower(), unnumbered(own).lower()) for own in part.names)
    ]
    if by_name:
        return by_name
    role = SPLIT_ALIASES.get(wanted)
    by_role = [index for index, part in enumerate(found.parts) if role and usual_role(part.names) == role]
    if not by_role:
        raise UserError(
            f"{found.where} has no split {name!r} among {published_names(found.parts)}", "correct `split_map`"
        )
    return by_role


def _grouped(pairs: Iterable[tuple[str | None, Part]]) -> dict[str, tuple[Part, ...]]:
    groups: dict[str, tuple[Part, ...]] = {}
    for role, part in pairs:
        if role is not None:
            groups[role] = (*groups.get(role, ()), part)
    return groups
