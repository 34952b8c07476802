"""Mutations of every kind of file: only errors that the user can mend may leave, soon and without taking memory.

    python -m benchmarks.fuzz [--count 5000] [--seed 0] [--kinds TEXT] [--jobs 2] [--keep FOLDER] [--out X]

The tests read 200 mutations of each kind; this reads as many as asked for, each drawn from ``--seed``, its kind and
its number. ``--kinds`` names those kinds only that have the text in their names; ``--jobs`` are processes, each with a
limit of its address space. ``--keep`` keeps the files of faults.
"""

from __future__ import annotations

import argparse
import faulthandler
import multiprocessing
import resource
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from functools import partial
from pathlib import Path
from random import Random

import torch

from benchmarks.pairs import record_of, write
from tests.fuzz.campaign import MEMORY_BYTES, SECONDS, Kind, Outcome, run
from tests.fuzz.kinds import KINDS
from tests.fuzz.mutations import mutated

BATCH = 500
IN_MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None
"""Where files are written, because each is read once and a disk would be waited for."""
ADDRESS_SPACE_BYTES = 16 * 2**30
"""The limit of each process, which ends what would otherwise bring the machine down."""


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kinds", default="")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--out")
    options = parser.parse_args(arguments)
    record = record_of("benchmarks.fuzz", count=options.count, seed=options.seed, kinds={})
    print(f"{'kind':<44} {'read':>6} {'refused':>8} {'faults':>7} {'ms each':>8} {'slowest s':>10} {'MB':>5}")
    names = [name for name in KINDS if options.kinds in name]
    spawned = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(options.jobs, mp_context=spawned, initializer=_limit) as pool:
        outcomes = pool.map(partial(_all, count=options.count, seed=options.seed), names)
        for kind, outcome in zip((KINDS[name] for name in names), outcomes, strict=True):
            _tell(kind, outcome, options.count)
            record["kinds"][kind.name] = asdict(outcome)
            write(record, options.out)  # a campaign takes an hour
            if options.keep is not None:
                _keep(kind, outcome, options.keep, options.seed)
    record["bounds"] = {"seconds": SECONDS, "memory_bytes": MEMORY_BYTES, "address_space_bytes": ADDRESS_SPACE_BYTES}
    record["faults"] = sum(len(each["faults"]) for each in record["kinds"].values())
    print(f"{options.count * len(record['kinds']):,} mutations, {record['faults']} faults", flush=True)
    write(record, options.out)
    sys.exit(1 if record["faults"] else 0)


def _limit() -> None:
    """Prepare a process."""
    torch.set_num_threads(1)
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE_BYTES, ADDRESS_SPACE_BYTES))


def _tell(kind: Kind, outcome: Outcome, count: int) -> None:
    each = 1000 * outcome.seconds / count
    print(
        f"{kind.name:<44} {outcome.accepted:>6} {outcome.refused:>8} {len(outcome.faults):>7} {each:>8.1f} "
        f"{outcome.slowest:>10.2f} {outcome.memory_bytes / 1e6:>5.0f}",
        flush=True,
    )
    for number, fault in [*outcome.faults.items()][:5]:
        print(f"    mutation {number}: {fault}", file=sys.stderr, flush=True)


def _all(name: str, count: int, seed: int) -> Outcome:
    """The outcome of all mutations of a kind, in batches that each begin with a fresh folder."""
    kind, total = KINDS[name], Outcome()
    for first in range(0, count, BATCH):
        faulthandler.dump_traceback_later(60 * SECONDS, exit=True)  # what no alarm ends: a hang within C
        with tempfile.TemporaryDirectory(dir=IN_MEMORY) as folder:
            total = total.joined(run(kind, Path(folder), min(BATCH, count - first), seed, first))
        faulthandler.cancel_dump_traceback_later()
    return total


def _keep(kind: Kind, outcome: Outcome, folder: Path, seed: int) -> None:
    """Write the files of the faults, to be looked at."""
    with tempfile.TemporaryDirectory() as temporary:
        valid = kind.make(Path(temporary)).read_bytes()
    for number in outcome.faults:
        folder.mkdir(parents=True, exist_ok=True)
        name = kind.name.replace("/", "-").replace(" ", "-")
        (folder / f"{name}-{number}").write_bytes(
            mutated(valid, kind.structure, Random(f"{seed} {kind.name} {number}"))
        )


if __name__ == "__main__":
    main()
