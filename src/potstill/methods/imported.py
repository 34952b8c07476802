"""Methods of other packages, referred to by their location: ``their_package.module:TheirMethod``."""

from __future__ import annotations

import dataclasses
import inspect
from typing import TypeGuard

from potstill.methods.base import Method
from potstill.methods.citations import Citation
from potstill.runtime.errors import UserError
from potstill.runtime.importing import imported_object


def imported_method(reference: str) -> type[Method]:
    """Import the method that ``module:Class`` refers to.

    Importing a module runs its code, so the reference must come from the user: from the command line, a function call,
    or a configuration file that the user names.

    Raises:
        UserError: there is no such module or class, the import fails, or the class is not a usable method.
    """
    found = imported_object(reference, "method", is_concrete)
    if (fault := fault_of(found)) is not None:
        raise UserError(f"{reference} is not a usable method: {fault[0]}", fault[1])
    return found


def reference_to(method: type[Method]) -> str:
    """The reference ``module:Class`` with which ``imported_method`` finds a top-level class of a module."""
    return f"{method.__module__}:{method.__qualname__}"


def is_concrete(value: object) -> TypeGuard[type[Method]]:
    """Whether ``value`` is a method that can be instantiated."""
    named = isinstance(value, type) and issubclass(value, Method) and hasattr(value, "name")
    return named and not inspect.isabstract(value)


def fault_of(value: object) -> tuple[str, str] | None:
    """Why ``value`` is not usable as a method, and the remedy; None if it is usable."""
    if not (isinstance(value, type) and issubclass(value, Method)):
        return "it is not a class that derives from potstill.methods.Method", "derive it from Method"
    if missing := sorted(getattr(value, "__abstractmethods__", ())):
        return f"it does not define {', '.join(missing)}", "define them as in potstill.methods.Method"
    parameters = vars(value).get("__dataclass_params__")
    if parameters is None or not parameters.frozen:
        return "it is not a frozen dataclass", "decorate the class itself with @dataclass(frozen=True, kw_only=True)"
    if not (isinstance(getattr(value, "name", None), str) and isinstance(getattr(value, "citation", None), Citation)):
        return "it lacks a name or a citation", "give it name: ClassVar[str] and citation: ClassVar[Citation]"
    unset = [
        field.name
        for field in dataclasses.fields(value)
        if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
    ]
    if unset:
        return f"its settings {', '.join(unset)} have no default", "give every setting a default"
    return None
