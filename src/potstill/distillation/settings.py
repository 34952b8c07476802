"""The settings of a distillation as a user gives them, and the TOML file that repeats it."""

from __future__ import annotations

import dataclasses
import re
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Generic, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import tomli_w

from potstill.data import Choices, short_name
from potstill.methods import METHODS, Method, Start, find_method, method_name
from potstill.networks import default_network
from potstill.runtime.bounds import all_finite, at_least
from potstill.runtime.compute_choice import Compilation, Precision
from potstill.runtime.errors import UserError, unknown
from potstill.runtime.reading import read_toml
from potstill.schema.fields import with_present_names

DEFAULT_DATASET = "digits"

M = TypeVar("M", bound=Method, covariant=True)


@dataclass(frozen=True, kw_only=True)
class RunSettings:
    """Everything that determines what a distillation computes, except its method.

    Attributes:
        dataset: a catalogue name, a folder of images, an ``.npz`` file, ``mhist:FOLDER`` or ``hf:OWNER/NAME``.
        ipc: synthetic images per class.
        formation: 1, or f to store f × f small pictures in each image, which are enlarged before networks see them.
        start: what the synthetic images are initialised with. By default the method's own start.
        network: spec of the network that is matched, such as ``convnet:depth=4``. By default ``convnet``, for vectors
            ``linear``.
        iterations: number of iterations. By default the method's published number.
        seed: seed for all random draws.
        device: ``cpu``, ``cuda`` or ``mps``; ``auto`` uses an accelerator if there is one.
        precision: precision of the networks.
        compile: compile networks with norms; others do not become faster.
        validate_every: iterations between validations, which choose the set that is kept. By default there are five,
            or fewer where they would take longer than the distillation; 0 turns them off and keeps the last set.
        image_size: resize images to this height and width, in pixels.
        zca: whiten images with a ZCA transform fitted on the training split.
        image_column: the column of images, in a dataset of tables with several.
        label_column: the column of classes, in a dataset of tables with several.
        split_map: which published splits to use, such as train=fold1,test=fold2. By default their names decide.
    """

    dataset: str = DEFAULT_DATASET
    ipc: int = 10
    formation: int = 1
    start: Start | None = None
    network: str | None = None
    iterations: int | None = None
    seed: int = 0
    device: str = "auto"
    precision: Precision = "auto"
    compile: Compilation = "auto"
    validate_every: int | None = None
    image_size: int | None = None
    zca: bool = False
    image_column: str | None = None
    label_column: str | None = None
    split_map: str | None = None

    def __post_init__(self) -> None:
        _ = self.choices  # checks them
        at_least(self, ipc=1, formation=1, iterations=0, validate_every=0, image_size=1)

    @property
    def choices(self) -> Choices:
        """What to take where the files of the dataset leave a choice."""
        return Choices.among(vars(self))

    @classmethod
    def of_config(cls, path: str | Path) -> RunSettings:
        """Read a ``config.toml`` without its method, so that no method is imported.

        Raises:
            UserError: the file is absent or damaged, or has an unknown setting or a value of the wrong type.
        """
        path = Path(path)
        _, _, values = _read(path)
        values = _checked(RunSettings, values, path)
        with _located(path):
            return RunSettings(**values)


@dataclass(frozen=True, kw_only=True)
class Settings(RunSettings, Generic[M]):
    """Everything that determines what a distillation computes.

    Attributes:
        method: the method with its hyper-parameters.
    """

    method: M

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.method, Method):
            raise UserError(
                f"{self.method!r} is not a method with its settings", "write Settings(method=DM()), for example"
            )
        all_finite(self.method)

    def matched_network(self, shape: tuple[int, int, int]) -> str:
        """The network that is matched: the one that is named, or the default of the method or of the data.

        Args:
            shape: (C, H, W) of one image.
        """
        if self.network is not None:
            return self.network
        return self.method.default_network or default_network(shape)

    @property
    def default_folder(self) -> Path:
        """The default folder of such a run: ``runs/METHOD-DATASET-ipcN[-fF][-seedS]``."""
        formation = f"-f{self.formation}" if self.formation != 1 else ""
        seed = f"-seed{self.seed}" if self.seed else ""
        method = re.sub(r"[^\w.-]+", "-", method_name(type(self.method)))
        return Path("runs") / f"{method}-{short_name(self.dataset)}-ipc{self.ipc}{formation}{seed}"

    def to_dict(self) -> dict[str, Any]:
        """The settings as plain values, with the method as a table that has its name; values of None are left out."""
        values = {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.name != "method"}
        method = {"name": method_name(type(self.method)), **dataclasses.asdict(self.method)}
        return _given(values) | {"method": _given(method)}

    def to_toml(self) -> str:
        """The contents of ``config.toml``."""
        return tomli_w.dumps(self.to_dict())

    @classmethod
    def from_toml(cls, path: str | Path, method: type[Method] | None = None) -> Settings[Any]:
        """Read a ``config.toml``.

        Args:
            path: the file.
            method: the method that the file must be for. By default it is the one named in the file. If the file names
                it by its module, that module is imported: use this only for files that the user trusts.

        Raises:
            UserError: the file is absent or damaged, is for another method, or has an unknown setting or a value of the
                wrong type.
        """
        path = Path(path)
        return cls.from_dict(read_toml(path)[1], path, method)

    @classmethod
    def from_dict(cls, values: dict[str, Any], path: Path, method: type[Method] | None = None) -> Settings[Any]:
        """Settings from plain values, as ``to_dict`` returns them.

        Args:
            values: the values.
            path: the file that they come from, for messages.
            method: as for ``from_toml``.

        Raises:
            UserError: as for ``from_toml``.
        """
        name, table, values = _taken_apart(values, path)
        if method is None:
            method = find_method(name)
        elif name != method_name(method):
            raise UserError(f"{path} is for method {name!r}, not {method_name(method)!r}", "use another file or folder")
        table = _checked(method, with_present_names(name, table), path)
        values = _checked(RunSettings, values, path)
        with _located(path):
            return Settings[Any](method=method(**table), **values)


