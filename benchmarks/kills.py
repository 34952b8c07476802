"""A run that is killed again and again, beside one that is left alone: their sets must be the same file.

    python -m benchmarks.kills [--kills 10] [--earliest 25] [--latest 60] [--out FILE] -- dm --dataset mnist --ipc 1 ...

What follows ``--`` is given to ``potstill distill``. Each session but the last gets SIGKILL after a random time between
``--earliest`` and ``--latest`` seconds (``--seed`` draws it), and the next goes on with ``--resume``. A checkpoint is
written about every 20 seconds: a session that is killed before its first adds nothing.

    python -m benchmarks.kills --campaign ...

does the same to every method and every command, with other accidents too: see ``benchmarks.campaign``.
"""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import campaign
from benchmarks.pairs import record_of, write
from potstill.runtime.events import read_events
from potstill.runtime.files import sha256


def main(arguments: Sequence[str] | None = None) -> None:
    words = list(sys.argv[1:] if arguments is None else arguments)
    if "--campaign" in words:
        campaign.main(words)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--earliest", type=float, default=25.0)
    parser.add_argument("--latest", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out")
    split = words.index("--") if "--" in words else len(words)
    options, asked = parser.parse_args(words[:split]), words[split + 1 :]
    draw = random.Random(options.seed)
    record = record_of("benchmarks.kills", kills=[])
    with tempfile.TemporaryDirectory() as folder:
        whole, cut = Path(folder) / "whole", Path(folder) / "cut"
        started = time.monotonic()
        subprocess.run(_command(asked, whole, resume=False), check=True)
        record["uninterrupted_seconds"] = time.monotonic() - started
        for kill in range(options.kills):
            record["kills"].append(_killed(asked, cut, draw.uniform(options.earliest, options.latest), kill > 0))
            print(record["kills"][-1], flush=True)
        subprocess.run(_command(asked, cut, resume=True), check=True)
        files = [path / "synthetic.safetensors" for path in (whole, cut)]
        record["sha256"] = [sha256(file.read_bytes()) for file in files]
    record["same"] = len(set(record["sha256"])) == 1
    print("the same file" if record["same"] else "NOT the same file", record["sha256"], flush=True)
    write(record, options.out)
    sys.exit(0 if record["same"] else 1)


def _command(asked: Sequence[str], out: Path, *, resume: bool) -> list[str]:
    given = [*asked[:1]] if resume else [*asked]  # a resumed run takes its own settings
    return [sys.executable, "-m", "potstill", "distill", *given, "--out", str(out), *(["--resume"] if resume else [])]


def _killed(asked: Sequence[str], out: Path, after: float, resume: bool) -> dict[str, Any]:
    """One session, killed after so many seconds; where it got to."""
    process = subprocess.Popen(_command(asked, out, resume=resume and out.exists()))
    try:
        process.wait(after)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    events = list(read_events(out / "metrics.jsonl")) if (out / "metrics.jsonl").exists() else []
    reached = max((event.get("iteration", 0) for event in events), default=0)
    return {"after_seconds": round(after, 2), "exit_code": process.returncode, "last_iteration": reached}


if __name__ == "__main__":
    main()
