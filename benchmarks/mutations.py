"""Mutation testing: a seeded sample of small faults, each tried alone against the tests of the module it is in.

    python -m benchmarks.mutations methods engine evaluation selection --per-module 12 --out mutations.json
    python -m benchmarks.mutations --out mutations.json --survivors

Names are packages or modules below ``src/potstill``. A fault is put into a copy of the repository, never into the
repository itself. A fault that no test notices survives: either a test is missing, or the fault changes nothing that
matters. What is in ``--out`` is not tried again while the module stays as it is, so that an interrupted or extended run
goes on where it stopped; ``--minutes`` bounds a run.

Each fault is tried in a fork of a process that has already imported the heavy libraries: it costs what its tests cost.
"""

from __future__ import annotations

import argparse
import ast
import copy
import hashlib
import importlib
import json
import multiprocessing
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
PACKAGE = Path("src/potstill")
COPIED = ("src", "tests", "benchmarks", "docs", "records", "pyproject.toml", "README.md", "CONTRIBUTING.md")
NO_TESTS = 5
"""How pytest ends where no test has the marker."""
SLACK = 3.0
"""How many times as long as without a fault, and half a minute, tests may take before they count as hanging."""

OPERATORS: dict[type[ast.AST], type[ast.AST]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.FloorDiv,
    ast.Pow: ast.Mult,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.And: ast.Or,
    ast.Or: ast.And,
}
NAMES = {"min": "max", "max": "min", "any": "all", "all": "any", "argmin": "argmax", "argmax": "argmin"}
IGNORED_CALLS = ("Citation", "UserError", "Diverged", "Literal", "TypeVar")
"""What is not computed with: references, and what is said of errors."""

SHARED_TESTS = ("tests/test_published_constants.py",)
EXTRA_TESTS = {"engine": ("tests/methods",), "experts": ("tests/selection",), "selection": ("tests/experts",)}
"""By package, tests beside those in the folder of its name."""


@dataclass(frozen=True)
class Mutant:
    """One fault.

    Attributes:
        module: path below ``src/potstill``.
        line: of the source, from 1.
        kind: what sort of fault.
        before: the code that is replaced.
        after: what replaces it.
        span: of the replaced bytes in the source.
    """

    module: str
    line: int
    kind: str
    before: str
    after: str
    span: tuple[int, int]

    def applied(self, source: bytes) -> bytes:
        """The source with the fault."""
        return source[: self.span[0]] + self.after.encode() + source[self.span[1] :]

    def key(self, source: bytes) -> str:
        """What identifies the fault in this very source."""
        return hashlib.sha256(source + repr((self.span, self.after)).encode()).hexdigest()[:16]


def mutants(module: str, source: bytes) -> list[Mutant]:
    """Every fault that could be put into a module, in the order of its lines."""
    starts = [0]
    for line in source.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    found = []
    for node, replacement, kind in _faults(ast.parse(source)):
        first = starts[node.lineno - 1] + node.col_offset
        last = starts[(node.end_lineno or node.lineno) - 1] + (node.end_col_offset or 0)
        after = "pass" if replacement is None else ast.unparse(replacement)
        if isinstance(replacement, ast.expr) and not isinstance(replacement, ast.Constant):
            after = f"({after})"
        found.append(Mutant(module, node.lineno, kind, source[first:last].decode(), after, (first, last)))
    return sorted(found, key=lambda mutant: (mutant.span, mutant.after))


def _faults(node: ast.AST) -> Iterator[tuple[Any, ast.AST | None, str]]:
    """The faults in a tree: the node to replace, by what (None: nothing), and the kind."""
    for field, value in ast.iter_fields(node):
        if field in ("annotation", "returns", "decorator_list", "bases"):
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST) and not _is_ignored(child):
                yield from _of_node(child)
                yield from _faults(child)


def _is_ignored(node: ast.AST) -> bool:
    if isinstance(node, ast.JoinedStr | ast.Assert | ast.Import | ast.ImportFrom):
        return True
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return True  # a docstring
    called = node.func if isinstance(node, ast.Call) else node.value if isinstance(node, ast.Subscript) else None
    return isinstance(called, ast.Name) and called.id in IGNORED_CALLS


