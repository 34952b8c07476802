"""What judging a set costs: a training by dc-300 and a test against plain programs, and the time that selections take.

    python -m benchmarks.evaluation [--dataset mnist] [--ipc 10] [--epochs 30] [--device auto] [--out FILE]

The plain programs are eager float32 PyTorch, all cores shared by every operation; the plain test takes batches of 256.
A timed training is the recipe's with fewer epochs, each as long as the recipe's own. Selections are timed on the
embeddings of all training and validation images in an untrained network, class by class as they are chosen.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from typing import Any

import torch

from benchmarks.pairs import compute_of, in_turns, options_of, record_of, told, write
from potstill.data import ImageDataset, load_dataset
from potstill.engine.features import FeatureExtractor, embedding
from potstill.evaluation import find_recipe, make_trainer, training_schedule
from potstill.networks import ImageShape, build_network
from potstill.runtime.compute import Compute
from potstill.runtime.parallel import cpu_workers
from potstill.runtime.streams import Streams
from potstill.selection import random_indices
from potstill.selection.greedy import herding, k_center
from potstill.synthetic import SyntheticSet
from tests.twins.fitting import fit

CHOSEN = 50
"""Images of each class that the timed selections choose."""


def main(arguments: Sequence[str] | None = None) -> None:
    parser = options_of(__doc__, ipc=10)
    parser.add_argument("--epochs", type=int, default=30, help="of a timed training")
    options = parser.parse_args(arguments)
    compute = compute_of(options)
    dataset = load_dataset(options.dataset).to(compute.device)
    record = record_of("benchmarks.evaluation", dataset=options.dataset, ipc=options.ipc, epochs=options.epochs)
    record["training"] = training_of(options, dataset, compute)
    print(told(f"{options.epochs} epochs of dc-300", record["training"]), flush=True)
    record["test"] = test_of(options, dataset, compute)
    print(told(f"testing {len(dataset.test):,} images", record["test"]), flush=True)
    record["selections"] = _selections(dataset, compute)
    print(
        f"choosing {CHOSEN} of each class of {record['selections']['images']:,} images: "
        + ", ".join(f"{name} {record['selections'][name]:.1f} s" for name in ("herding", "k-center")),
        flush=True,
    )
    write(record, options.out)


def training_of(options: argparse.Namespace, dataset: ImageDataset, compute: Compute) -> dict[str, Any]:
    chosen = random_indices(dataset.train, options.ipc, torch.Generator().manual_seed(0))
    few = SyntheticSet.from_indices(dataset.train, chosen)
    schedule = training_schedule(find_recipe("dc-300"), flips=dataset.flips, epochs=options.epochs)
    trainer = make_trainer("convnet", dataset, compute)
    network = build_network("convnet", ImageShape(*dataset.shape), dataset.class_count, torch.Generator())
    network.to(compute.device)

    def fast(iteration: int) -> None:
        with cpu_workers(compute.device):
            trainer.fit(few, schedule, Streams(iteration))

    return in_turns(fast, lambda i: fit(network, few, schedule, Streams(i)), options.steps, compute)


def test_of(options: argparse.Namespace, dataset: ImageDataset, compute: Compute) -> dict[str, Any]:
    trainer = make_trainer("convnet", dataset, compute)
    network = build_network("convnet", ImageShape(*dataset.shape), dataset.class_count, torch.Generator())
    network.to(compute.device).eval()

    def fast(iteration: int) -> None:
        with cpu_workers(compute.device):
            trainer.predict(dataset.test)

    @torch.no_grad()
    def twin(iteration: int) -> None:
        for batch in torch.arange(len(dataset.test)).split(256):
            network(dataset.test.normalised(batch)).argmax(1)

    return in_turns(fast, twin, options.steps, compute)


def _selections(dataset: ImageDataset, compute: Compute) -> dict[str, float]:
    network = build_network("convnet", ImageShape(*dataset.shape), dataset.class_count, torch.Generator())
    extractor = FeatureExtractor(network, embedding, compute)
    with cpu_workers(compute.device):
        features = torch.cat([extractor.describe(split)[0].cpu() for split in (dataset.train, dataset.validation)])
    labels = torch.cat([split.labels.cpu() for split in (dataset.train, dataset.validation)])
    found: dict[str, float] = {"images": len(features), "dimensions": features.shape[1]}
    for name, choose in (("herding", herding), ("k-center", k_center)):
        started = time.perf_counter()
        for label in range(dataset.class_count):
            choose(features[labels == label], CHOSEN)
        found[name] = time.perf_counter() - started
    return found


if __name__ == "__main__":
    main()
