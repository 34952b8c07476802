"""The folder of a run, with each file either complete or absent, and the settings with which the run is resumed."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from potstill.data import CATALOGUE
from potstill.distillation.settings import Settings, recorded_method
from potstill.methods import Method, method_name
from potstill.runtime.errors import UserError, differing
from potstill.runtime.events import EventLog
from potstill.runtime.files import staged, write_atomic
from potstill.schema.manifest import Manifest
from potstill.schema.run_folder import RunPaths
from potstill.synthetic import SyntheticSet


@dataclass(frozen=True)
class RunFolder(RunPaths):
    """The folder of a run, with methods that write and read its files."""

    def create(self, config: str, start: SyntheticSet) -> None:
        """Create the folder of a new run.

        Args:
            config: the contents of ``config.toml``.
            start: the initial set.

        Raises:
            UserError: the folder is not empty.
        """
        self.check_new()
        with staged(self.path) as unfinished:
            new = RunFolder(unfinished)
            start.save(new.start)
            write_atomic(new.metrics, "")
            write_atomic(new.config, config)

    def check_new(self) -> None:
        """Make sure that a new run can be kept here.

        Raises:
            UserError: the folder is not empty.
        """
        if self.path.exists() and (not self.path.is_dir() or any(self.path.iterdir())):
            raise UserError(f"{self.path} already exists", "use `resume=True` to continue it, or another `out`")

    def events(self) -> EventLog:
        """The log of the run's events."""
        return EventLog(self.metrics)

    def read_manifest(self) -> Manifest:
        """The run's manifest.

        Raises:
            UserError: it is absent or damaged.
        """
        return Manifest.read(self.manifest)


def run_to_resume(folder: RunFolder | None) -> RunFolder:
    """The folder, if there is a run in it.

    Raises:
        UserError: there is no run in it, or no folder.
    """
    if folder is None or not folder.config.exists():
        where = "" if folder is None else f" in {folder.path}"
        raise UserError(f"there is no run to resume{where}", "name its folder with `out`, or leave `resume` out")
    return folder


def resumed_settings(
    folder: RunFolder, asked: Settings[Method], *, unasked: Settings[Method] | None = None
) -> Settings[Any]:
    """The settings of the run in a folder, to resume it with.

    The run of another method is refused without importing that method.

    Args:
        folder: the folder of the run.
        asked: the settings that the user gives.
        unasked: see :func:`resume_conflicts`.

    Returns:
        The stored settings.

    Raises:
        UserError: the run was started with different settings, and which of them differ.
    """
    kind = type(asked.method)
    remedy = "resume it with its own settings (just `out` and `resume=True`), or choose another `out`"
    if (method := recorded_method(folder.config)) != method_name(kind):
        raise UserError(f"{folder.path} is a run of {method}, not of {method_name(kind)}", remedy)
    stored = Settings.from_toml(folder.config, kind)
    if conflicts := resume_conflicts(asked, stored, unasked=unasked):
        raise UserError(f"{folder.path} was started with other settings: {differing(conflicts)}", remedy)
    return stored


def resume_conflicts(
    asked: Settings[Method], stored: Settings[Method], *, unasked: Settings[Method] | None = None
) -> dict[str, tuple[Any, Any]]:
    """Find the settings that contradict those of a run.

    A setting that the user did not give contradicts nothing. Two spellings of the same path are equal, and so are files
    that are named after the same contents.

    Args:
        asked: the settings that the user gives.
        stored: the settings of the run, with every default filled in.
        unasked: the values that settings have in ``asked`` if the user did not give them; None for the defaults. With
            ``stored`` itself, every difference counts.

    Returns:
        The stored and the asked value of each such setting or hyper-parameter, by its name; empty if the run may be
        resumed. Of different methods only the names are compared.
    """
    if type(asked.method) is not type(stored.method):
        return {"method": (method_name(type(stored.method)), method_name(type(asked.method)))}
    base = _defaults(Settings) if unasked is None else _values(unasked)
    names = [name for name, value in _values(asked).items() if value != base[name]]
    names = [name for name in names if name != "method"]
    both = {name: (getattr(stored, name), getattr(asked, name)) for name in names}
    conflicts = {name: values for name, values in both.items() if not _same_setting(name, *values)}
    ours = asked.method
    plain = _defaults(type(ours)) if unasked is None else _values(unasked.method)
    if _values(ours) == plain:
        return conflicts
    # Defaults depend on other hyper-parameters: once one is given, all of them count.
    ours = ours.resolved(stored.ipc, stored.dataset)
    theirs = _values(stored.method)
    both = {name: (theirs[name], value) for name, value in _values(ours).items()}
    return conflicts | {name: values for name, values in both.items() if not _same_or_one_path(*values)}


def _same_setting(name: str, ours: Any, theirs: Any) -> bool:
    """Whether two values of a setting agree; a dataset may be a path, unless the catalogue has it under that name."""
    if name == "dataset" and ours not in CATALOGUE and theirs not in CATALOGUE:
        return _same_or_one_path(ours, theirs)
    return ours == theirs


def _same_or_one_path(ours: Any, theirs: Any) -> bool:
    """Whether two values are equal, spell the same path in two ways, or name files after the same contents."""
    if ours == theirs or not (isinstance(ours, str) and isinstance(theirs, str) and ours and theirs):
        return ours == theirs
    one, other = Path(ours), Path(theirs)
    named_after_contents = one.name == other.name and re.fullmatch("[0-9a-f]{64}", one.stem) is not None
    return named_after_contents or one.resolve() == other.resolve()


def _values(options: Any) -> dict[str, Any]:
    return {field.name: getattr(options, field.name) for field in dataclasses.fields(options)}


def _defaults(kind: type[Any]) -> Mapping[str, Any]:
    """The default of each field; for a field without one, a value that equals nothing."""
    return {
        field.name: field.default if field.default_factory is dataclasses.MISSING else field.default_factory()
        for field in dataclasses.fields(kind)
    }
