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
import json, os, sys
from potstill.cli import main

def run(lines):
    codes = []
    for words in lines:
        try:
            codes.append(main(words))
        except SystemExit as ended:
            codes.append(ended.code or 0)
    return json.dumps([codes, sorted(sys.modules)])

for name, lines in json.loads(sys.argv[1]).items():
    if os.fork() == 0:
        with open(os.path.join(sys.argv[2], name), "w") as stream:
            stream.write(run(lines))
        os._exit(0)
    os.wait()
"""
"""Groups of commands, each in a fork of a process that has imported the command line."""


def run(
    folder: Path, lines: dict[str, list[list[str]]], slow: set[str] = SLOW
) -> dict[str, tuple[list[int], set[str]]]:
    """The exit codes of commands, and which of the ``slow`` libraries they import, by the name of their process."""
    subprocess.run(
        [sys.executable, "-c", PROGRAM, json.dumps(lines), str(folder)], capture_output=True, text=True, check=True
    )
    found = {name: json.loads((folder / name).read_text()) for name in lines}
    return {name: (codes, slow & set(modules)) for name, (codes, modules) in found.items()}


def test_the_help_of_a_command_and_the_refusal_of_an_unknown_option_come_at_once(tmp_path: Path):
    found = run(tmp_path, {command: [[command, "--help"], [command, "--nonsense"]] for command in COMMANDS})
    assert found == dict.fromkeys(COMMANDS, ([0, 2], set()))


def test_lists_and_citations_the_version_and_the_refusal_of_a_tracker_come_at_once(tmp_path: Path):
    lists = [["list", what] for what in ("methods", "datasets", "networks", "recipes", "reproductions")]
    found = run(
        tmp_path,
        {
            "lists": [*lists, ["cite", "dm", "herding"], ["cite", "nonsense"]],
            "commands": [["--version"], ["--help"], ["nonsense"]],
            "tracker": [["evaluate", str(tmp_path), "--track", "tensorbord"]],
        },
    )
    assert found == {"lists": ([0] * 6 + [2], set()), "commands": ([0, 0, 2], set()), "tracker": ([2], set())}


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
    found = run(tmp_path, {"runs": [distil, evaluate, digits]}, slow=unused | {"torch"})
    assert found == {"runs": ([0, 0, 0], {"torch"})}, "what is imported is seen"
