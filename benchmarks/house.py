"""A Markdown table of how a package is built: sizes, signatures, docstrings, import cycles and tests.

    python -m benchmarks.house                            # src/potstill
    python -m benchmarks.house src/potstill ../other/src  # one column each

A root is a package directory, or a directory that holds exactly one package. Nothing is imported: every number comes
from the source. How they are counted:

- Files and lines: ``*.py`` below the root, ``__init__.py`` included; blank lines and comments count as lines.
- Functions: every ``def``, including methods and nested functions, from the ``def`` line (without decorators) to the
  last line of the body.
- Public functions: functions at module level and methods of public classes, where neither the module path nor a name
  in it begins with an underscore. Overloads, properties and special methods are excluded.
- Parameters: everything in the signature except ``self`` and ``cls``; ``*args`` and ``**kwargs`` count as one each.
- Args section: a heading ``Args:`` (or ``Arguments``, ``Parameters``) in the docstring. The share is given among public
  functions that have a docstring and at least one parameter, and among those of them with more than two.
- Public constructor: the ``__init__`` of a public class; those that ``@dataclass`` generates are not counted.
- Import cycles: strongly connected components of at least two modules, over imports within the package, at module level
  or inside functions, counted without and with ``if TYPE_CHECKING:`` blocks. ``from a import b`` imports ``a.b`` if
  that is a module, otherwise ``a``. The implicit import of parent packages and ``importlib`` are ignored.
- Test lines / code lines: lines of ``tests/**/*.py`` beside ``src``, divided by the lines of the package.
"""

from __future__ import annotations

import argparse
import ast
import re
import statistics
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

SMALL = 40
ARGS = re.compile(r"^[ *#]*(Args|Arguments|Parameters)[ *:]*$", re.MULTILINE)
NOT_FUNCTIONS = {"overload", "property", "cached_property", "setter", "deleter"}  # by decorator
TYPE_CHECKING = {"TYPE_CHECKING", "typing.TYPE_CHECKING"}
Def = ast.FunctionDef | ast.AsyncFunctionDef


class Module(NamedTuple):
    """A parsed file."""

    name: str
    path: Path
    lines: int
    tree: ast.Module


class Signature(NamedTuple):
    """A function or constructor; ``width`` is its number of parameters."""

    width: int
    name: str
    docstring: str


