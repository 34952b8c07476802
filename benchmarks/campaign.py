"""A campaign of accidents: every method and every command that can go on meets kills, Ctrl-C and full disks.

    python -m benchmarks.kills --campaign [--count 120] [--minutes 60] [--seed 0] [--kinds KIND ...] [--out FILE]

Each trial starts a command on the digits, lets an accident happen to it, goes on as the command itself says or as its
documentation does, and compares all files with those of the uninterrupted command, byte by byte except for times. The
accidents are drawn by ``--seed`` and the number of the trial. A campaign goes on with the trials that ``--out`` lacks.
A full disk is a small file system in memory, which only root can make; others get a limit on the size of files.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import asdict, dataclass, replace
from io import StringIO
from pathlib import Path
from typing import Any

from benchmarks.accidents import KINDS, Accident, Ended, Kind, run
from benchmarks.lasting import digests
from benchmarks.pairs import record_of, write
from potstill import cli

NETWORK = ["--network", "convnet:width=8:depth=2"]
PLAIN = ["--device", "cpu", "--precision", "float32", "--compile", "off"]
TINY = ["--ipc", "1", "--seed", "3", *NETWORK, *PLAIN]
SMALL = {
    "batch_real": ["--batch-real", "16"],
    "student_steps": ["--student-steps", "2"],
    "rate_learning_rate": ["--experts", "EXPERTS", "--rate-learning-rate", "1e-7"],
}
"""What methods that have an option are given, so that their steps are short."""

GENEROUS = 2**28
"""Bytes of a disk with enough space."""


@dataclass(frozen=True)
class Work:
    """A command that can go on.

    Attributes:
        name: the command, and for ``distill`` the method.
        words: its command line; ``RUN`` stands for the folder of a run, ``OUT`` for a new folder.
        given: whether ``RUN`` is a finished run with an evaluation.
    """

    name: str
    words: tuple[str, ...]
    given: bool = False

    def command(self, folder: Path) -> list[str]:
        """The command line in a folder."""
        places = {"RUN": str(folder / "run"), "OUT": str(folder / "out"), "EXPERTS": str(folder.parent / "experts")}
        return [places.get(word, word) for word in self.words]

    def again(self, folder: Path, told: str) -> list[str]:
        """The command line that goes on: the one that was told; or that of the documentation."""
        if "go on with: potstill " in told:
            return shlex.split(told.partition("go on with: potstill ")[2])
        words, out = self.command(folder), folder / "out"
        if words[0] not in ("distill", "experts") or not out.exists():
            return words
        return [words[0], "--out", str(out), "--resume"]


def works() -> list[Work]:
    """Every command that can go on, and ``distill`` with every method."""
    from potstill.methods import METHODS
    from potstill.selection import SELECTIONS

    found = []
    for name, kind in METHODS.items():
        words = [] if name in SELECTIONS else ["--iterations", "4", "--validate-every", "2"]
        words += [word for option, given in SMALL.items() if hasattr(kind, option) for word in given]
        found.append(Work(f"distill {name}", ("distill", name, *TINY, *words, "--out", "OUT")))
    quick = ["--recipe", "quick", "--repeats", "2", *PLAIN]
    few = ["--count", "2", "--epochs", "3", "--batch-size", "512", *NETWORK, *PLAIN]
    return [
        *found,
        Work("experts", ("experts", *few, "--out", "OUT")),
        Work("evaluate", ("evaluate", "RUN", *quick), given=True),
        Work("compare", ("compare", "RUN", "random", *quick, "--no-full", "--out", "OUT"), given=True),
        Work("search", ("search", "RUN", "--space", "tiny", "--recipe", "quick", *PLAIN), given=True),
        Work("reproduce", ("reproduce", "tiny", *PLAIN, "--out", "OUT")),
        Work("report", ("report", "RUN"), given=True),
    ]


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--campaign", action="store_true")
    parser.add_argument("--count", type=int, default=120)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kinds", nargs="*", choices=KINDS, default=KINDS, help="accidents; all by default")
    parser.add_argument("--only", nargs="*", help="names of commands, such as evaluate or 'distill dm'; all by default")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args(arguments)
    deadline = time.monotonic() + 60 * options.minutes
    earlier = json.loads(options.out.read_text()) if options.out and options.out.exists() else {"seed": options.seed}
    if earlier["seed"] != options.seed:
        sys.exit(f"{options.out} has another seed")
    record = record_of("benchmarks.kills", seed=options.seed, trials=earlier.get("trials", []))
    chosen = [work for work in works() if not options.only or work.name in options.only]
    with tempfile.TemporaryDirectory() as base:
        campaign = Campaign(Path(base))
        done = {trial["number"] for trial in record["trials"]}
        for number in range(options.count):
            if number in done or time.monotonic() > deadline:
                continue
            work = chosen[number % len(chosen)]
            accident = drawn(options.seed, number, len(chosen), options.kinds)
            record["trials"].append({"number": number, **campaign.trial(work, accident)})
            print(_line(record["trials"][-1]), flush=True)
            write(record, None if options.out is None else str(options.out))
    print(table(record["trials"]))
    sys.exit(any(trial["problems"] for trial in record["trials"]))


def drawn(seed: int, number: int, commands: int, kinds: Sequence[Kind] = KINDS) -> Accident:
    """The accident of a trial: each command meets each kind in turn."""
    draw = random.Random(f"{seed} {number}")
    kind = kinds[(number % commands + number // commands) % len(kinds)]
    return Accident(kind, draw.uniform(0, 0.98), draw.choice([0.0, 0.001, 0.01, 0.05, 0.2]))


class Campaign:
    """The folder of a campaign: what commands are given, and what they leave without an accident.

    Args:
        base: an empty folder.
    """

    def __init__(self, base: Path) -> None:
        self.base, self.folder = base, base / "trial"
        self._whole: dict[str, tuple[Ended, dict[str, str], int]] = {}
        os.environ["XDG_CACHE_HOME"] = str(base / "cache")
        prepare_program()
        given, experts = str(base / "given"), str(base / "experts")
        # In this process, so that the forked ones find everything imported.
        for words in (
            ["experts", "--count", "2", "--epochs", "12", "--batch-size", "512", *NETWORK, *PLAIN, "--out", experts],
            ["distill", "dm", *TINY, "--iterations", "4", "--validate-every", "2", "--out", given],
            ["evaluate", given, "--recipe", "quick", "--repeats", "1", *PLAIN],
            ["report", given],
        ):
            with redirect_stdout(StringIO()):
                assert cli.main(words) == 0, words

    def trial(self, work: Work, accident: Accident) -> dict[str, Any]:
        """One accident, how it ended, and whether what is left in the end differs from the uninterrupted work."""
        whole, expected, space = self._uninterrupted(work)
        problems: list[str] = []
        with self._disk(work) as disk:
            if accident.kind == "full disk":
                disk(int(accident.at * space))
            ended = run(work.command(self.folder), self.base / "log", accident, whole)
            disk(GENEROUS)
            problems += self._faults(work, accident, ended)
            sessions, last = 0, ended
            while sessions < 3 and (last.code != 0 or not sessions):
                sessions += 1
                last = run(work.again(self.folder, last.told), self.base / "log")
            if last.code != 0:
                problems.append(f"cannot go on: {last.told}")
            found = digests(self.folder)
            differ = sorted(name for name in {**found, **expected} if found.get(name) != expected.get(name))
            if differ:
                problems.append(f"different: {', '.join(differ)}")
        about = {"code": ended.code, "told": ended.told.replace(str(self.base), ""), "sessions": 1 + sessions}
        return {"work": work.name, **asdict(accident), **about, "problems": problems}

    def _faults(self, work: Work, accident: Accident, ended: Ended) -> list[str]:
        """What is wrong with the end of the process itself."""
        expected = {"k": -9, "C": 130, "f": 2, "n": 2}[accident.kind[0]]
        faults = []
        if ended.code not in (0, expected):
            faults.append(f"exit code {ended.code} instead of {expected}")
        if "Traceback" in ended.err or ended.err.count("potstill: ") > 1:
            faults.append(f"more than a line: {ended.err[-500:]}")
        out = self.folder / "out"
        if ended.code == 130 and work.words[0] == "distill" and out.exists():
            faults += [
                f"closed without {name}"
                for name in ("synthetic.safetensors", "manifest.json")
                if not (out / name).exists()
            ]
        return faults

    def _uninterrupted(self, work: Work) -> tuple[Ended, dict[str, str], int]:
        """How the work ends without an accident, what it leaves, and the bytes that it takes meanwhile."""
        if work.name not in self._whole:
            with self._disk(work):
                before = _size(self.folder)
                ended = run(work.command(self.folder), self.base / "log")
                assert ended.code == 0, f"{work.name}: {ended.err}"
                self._whole[work.name] = ended, digests(self.folder), _size(self.folder) - before
        return self._whole[work.name]

    @contextmanager
    def _disk(self, work: Work) -> Iterator[Any]:
        """A disk with what the command is given; yields what changes the number of bytes that are free on it."""
        self.folder.mkdir()
        mounted = os.geteuid() == 0 and _mount(self.folder, "size=256m")

        def leave(free: int) -> None:
            if mounted:
                _mount(self.folder, f"remount,size={max(_size(self.folder) + free, 4096)}")
            else:
                resource.setrlimit(resource.RLIMIT_FSIZE, (free, resource.RLIM_INFINITY))

        try:
            if work.given:
                shutil.copytree(self.base / "given", self.folder / "run")
            yield leave
        finally:
            if mounted:
                subprocess.run(["umount", "--lazy", str(self.folder)], check=False)
            shutil.rmtree(self.folder)


def prepare_program() -> None:
    """Import what commands need, and make a recipe, a search space and a table small enough for many trials."""
    from potstill.applications.architecture_search import spaces
    from potstill.cli.main import COMMANDS, _command
    from potstill.distillation import Settings, driver
    from potstill.evaluation import recipes
    from potstill.methods import DM, Random
    from potstill.reproductions import Reproduction, Row, registry

    for name in COMMANDS:
        _command(name)
    driver.CHECKPOINT_SECONDS = 0.0  # a checkpoint after every iteration: as many moments to be killed at
    recipes.RECIPES = {**recipes.RECIPES, "quick": replace(recipes.find_recipe("quick"), epochs=20, full_epochs=1)}
    space = {"narrow": "convnet:depth=1:width=4", "wide": "convnet:depth=1:width=8", "mlp": "mlp:width=8"}
    spaces.SPACES = {**spaces.SPACES, "tiny": space}
    few: dict[str, Any] = {"ipc": 1, "network": NETWORK[1], "validate_every": 0}
    rows = (
        Row(label="dm", settings=lambda: Settings(method=DM(), iterations=2, **few), published={NETWORK[1]: None}),
        Row(label="random", settings=lambda: Settings(method=Random(), **few), published={NETWORK[1]: None}),
    )
    table = Reproduction(name="tiny", title="tiny", source="nowhere", recipe="quick", repeats=1, rows=rows)
    registry.REPRODUCTIONS = {**registry.REPRODUCTIONS, "tiny": table}


def table(trials: Sequence[dict[str, Any]]) -> str:
    """Trials by command and accident, in each cell how many there were and how many of them had problems."""
    commands = list(dict.fromkeys(trial["work"].split()[0] for trial in trials))
    number = Counter((trial["work"].split()[0], trial["kind"]) for trial in trials)
    bad = Counter((trial["work"].split()[0], trial["kind"]) for trial in trials if trial["problems"])
    lines = ["| accident | " + " | ".join(commands) + " | all |", "|---|" + "---|" * (len(commands) + 1)]
    for kind in (*KINDS, None):
        cells = []
        for command in (*commands, None):
            keys = [key for key in number if kind in (key[1], None) and command in (key[0], None)]
            count, wrong = sum(number[key] for key in keys), sum(bad[key] for key in keys)
            cells.append(f"{count}" + (f", {wrong} bad" if wrong else ""))
        lines.append(f"| {kind or 'all'} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _line(trial: dict[str, Any]) -> str:
    found = "; ".join(trial["problems"]) or "the same"
    return f"{trial['number']} {trial['work']}: {trial['kind']} at {trial['at']:.2f}, code {trial['code']}: {found}"


def _mount(folder: Path, option: str) -> bool:
    """Whether a file system in memory is mounted there."""
    command = ["mount", "-t", "tmpfs", "-o", option, "tmpfs", str(folder)]
    return subprocess.run(command, check=False, capture_output=True).returncode == 0


def _size(folder: Path) -> int:
    """The bytes of the blocks that the files in a folder take."""
    return sum(-(-path.lstat().st_size // 4096) * 4096 for path in folder.rglob("*"))
