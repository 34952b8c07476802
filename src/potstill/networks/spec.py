"""Networks named in text: ``family:option=value:option=value``."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args, get_origin

from potstill.runtime.errors import UserError

if TYPE_CHECKING:
    from potstill.networks.base import Network

Family: TypeAlias = "Callable[..., Network]"
"""Builds a network from ``(shape, classes, *, option=default, ...)``: a subclass of :class:`Network`."""

Activation = Literal["relu", "sigmoid", "leaky", "swish"]
Norm = Literal["none", "batch", "layer", "instance", "group"]
Pooling = Literal["none", "max", "avg"]
Stem = Literal["auto", "small", "large"]

CHOICES = {"Activation": Activation, "Norm": Norm, "Pooling": Pooling, "Stem": Stem}
"""The types of options that are words, by the name with which a family annotates them."""

LIBRARIES = {"timm": "potstill.networks.on_timm:timm_family"}
"""Where the families of other packages are: with ``PREFIX:MODEL`` a function makes one, from the name of the model."""

LARGEST = 10_000
"""The largest depth or width: larger networks would not end being built, or fit into no memory."""


def names_pretrained(features: str) -> bool:
    """Whether features are to come from a model of another package, such as ``timm:resnet18:weights=cached``."""
    library, colon, _ = features.partition(":")
    return bool(colon) and library in LIBRARIES


@dataclass(frozen=True)
class Option:
    """One option of a family, as its constructor declares it.

    Attributes:
        name: as written before the ``=``.
        choices: the allowed words; if empty, whole numbers from 1 to ``LARGEST`` are allowed.
        default: the default value; None if it depends on the shape of the images, or if there is none.
        is_text: whether any text is allowed instead.
    """

    name: str
    choices: tuple[str, ...]
    default: str | int | None
    is_text: bool = False

    @property
    def allowed(self) -> str:
        """The allowed values, in words."""
        return " | ".join(self.choices) if self.choices else f"a whole number from 1 to {LARGEST}"

    def read(self, text: str, family: str) -> str | int:
        """The value that ``text`` means.

        Args:
            text: as written after the ``=``.
            family: the name of the family, for the error.

        Raises:
            UserError: the value is not allowed.
        """
        if text in self.choices or self.is_text:
            return text
        if not self.choices and text.isdecimal() and len(text) <= len(str(LARGEST)) and 0 < int(text) <= LARGEST:
            return int(text)
        raise UserError(f"network {family!r} does not support {self.name}={text!r}", f"use {self.allowed}")


def options_of(family: Family) -> dict[str, Option]:
    """The options of a family, by name: the keyword-only parameters of its constructor."""
    parameters = inspect.signature(family, eval_str=True).parameters
    return {
        name: Option(name, _choices(parameter.annotation), parameter.default, parameter.annotation == (str | None))
        for name, parameter in parameters.items()
        if parameter.kind is parameter.KEYWORD_ONLY
    }


def declared_options(family: ast.ClassDef) -> dict[str, Option]:
    """The same, from the syntax of a family that is not imported."""
    made = next(each for each in family.body if isinstance(each, ast.FunctionDef) and each.name == "__init__")
    return {
        given.arg: Option(given.arg, _choices(CHOICES.get(ast.unparse(hint))), ast.literal_eval(default))
        for given, default in zip(made.args.kwonlyargs, made.args.kw_defaults, strict=True)
        if (hint := given.annotation) is not None and default is not None
    }


def _choices(hint: Any) -> tuple[str, ...]:
    return get_args(hint) if get_origin(hint) is Literal else ()


def parse(spec: str) -> tuple[str, dict[str, str]]:
    """Split ``"convnet:depth=4:norm=batch"`` into ``("convnet", {"depth": "4", "norm": "batch"})``.

    The prefix of another package, such as ``timm:``, and the name of its model are one family.

    Raises:
        UserError: a part after the family is not ``option=value``, or an option is given twice.
    """
    family, *parts = spec.strip().split(":")
    if family in LIBRARIES and parts and "=" not in parts[0]:
        family = f"{family}:{parts.pop(0)}"
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
    """The values of options that are given as text.

    Args:
        name: the name of the family, for errors.
        family: the family.
        texts: the values as text, by option.

    Raises:
        UserError: the family has no such option, or the value is not allowed.
    """
    known = options_of(family)
    values: dict[str, str | int] = {}
    for option, text in texts.items():
        if option not in known:
            remedy = f"its options are {', '.join(known)}" if known else "it has none"
            raise UserError(f"network {name!r} has no option {option!r}", remedy)
        values[option] = known[option].read(text, name)
    return values
