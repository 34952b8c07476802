"""Methods that live in other packages, named by where they are: ``their_package.module:TheirMethod``."""

from __future__ import annotations

import dataclasses
import inspect
from importlib import import_module
from types import ModuleType
from typing import TypeGuard

from potstill.methods.base import Method
from potstill.methods.citations import Citation
from potstill.runtime.errors import UserError, unknown


def imported_method(reference: str) -> type[Method]:
    """The method that ``module:Class`` names.

    Importing a module runs its code, so the reference must come from whoever runs the program: from the command line, a
    call, or a configuration that they name.

    Raises:
        UserError: there is no such module or class, importing it fails, or the class is not a usable method.
    """
    module_name, _, class_name = reference.partition(":")
    if not class_name.isidentifier() or not all(part.isidentifier() for part in module_name.split(".")):
        raise UserError(f"{reference!r} does not name a method", "write their_package.module:TheirMethod")
    found = getattr(_module(module_name), class_name, None)
    if found is None:
        known = [name for name, value in vars(_module(module_name)).items() if is_concrete(value)]
        raise unknown(f"method of {module_name}", class_name, known, listing=f"the module {module_name}")
    if (fault := fault_of(found)) is not None:
        raise UserError(f"{reference} is not a usable method: {fault[0]}", fault[1])
    return found


def reference_to(method: type[Method]) -> str:
    """``module:Class``, by which ``imported_method`` finds a class at the top level of a module."""
    return f"{method.__module__}:{method.__qualname__}"


def is_concrete(value: object) -> TypeGuard[type[Method]]:
    """Whether ``value`` is a method that can be instantiated."""
    named = isinstance(value, type) and issubclass(value, Method) and hasattr(value, "name")
    return named and not inspect.isabstract(value)


def fault_of(value: object) -> tuple[str, str] | None:
    """What keeps ``value`` from being used as a method, and what to do about it; None if nothing does."""
    if not (isinstance(value, type) and issubclass(value, Method)):
        return "it is not a class that derives from potstill.methods.Method", "derive it from Method"
    if missing := sorted(getattr(value, "__abstractmethods__", ())):
        return f"it does not define {', '.join(missing)}", "define what every method must have"
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


def _module(name: str) -> ModuleType:
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and (name == error.name or name.startswith(f"{error.name}.")):
            problem, remedy = f"there is no module {error.name!r}", "install its package, or name its folder"
            raise UserError(problem, f"{remedy} in PYTHONPATH (PYTHONPATH=. for the current directory)") from error
        raise _import_failed(name, error) from error
    except (Exception, SystemExit) as error:  # whatever another package's code may raise
        raise _import_failed(name, error) from error


def _import_failed(name: str, error: BaseException) -> UserError:
    told = " ".join(str(error).split())
    return UserError(f"importing {name!r} failed: {type(error).__name__}: {told}", f"correct the module {name}")
