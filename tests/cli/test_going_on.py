"""A command that was interrupted says, in words that work as they stand, how it goes on."""

from __future__ import annotations

import shlex
from pathlib import Path
from types import SimpleNamespace

import pytest

from potstill.cli.going_on import go_on_with, going_on, resuming_distillation, same_again, without
from potstill.cli.main import main
from potstill.distillation import RunFolder
from potstill.schema.manifest import Manifest


def test_the_command_can_be_pasted_into_a_shell():
    told = go_on_with(["distill", "--out", Path("my runs/it's one"), "--resume"])
    command = told.removeprefix("go on with: ")
    assert shlex.split(command) == ["potstill", "distill", "--out", "my runs/it's one", "--resume"]


def test_an_interruption_carries_the_command_and_nothing_else_does():
    again = same_again("search", ["runs/a", "--top", "0"])
    with pytest.raises(KeyboardInterrupt, match="go on with: potstill search runs/a --top 0"), going_on(again):
        raise KeyboardInterrupt
    with pytest.raises(ValueError, match=r"^wrong$"), going_on(same_again("search", [])):
        raise ValueError("wrong")


@pytest.mark.parametrize(
    "limit", [["--time-limit", "10m"], ["--time-limit=10m"], ["--time_limit", "10m"], ["--time_limit=10m"]]
)
def test_an_option_is_left_out_with_its_value(limit: list[str]):
    assert without("--time-limit", ["dd-mnist", *limit, "--rows", "a,b"]) == ["dd-mnist", "--rows", "a,b"]
    assert without("--time-limit", ["dd-mnist", "--scale", "0.1"]) == ["dd-mnist", "--scale", "0.1"]


def test_what_was_not_begun_or_is_complete_has_nothing_to_go_on_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    run = RunFolder(tmp_path)
    assert resuming_distillation(run) == []
    with pytest.raises(KeyboardInterrupt) as plain, going_on(lambda: resuming_distillation(run)):
        raise KeyboardInterrupt
    assert not plain.value.args
    run.config.touch()
    words = ["distill", "--out", tmp_path, "--resume", "--data-root", "data"]
    assert resuming_distillation(run, "--data-root", "data") == words, "killed before it had a manifest"
    for status, begun in (("interrupted", True), ("time limit", True), ("complete", False)):
        monkeypatch.setattr(Manifest, "read", lambda path, status=status: SimpleNamespace(status=status))
        assert bool(resuming_distillation(run)) == begun


def test_the_command_line_ends_with_it(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    def interrupted(words: list[str]) -> None:
        with going_on(same_again("list", words)):
            raise KeyboardInterrupt

    monkeypatch.setattr("potstill.cli.list_command.run", interrupted)
    assert main(["list", "methods"]) == 130
    assert capsys.readouterr().err == "potstill: interrupted; go on with: potstill list methods\n"


def test_what_the_system_refuses_is_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    def refused(words: list[str]) -> None:
        raise OSError(28, "No space left on device", *words)

    monkeypatch.setattr("potstill.cli.list_command.run", refused)
    assert main(["list"]) == 2
    assert main(["list", "a\nb"]) == 2
    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith("potstill: cannot read or write the output: No space left on device; check")
    assert "a\\nb: No space left on device" in second
