"""A dataset of a thousand classes whose decoded images take several times the memory limit: dm and herding.

    python -m benchmarks.larger_than_memory [--folder FOLDER] [--limit 1.6G] [--classes 1000] [--images 400]

The images are generated: 64x64 pixels in colour, two gratings that depend on the class, noise of their own, as JPEG.
Each run is a process of its own, whose peak of resident memory is measured; the kernel's cache of files is not part of
it. The first run decodes the images into their copy, the others read from it.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.pairs import record_of, write
from potstill.cli.options import size

SIDE = 64
COMMON = ("--ipc", "1", "--network", "convnet:width=32", "--validate-every", "0", "--precision", "float32")
RUNS = {
    "dm": ("dm", "--batch-real", "32", "--classes-per-step", "50", "--iterations", "20", "--compile", "off"),
    "herding": ("herding", "--features", "trained", "--teacher-epochs", "1", "--compile", "off"),
}
"""The arguments of each run, beside the common ones."""


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=Path("runs/larger-than-memory"), help="a new or earlier folder")
    parser.add_argument("--limit", default="1.6G")
    parser.add_argument("--classes", type=int, default=1000)
    parser.add_argument("--images", type=int, default=400, help="per class")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args(arguments)
    data = options.folder / "data"
    if not data.exists():
        _generate(data, options.classes, options.images)
    decoded = options.classes * options.images * 3 * SIDE * SIDE
    record = record_of("benchmarks.larger_than_memory", classes=options.classes, images=options.images)
    record |= {"memory limit": size(options.limit), "decoded bytes": decoded}
    for name, words in RUNS.items():
        record[name] = _run(name, words, options.folder, options.limit)
        print(name, json.dumps(record[name]), flush=True)
    write(record, options.out)


def _run(name: str, words: tuple[str, ...], folder: Path, limit: str) -> dict[str, Any]:
    """Run a command in a process of its own: its seconds, and the peak of its memory."""
    out = folder / name
    shutil.rmtree(out, ignore_errors=True)
    command = [sys.executable, "-m", "potstill", "distill", *words, *COMMON]
    command += ["--dataset", str(folder / "data"), "--memory-limit", limit, "--out", str(out)]
    environment = {**os.environ, "XDG_CACHE_HOME": str((folder / "cache").absolute())}
    begun = time.monotonic()
    process = subprocess.Popen(command, env=environment)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{shlex.join(command)} failed")
    manifest = json.loads((out / "manifest.json").read_text())
    return {
        "command": " ".join(["potstill", *command[3:]]),
        "seconds": round(time.monotonic() - begun, 1),
        "peak bytes of the process": usage.ru_maxrss * 1024,
        "peak bytes of the run": manifest["peak_memory_bytes"],
        "set sha256": manifest["tensors_sha256"],
    }


def _generate(folder: Path, classes: int, images: int) -> None:
    unfinished = folder.with_name("unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    with ProcessPoolExecutor() as pool:
        for _ in pool.map(_generate_class, [(unfinished, number, images) for number in range(classes)], chunksize=8):
            pass
    unfinished.rename(folder)


def _generate_class(of: tuple[Path, int, int]) -> None:
    folder, number, images = of
    draws = np.random.default_rng(number)
    angles, waves, colours = draws.uniform(0, np.pi, 2), draws.uniform(2, 12, 2), draws.uniform(-1, 1, (2, 3))
    across, down = np.meshgrid(np.linspace(0, 2 * np.pi, SIDE), np.linspace(0, 2 * np.pi, SIDE))
    place = folder / f"class-{number:04}"
    place.mkdir(parents=True)
    for image in range(images):
        phases = draws.uniform(0, 2 * np.pi, 2)
        gratings = [
            np.sin(wave * (np.cos(angle) * across + np.sin(angle) * down) + phase)[..., None] * colour
            for angle, wave, phase, colour in zip(angles, waves, phases, colours, strict=True)
        ]
        pixels = 128 + 50 * sum(gratings) + draws.normal(0, 12, (SIDE, SIDE, 3))
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(place / f"{image:04}.jpg", quality=75)


if __name__ == "__main__":
    main()
