"""What commands print: names from outside never steer the terminal."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from potstill import cli
from potstill.cli.main import main
from potstill.cli.output import Table, say, table_console

NAME = "cat\x1b[2J\n\u202edog"
SHOWN = r"cat\x1b[2J\n\u202edog"


def test_lines_show_every_character(capsys: pytest.CaptureFixture[str]):
    say(f"written to {NAME}", "done")
    assert capsys.readouterr().out == f"written to {SHOWN}\ndone\n"


def test_options_are_flags(capsys: pytest.CaptureFixture[str]):
    """The library names its parameters; whoever reads a terminal uses flags."""
    say("left out: extra (3): `split_map` chooses others")
    table = Table()
    table.add_column("`dataset=mhist:FOLDER`")
    table_console().print(table)
    printed = capsys.readouterr().out
    assert "extra (3): --split-map chooses others" in printed
    assert "--dataset mhist:FOLDER" in printed


def test_tables_show_every_character(capsys: pytest.CaptureFixture[str]):
    table = Table(title=NAME, caption=f"{NAME} below")
    table.add_column(NAME)
    table.add_row(NAME)
    table_console().print(table)
    printed = capsys.readouterr().out
    assert printed.count(SHOWN) == 4
    assert "\x1b" not in printed


def test_a_paper_in_a_journal_is_cited_with_volume_and_pages(capsys: pytest.CaptureFixture[str]):
    assert main(["cite", "random", "dm"]) == 0
    neyman, dm = capsys.readouterr().out.split("\n\n")
    assert "  volume = {97},\n  number = {4},\n  pages = {558--625},\n  year = {1934},\n" in neyman
    assert dm.startswith("@inproceedings")
    assert "{}" not in dm, "what a paper does not have is left out"


def test_commands_print_in_no_other_way():
    """Help, citations and scripts are our own words, and errors are made visible where they are raised."""
    own = {"main.py", "options.py", "list_command.py", "completion_command.py", "output.py"}
    for path in sorted(Path(cli.__file__).parent.glob("*.py")):
        calls = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
        printing = [call for call in calls if isinstance(call.func, ast.Name) and call.func.id == "print"]
        literal = [call for call in printing if path.name in ("distill_command.py", "auto_choice.py")]  # usages
        assert path.name in own or len(printing) == len(literal) <= 1, path.name
        assert "rich.table" not in path.read_text() or path.name == "list_command.py", path.name
