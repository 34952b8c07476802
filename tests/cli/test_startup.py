"""Help, lists and refusals come at once: they import none of the libraries that take seconds."""

import json
import subprocess
import sys

import pytest

from potstill.cli.main import COMMANDS

SLOW = {"torch", "matplotlib", "scipy", "sklearn", "datasets", "pandas", "pyarrow"}
PROGRAM = """
import json, sys
from potstill.cli import main

codes = []
for words in json.loads(sys.argv[1]):
    try:
        codes.append(main(words))
    except SystemExit as ended:
        codes.append(ended.code or 0)
print(json.dumps([codes, sorted(sys.modules)]))
"""


def run(*lines: list[str]) -> tuple[list[int], set[str]]:
    """The exit codes of commands that a new process runs, and the slow libraries that it has imported."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, json.dumps(lines)], capture_output=True, text=True, check=True
    )
    codes, modules = json.loads(done.stdout.splitlines()[-1])
    return codes, SLOW & set(modules)


@pytest.mark.parametrize("command", COMMANDS)
def test_the_help_of_a_command_and_the_refusal_of_an_unknown_option_come_at_once(command: str):
    assert run([command, "--help"], [command, "--nonsense"]) == ([0, 2], set())


def test_lists_and_citations_come_at_once():
    lists = [["list", what] for what in ("methods", "datasets", "networks", "recipes", "reproductions")]
    assert run(*lists, ["cite", "dm", "herding"], ["cite", "nonsense"]) == ([0] * 6 + [2], set())


def test_the_version_and_the_list_of_commands_come_at_once():
    assert run(["--version"], ["--help"], ["nonsense"]) == ([0, 0, 2], set())


@pytest.mark.slow
def test_the_test_sees_what_is_imported():
    codes, slow = run(["distill", "random", "--help"])
    assert codes == [0]
    assert "torch" in slow
