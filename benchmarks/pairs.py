"""Two ways of doing the same thing, timed in turns in one process, so that both see the same machine."""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from potstill.runtime.compute import Compute, resolve_compute
from potstill.runtime.machine import describe_machine


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
    fast: Callable[[int], object], twin: Callable[[int], object], pairs: int, device: torch.device
) -> dict[str, Any]:
    """Medians of both and of their ratio, after each has warmed up.

    Args:
        fast: does iteration i in the one way.
        twin: does it in the other.
        pairs: how often each is timed.
        device: waited for before the clock is read.
    """
    for step in (fast, twin, fast):
        timed(step, 0, device)
    found = [(timed(fast, i, device), timed(twin, i, device)) for i in range(1, pairs + 1)]
    ratios = sorted(slow / quick for quick, slow in found)
    return {
        "fast": {"seconds": statistics.median(quick for quick, _ in found)},
        "twin": {"seconds": statistics.median(slow for _, slow in found)},
        "ratio": statistics.median(ratios),
        "ratios": ratios,
    }


def timed(step: Callable[[int], object], iteration: int, device: torch.device) -> float:
    """Seconds that one call takes."""
    started = time.perf_counter()
    step(iteration)
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - started


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
    if "peak_memory_bytes" in fast:
        line += f"; peak memory {fast['peak_memory_bytes'] / 2**20:.0f} MiB"
        line += f" against {twin['peak_memory_bytes'] / 2**20:.0f}"
    return line


def write(record: dict[str, Any], out: str | None) -> None:
    """Keep a record, if a file was named."""
    if out:
        Path(out).parent.mkdir(parents=True, exist_ok=True)
        Path(out).write_text(json.dumps(record, indent=2) + "\n")
