"""Write a file of clustered vectors, as embeddings are: for time and memory with large numbers of them."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

ROWS = 10_000  # that are drawn at once


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--clusters", type=int, default=1_000)
    parser.add_argument("--labels", action="store_true", help="also the number of each cluster, in a file beside")
    options = parser.parse_args()
    draws = np.random.default_rng(0)
    falling = np.linspace(1, 0.1, options.size, dtype=np.float32)
    centres = draws.normal(size=(options.clusters, options.size)).astype(np.float32)
    centres *= np.linspace(3, 0.1, options.size, dtype=np.float32)
    shape = (options.rows, options.size)
    written = np.lib.format.open_memmap(options.file, mode="w+", dtype=np.float32, shape=shape)
    labels = np.empty(options.rows, np.int64)
    for first in range(0, options.rows, ROWS):
        count = min(ROWS, options.rows - first)
        labels[first : first + count] = draws.integers(0, options.clusters, count)
        chosen = centres[labels[first : first + count]]
        written[first : first + count] = (
            chosen + draws.standard_normal((count, options.size), dtype=np.float32) * falling
        )
    if options.labels:
        np.save(options.file.with_suffix(".labels.npy"), labels)


if __name__ == "__main__":
    main()
