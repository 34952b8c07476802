"""How the cost of an iteration of dm grows: with images per class, classes, the side of the images, and the dataset.

    python -m benchmarks.growth [--steps 5] [--batch-real 64] [--out FILE]

The images are noise. One of the four is changed at a time; the others stay at 10 images per class, 10 classes, 32
pixels and 10,000 images. Computed in float32 without compilation, on one core of a CPU, whose seconds are counted;
beside them, the operations that the plain twin makes, at the rate of a convolution.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable, Sequence
from typing import Any

import torch

from benchmarks.limits import Operations, operations_per_second
from benchmarks.pairs import core_seconds, record_of, write
from potstill.data import LabeledImages
from potstill.methods import DM, Problem
from potstill.runtime.compute import Compute, resolve_compute
from potstill.runtime.streams import Streams
from potstill.selection import random_indices
from potstill.synthetic import SyntheticSet
from tests.twins.matching import dm_step

USUAL = {"images per class": 10, "classes": 10, "pixels a side": 32, "images": 10_000}
CHANGED = {
    "images per class": (1, 10, 50),
    "classes": (2, 10, 50),
    "pixels a side": (16, 32, 64),
    "images": (1_000, 10_000, 100_000),
}


def main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=5, help="iterations that are timed")
    parser.add_argument("--batch-real", type=int, default=64)
    parser.add_argument("--out")
    options = parser.parse_args(arguments)
    compute = resolve_compute("cpu", "float32", "off")
    record = record_of("benchmarks.growth", usual=USUAL, batch_real=options.batch_real)
    known: dict[tuple[int, ...], dict[str, Any]] = {}
    for name, values in CHANGED.items():
        record[name] = {}
        for value in values:
            sizes = USUAL | {name: value}
            if (key := tuple(sizes.values())) not in known:
                known[key] = _measured(sizes, options, compute)
            record[name][str(value)] = known[key]
            found = known[key]
            print(
                f"{name} {value}: {found['core_seconds']:.3f} s, {found['times_limit']:.2f} times the limit", flush=True
            )
    write(record, options.out)
    return record


def _measured(sizes: dict[str, int], options: argparse.Namespace, compute: Compute) -> dict[str, Any]:
    ours, twin = _steppers(sizes, options, compute)
    with Operations() as operations:
        twin(0)
    ours(0)
    seconds = statistics.median(core_seconds(ours, i, compute) for i in range(1, options.steps + 1))
    limit = operations.count / operations_per_second(compute)
    return {"core_seconds": seconds, "operations": operations.count, "times_limit": seconds / limit}


def _steppers(
    sizes: dict[str, int], options: argparse.Namespace, compute: Compute
) -> tuple[Callable[[int], object], Callable[[int], object]]:
    """One iteration of dm, and of its plain twin."""
    classes, side, generator = sizes["classes"], sizes["pixels a side"], torch.Generator().manual_seed(0)
    real = LabeledImages(
        torch.randint(256, (sizes["images"], 3, side, side), generator=generator, dtype=torch.uint8),
        torch.arange(sizes["images"]) % classes,
        tuple(str(label) for label in range(classes)),
        (0.5,) * 3,
        (0.29,) * 3,
    )
    start = SyntheticSet.from_indices(real, random_indices(real, sizes["images per class"], generator))
    method = DM(batch_real=options.batch_real)
    problem = Problem(real=real, start=start, streams=Streams(0), compute=compute, flips=False)
    state = method.prepare(problem)
    images, momentum = state["images"], torch.zeros_like(state["images"])
    return (
        lambda iteration: method.step(problem, state, iteration),
        lambda iteration: dm_step(problem, method, images, momentum, iteration),
    )


if __name__ == "__main__":
    main()
