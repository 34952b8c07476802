"""Gradient matching against its plain twin: an iteration of dc or dsa, and a training step of its inner loop.

    python -m benchmarks.gradients [--dataset mnist] [--ipc 1] [--method dc] [--inner-epochs 0] [--steps 5] [--out FILE]

The twin is what the published program does: one class after another, eager float32, all cores shared by every
operation. The gradient of the synthetic images is also timed in both of our own ways, one class after another on the
workers and all classes in one vectorised pass: ``potstill.methods.gradient`` takes the faster for the device.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F

from benchmarks.pairs import compute_of, in_turns, options_of, record_of, told, write
from potstill.data import load_dataset
from potstill.distillation import Settings, make_start, resolve
from potstill.engine.chunked import ChunkedNetwork
from potstill.methods import DC, DSA, Problem
from potstill.methods.gradient import distance_gradients
from potstill.methods.inner_network import InnerNetwork
from potstill.runtime.compute import Compute
from potstill.runtime.parallel import cpu_workers
from potstill.runtime.streams import Streams
from tests.twins.gradients import dc_step

KINDS = {"dc": DC, "dsa": DSA}
TRAINED_ON = 10
"""Images per class of the inner loop's training step."""


def main(arguments: Sequence[str] | None = None) -> None:
    parser = options_of(__doc__, ipc=1)
    parser.add_argument("--method", choices=KINDS, default="dc")
    parser.add_argument("--inner-epochs", type=int, default=0, help="of training on the set after the update")
    options = parser.parse_args(arguments)
    record = record_of("benchmarks.gradients", dataset=options.dataset, ipc=options.ipc)
    compute = compute_of(options)
    for name, measured in (
        (options.method, iteration_of),
        ("inner step", _inner_step),
        ("synthetic gradient", _two_ways),
    ):
        record[name] = measured(options, compute)
        print(told(name, record[name]), flush=True)
    write(record, options.out)


def _problem(options: argparse.Namespace, compute: Compute, ipc: int) -> Problem:
    dataset = load_dataset(options.dataset).to(compute.device)
    plan = resolve(Settings(method=DC(), dataset=options.dataset, ipc=ipc, start="real"), dataset)
    start = make_start(plan, dataset)
    return Problem(real=dataset.train, start=start, streams=Streams(0), compute=compute, flips=dataset.flips)


def iteration_of(options: argparse.Namespace, compute: Compute) -> dict[str, Any]:
    """One update of the pixels, and the training after it if there are inner epochs."""
    problem, epochs = _problem(options, compute, options.ipc), options.inner_epochs
    outer = 1_000_000 if epochs else 1  # one network for all iterations, which is trained after each
    method = KINDS[options.method](outer_loops=outer, inner_epochs=max(epochs, 1))
    plain = replace(problem, compute=Compute(compute.device))
    network = plain.build_network(torch.Generator()).to(compute.device)
    state = method.prepare(problem)
    images, momentum = state["images"], torch.zeros_like(state["images"])

    def fast(iteration: int) -> None:
        nonlocal state
        with cpu_workers(compute.device):
            state, _ = method.step(problem, state, iteration)

    def twin(iteration: int) -> None:
        nonlocal images, momentum
        images, momentum, _ = dc_step(plain, method, images, momentum, iteration, network, (outer, epochs))

    return in_turns(fast, twin, options.steps, compute)


def _inner_step(options: argparse.Namespace, compute: Compute) -> dict[str, Any]:
    """One step of gradient descent of the network on ten images of each class, all of them in one batch."""
    problem = _problem(options, compute, TRAINED_ON)
    images = problem.start.images.to(compute.device)
    labels = problem.start.labels.to(compute.device)
    living = InnerNetwork(ChunkedNetwork(problem.build_network(torch.Generator()), compute))
    network = problem.build_network(torch.Generator()).to(compute.device)
    optimiser = torch.optim.SGD(network.parameters(), lr=0.01)

    def fast(iteration: int) -> None:
        with cpu_workers(compute.device):
            living.train(images, labels, Streams(iteration), steps=1, batch=len(images), learning_rate=0.01)

    def twin(iteration: int) -> None:
        order = torch.randperm(len(images), generator=Streams(iteration).generator("order", 0))
        optimiser.zero_grad()
        F.cross_entropy(network(images[order]), labels[order]).backward()
        optimiser.step()

    return in_turns(fast, twin, 4 * options.steps, compute)


def _two_ways(options: argparse.Namespace, compute: Compute) -> dict[str, Any]:
    """Here ``fast`` is one class after another, and ``twin`` is all of them in one pass."""
    problem = _problem(options, compute, options.ipc)
    network = problem.build_network(torch.Generator()).to(compute.device)
    classes = problem.class_count
    images = problem.start.images.to(compute.device).unflatten(0, (classes, -1))
    labels = torch.arange(classes, device=compute.device)
    targets = [[torch.randn_like(parameter) for parameter in network.parameters()] for _ in range(classes)]

    def one_after_another(iteration: int) -> None:
        with cpu_workers(compute.device):
            distance_gradients(network, images, labels, targets, "layerwise", batched=False)

    def in_one_pass(iteration: int) -> None:
        distance_gradients(network, images, labels, targets, "layerwise", batched=True)

    return in_turns(one_after_another, in_one_pass, options.steps, compute, counted=False)


if __name__ == "__main__":
    main()
