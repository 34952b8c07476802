"""The pinned versions of the constraints files, with the hashes that pip checks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
FILES = ("constraints.txt", "constraints-tests.txt", "constraints-torch.txt")
"""What the wheel and its extras need; ``constraints-docs.txt`` has nothing that is installed with it."""


@dataclass(frozen=True)
class Pin:
    """One package.

    Attributes:
        name: its normalised name.
        version: the one version that is installed.
        hashes: the SHA-256 of its wheels, in hexadecimal digits; none of PyTorch, whose builds differ.
    """

    name: str
    version: str
    hashes: tuple[str, ...]


def read_pins() -> dict[str, Pin]:
    """The packages of all files, by name."""
    pins = {}
    for file in FILES:
        text = (ROOT / file).read_text(encoding="utf-8").replace("\\\n", " ")
        for line in text.splitlines():
            if not line or line.lstrip().startswith(("#", "--")):
                continue
            words, *hashes = line.split("--hash=sha256:")
            requirement = Requirement(words)
            (only,) = requirement.specifier
            name = canonicalize_name(requirement.name)
            pins[name] = Pin(name, only.version, tuple(sorted(each.strip() for each in hashes)))
    return pins