def _of_node(node: ast.AST) -> Iterator[tuple[ast.AST, ast.AST | None, str]]:
    match node:
        case ast.Constant(value=bool() as value):
            yield node, ast.Constant(not value), "constant"
        case ast.Constant(value=int() as value):
            yield node, ast.Constant(value + 1), "constant"
        case ast.Constant(value=float() as value):
            yield node, ast.Constant(value * 2 if value else 1.0), "constant"
        case ast.BinOp() | ast.BoolOp() if type(node.op) in OPERATORS:
            yield node, _changed(node, op=OPERATORS[type(node.op)]()), "operator"
        case ast.Compare(ops=[operator]) if type(operator) in OPERATORS:
            yield node, _changed(node, ops=[OPERATORS[type(operator)]()]), "comparison"
        case ast.UnaryOp(op=ast.USub() | ast.Not() | ast.Invert()):
            yield node, node.operand, "sign or negation"
        case ast.IfExp():
            yield node, _changed(node, body=node.orelse, orelse=node.body), "branches"
        case ast.Name(id=name) if name in NAMES:
            yield node, ast.Name(NAMES[name]), "function"
        case ast.Attribute(attr=name) if name in NAMES:
            yield node, _changed(node, attr=NAMES[name]), "function"
        case ast.Call(args=[ast.Name() | ast.Attribute() as first, ast.Name() | ast.Attribute() as second, *rest]):
            yield node, _changed(node, args=[second, first, *rest]), "arguments"
        case ast.Expr(value=ast.Call()) | ast.AugAssign():
            yield node, None, "statement"


def _changed(node: ast.AST, **fields: Any) -> ast.AST:
    made = copy.copy(node)
    for name, value in fields.items():
        setattr(made, name, value)
    return made


def sampled(module: str, count: int, seed: int) -> list[Mutant]:
    """``count`` faults of a module, or all if there are fewer; a larger count adds to those of a smaller one."""
    every = mutants(module, (ROOT / PACKAGE / module).read_bytes())
    random.Random(f"{seed} {module}").shuffle(every)
    return every[:count]


def modules(names: list[str]) -> list[str]:
    """The modules below packages, or modules themselves; those with nothing but a docstring have no faults."""
    base, found = ROOT / PACKAGE, []
    for name in names:
        place = base / name
        paths = sorted(place.rglob("*.py")) if place.is_dir() else [place]
        found += [str(path.relative_to(base)) for path in paths]
    return found


def tests_of(module: str, tests: Path) -> list[str]:
    """The tests that should notice a fault: of the module by its name, then all of its package, cheap ones first."""
    package, stem = module.split("/")[0], Path(module).stem
    folder = tests / "tests" / package
    own = sorted(path for path in folder.rglob("test_*.py") if stem in path.stem)
    rest = sorted(path for path in folder.rglob("test_*.py") if path not in own)
    listed = [str(path.relative_to(tests)) for path in [*own, *rest]]
    return [*SHARED_TESTS, *listed, *EXTRA_TESTS.get(package, ())]


