"""Options on the command line: typed dataclasses read by tyro, its help tidied, its errors reduced to one line."""

from __future__ import annotations

import contextlib
import io
import re
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import tyro

from potstill import tracking
from potstill.data.choices import Choices
from potstill.runtime.bounds import memory_limit
from potstill.runtime.compute_choice import ComputeChoice
from potstill.runtime.errors import UserError

if TYPE_CHECKING:
    from potstill.schema.evaluation import Repeats
    from potstill.tracking import Tracker

T = TypeVar("T")

CONVERSIONS = {
    r"invalid literal for int\(\) with base 10: (?P<word>.*)": "a whole number",
    r"no type matching INT could be instantiated from \[(?P<word>.*)\]": "a whole number",
    r"could not convert string to float: (?P<word>.*)": "a number",
    r"Exceeds the limit .* for integer string conversion.*(?P<word>)": "a smaller number",
    r"no type matching FLOAT could be instantiated from \[(?P<word>.*)\]": "a number",
}
"""Messages of Python and tyro about a word of the wrong type, and the type that the option takes."""

ComputeOptions = Annotated[ComputeChoice, tyro.conf.arg(name="")]
"""``--device``, ``--precision`` and ``--compile`` among a command's options."""

ChoiceOptions = Annotated[Choices, tyro.conf.arg(name="")]
"""``--image-column``, ``--label-column`` and ``--split-map`` among a command's options."""

ExecutorOption = Annotated[
    str,
    tyro.conf.arg(
        metavar="here|auto|KIND:WHERE",
        help="where trainings run: here, one after the other; processes:N, N processes of one thread each; auto, "
        "whichever of these is faster; dask:ADDRESS, the workers of a Dask scheduler; slurm:PARTITION, Slurm jobs. "
        "It changes no result.",
    ),
]
"""``--executor`` among a command's options."""


MemoryOption = Annotated[
    str | None,
    tyro.conf.arg(
        metavar="BYTES",
        help="the memory to plan for, such as 500M or 4G; by default all of the machine's. Decoded images that take "
        "more than a quarter of it stay on disk.",
    ),
]
"""``--memory-limit`` among a command's options."""

TrackOption = Annotated[
    str | None,
    tyro.conf.arg(
        metavar="NAME",
        help="also report to an experiment tracker: tensorboard, wandb, trackio, mlflow or module:Class; several, "
        "separated by commas. See docs/tracking.md.",
    ),
]
"""``--track`` among a command's options."""


def parse(kind: type[T], words: Sequence[str], *, command: str, default: T | None = None) -> T:
    """Parse words as the fields of a dataclass; ``--help`` prints its help and ends the program.

    Args:
        kind: the dataclass, whose ``Attributes:`` are the help texts.
        words: the words after the command.
        command: the command that help and errors name, such as ``distill dm``.
        default: options for everything that is not in ``words``; by default those of the dataclass.

    Raises:
        UserError: a word is not understood.
        SystemExit: the words ask for help.
    """
    _check_doubled(words)
    printed, complaint = io.StringIO(), io.StringIO()
    try:
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(complaint):
            return _read(kind, words, command, default)
    except SystemExit as ended:
        if ended.code in (0, None):
            print(tidied(printed.getvalue()), end="")
            raise
        raise _one_line(complaint.getvalue(), command) from None


def value_of(option: str, words: Sequence[str]) -> str | None:
    """The value of an option among words that are not parsed yet, with dashes or underscores; None without it."""
    for place, word in enumerate(words):
        name, given, value = word.partition("=")
        if name.startswith("--") and name.replace("_", "-") == option:
            return value if given else words[place + 1] if place + 1 < len(words) else None
    return None


def tidied(text: str) -> str:
    """Remove from tyro's help the empty defaults, backquotes, and spaces at the ends of lines."""
    text = re.sub(r"\s*\(default:\s*(None)?\)", "", text).replace("``", "")
    return "\n".join(line.rstrip() for line in text.splitlines()) + "\n"


def _check_doubled(words: Sequence[str]) -> None:
    """Refuse an option that is given twice, of which only the last would count.

    Raises:
        UserError: an option is given twice, perhaps once as ``--no-``.
    """
    given = Counter(re.sub("^--no-", "--", word.partition("=")[0]) for word in words if re.match("--[a-z]", word))
    if doubled := [option for option, times in given.items() if times > 1]:
        raise UserError(f"{doubled[0]} is given twice", "give it once")


def _read(kind: type[T], words: Sequence[str], command: str, default: T | None) -> T:
    given: dict[str, Any] = {} if default is None else {"default": default}
    how = (tyro.conf.OmitArgPrefixes, tyro.conf.DisallowNone)
    return tyro.cli(kind, args=list(words), prog=f"potstill {command}", config=how, **given)


def _one_line(box: str, command: str) -> UserError:
    """An error box of tyro's in one line: its first paragraph, and the option that was probably meant."""
    lines = [re.sub(r"^[│╭╰|]\s?|\s*[│╮╯|]$", "", line).strip() for line in box.splitlines()]
    paragraphs: list[list[str]] = [[]]
    for line in lines[1:]:
        if not line or set(line) <= set("─-╮╯╭╰"):
            paragraphs.append([])
        else:
            paragraphs[-1].append(line)
    message = _plain(" ".join(next((p for p in paragraphs if p), ["the command line is not understood"])).rstrip("."))
    meant = next((p for p in paragraphs if p and p[0].startswith("Perhaps you meant")), None)
    guess = f"did you mean {meant[1].split()[0]}? " if meant is not None and len(meant) > 1 else ""
    return UserError(message, f"{guess}see potstill {command} --help")


