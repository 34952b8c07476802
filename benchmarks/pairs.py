"""Two ways of doing the same thing, timed in turns in one process, so that both see the same machine."""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch

from benchmarks.limits import Operations, operations_per_second
from potstill.runtime.compute import Compute, resolve_compute
from potstill.runtime.machine import describe_machine
from potstill.runtime.parallel import cpu_workers


def options_of(description: str | None, *, ipc: int) -> argparse.ArgumentParser:
    """The options that every benchmark has; ``ipc`` is what it takes by default."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", default="mnist")
    parser.add_argument("--ipc", type=int, default=ipc)
    parser.add_argument("--steps", type=int, default=5, help="pairs that are timed")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--compile", default="auto")
    parser.add_argument("--out")
    return parser


def compute_of(options: argparse.Namespace) -> Compute:
    """Device, precision and compilation of a long run, as asked for."""
    return resolve_compute(options.device, options.precision, options.compile, long_run=True)


def record_of(module: str, **about: Any) -> dict[str, Any]:
    """The beginning of a record: the command, the machine, and what is measured."""
    return {"command": f"python -m {module} " + " ".join(sys.argv[1:]), "machine": describe_machine(), **about}


def in_turns(
    fast: Callable[[int], object],
    twin: Callable[[int], object],
    pairs: int,
    compute: Compute,
    *,
    counted: bool = True,
) -> dict[str, Any]:
    """What both take and the ratio of that, pair by pair; and the least that the arithmetic of the twin could take.

    Wall time is that of a call with all cores. On a CPU each is also called with one core, where the seconds of that
    core are counted, which tell more on a busy machine; the limit is the operations of the twin at the rate of a
    convolution in the precision of the fast one, measured between the pairs.

    Args:
        fast: does iteration i in the one way.
        twin: does it in the other, in this thread.
        pairs: how often each is timed.
        compute: device and precision of the fast one.
        counted: whether the twin is a plain program, whose operations can be counted.

    Returns:
        Medians for both, and all ratios in ascending order.
    """
    fast(0)
    with Operations() if counted else nullcontext() as operations:  # under which nothing would be compiled
        twin(0)
    on_one_core = compute.device.type == "cpu"
    walls, cores, rates = [], [], []
    for i in range(1, pairs + 1):
        walls.append((timed(fast, i, compute.device), timed(twin, i, compute.device)))
        if on_one_core:
            cores.append((core_seconds(fast, i, compute), core_seconds(twin, i, compute)))
        rates += [operations_per_second(compute)] if counted else []
    found: dict[str, Any] = {
        "fast": {"seconds": statistics.median(quick for quick, _ in walls)},
        "twin": {"seconds": statistics.median(slow for _, slow in walls)},
        "precision": compute.precision,
        "compile": compute.compile,
        **_ratios(walls, ""),
    }
    if on_one_core:
        for place, side in enumerate(("fast", "twin")):
            found[side]["core_seconds"] = statistics.median(pair[place] for pair in cores)
        found |= _ratios(cores, "core_")
    if operations is not None:
        rate = statistics.median(rates)
        found |= {"operations": operations.count, "operations_per_second": rate}
        found["limit_seconds"] = operations.count / rate
    return found


def _ratios(pairs: list[tuple[float, float]], prefix: str) -> dict[str, Any]:
    ratios = sorted(slow / quick for quick, slow in pairs)
    return {f"{prefix}ratio": statistics.median(ratios), f"{prefix}ratios": ratios}


def times_limit(found: dict[str, Any]) -> float:
    """How many times the limit the fast one takes: on one core of a CPU, or on another device."""
    fast = found["fast"]
    return fast.get("core_seconds", fast["seconds"]) / found["limit_seconds"]


def timed(step: Callable[[int], object], iteration: int, device: torch.device) -> float:
    """Seconds that one call takes."""
    started = time.perf_counter()
    step(iteration)
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - started


def core_seconds(step: Callable[[int], object], iteration: int, compute: Compute) -> float:
    """Seconds of the processor that one call takes with one core."""
    with cpu_workers(compute.device, 1):
        started = time.process_time()
        step(iteration)
        return time.process_time() - started


def in_new_process(module: str, words: Sequence[str]) -> Any:
    """What a module prints as JSON in its last line, run by itself: for peak memory."""
    done = subprocess.run([sys.executable, "-m", module, *words], check=True, capture_output=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def told(name: str, found: dict[str, Any]) -> str:
    """One line about a pair."""
    fast, twin, ratios = found["fast"], found["twin"], found["ratios"]
    line = (
        f"{name}: fast {fast['seconds']:.3f} s, twin {twin['seconds']:.3f} s, "
        f"ratio {found['ratio']:.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})"
    )
    if "core_seconds" in fast:
        line += f"; on one core {fast['core_seconds']:.3f} s, ratio {found['core_ratio']:.2f}"
    if "limit_seconds" in found:
        line += f"; {times_limit(found):.2f} times the limit"
    if "peak_memory_bytes" in fast:
        line += f"; peak memory {fast['peak_memory_bytes'] / 2**20:.0f} MiB"
        line += f" against {twin['peak_memory_bytes'] / 2**20:.0f}"
    return line


def write(record: dict[str, Any], out: str | None) -> None:
    """Keep a record, if a file was named."""
    if out:
        Path(out).parent.mkdir(parents=True, exist_ok=True)
        Path(out).write_text(json.dumps(record, indent=2) + "\n")
