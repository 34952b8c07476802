"""``potstill distill METHOD``."""

from __future__ import annotations

import shlex
import sys
from contextlib import ExitStack
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Generic, TypeVar

import tyro

from potstill import data, distillation, tracking
from potstill.cli.auto_choice import AUTO, auto_settings
from potstill.cli.going_on import given_again, go_on_with, going_on, resuming_distillation
from potstill.cli.options import MemoryOption, TrackOption, duration, parse, trackers, value_of, within_memory
from potstill.cli.output import say
from potstill.cli.progress import DistillationProgress
from potstill.distillation.settings import RunSettings, Settings, recorded_method
from potstill.methods import METHODS, Method, find_method, method_name
from potstill.runtime.errors import UserError
from potstill.runtime.machine import torchrun_rank
from potstill.schema.shapes import kind_of

if TYPE_CHECKING:
    from potstill.distillation import Ranks

M = TypeVar("M", bound=Method)


@dataclass(frozen=True, kw_only=True)
class Options(Generic[M]):
    """Distil a dataset.

    Attributes:
        settings: the settings of the distillation.
        out: folder of the run. By default runs/METHOD-DATASET-ipcN, with the seed if it is not 0.
        resume: continue the run in --out with its own settings.
        time_limit: stop after 90s, 10m or 2h; --resume continues.
        config: read settings from a config.toml. Command-line options take precedence.
        data_root: folder with local copies of catalogue datasets.
    """

    settings: Annotated[Settings[M], tyro.conf.arg(name="")]
    out: Path | None = None
    resume: bool = False
    time_limit: str | None = None
    memory_limit: MemoryOption = None
    track: TrackOption = None
    config: Path | None = None
    data_root: Path | None = None


def run(words: list[str]) -> None:
    """Distil, and print the location of the set; with the other ranks, if ``torchrun`` started several."""
    if torchrun_rank() is None:
        _distil(words)
        return
    with distillation.joined_ranks() as ranks:  # first, so that a failure from here on ends the other ranks too
        _distil(words, ranks)


def _distil(words: list[str], ranks: Ranks | None = None) -> None:
    leads = ranks is None or ranks.is_first
    options = _read(words)
    settings = options.settings
    out = options.out or settings.default_folder
    limit = None if options.time_limit is None else duration(options.time_limit)
    tracked = trackers(options.track) if leads else {}
    if not options.resume:
        distillation.RunFolder(out).check_new()
    config = out / "config.toml"
    stored = RunSettings.of_config(config) if options.resume and config.exists() else settings
    root = options.data_root
    tracking.check_trackers(tracked)  # last: some make files of their own
    again = given_again({"--data-root": root, "--memory-limit": options.memory_limit, "--track": options.track})
    with (
        within_memory(options.memory_limit),
        going_on(lambda: resuming_distillation(distillation.RunFolder(out), *again)),
        DistillationProgress(sys.stderr if leads else StringIO()) as progress,
        ExitStack() as closing,
    ):
        listen: distillation.Listener = progress
        if tracked:
            to_trackers = closing.enter_context(tracking.Tracking(tracked, out))
            listen = distillation.in_turn(progress, to_trackers, _advice(progress))
        progress.doing("reading the data")
        dataset = data.load_dataset(
            stored.dataset,
            data_root=root,
            choices=stored.choices,
            image_size=stored.image_size,
            zca=stored.zca,
            progress=progress.doing,
        )
        done = distillation.distill(
            settings,
            dataset,
            out=out,
            resume=options.resume,
            time_limit=limit,
            command=shlex.join(["potstill", "distill", *words]),
            listen=listen,
            ranks=ranks or distillation.ALONE,
        )
    if not leads:
        return
    chosen = done.synthetic.provenance["chosen_iteration"]
    ended = f"{len(done.synthetic)} {kind_of(done.synthetic.shape)}s of iteration {chosen} in {out} ({done.status})"
    if done.status != "complete":
        ended += f"; {go_on_with(resuming_distillation(distillation.RunFolder(out), *again))}"
    say(ended)
    if (guarantee := done.privacy) is not None:
        say(f"{guarantee.title}; see docs/privacy.md")


