"""One step of datadam on images of high resolution: CPU seconds and peak memory.

    python -m benchmarks.high_resolution [--side 224] [--ipc 50] [--batch 128] [--precision bfloat16] [--out FILE]

Two classes of colour images and a ConvNet as deep as the DataDAM coursework has it for MHIST; the pixels are noise, and
nothing is compiled. Peak memory is that of this process, with the images of the batch in float32.
"""

from __future__ import annotations

import argparse
import json
import time

import torch

from benchmarks.limits import Operations, operations_per_second
from benchmarks.pairs import compute_of, options_of, record_of, write
from potstill.engine.features import FeatureExtractor
from potstill.methods import DataDAM
from potstill.networks import ImageShape, build_network
from potstill.runtime.machine import peak_memory_bytes
from potstill.runtime.parallel import cpu_workers, one_thread

CLASSES = 2


def main() -> None:
    """Print seconds and bytes of a step, and write the record if asked to."""
    options = _options()
    compute = compute_of(options)
    generator = torch.Generator().manual_seed(0)
    method = DataDAM(batch_real=options.batch)
    shape = ImageShape(3, options.side, options.side)
    network = build_network(f"convnet:depth={options.depth}", shape, CLASSES, generator)
    extractor = FeatureExtractor(network, method.descriptor(), compute)
    real, synthetic = (
        torch.randn(CLASSES * count, 3, options.side, options.side, generator=generator)
        for count in (options.batch, options.ipc)
    )
    with cpu_workers(compute.device, 1):
        started = time.process_time()
        targets = extractor.class_means(real, CLASSES)
        means, pullback = extractor.class_means_and_pullback(synthetic, CLASSES)
        means = tuple(mean.requires_grad_() for mean in means)
        pullback(torch.autograd.grad(method.loss(targets, means), means))
        seconds = time.process_time() - started
    about = {name: getattr(options, name) for name in ("side", "depth", "ipc", "batch", "precision")}
    peak = peak_memory_bytes(compute.device)
    with Operations() as operations, one_thread():
        extractor.class_means(real[:: options.batch], CLASSES)
    # A pass for the real images; for the others one forward, and one back to the pixels alone.
    needed = operations.count * (options.batch + 2 * options.ipc)
    rate = operations_per_second(compute)
    found = {"cpu_seconds": seconds, "peak_memory_bytes": peak, "times_limit": seconds * rate / needed}
    record = record_of("benchmarks.high_resolution", **about, **found)
    write(record, options.out)
    print(json.dumps(record))


def _options() -> argparse.Namespace:
    parser = options_of(__doc__, ipc=50)
    parser.add_argument("--side", type=int, default=224)
    parser.add_argument("--depth", type=int, default=7)
    parser.add_argument("--batch", type=int, default=128)
    parser.set_defaults(precision="bfloat16", compile="off", device="cpu")
    return parser.parse_args()


if __name__ == "__main__":
    main()