def method_of(text: str) -> Method:
    """A method with some of its settings, such as ``dm:batch_real=64``; all others are at their defaults.

    Args:
        text: the name of a method or ``module:Class``, and settings as ``:name=value``.

    Raises:
        UserError: there is no such method or setting, or a value is of the wrong type.
    """
    name, *given = re.split(r":(?=\w+=)", text)
    method, values = find_method(name), dict[str, Any]()
    for setting, _, value in (each.partition("=") for each in given):
        try:
            values[setting] = tomllib.loads(f"value = {value}")["value"]
        except tomllib.TOMLDecodeError:  # a word without quotes
            values[setting] = value
    return method(**_checked(method, values, Path(text)))


def recorded_method(path: Path) -> str:
    """The name of the method that a ``config.toml`` is for; the method is not imported.

    Raises:
        UserError: the file is absent or damaged.
    """
    return _read(path)[0]


def _read(path: Path) -> tuple[str, dict[str, Any], dict[str, Any]]:
    """The name of the method in a ``config.toml``, its hyper-parameters, and all other settings."""
    return _taken_apart(read_toml(path)[1], path)


def _taken_apart(values: dict[str, Any], path: Path) -> tuple[str, dict[str, Any], dict[str, Any]]:
    """The name of the method in settings, its hyper-parameters, and all other settings."""
    values = dict(values)
    table = values.pop("method", None)
    if not isinstance(table, dict) or "name" not in table:
        raise UserError(f"{path} names no method", f"add a table [method] with name = one of {', '.join(METHODS)}")
    table = dict(table)
    return str(table.pop("name")), table, values


def _given(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


@contextmanager
def _located(path: Path) -> Iterator[None]:
    """Name the file in errors about its values."""
    try:
        yield
    except UserError as error:
        raise UserError(f"{path}: {error.problem.replace('`', '')}", "correct it there") from error


def _checked(target: type[Any], values: dict[str, Any], path: Path) -> dict[str, Any]:
    """``values``, if each is a field of the dataclass ``target`` and has the type of that field."""
    names = [f.name for f in dataclasses.fields(target)]
    types = get_type_hints(target)
    for name, value in values.items():
        if name not in names:
            raise unknown("setting", name, names, listing=f"{path}")
        if problem := _mismatch(value, types[name]):
            raise UserError(f"{path}: {name} = {value!r} is not {problem}", "correct it there")
    # TOML has lists where fields are tuples.
    return {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}


def _mismatch(value: Any, kind: Any) -> str | None:
    """What ``value`` should be, if it is not of the type ``kind``; TOML has no None."""
    if isinstance(kind, UnionType) or get_origin(kind) is Union:
        (kind,) = (part for part in get_args(kind) if part is not NoneType)
    if get_origin(kind) is Literal:
        return None if value in get_args(kind) else f"one of {', '.join(get_args(kind))}"
    if get_origin(kind) is tuple:
        of = get_args(kind)
        of = of[:1] * len(value) if isinstance(value, list) and of[-1] is Ellipsis else of
        fits = isinstance(value, list) and len(value) == len(of)
        fits = fits and not any(_mismatch(item, each) for item, each in zip(value, of, strict=True))
        return None if fits else "a list of values that the setting takes"
    fits = type(value) in ((int, float) if kind is float else (kind,))
    return None if fits else f"of type {kind.__name__}"
