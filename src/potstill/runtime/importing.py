"""Objects of other packages, referred to by their location: ``their_package.module:TheirClass``."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from types import ModuleType
from typing import Any

from potstill.runtime.errors import UserError, unknown


def imported_object(reference: str, kind: str, fits: Callable[[object], bool]) -> Any:
    """Import what ``module:Name`` refers to.

    Importing a module runs its code, so the reference must come from the user: from the command line, a function call,
    or a configuration file that the user names.

    Args:
        reference: the module and the name in it.
        kind: the kind of thing that is referred to, such as ``"method"``.
        fits: whether an object is of that kind: if there is no such name, one that fits is suggested.

    Returns:
        The object, which need not fit.

    Raises:
        UserError: there is no such module or name, or the import fails.
    """
    module_name, _, name = reference.partition(":")
    if not name.isidentifier() or not all(part.isidentifier() for part in module_name.split(".")):
        raise UserError(f"{reference!r} does not name a {kind}", f"write their_package.module:Their{kind.capitalize()}")
    module = _module(module_name)
    found = getattr(module, name, None)
    if found is None:
        known = [each for each, value in vars(module).items() if fits(value)]
        raise unknown(f"{kind} of {module_name}", name, known, listing=f"the module {module_name}")
    return found


def _module(name: str) -> ModuleType:
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and (name == error.name or name.startswith(f"{error.name}.")):
            problem, remedy = f"there is no module {error.name!r}", "install its package, or add its directory"
            raise UserError(problem, f"{remedy} to PYTHONPATH (PYTHONPATH=. for the current directory)") from error
        raise _import_failed(name, error) from error
    except (Exception, SystemExit) as error:  # code of another package may raise anything
        raise _import_failed(name, error) from error


def _import_failed(name: str, error: BaseException) -> UserError:
    reason = " ".join(str(error).split())
    return UserError(f"importing {name!r} failed: {type(error).__name__}: {reason}", f"fix the module {name}")