def _plain(message: str) -> str:
    """An error of tyro's about one option in plain words; any other error unchanged."""
    if choice := re.fullmatch(r"(?i)invalid choice (.+) for argument '(.+)'\. Expected one of \((.+)\)", message):
        wrong, option, listed = choice.groups()
        allowed = sorted(set(re.findall(r"'([^']*)'", listed)) - {"None"})
        either = " or ".join([", ".join(allowed[:-1]), allowed[-1]])
        return f"{option} takes {either}, not {wrong}" if option.startswith("--") else f"{wrong} is not {either}"
    if lacking := re.match(r"(?i)missing from potstill [^:]*: ({[^}]*}|\S+)", message):
        return f"{lacking[1].strip('{}').replace(',', '|')} is not given"
    if unknown := re.match(r"(?i)unrecognized options: ([^,]+)", message):
        word = unknown[1]
        return f"there is no option {word}" if word.startswith("-") else f"{word!r} is not expected here"
    if missing := re.match(r"(?i)missing value for argument '(--\S+)'", message):
        return f"{missing[1]} needs a value"
    if parsing := re.fullmatch(r"(?i)error parsing (--\S+): (.+)", message):
        option, reason = parsing.groups()
        for said, kind in CONVERSIONS.items():
            if match := re.fullmatch(said, reason):
                return f"{option} takes {kind}" + (f", not {match['word']}" if match["word"] else "")
    return message[:1].lower() + message[1:]


def within_memory(limit: str | None) -> AbstractContextManager[None]:
    """A context in which memory is planned for the value of ``--memory-limit``.

    Raises:
        UserError: the value is not a size.
    """
    return memory_limit(None if limit is None else size(limit))


def duration(text: str) -> float:
    """Seconds from ``90``, ``90s``, ``10m``, ``2h`` or ``1h30m``.

    Raises:
        UserError: the text is not a duration, or is zero.
    """
    number, units = r"(\d+(?:\.\d+)?)", {"h": 3600, "m": 60, "s": 1}
    written = f"{text.strip()}s" if re.fullmatch(number, text.strip()) else text.strip()
    match = re.fullmatch("".join(f"(?:{number}{unit})?" for unit in units), written)
    if not written or match is None:
        raise UserError(f"{text!r} is not a duration", "write 90s, 10m, 2h or 1h30m")
    pairs = zip(match.groups(), units.values(), strict=True)
    seconds = sum(float(value) * scale for value, scale in pairs if value)
    if not seconds:
        raise UserError(f"a duration of {text!r} leaves no time", "write 90s, 10m, 2h or 1h30m")
    return seconds


def size(text: str) -> float:
    """Bytes from ``500M``, ``4G``, ``4GB`` or ``1.5T``, in powers of a thousand.

    Raises:
        UserError: the text is not a size, or is zero.
    """
    match = re.fullmatch(r"(?i)(\d+(?:\.\d+)?)\s*([KMGT]?)B?", text.strip())
    if match is None or not (found := float(match[1]) * 1000 ** " KMGT".index(match[2].upper() or " ")):
        raise UserError(f"{text!r} is not a memory size", "write 500M or 4G")
    return found


def names(text: str) -> list[str]:
    """The names in a list separated by commas."""
    return [name.strip() for name in text.split(",") if name.strip()]


def numbers(
    text: str, option: str, takes: str = "numbers separated by commas", example: str = "0.1,0.2"
) -> tuple[float, ...]:
    """The numbers in a list separated by commas, as the value of an option.

    Args:
        text: the value.
        option: the name of the option.
        takes: what it takes, in words.
        example: a value that it takes.

    Raises:
        UserError: one of them is not a number.
    """
    return _listed(text, float, ",", f"--{option} takes {takes}, not {text!r}", f"use --{option} {example}")


def whole_numbers(text: str, option: str) -> tuple[int, ...]:
    """The whole numbers in a list joined by +, as the value of an option.

    Raises:
        UserError: one of them is not a whole number.
    """
    problem = f"--{option} takes whole numbers joined by +, not {text!r}"
    return _listed(text, int, "+", problem, f"use --{option} 10, or 10+1")


def _listed(text: str, kind: Callable[[str], T], separator: str, problem: str, remedy: str) -> tuple[T, ...]:
    try:
        return tuple(kind(part) for part in text.split(separator))
    except ValueError as error:
        raise UserError(problem, remedy) from error


def given(options: object, *fields: str) -> dict[str, Any]:
    """Those of a command's options, by name, that were given: that are not None."""
    return {name: value for name in fields if (value := getattr(options, name)) is not None}


def trackers(text: str | None) -> dict[str, Tracker]:
    """The trackers that the value of ``--track`` names, each by its name; none if it is not given.

    Whether they can be used is to be checked after the other options: some make files when that is asked.

    Raises:
        UserError: there is no such tracker or option.
    """
    if text is None:
        return {}
    specs = names(text)
    if not specs:
        raise UserError("--track names no tracker", f"use one of {', '.join(tracking.TRACKERS)}")
    return tracking.unchecked_trackers(specs)


def percent(result: Repeats | None, *, interval: bool = False) -> str:
    """Accuracies as a cell of a table: mean, standard deviation, interval if requested, and number of repeats."""
    if result is None:
        return "-"
    if not result.usable:
        return f"failed: {result.failed}"
    spread = "" if result.std is None else f" ± {100 * result.std:.1f}"
    low_high = result.interval if interval else None
    bounds = "" if low_high is None else f" [{100 * low_high[0]:.1f}, {100 * low_high[1]:.1f}]"
    return f"{100 * result.mean:.1f}%{spread}{bounds} × {result.repeats}"
