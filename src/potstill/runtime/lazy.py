"""Names that are imported when they are first used, so that a command pays only for what it needs.

A package that offers names of its modules lists them once, as imports under ``if TYPE_CHECKING``. Type checkers read
them there, and so does :func:`on_first_use`:

    if TYPE_CHECKING:
        from potstill.data.catalogue import CATALOGUE as CATALOGUE
    else:
        __getattr__, __dir__, __all__ = on_first_use(__name__)

``from potstill.data import CATALOGUE`` imports one module. ``from potstill import data`` imports none, and
``data.CATALOGUE`` imports one when it is evaluated: commands do so with whatever needs PyTorch.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from importlib import import_module
from importlib.resources import files
from typing import Any, TypeVar

T = TypeVar("T")


def on_first_use(package: str) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """``__getattr__``, ``__dir__`` and ``__all__`` of a package whose public names are imported when first used.

    A name must not be that of a module of the package: once imported, the module would take its place.
    """
    homes = public_names(package)

    def __getattr__(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = located(homes[name])
        setattr(sys.modules[package], name, value)
        return value

    named = sorted(name for _, _, name in _listed(package) if name != "*")
    return __getattr__, lambda: sorted({*vars(sys.modules[package]), *homes}), named


def public_names(package: str) -> dict[str, str]:
    """The names that a package imports under ``if TYPE_CHECKING``, each with its location, ``module:name``."""
    homes: dict[str, str] = {}
    for module, original, name in _listed(package):
        homes |= public_names(module) if name == "*" else {name: f"{module}:{original}"}
    return homes


def _listed(package: str) -> list[tuple[str, str, str]]:
    """Module, name there and name here of each import under ``if TYPE_CHECKING``."""
    return [
        (str(statement.module), alias.name, alias.asname or alias.name)
        for block in syntax_of(package).body
        if isinstance(block, ast.If) and isinstance(block.test, ast.Name) and block.test.id == "TYPE_CHECKING"
        for statement in block.body
        if isinstance(statement, ast.ImportFrom)
        for alias in statement.names
    ]


def located(location: str) -> Any:
    """What ``module:name`` refers to; the module is imported."""
    module, _, name = location.partition(":")
    return getattr(import_module(module), name)


class Located(Mapping[str, T]):
    """Objects by name, each of which is imported when it is asked for.

    Args:
        locations: by name, ``module:name`` of the object.
    """

    def __init__(self, locations: Mapping[str, str]) -> None:
        self._locations = locations

    def __getitem__(self, name: str) -> T:
        return located(self._locations[name])

    def __contains__(self, name: object) -> bool:
        return name in self._locations

    def __iter__(self) -> Iterator[str]:
        return iter(self._locations)

    def __len__(self) -> int:
        return len(self._locations)


@cache
def syntax_of(module: str) -> ast.Module:
    """The syntax of a module of this distribution, which is not imported."""
    root, *parts = module.split(".")
    place = files(root).joinpath(*parts)
    source = place / "__init__.py" if place.is_dir() else files(root).joinpath(*parts[:-1], f"{parts[-1]}.py")
    return ast.parse(source.read_text(encoding="utf-8"))


def class_syntax(location: str) -> ast.ClassDef | None:
    """The definition of the class at ``module:Class``, which is not imported; None if it is something else."""
    module, _, name = location.partition(":")
    return next((each for each in syntax_of(module).body if isinstance(each, ast.ClassDef) and each.name == name), None)


def summary(syntax: ast.ClassDef) -> str:
    """The first line of a class's docstring, without the full stop."""
    return (ast.get_docstring(syntax) or "").split("\n", 1)[0].rstrip(".")


def declared_fields(location: str) -> dict[str, str]:
    """The fields of the dataclass at ``module:Class``, each with its annotation as it is written; nothing is imported.

    Those of its bases come first, as far as these are classes of the same distribution.
    """
    module, _, name = location.partition(":")
    syntax = class_syntax(location)
    if syntax is None:
        home = public_names(module).get(name) or _imported_from(module, name)
        return {} if home is None else declared_fields(home)
    found: dict[str, str] = {}
    for base in syntax.bases:
        named = base.value if isinstance(base, ast.Subscript) else base
        if isinstance(named, ast.Name):
            found |= declared_fields(f"{module}:{named.id}")
    for each in syntax.body:
        if isinstance(each, ast.AnnAssign) and isinstance(each.target, ast.Name):
            hint = ast.unparse(each.annotation)
            if not hint.startswith("ClassVar"):
                found[each.target.id] = hint
    return found


def _imported_from(module: str, name: str) -> str | None:
    """Where a name comes from that a module imports from another of the same distribution."""
    for statement in ast.walk(syntax_of(module)):
        if isinstance(statement, ast.ImportFrom) and (statement.module or "").split(".")[0] == module.split(".")[0]:
            for alias in statement.names:
                if (alias.asname or alias.name) == name:
                    return f"{statement.module}:{alias.name}"
    return None


def declared_values(syntax: ast.ClassDef) -> dict[str, ast.expr]:
    """The annotated class variables and fields of a class that have a value."""
    return {
        each.target.id: each.value
        for each in syntax.body
        if isinstance(each, ast.AnnAssign) and isinstance(each.target, ast.Name) and each.value is not None
    }
