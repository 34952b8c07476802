"""Help, lists and refusals come at once: they import none of the libraries that take seconds."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
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


def run(*lines: list[str], slow: set[str] = SLOW) -> tuple[list[int], set[str]]:
    """The exit codes of commands that a new process runs, and which of the ``slow`` libraries it has imported."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, json.dumps(lines)], capture_output=True, text=True, check=True
    )
    codes, modules = json.loads(done.stdout.splitlines()[-1])
    return codes, slow & set(modules)


@pytest.mark.parametrize("command", COMMANDS)
def test_the_help_of_a_command_and_the_refusal_of_an_unknown_option_come_at_once(command: str):
    assert run([command, "--help"], [command, "--nonsense"]) == ([0, 2], set())


def test_lists_and_citations_come_at_once():
    lists = [["list", what] for what in ("methods", "datasets", "networks", "recipes", "reproductions")]
    assert run(*lists, ["cite", "dm", "herding"], ["cite", "nonsense"]) == ([0] * 6 + [2], set())


def test_the_version_and_the_list_of_commands_come_at_once():
    assert run(["--version"], ["--help"], ["nonsense"]) == ([0, 0, 2], set())


def test_the_refusal_of_a_tracker_comes_at_once(tmp_path: Path):
    assert run(["evaluate", str(tmp_path), "--track", "tensorbord"]) == ([2], set())


@pytest.mark.slow
def test_a_run_waits_for_no_library_that_it_does_not_use(tmp_path: Path):
    unused = {"torch._dynamo", "matplotlib", "scipy.stats", "sklearn", "datasets", "pandas", "pyarrow"}
    data, out = str(tmp_path / "few.npz"), str(tmp_path / "run")
    pixels = np.random.default_rng(0).integers(0, 256, (60, 8, 8), dtype=np.uint8)
    np.savez(data, x=pixels, y=np.repeat(np.arange(3), 20))
    small = ["--network", "convnet:depth=1:width=4", "--iterations", "2", "--compile", "off"]
    distil = ["distill", "dm", "--dataset", data, "--ipc", "1", *small, "--out", out]
    evaluate = ["evaluate", out, "--recipe", "quick", "--repeats", "1", "--networks", "mlp:width=4"]
    evaluate += ["--baselines", "random", "--executor", "here", "--compile", "off"]
    digits = ["distill", "dm", "--ipc", "1", *small, "--batch-real", "8", "--out", str(tmp_path / "digits")]
    assert run(distil, evaluate, digits, slow=unused) == ([0, 0, 0], set())


@pytest.mark.slow
def test_the_test_sees_what_is_imported():
    codes, slow = run(["distill", "random", "--help"])
    assert codes == [0]
    assert "torch" in slow
