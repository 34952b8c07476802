"""From ``sys.argv`` to an exit code: 0 success, 1 a bug in Potstill, 2 a user error, 130 interrupted."""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib import import_module
from io import TextIOWrapper
from types import FrameType
from typing import NamedTuple

from potstill.runtime.errors import LostRank, UserError, is_lack_of_memory, unknown, with_flags
from potstill.runtime.machine import torchrun_rank
from potstill.runtime.reading import reason


class Command(NamedTuple):
    """A command of ``potstill``.

    Attributes:
        summary: the line about it in ``potstill --help``.
        function: the function that runs it, as MODULE:NAME in this package.
    """

    summary: str
    function: str


COMMANDS = {
    "inspect": Command("show how a dataset is read, and what to be wary of", "inspect_command:run"),
    "distill": Command("distil a dataset into a few synthetic images per class", "distill_command:run"),
    "evaluate": Command(
        "measure what a set is worth, compared with random images and the full data", "evaluate_command:run"
    ),
    "compare": Command("evaluate several sets by one recipe and test their differences", "compare_command:run"),
    "select": Command(
        "choose the part of a dataset or of an embeddings file to keep, and measure its worth", "select_command:run"
    ),
    "experts": Command("train networks on the real images and keep the weights of every epoch", "experts_command:run"),
    "search": Command("search for an architecture on a small set instead of the full data", "search_command:run"),
    "continual": Command(
        "let networks learn in stages, with a memory of distilled or chosen images", "continual_command:run"
    ),
    "audit": Command("attack a run: can the images it was made from be told apart from others?", "audit_command:run"),
    "poison": Command("measure what a poisoned set does to networks that learn from it", "poison_command:run"),
    "federated": Command(
        "let clients send distilled sets, and compare with averaged weights and real images", "federated_command:run"
    ),
    "report": Command("write a page and figures about a run or an imported set", "report_command:run"),
    "leaderboard": Command("put all evaluated sets of some folders into one table", "leaderboard_command:run"),
    "export": Command("write a set in a format that other programs read", "export_command:run"),
    "push": Command("share a set on the Hugging Face hub, with a card", "push_command:run"),
    "import": Command("read a set that another program wrote, such as a .pt file", "import_command:run"),
    "reproduce": Command(
        "re-run a published table, and compare measured with published results", "reproduce_command:run"
    ),
    "completion": Command("print a shell script that completes commands and options", "completion_command:run"),
    "doctor": Command("say what this machine has, what will be slow, and what is broken", "doctor_command:run"),
    "list": Command("list methods, datasets, networks, recipes or reproductions", "list_command:run"),
    "cite": Command("print the citations of methods' papers", "list_command:cite"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; a user error is printed as one line on stderr."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")  # not every terminal can print × or √
    signal.signal(signal.SIGTERM, _interrupt)
    warnings = logging.StreamHandler()
    warnings.setFormatter(logging.Formatter("potstill: %(message)s"))
    logging.getLogger("potstill").addHandler(warnings)
    try:
        try:
            _run(words)
        finally:
            sys.stdout.flush()
    except UserError as error:
        if isinstance(error, LostRank) and torchrun_rank():
            return 2  # rank 0 reports it
        return _failed(2, str(error))
    except KeyboardInterrupt as interruption:
        if arguments is None:  # it is about to end: a second interruption would add nothing
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, signal.SIG_IGN)
        if torchrun_rank():
            return 130  # rank 0 reports it
        return _failed(130, "; ".join(["interrupted", *interruption.args]))
    except BrokenPipeError:
        _discard_output()
        return 0
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] == "potstill":
            raise
        return _failed(
            2, f"the module {error.name} is missing; install its package: potstill doctor says which are missing"
        )
    except OSError as error:  # file errors that no reader or writer has turned into a user error
        place = error.filename or "the output"
        refused = UserError(
            f"cannot read or write {place}: {reason(error)}", "check the path, its permissions and the free space"
        )
        return _failed(2, str(refused))
    except (MemoryError, RuntimeError) as error:
        if not is_lack_of_memory(error):
            raise
        return _failed(2, "out of memory; use fewer or smaller images or networks")
    finally:
        logging.getLogger("potstill").removeHandler(warnings)
    return 0


def _run(words: list[str]) -> None:
    """Run the command that the first word names, or print the help or the version."""
    if not words or words[0] in ("-h", "--help"):
        print(_help())
    elif words[0] == "--version":
        from potstill.runtime.machine import package_version

        print(f"potstill {package_version()}")
    elif words[0] in COMMANDS and words[0] != "distill" and torchrun_rank() is not None:
        raise UserError(f"{words[0]} cannot be divided among ranks", "start it without torchrun")
    else:
        _command(words[0])(words[1:])


def _failed(code: int, message: str) -> int:
    """The exit code, after its message, if that can be printed."""
    who = f"potstill: rank {rank}" if (rank := torchrun_rank()) else "potstill"
    with suppress(OSError):
        print(f"{who}: {with_flags(message)}", file=sys.stderr)
    _discard_output()
    return code


def _discard_output() -> None:
    """Keep Python from failing once more when it ends, over output that cannot be written."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            with suppress(OSError):  # a replaced stream may have no file descriptor
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _command(name: str) -> Callable[[list[str]], None]:
    """The function that runs a command; only its module is imported."""
    if name not in COMMANDS:
        raise unknown("command", name, COMMANDS, listing="potstill --help")
    module, _, function = COMMANDS[name].function.partition(":")
    return getattr(import_module(f"potstill.cli.{module}"), function)


def options_of_command(name: str) -> type:
    """The dataclass of a command's options; only the command's module is imported."""
    module, _, function = COMMANDS[name].function.partition(":")
    return getattr(import_module(f"potstill.cli.{module}"), "Cited" if function == "cite" else "Options")


def _interrupt(_signum: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _help() -> str:
    width = max(map(len, COMMANDS))
    rows = "\n".join(f"  {name:<{width}}  {command.summary}" for name, command in COMMANDS.items())
    return (
        "usage: potstill COMMAND ...\n\n"
        "Distil labelled image datasets into a few synthetic images per class, and\nmeasure what they are worth.\n\n"
        f"{rows}\n\n"
        "Run potstill COMMAND --help for its options. A first example:\n"
        "  potstill distill dm --dataset digits --ipc 1 --iterations 300"
    )
