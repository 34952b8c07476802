"""Several networks trained in step, their weights stacked, against the same one after another, as is the default.

    python -m benchmarks.at_once [--dataset mnist] [--count 4] [--images 1500] [--batch-size 256] [--out FILE]

An epoch of experts: SGD with Siamese augmentation, each from weights and on batches of its own.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from benchmarks.pairs import compute_of, in_turns, options_of, record_of, told, write
from potstill.augmentation import siamese_augmentation
from potstill.data import load_dataset
from potstill.engine.fit import fit
from potstill.engine.schedule import Schedule
from potstill.engine.stacked import StackedNetworks
from potstill.engine.trainer import Trainer
from potstill.networks import ImageShape, build_network
from potstill.runtime.parallel import cpu_workers
from potstill.runtime.streams import Streams


def main(arguments: Sequence[str] | None = None) -> None:
    parser = options_of(__doc__, ipc=1)
    parser.add_argument("--network", default="convnet")
    parser.add_argument("--count", type=int, default=4, help="networks")
    parser.add_argument("--images", type=int, default=1_500, help="training images of the epoch")
    parser.add_argument("--batch-size", type=int, default=256)
    options = parser.parse_args(arguments)
    compute = compute_of(options)
    dataset = load_dataset(options.dataset)
    some = dataset.train.take(torch.arange(min(options.images, len(dataset.train)))).to(compute.device)
    schedule = Schedule(
        epochs=1,
        batch_size=options.batch_size,
        momentum=0.0,
        weight_decay=0.0,
        decay="none",
        augmentation=siamese_augmentation(flips=dataset.flips),
    )
    networks = [
        build_network(options.network, ImageShape(*dataset.shape), dataset.class_count, torch.Generator())
        for _ in range(2)
    ]
    cohort, trainer = StackedNetworks(networks[0], compute, options.count), Trainer(networks[1], compute)

    def streams(iteration: int) -> list[Streams]:
        return [Streams(iteration).child("expert", place) for place in range(options.count)]

    def together(iteration: int) -> None:
        fit(cohort, some, schedule, streams(iteration))

    def apart(iteration: int) -> None:
        with cpu_workers(compute.device):
            for own in streams(iteration):
                trainer.fit(some, schedule, own)

    record = record_of("benchmarks.at_once", dataset=options.dataset, network=options.network, count=options.count)
    record["epoch"] = in_turns(together, apart, options.steps, compute, counted=False)
    print(told(f"{options.count} networks at once against one after another", record["epoch"]), flush=True)
    write(record, options.out)


if __name__ == "__main__":
    main()
