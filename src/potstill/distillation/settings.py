"""The settings of a distillation as a user gives them, and the TOML file that repeats it."""

from __future__ import annotations

import dataclasses
import tomllib
from dataclasses import dataclass
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Generic, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import tomli_w

from potstill.data import short_name
from potstill.methods import METHODS, Method, Start, find_method
from potstill.runtime.compute import Compilation, Precision
from potstill.runtime.errors import UserError, unknown
from potstill.schema.old_names import with_present_names

DEFAULT_DATASET = "digits"

M = TypeVar("M", bound=Method, covariant=True)


@dataclass(frozen=True, kw_only=True)
class Settings(Generic[M]):
    """Everything that decides what a distillation computes.

    Attributes:
        method: the method with its hyper-parameters.
        dataset: a catalogue name, a folder, an ``.npz``, ``mhist:FOLDER`` or ``hf:OWNER/NAME``.
        ipc: synthetic images per class.
        start: what the synthetic images are at first; None takes the method's own.
        network: the spec of the network that is matched.
        iterations: None takes the method's own.
        seed: of all randomness.
        device: ``auto`` takes an accelerator where there is one.
        precision: of the networks.
        compile: whether networks with norms are compiled; others are as fast or faster without.
        validate_every: iterations between two looks at the validation split, by which the set that is kept is
            chosen; None looks five times, 0 never and keeps the last.
        image_size: resize images to this many pixels a side.
        zca: whiten with a ZCA fitted on the training images.
    """

    method: M
    dataset: str = DEFAULT_DATASET
    ipc: int = 10
    start: Start | None = None
    network: str = "convnet"
    iterations: int | None = None
    seed: int = 0
    device: str = "auto"
    precision: Precision = "auto"
    compile: Compilation = "auto"
    validate_every: int | None = None
    image_size: int | None = None
    zca: bool = False

    def __post_init__(self) -> None:
        if self.ipc < 1:
            raise UserError(f"--ipc must be at least 1, not {self.ipc}", "use --ipc 1 or more")
        if self.iterations is not None and self.iterations < 0:
            raise UserError(f"--iterations must be at least 0, not {self.iterations}", "use --iterations 0 or more")
        if self.validate_every is not None and self.validate_every < 0:
            raise UserError(
                f"--validate-every must be at least 0, not {self.validate_every}", "use --validate-every 0 or more"
            )

    @property
    def default_folder(self) -> Path:
        """Where such a run is kept where nothing else is asked for: ``runs/METHOD-DATASET-ipcN[-seedS]``."""
        seed = f"-seed{self.seed}" if self.seed else ""
        return Path("runs") / f"{self.method.name}-{short_name(self.dataset)}-ipc{self.ipc}{seed}"

    def to_dict(self) -> dict[str, Any]:
        """Plain values, the method as a table with its name; what is None is left out."""
        values = {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.name != "method"}
        method = {"name": self.method.name, **dataclasses.asdict(self.method)}
        return _given(values) | {"method": _given(method)}

    def to_toml(self) -> str:
        """The contents of ``config.toml``."""
        return tomli_w.dumps(self.to_dict())

    @classmethod
    def from_toml(cls, path: Path) -> Settings[Any]:
        """Read a ``config.toml``.

        Raises:
            UserError: the file is absent or damaged, or holds a key or a value that does not belong there.
        """
        try:
            values = tomllib.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise UserError(f"cannot read {path}: {error.strerror or error}", "check the path") from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise UserError(f"{path} is not valid TOML: {error}", "correct it there") from error
        table = values.pop("method", None)
        if not isinstance(table, dict) or "name" not in table:
            raise UserError(f"{path} names no method", f"add a table [method] with name = one of {', '.join(METHODS)}")
        method = find_method(str(table.pop("name")))
        table = with_present_names(method.name, table)
        return Settings[Any](method=_filled(method, table, path), **_checked(cls, values, path))


def _given(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _filled(method: type[Method], table: dict[str, Any], path: Path) -> Method:
    return method(**_checked(method, table, path))


def _checked(target: type[Any], values: dict[str, Any], path: Path) -> dict[str, Any]:
    """``values`` if each is a field of the dataclass ``target`` and of that field's type."""
    names = [f.name for f in dataclasses.fields(target)]
    types = get_type_hints(target)
    for name, value in values.items():
        if name not in names:
            raise unknown("setting", name, names, listing=f"{path}")
        if problem := _mismatch(value, types[name]):
            raise UserError(f"{path}: {name} = {value!r} is not {problem}", "correct it there")
    return values


def _mismatch(value: Any, kind: Any) -> str | None:
    """What ``value`` should have been, if it is not of the type ``kind``; TOML has no None."""
    if isinstance(kind, UnionType) or get_origin(kind) is Union:
        (kind,) = (part for part in get_args(kind) if part is not NoneType)
    if get_origin(kind) is Literal:
        return None if value in get_args(kind) else f"one of {', '.join(get_args(kind))}"
    fits = type(value) in ((int, float) if kind is float else (kind,))
    return None if fits else f"of type {kind.__name__}"
