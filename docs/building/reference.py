"""The directive ``public``: what a package offers, each name once, from its docstrings.

    ```{public} potstill.data potstill.networks
    ```

Names are those of a package's own list, which :mod:`potstill.runtime.lazy` reads. What ``import potstill`` offers is
described only under that name. Docstrings and annotations may refer to a thing by the module that defines it, or by its
last name; both lead to its description.
"""

from __future__ import annotations

import inspect
import re
import sys
from functools import cache
from importlib import import_module
from pkgutil import resolve_name
from typing import Any

from docutils import nodes
from sphinx.addnodes import desc_signature, pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.pycode import ModuleAnalyzer
from sphinx.util.docutils import SphinxDirective

from potstill.runtime.lazy import located, public_names

TOP, METHODS = "potstill", "potstill.methods"
PACKAGES = (TOP, METHODS, *(f"{TOP}.{name}" for name in (
    "data", "inspection", "networks", "synthetic", "distillation", "selection", "experts", "privacy", "evaluation",
    "applications", "reproductions", "report", "tracking", "sharing", "testing", "runtime",
)))  # fmt: skip
"""If two packages offer something that is not a name of ``potstill``, references lead to the first."""

RANGED = re.compile(r"~?typing\.Annotated\[([^\[\],]+), ~?[\w.]+\([^()]*\)\]")
"""How a record states the range of a number."""


class Public(SphinxDirective):
    """The public names of packages; each of several has a heading and the summary of its own docstring."""

    required_arguments = 1
    final_argument_whitespace = True

    def run(self) -> list[nodes.Node]:
        """The nodes of all names, by package."""
        packages = self.arguments[0].split()
        found: list[nodes.Node] = []
        for package in packages:
            summary = (import_module(package).__doc__ or "").split("\n\n", 1)[0]
            lines = [package, "-" * len(package), "", summary, ""] if len(packages) > 1 else []
            body = "\n".join([*lines, *(directive(name) for name in described(package))])
            text = f"````{{eval-rst}}\n{body}\n````\n"
            found += self.parse_text_to_nodes(text, allow_section_headings=True)
        return found


def described(package: str) -> list[str]:
    """The full names that a package's part of the reference describes, in alphabetical order.

    Methods are described as names of ``potstill``, in the part of ``potstill.methods``.
    """
    top, names = public_names(TOP), public_names(package)
    methods = public_names(METHODS).keys() - {"METHODS"}
    if package == METHODS:
        package, names = TOP, {name: top[name] for name in methods}
    elif package == TOP:
        names = {name: home for name, home in top.items() if name not in methods}
    else:
        elsewhere = {definition(TOP, name) for name in top}
        names = {name: home for name, home in names.items() if definition(package, name) not in elsewhere}
    return [f"{package}.{name}" for name in sorted(names, key=str.lower)]


def definition(package: str, name: str) -> str:
    """Where a name of a package is defined, ``module.name``, whichever packages it passes through on its way."""
    module, _, original = public_names(package)[name].partition(":")
    names = public_names(module)
    return definition(module, original) if original in names else f"{module}.{original}"


def directive(name: str) -> str:
    """The reStructuredText that describes a public name."""
    package, _, last = name.rpartition(".")
    value = located(public_names(package)[last])
    if inspect.isclass(value):
        return f".. autoclass:: {name}\n   :members:\n"
    if inspect.isroutine(value):
        return f".. autofunction:: {name}\n"
    module, _, original = definition(package, last).rpartition(".")
    text = ModuleAnalyzer.for_module(module).find_attr_docs().get(("", original), [])
    return "\n".join([f".. py:data:: {name}", "", *(f"   {line}" for line in text), ""])


@cache
def addresses() -> dict[str, str]:
    """Where each thing is described, by the location of its definition, by its public names and by its last name."""
    found: dict[str, str] = {}
    for package in PACKAGES:
        for name in described(package):
            home, _, last = name.rpartition(".")
            for key in (name, definition(home, last), f"{package}.{last}", last):
                found.setdefault(key, name)
        for name in public_names(package):
            if definition(package, name) in found:
                found.setdefault(f"{package}.{name}", found[definition(package, name)])
    return found


def _resolved(app: Sphinx, env: BuildEnvironment, node: pending_xref, content: nodes.Element) -> nodes.Node | None:
    """A reference to a thing described elsewhere; plain text for a thing that exists but is described nowhere."""
    if node.get("refdomain") != "py":
        return None
    target = node["reftarget"]
    owner, _, member = target.rpartition(".")
    address = addresses().get(target) or (f"{addresses()[owner]}.{member}" if owner in addresses() else target)
    found = None
    if address != target:
        found = env.domains["py"].resolve_xref(env, node["refdoc"], app.builder, "obj", address, node, content)
    known = found is None and (_in_signature(node) or _exists(target))
    return content if known else found


def _in_signature(node: nodes.Node | None) -> bool:
    while node is not None and not isinstance(node, desc_signature):
        node = node.parent
    return node is not None


def _exists(name: str) -> bool:
    """Whether a name belongs to Python, to a package, or to any module of ours."""
    ours = (vars(module) for key, module in sys.modules.items() if key.partition(".")[0] == TOP)
    if any(name in names for names in ours):
        return True
    for full in (name, f"builtins.{name}"):
        try:
            resolve_name(full)
        except (ImportError, AttributeError, ValueError):
            continue
        return True
    return False


def _as_text(app: Sphinx, kind: str, name: str, thing: object, options: object, lines: list[str]) -> None:
    """Keep parts of a docstring from being read as markup: a bar in a formula, a colon in a property's text."""
    lines[:] = [re.sub(r"(``.*?``)|\|", lambda match: match[1] or r"\|", line) for line in lines]
    if kind in ("property", "attribute"):
        lines.insert(0, r"\ ")  # napoleon takes the first line before a colon for a type


def _readable(app: Sphinx, kind: str, name: str, thing: object, options: object, signature: Any, result: Any) -> Any:
    """A signature that Sphinx can read: defaults without a notation become dots, numbers lose their ranges."""
    if signature is None:
        return None
    return RANGED.sub(r"\1", re.sub(r"<[^<>]*>", "...", signature)), result


def setup(app: Sphinx) -> dict[str, bool]:
    """Called by Sphinx."""
    app.add_directive("public", Public)
    app.connect("missing-reference", _resolved)
    app.connect("autodoc-process-signature", _readable)
    app.connect("autodoc-process-docstring", _as_text, priority=400)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