class Bench:
    """A copy of the repository in which faults are tried.

    Args:
        folder: where to make the copy.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in COPIED:
            source = ROOT / name
            if source.is_dir():
                shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
            elif source.exists():
                shutil.copy(source, folder / name)

    def outcome(self, module: str, source: bytes, limit: float | None = None) -> tuple[str, float]:
        """What the tests of a module say with this source: the fast ones first, the slow ones if those notice nothing.

        Args:
            module: path below ``src/potstill``.
            source: its contents.
            limit: seconds after which tests count as hanging; None waits for them.

        Returns:
            ``survived``, ``killed`` or ``hung``, and the seconds it took.
        """
        place, started = self.folder / PACKAGE / module, time.monotonic()
        original, found = place.read_bytes(), "survived"
        place.write_bytes(source)
        for tests in ("not browser and not slow", "not browser and slow"):
            if found == "survived":
                found = self._forked(module, tests, limit)
        place.write_bytes(original)
        return found, time.monotonic() - started

    def _forked(self, module: str, tests: str, limit: float | None) -> str:
        process = multiprocessing.get_context("fork").Process(target=self._test, args=(module, tests))
        process.start()
        process.join(limit)
        if process.is_alive() and process.pid is not None:
            os.killpg(process.pid, signal.SIGKILL)
            process.join()
            return "hung"
        return "survived" if process.exitcode in (0, NO_TESTS) else "killed"

    def _test(self, module: str, tests: str) -> None:
        """In a process of its own, which imports the copy and not the repository."""
        import pytest

        os.setsid()
        os.chdir(self.folder)
        sys.dont_write_bytecode = True
        os.environ |= {"PYTHONPATH": f"{self.folder / 'src'}:{self.folder}", "PYTHONDONTWRITEBYTECODE": "1"}
        sys.path[:0] = [str(self.folder / "src"), str(self.folder)]
        for name in [name for name in sys.modules if name.split(".")[0] in ("benchmarks", "potstill", "tests")]:
            del sys.modules[name]
        with Path(os.devnull).open("w") as nowhere:
            os.dup2(nowhere.fileno(), 1)
            os.dup2(nowhere.fileno(), 2)
        options = ["-x", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", "-m", tests]
        os._exit(int(pytest.main([*options, *tests_of(module, self.folder)])))


def main() -> None:
    """Try the faults that are asked for, or print the survivors on file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="packages or modules below src/potstill, such as engine/fit.py")
    parser.add_argument("--per-module", type=int, default=12, help="faults of each module")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=float("inf"), help="begin no fault after so many")
    parser.add_argument("--out", type=Path, help="the record; two runs at a time need one each")
    parser.add_argument("--survivors", type=Path, nargs="+", help="print what survived by these records instead")
    options = parser.parse_args()
    if options.survivors:
        summarise({key: tried for path in options.survivors for key, tried in json.loads(path.read_text()).items()})
    elif options.out is None or not options.names:
        parser.error("name packages or modules, and --out")
    else:
        summarise(tried(options.out, options.names, options.per_module, options.seed, options.minutes))


def tried(out: Path, names: list[str], per_module: int, seed: int, minutes: float) -> dict[str, Any]:
    """Try what is not on file yet.

    Args:
        out: the record, written after every fault.
        names: packages or modules below ``src/potstill``.
        per_module: faults of each module.
        seed: of the sample.
        minutes: after which no further fault is begun.

    Returns:
        By key, every fault on file and its outcome.
    """
    for library in ("datasets", "hypothesis", "sklearn.cluster", "torch", "matplotlib.pyplot"):
        importlib.import_module(library)  # once, instead of in every fork
    os.environ["OMP_NUM_THREADS"] = "1"
    deadline = time.monotonic() + 60 * minutes
    record: dict[str, Any] = json.loads(out.read_text()) if out.exists() else {}
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder))
        for module in modules(names):
            source = (ROOT / PACKAGE / module).read_bytes()
            wanted = [m for m in sampled(module, per_module, seed) if m.key(source) not in record]
            limit: float | None = None
            for mutant in wanted:
                if time.monotonic() > deadline:
                    return record
                limit = limit or _limit(bench, module, source)
                outcome, seconds = bench.outcome(module, mutant.applied(source), limit)
                fields = {name: getattr(mutant, name) for name in ("module", "line", "kind", "before", "after")}
                record[mutant.key(source)] = {**fields, "outcome": outcome, "seconds": round(seconds, 1)}
                out.write_text(json.dumps(record, indent=1) + "\n")
                print(f"{outcome}: {module}:{mutant.line}: {mutant.before!r} -> {mutant.after!r}", flush=True)
    return record


def _limit(bench: Bench, module: str, source: bytes) -> float:
    outcome, seconds = bench.outcome(module, source)
    if outcome != "survived":
        sys.exit(f"the tests of {module} fail without a fault: {' '.join(tests_of(module, ROOT))}")
    return SLACK * seconds + 30


def summarise(record: dict[str, Any]) -> None:
    """Print what survived, and how much was noticed."""
    for fault in sorted(record.values(), key=lambda fault: (fault["module"], fault["line"])):
        if fault["outcome"] == "survived":
            print(f"{fault['module']}:{fault['line']}: {fault['kind']}: {fault['before']!r} -> {fault['after']!r}")
    counts = Counter(fault["outcome"] for fault in record.values())
    noticed = counts["killed"] + counts["hung"]
    print(f"{noticed} of {len(record)} faults noticed ({counts['hung']} by hanging), {counts['survived']} survived")


if __name__ == "__main__":
    main()
