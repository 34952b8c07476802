"""``potstill completion bash|zsh``."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import tyro

from potstill.cli.main import COMMANDS, options_of_command
from potstill.cli.options import parse
from potstill.methods import METHODS
from potstill.methods.registry import entries
from potstill.runtime.lazy import declared_fields

Flags = dict[str, tuple[str, ...]]
"""The options of a command, each with the words that it takes; none if it takes others, or nothing."""

ZSH = "autoload -U +X compinit && compinit\nautoload -U +X bashcompinit && bashcompinit\n"
"""Lines that make zsh accept a script for bash."""

SCRIPT = """\
# Completes the commands and options of potstill {version}; written by: potstill completion {shell}
_potstill() {{
    local word=${{COMP_WORDS[COMP_CWORD]}} before=${{COMP_WORDS[COMP_CWORD-1]}} command=${{COMP_WORDS[1]}} words=
    if [ "$COMP_CWORD" -eq 1 ]; then
        words={commands}
    else
        case "$command $before" in
{values}
        esac
        case "$word" in -*)
            case "$command" in
{options}
            esac
            case "$command ${{COMP_WORDS[2]}}" in
{methods}
            esac
        esac
    fi
    COMPREPLY=($(compgen -W "$words" -- "$word"))
}}
complete -o default -F _potstill potstill
"""


@dataclass(frozen=True)
class Options:
    """Print a script with which a shell completes commands and their options.

    Attributes:
        shell: bash or zsh.
    """

    shell: Annotated[Literal["bash", "zsh"], tyro.conf.Positional]


def run(words: list[str]) -> None:
    """Print the script."""
    options = parse(Options, words, command="completion")
    print(script(options.shell), end="")


def script(shell: Literal["bash", "zsh"]) -> str:
    """The script for a shell."""
    from potstill.runtime.machine import package_version

    flags = {command: flags_of_command(command) for command in COMMANDS}
    values = {f"{command} {flag}": words for command, of in flags.items() for flag, words in of.items() if words}
    values |= {f"{command} {command}": words for command in COMMANDS if (words := first_words(command))}
    options = {command: [flag for flag in of if flag] for command, of in flags.items()}
    body = SCRIPT.format(
        version=package_version(),
        shell=shell,
        commands=_quoted([*COMMANDS, "--help", "--version"]),
        values=_cases(values, "words=", " " * 12),
        options=_cases(options, "words=", " " * 16),
        methods=_cases({f"distill {name}": flags_of_method(name) for name in METHODS}, "words+=\\ ", " " * 16),
    )
    return (ZSH if shell == "zsh" else "") + body


def flags_of_command(command: str) -> Flags:
    """The options of a command, ``--help`` among them; those of a single method are left out."""
    return {**_flags(options_of_command(command)), "--help": ()}


def flags_of_method(name: str) -> list[str]:
    """The options of a method's own settings. Its class is read, not imported."""
    found: list[str] = []
    for setting, hint in declared_fields(entries()[name].location).items():
        found += _spelt(setting, both=hint == "bool")
    return found


def first_words(command: str) -> tuple[str, ...]:
    """The words that may follow a command, if they are names."""
    if command == "distill":
        return (*METHODS, "auto")
    if command == "cite":
        return tuple(METHODS)
    hints = get_type_hints(options_of_command(command), include_extras=True)
    named = [_words(hint) for hint in hints.values() if _is_positional(hint)]
    return named[0] if named else ()


def _flags(kind: Any) -> Flags:
    """The options that a dataclass declares, in the way in which tyro spells them."""
    found: Flags = {}
    for name, hint in get_type_hints(kind, include_extras=True).items():
        plain = get_args(hint)[0] if get_origin(hint) is Annotated else hint
        inner = get_origin(plain) or plain
        if name == "method" or name not in kind.__dataclass_fields__ or _is_positional(hint):
            continue
        if hasattr(inner, "__dataclass_fields__"):
            found |= _flags(inner)
        else:
            found |= dict.fromkeys(_spelt(name, both=plain is bool), _words(hint))
    return found


def _spelt(name: str, *, both: bool) -> list[str]:
    spelt = name.replace("_", "-")
    return [f"--{spelt}", *([f"--no-{spelt}"] if both else [])]


def _is_positional(hint: Any) -> bool:
    """Whether tyro takes it without an option's name."""
    return get_origin(hint) is Annotated and tyro.conf.Positional in hint.__metadata__


def _words(hint: Any) -> tuple[str, ...]:
    """The words among which an option chooses."""
    if get_origin(hint) is Annotated:
        return _words(get_args(hint)[0])
    if get_origin(hint) is Literal:
        return tuple(map(str, get_args(hint)))
    if get_origin(hint) in (Union, UnionType):
        return tuple(word for each in get_args(hint) for word in _words(each))
    return ()


def _cases(words: Mapping[str, Any], assignment: str, indent: str) -> str:
    """The branches of a ``case``."""
    return "\n".join(f"{indent}{shlex.quote(key)}) {assignment}{_quoted(of)} ;;" for key, of in words.items())


def _quoted(words: Any) -> str:
    return shlex.quote(" ".join(words))
