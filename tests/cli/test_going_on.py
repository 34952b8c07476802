"""A command that was interrupted says, in words that work as they stand, how it goes on."""

from __future__ import annotations

import io
import shlex
from itertools import chain
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
from PIL import Image

from potstill.cli.going_on import go_on_with, going_on, resuming_distillation, same_again, without
from potstill.cli.main import main
from potstill.distillation import RunFolder
from potstill.methods import DM
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


def ambiguous(folder: Path) -> Path:
    """A table with two columns of images, two of classes, and three splits, none of which is called train."""
    folder.mkdir()
    values = np.random.default_rng(0).integers(0, 256, (6, 6, 6), dtype=np.uint8)
    for fold in ("one", "two", "three"):
        columns: dict[str, list[Any]] = {name: [{"bytes": png(image)} for image in values] for name in ("day", "night")}
        columns |= {"kind": [0, 1] * 3, "family": [0, 1, 2] * 2}
        pyarrow.parquet.write_table(pyarrow.table(columns), folder / f"{fold}-00000-of-00001.parquet")
    return folder


def png(image: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "PNG")
    return stream.getvalue()


@pytest.mark.slow
def test_choices_of_columns_and_splits_survive_an_interruption(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    step, steps = DM.step, iter(range(5))

    def interrupted(*given: Any) -> Any:
        if next(steps, None) == 1:
            raise KeyboardInterrupt
        return step(*given)

    chosen = {"--image-column": "night", "--label-column": "kind", "--split-map": "train=two,validation=one,test=three"}
    words = ["distill", "dm", "--dataset", str(ambiguous(tmp_path / "pets")), "--out", str(tmp_path / "run")]
    words += ["--ipc", "1", "--network", "mlp:width=8", "--iterations", "3", "--batch-real", "2"]
    monkeypatch.setattr(DM, "step", interrupted)
    assert main([*words, *chain(*chosen.items())]) == 130
    again = shlex.split(capsys.readouterr().err.splitlines()[-1].partition("go on with: potstill ")[2])
    assert again == ["distill", "--out", str(tmp_path / "run"), "--resume"], "the run itself has the choices"

    others = {"--image-column": "day", "--label-column": "family", "--split-map": "train=one,test=two"}
    for option, other in others.items():
        assert main([*again, option, other]) == 2
        (refusal,) = capsys.readouterr().err.splitlines()
        assert f"was started with other settings: {option} ({chosen[option]} there, {other} here)" in refusal
        assert main([*words, "--resume", option, other]) == 2, "the method is named"
        assert f"{option} ({chosen[option]} there, {other} here)" in capsys.readouterr().err

    assert main(again) == 0
    manifest = Manifest.read(tmp_path / "run" / "manifest.json")
    assert manifest.status == "complete"
    account = manifest.dataset.account
    assert account is not None
    assert [len(account.class_names), *(split.images for split in account.splits)] == [2, 6, 6, 6]
    assert "images are in the column night, labels in the column kind" in account.remarks[0]