def main() -> None:
    """Print the table and, on request, the small files and the modules in cycles."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("roots", nargs="*", type=Path, default=[Path("src/potstill")], metavar="ROOT")
    parser.add_argument("--list", action="store_true", help="also list the small files and the modules in cycles")
    options = parser.parse_args()
    sys.setrecursionlimit(20_000)  # the search for cycles goes as deep as the longest chain of imports
    columns = [measure(package_of(root)) for root in options.roots]
    print(f"| | {' | '.join(map(str, options.roots))} |")
    print("|---" * (len(columns) + 1) + "|")
    for row in columns[0]:
        print(f"| {row} | {' | '.join(column[row] for column in columns)} |")
    for root in options.roots if options.list else ():
        modules = modules_of(package_of(root))
        print(f"\n{root}: files of {SMALL} lines or fewer")
        for lines, name in sorted((module.lines, module.name) for module in modules if module.lines <= SMALL):
            print(f"  {lines:3d}  {name}")
        for cycle in cycles(modules, type_checking=True):
            print("cycle, TYPE_CHECKING included:", ", ".join(cycle))


def package_of(root: Path) -> Path:
    """The directory of the package: the root itself, or the only package in it."""
    packages = [root] if any(root.glob("*.py")) else [path.parent for path in root.glob("*/__init__.py")]
    if len(packages) == 1:
        return packages[0].resolve()
    raise SystemExit(f"{root} is neither a package nor a directory with exactly one package")


def modules_of(package: Path) -> list[Module]:
    """All modules of a package, parsed."""
    modules = []
    for path in sorted(package.rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        name = ".".join(path.relative_to(package.parent).with_suffix("").parts).removesuffix(".__init__")
        modules.append(Module(name, path, len(text.splitlines()), ast.parse(text)))
    return modules


def measure(package: Path) -> dict[str, str]:
    """One column of the table, by row."""
    modules = modules_of(package)
    sizes = [module.lines for module in modules]
    functions = [node for module in modules for node in ast.walk(module.tree) if isinstance(node, Def)]
    lengths = [(node.end_lineno or node.lineno) - node.lineno + 1 for node in functions]
    signed = [each for module in modules for each in signatures(module.tree.body, module.name)]
    public = [each for each in signed if "._" not in f".{each.name.removesuffix('.__init__')}"]
    constructors = [each for each in public if each.name.endswith(".__init__")]
    others = [each for each in public if not each.name.endswith(".__init__")]
    plain, typed = (cycles(modules, type_checking=counted) for counted in (False, True))
    args = [(each.width, bool(ARGS.search(each.docstring))) for each in others if each.docstring]
    tests = modules_of(package.parent.parent / "tests") if package.parent.name == "src" else []
    return {
        "files / lines": f"{len(sizes)} / {sum(sizes)}",
        "file median / max lines": f"{statistics.median(sizes):g} / {max(sizes)}",
        f"files of {SMALL} lines or fewer": str(sum(lines <= SMALL for lines in sizes)),
        "files of 100 to 200 lines": share([100 <= lines <= 200 for lines in sizes]),
        "function mean / max lines": f"{statistics.mean(lengths):.1f} / {max(lengths)}" if lengths else "-",
        "functions with a return annotation": share([node.returns is not None for node in functions]),
        "public functions with an Args section": share([has_args for width, has_args in args if width]),
        "the same, of more than two parameters": share([has_args for width, has_args in args if width > 2]),
        "widest public function": widest(others),
        "widest public constructor": widest(constructors),
        "import cycles (modules in them)": f"{len(plain)} ({sum(map(len, plain))})",
        "the same, TYPE_CHECKING included": f"{len(typed)} ({sum(map(len, typed))})",
        "test lines / code lines": f"{sum(module.lines for module in tests) / sum(sizes):.2f}" if tests else "-",
    }


def signatures(body: list[ast.stmt], prefix: str, *, in_class: bool = False) -> Iterator[Signature]:
    """The functions that a module or class body defines, private ones included."""
    for node in body:
        if isinstance(node, ast.If | ast.Try):
            yield from signatures([*node.body, *node.orelse], prefix, in_class=in_class)
        elif isinstance(node, ast.ClassDef):
            yield from signatures(node.body, f"{prefix}.{node.name}", in_class=True)
        elif isinstance(node, Def):
            decorators = {ast.unparse(each).partition("(")[0].split(".")[-1] for each in node.decorator_list}
            if not decorators & NOT_FUNCTIONS:
                width = sum(isinstance(each, ast.arg) for each in ast.iter_child_nodes(node.args))
                width -= in_class and "staticmethod" not in decorators
                yield Signature(width, f"{prefix}.{node.name}", ast.get_docstring(node) or "")


def cycles(modules: list[Module], *, type_checking: bool) -> list[list[str]]:
    """The strongly connected components of at least two modules (Tarjan's algorithm)."""
    names = {module.name for module in modules}
    graph = {module.name: imports(module, names, type_checking=type_checking) for module in modules}
    index, low = dict[str, int](), dict[str, int]()
    stack, components = list[str](), list[list[str]]()

    def visit(name: str) -> None:
        index[name] = low[name] = len(index)
        stack.append(name)
        for other in graph[name]:
            if other not in index:
                visit(other)
            if other in stack:
                low[name] = min(low[name], low[other])
        if low[name] == index[name]:
            start = stack.index(name)
            components.append(sorted(stack[start:]))
            del stack[start:]

    for name in graph:
        if name not in index:
            visit(name)
    return sorted(component for component in components if len(component) > 1)


def imports(module: Module, names: set[str], *, type_checking: bool) -> set[str]:
    """The modules among ``names`` that a module imports, with or without its ``if TYPE_CHECKING:`` blocks."""
    imported, nodes = set[str](), list[ast.AST]([module.tree])
    while nodes:
        node = nodes.pop()
        if isinstance(node, ast.If) and not type_checking and ast.unparse(node.test) in TYPE_CHECKING:
            nodes += node.orelse
            continue
        nodes += ast.iter_child_nodes(node)
        if isinstance(node, ast.Import):
            imported.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            own = [*module.name.split("."), *(["__init__"] if module.path.name == "__init__.py" else [])]
            source = ".".join([*(own[: -node.level] if node.level else []), *([node.module] if node.module else [])])
            targets = {f"{source}.{alias.name}" for alias in node.names}
            imported.update(target if target in names else source for target in targets)
    return imported & names


def share(values: list[bool]) -> str:
    """The share that is true, in per cent and as counts."""
    return f"{100 * sum(values) / len(values):.0f} % ({sum(values)} of {len(values)})" if values else "-"


def widest(public: list[Signature]) -> str:
    """The largest number of parameters, and the name that has it."""
    return "{0.width} ({0.name})".format(max(public)) if public else "-"


if __name__ == "__main__":
    main()
