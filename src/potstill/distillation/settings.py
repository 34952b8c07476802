"""The settings of a distillation, and the TOML file that repeats it."""

from __future__ import annotations

import dataclasses
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Generic, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import tomli_w

from potstill.data import ImageDataset, short_name
from potstill.methods import METHODS, Method, Start, find_method, method_name
from potstill.runtime.compute import LONG_RUN_PIXELS, Compilation, Compute, Precision, resolve_compute
from potstill.runtime.errors import UserError, unknown
from potstill.schema.old_names import with_present_names

VALIDATIONS = 5

M = TypeVar("M", bound=Method, covariant=True)


@dataclass(frozen=True, kw_only=True)
class RunSettings:
    """Everything that decides what a distillation computes, but for its method.

    Attributes:
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

    dataset: str = "digits"
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
            raise UserError(f"{self.ipc} images per class are none", "use --ipc 1 or more")
        if self.iterations is not None and self.iterations < 0:
            raise UserError(f"{self.iterations} iterations cannot be done", "use --iterations 0 or more")
        if self.validate_every is not None and self.validate_every < 0:
            raise UserError(f"cannot validate every {self.validate_every} iterations", "use --validate-every 0 or more")

    @classmethod
    def of_config(cls, path: Path) -> RunSettings:
        """What a ``config.toml`` says of the run, apart from its method: nothing is imported for it.

        Raises:
            UserError: the file is absent or damaged, or holds a key or a value that does not belong there.
        """
        _, _, values = _read(path)
        return RunSettings(**_checked(RunSettings, values, path))


@dataclass(frozen=True, kw_only=True)
class Settings(RunSettings, Generic[M]):
    """Everything that decides what a distillation computes.

    Attributes:
        method: the method with its hyper-parameters.
    """

    method: M

    def resolved(self, dataset: ImageDataset) -> Settings[M]:
        """The same with nothing left open: what ``config.toml`` records.

        Raises:
            UserError: the device cannot be used, or the method not with these images per class.
        """
        method = self.method.resolved(self.ipc, self.dataset)
        if method.only_start and self.start not in (None, method.default_start):
            raise UserError(f"{method.name} begins with real images of its own choice", "leave --start out")
        iterations = method.default_iterations(self.ipc) if self.iterations is None else self.iterations
        compute = self._compute(method, dataset, iterations)
        return dataclasses.replace(
            self,
            method=method,
            start=self.start or self.method.default_start,
            iterations=iterations,
            device=str(compute.device),
            precision=compute.precision,
            compile="on" if compute.compile else "off",
            validate_every=-(-iterations // VALIDATIONS) if self.validate_every is None else self.validate_every,
        )

    def compute(self) -> Compute:
        """Device, precision and compilation of resolved settings."""
        return resolve_compute(self.device, self.precision, self.compile)

    def _compute(self, method: Method, dataset: ImageDataset, iterations: int) -> Compute:
        _, height, width = dataset.shape
        batch = method.images_per_iteration(dataset.class_count, self.ipc)
        long_run = iterations * batch * height * width >= LONG_RUN_PIXELS
        return resolve_compute(self.device, self.precision, self.compile, long_run=long_run)

    def changed(self, other: Settings[Any]) -> list[str]:
        """Names of the settings, those of the method too, that are otherwise in ``other``, of the same method."""
        names = [f.name for f in dataclasses.fields(self) if f.name != "method"]
        own = [f.name for f in dataclasses.fields(self.method)]
        return [
            *(name for name in names if getattr(self, name) != getattr(other, name)),
            *(name for name in own if getattr(self.method, name) != getattr(other.method, name)),
        ]

    @property
    def default_folder(self) -> Path:
        """Where such a run is kept where nothing else is asked for: ``runs/METHOD-DATASET-ipcN[-seedS]``."""
        seed = f"-seed{self.seed}" if self.seed else ""
        method = re.sub(r"[^\w.-]+", "-", method_name(type(self.method)))
        return Path("runs") / f"{method}-{short_name(self.dataset)}-ipc{self.ipc}{seed}"

    def to_dict(self) -> dict[str, Any]:
        """Plain values, the method as a table with its name; what is None is left out."""
        values = {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.name != "method"}
        method = {"name": method_name(type(self.method)), **dataclasses.asdict(self.method)}
        return _given(values) | {"method": _given(method)}

    def to_toml(self) -> str:
        """The contents of ``config.toml``."""
        return tomli_w.dumps(self.to_dict())

    @classmethod
    def from_toml(cls, path: Path, method: type[Method] | None = None) -> Settings[Any]:
        """Read a ``config.toml``.

        Args:
            path: the file.
            method: the one that the file must be of. By default it is the one that the file names, and if the file
                names it by its module, that module is imported: only for files that the user vouches for.

        Raises:
            UserError: the file is absent or damaged, is of another method, or holds a key or a value that does not
                belong there.
        """
        name, table, values = _read(path)
        if method is None:
            method = find_method(name)
        elif name != method_name(method):
            raise UserError(f"{path} is for method {name!r}, not {method_name(method)!r}", "use another file or folder")
        table = with_present_names(name, table)
        return Settings[Any](method=_filled(method, table, path), **_checked(RunSettings, values, path))


def recorded_method(path: Path) -> str:
    """The name of the method that a ``config.toml`` is for; nothing is imported for it.

    Raises:
        UserError: the file is absent or damaged.
    """
    return _read(path)[0]


def _read(path: Path) -> tuple[str, dict[str, Any], dict[str, Any]]:
    """The name of the method in a ``config.toml``, the method's settings, and the run's."""
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}", "check the path") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not valid TOML: {error}", "correct it there") from error
    table = values.pop("method", None)
    if not isinstance(table, dict) or "name" not in table:
        raise UserError(f"{path} names no method", f"add a table [method] with name = one of {', '.join(METHODS)}")
    return str(table.pop("name")), table, values


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


def differing(ours: Settings[Method], theirs: Settings[Method]) -> list[str]:
    """Names of the settings that ``ours`` gives other than by default and ``theirs``, resolved, has otherwise."""
    if type(ours.method) is not type(theirs.method):
        return ["method"]
    plain = Settings(method=type(ours.method)())
    same = {f.name: (getattr(plain, f.name), getattr(theirs, f.name)) for f in dataclasses.fields(Settings)}
    changed = [name for name, values in same.items() if name != "method" and getattr(ours, name) not in values]
    if ours.method != plain.method and ours.method.resolved(theirs.ipc, theirs.dataset) != theirs.method:
        changed.append("method")
    return changed
