"""Networks named in text: ``family:option=value:option=value``."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, get_args, get_origin

from potstill.networks.base import Network
from potstill.runtime.errors import UserError

Family = Callable[..., Network]
"""Makes a network from ``(shape, classes, *, option=default, ...)``: a subclass of :class:`Network`."""


@dataclass(frozen=True)
class Option:
    """One option of a family, as its constructor declares it.

    Attributes:
        name: what is written before the ``=``.
        choices: the words that it takes; where there are none it takes whole numbers from 1.
        default: its value where it is not written; None where the family settles it from the image.
    """

    name: str
    choices: tuple[str, ...]
    default: str | int | None

    @property
    def allowed(self) -> str:
        """What it takes, in words."""
        return " | ".join(self.choices) if self.choices else "a whole number from 1"

    def read(self, text: str, family: str) -> str | int:
        """The value written as ``text``.

        Raises:
            UserError: the option does not take it.
        """
        if text in self.choices:
            return text
        if not self.choices and text.isdecimal() and int(text) > 0:
            return int(text)
        raise UserError(f"network {family!r} cannot have {self.name}={text!r}", f"it takes {self.allowed}")


def options_of(family: Family) -> dict[str, Option]:
    """The options of a family by name: the keyword-only parameters of its constructor."""
    parameters = inspect.signature(family, eval_str=True).parameters
    return {
        name: Option(name, _choices(parameter.annotation), parameter.default)
        for name, parameter in parameters.items()
        if parameter.kind is parameter.KEYWORD_ONLY
    }


def _choices(hint: Any) -> tuple[str, ...]:
    return get_args(hint) if get_origin(hint) is Literal else ()


def parse(spec: str) -> tuple[str, dict[str, str]]:
    """Split ``"convnet:depth=4:norm=batch"`` into ``("convnet", {"depth": "4", "norm": "batch"})``.

    Raises:
        UserError: a part after the family is not ``option=value``, or an option is given twice.
    """
    family, *parts = spec.strip().split(":")
    options: dict[str, str] = {}
    for part in parts:
        name, equals, value = part.partition("=")
        if not (name and equals and value):
            raise UserError(
                f"network {spec!r}: {part!r} is not an option",
                "write family:option=value, such as convnet:depth=4",
            )
        if name in options:
            raise UserError(f"network {spec!r} gives {name!r} twice", "give each option once")
        options[name] = value
    return family, options


def read_options(name: str, family: Family, texts: dict[str, str]) -> dict[str, str | int]:
    """The values of the options ``texts`` of the family called ``name``.

    Raises:
        UserError: the family has no such option, or the option does not take the value.
    """
    known = options_of(family)
    values: dict[str, str | int] = {}
    for option, text in texts.items():
        if option not in known:
            remedy = f"its options are {', '.join(known)}" if known else "it has none"
            raise UserError(f"network {name!r} has no option {option!r}", remedy)
        values[option] = known[option].read(text, name)
    return values
