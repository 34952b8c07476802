"""The script for shells: what bash completes with it, and that it knows what there is."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from potstill.cli.completion_command import flags_of_command, flags_of_method, script
from potstill.cli.main import COMMANDS, main
from potstill.methods import METHODS
from tests.cli.test_startup import run

DRIVER = """
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
_potstill
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.fixture(scope="module")
def bash() -> str:
    return script("bash")


def completed(bash: str, *words: str) -> set[str]:
    """What bash offers for the last of the words."""
    done = subprocess.run(
        ["bash", "--norc", "-uc", bash + DRIVER, "bash", *words], capture_output=True, text=True, check=True
    )
    return set(done.stdout.split())


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["potstill", "dist"], {"distill"}),
        (["potstill", "re"], {"report", "reproduce"}),
        (["potstill", "--v"], {"--version"}),
        (["potstill", "distill", "--ip"], {"--ipc"}),
        (["potstill", "distill", "data"], {"datadam"}),
        (["potstill", "distill", "au"], {"aum", "auto"}),
        (["potstill", "distill", "dm", "--batch-r"], {"--batch-real"}),
        (["potstill", "distill", "dm", "--no-a"], {"--no-augment"}),
        (["potstill", "distill", "herding", "--batch-r"], set()),
        (["potstill", "distill", "dm", "--dataset", "digits", "--start", "re"], {"real"}),
        (["potstill", "evaluate", "runs/x", "--rep"], {"--repeats"}),
        (["potstill", "evaluate", "--precision", "bf"], {"bfloat16"}),
        (["potstill", "select", "photos", "--by", "k-"], {"k-center", "k-means-nearest"}),
        (["potstill", "list", "net"], {"networks"}),
        (["potstill", "cite", "mt"], {"mtt"}),
        (["potstill", "completion", "z"], {"zsh"}),
        (["potstill", "evaluate", "ru"], set()),
        (["potstill", "nonsense", "--x"], set()),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_bash_completes(words: list[str], offered: set[str], bash: str):
    assert completed(bash, *words) == offered


def test_bash_itself_completes_when_tab_is_pressed(bash: str, tmp_path: Any):
    """In an interactive shell, through its own line editor."""
    pexpect = pytest.importorskip("pexpect")
    (tmp_path / "completion.bash").write_text(bash)
    shell = pexpect.spawn("bash", ["--norc", "--noprofile", "-i"], encoding="utf-8", timeout=10)
    try:
        shell.sendline(f"PS1=READY; source {tmp_path / 'completion.bash'}")
        shell.expect_exact("READY")
        shell.send("potstill dist\t")
        shell.expect_exact("potstill distill ")
        shell.send("--ip\t")
        shell.expect_exact("--ipc ")
    finally:
        shell.close(force=True)


@pytest.mark.skipif(shutil.which("zsh") is None, reason="needs zsh")
def test_zsh_reads_its_script():
    done = subprocess.run(["zsh", "-f", "-c", script("zsh")], capture_output=True, text=True, check=True)
    assert not done.stderr


@pytest.mark.parametrize("command", COMMANDS)
def test_it_knows_the_options_of_every_command(command: str, capsys: Any):
    with pytest.raises(SystemExit):
        main([command, *(["dm"] if command == "distill" else []), "--help"])
    there = set(re.findall(r"(?m)^\W*(?:-h, )?(--[a-z][a-z-]*)(?:, (--no-[a-z-]+))?", capsys.readouterr().out))
    named = {name for pair in there for name in pair if name}
    known = set(flags_of_command(command)) | (set(flags_of_method("dm")) if command == "distill" else set())
    assert known == named


@pytest.mark.parametrize("name", METHODS)
def test_it_knows_the_settings_of_every_method(name: str):
    settings = {f"--{each.name.replace('_', '-')}" for each in fields(METHODS[name])}
    assert {flag for flag in flags_of_method(name) if not flag.startswith("--no-")} == settings


def test_it_comes_at_once(tmp_path: Path):
    lines = {"scripts": [["completion", shell] for shell in ("bash", "zsh", "csh")]}
    assert run(tmp_path, lines) == {"scripts": ([0, 0, 2], set())}