def _advice(progress: DistillationProgress) -> distillation.Listener:
    """A listener that says once what trackers will not get if there are no validations."""
    validates = True

    def listen(event: str, fields: dict[str, Any]) -> None:
        nonlocal validates
        if event == "settings":
            validates = bool(fields["settings"]["validate_every"])
        elif event == "start" and fields["total"] and not validates:
            progress.announce(
                "tracked: loss, and pictures of the start and of the final set; --validate-every N adds accuracies and "
                "pictures every N iterations"
            )

    return listen


def _read(words: list[str]) -> Options[Any]:
    """Parse the options; the method is named by the first word, the config file or the run to resume."""
    config = value_of("--config", words)
    if config is None and "--resume" in words and (folder := value_of("--out", words)):
        stored = Path(folder) / "config.toml"
        if not stored.exists():
            raise UserError(f"there is no run to resume in {folder}", "check --out, or leave --resume out")
        config = str(stored)
    if words and words[0] == AUTO:
        return _read_auto(words[1:])
    method, base, rest = _method_named(words, config)
    command = f"distill {method_name(method)}"
    options = parse(Options[method], rest, command=command, default=None if base is None else Options(settings=base))
    if options.resume and base is None:
        stored = options.settings.default_folder / "config.toml"
        if stored.exists():  # options that are not given again keep their stored values
            config, base = str(stored), Settings.from_toml(stored, method)
            options = parse(Options[method], rest, command=command, default=Options(settings=base))
    if config is not None and base is not None and value_of("--config", words) is None:
        distillation.resumed_settings(distillation.RunFolder(Path(config).parent), options.settings, unasked=base)
    elif config is not None and base is not None:
        _tell_of_moved_defaults(base, options.settings, f"in {config}")
    return options


def _read_auto(words: list[str]) -> Options[Any]:
    """Parse the options after ``auto``, and say which settings are taken."""
    settings, limit, why = auto_settings(words)
    default = Options(settings=settings, time_limit=limit)
    options = parse(Options[type(settings.method)], words, command=f"distill {AUTO}", default=default)
    if torchrun_rank() in (None, 0):
        changed = "; options given beside it take precedence" if options.settings != settings else ""
        say(f"potstill: {why}{changed}", to=sys.stderr)
    _tell_of_moved_defaults(settings, options.settings, "in the settings known")
    return options


def _method_named(words: list[str], config: str | None) -> tuple[type[Method], Settings[Any] | None, list[str]]:
    """The method, the settings of the config file if there is one, and the words that are options."""
    if words and not words[0].startswith("-"):
        method = find_method(words[0])
        if config is None:
            return method, None, words[1:]
        if (recorded := recorded_method(Path(config))) != method_name(method):
            raise UserError(f"{config} is for method {recorded!r}", f"leave {words[0]!r} out or use another file")
        return method, Settings.from_toml(Path(config), method), words[1:]
    if config is not None:
        settings = Settings.from_toml(Path(config))
        return type(settings.method), settings, words
    if words and words[0] in ("-h", "--help"):
        print(
            f"usage: potstill distill METHOD [OPTIONS]\n\nMETHOD: {', '.join(METHODS)}; each has its own --help.\n"
            "auto takes the best settings known for --dataset, --ipc and --time-limit.\n"
            "A method of another package is named by its class: their_package.module:TheirMethod."
        )
        raise SystemExit(0)
    if named := [word for word in words if word in METHODS]:
        raise UserError(f"the method {named[0]!r} must come first", f"use potstill distill {named[0]} OPTIONS")
    raise UserError("no method is named", f"use potstill distill METHOD, one of {', '.join(METHODS)}")


def _tell_of_moved_defaults(base: Settings[Any], changed: Settings[Any], where: str) -> None:
    """Say which settings keep their value although the options given change their default."""
    if torchrun_rank() not in (None, 0):
        return
    for moved in distillation.moved_defaults(base, changed):
        option = f"--{moved.name.replace('_', '-')}"
        kept, default = (f"{value:g}" if isinstance(value, float) else value for value in (moved.kept, moved.default))
        say(
            f"potstill: {option} stays {kept}, as {where}; with the options given its default is {default}: "
            f"add {option} {default} to use it",
            to=sys.stderr,
        )
