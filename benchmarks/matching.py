"""Steps per second and peak memory of dm and datadam against their plain twins.

    python -m benchmarks.matching [--dataset mnist] [--ipc 10] [--steps 5] [--device auto] [--out FILE]

Fast path and twin take turns in one process, so that both see the same machine; medians are quoted, and the ratio of
each pair. The twin is what the published programs do: one class after another, eager float32, all cores shared by
every operation. Peak memory is that of a fresh process for each, the dataset included.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from benchmarks.pairs import compute_of, in_new_process, in_turns, options_of, record_of, told, write
from potstill.data import load_dataset
from potstill.distillation import Settings, make_start, resolve
from potstill.methods import DM, METHODS, DataDAM, Method, Problem
from potstill.runtime.compute import Compute
from potstill.runtime.machine import peak_memory_bytes
from potstill.runtime.parallel import cpu_workers
from potstill.runtime.streams import Streams
from tests.twins.matching import datadam_step, dm_step


def main(arguments: Sequence[str] | None = None) -> None:
    options = _options(arguments)
    if options.memory_of:
        print(json.dumps(_memory(options)))
        return
    record = record_of("benchmarks.matching", dataset=options.dataset, ipc=options.ipc)
    for name in options.methods.split(","):
        record[name] = step_of(name, options)
        for side in ("fast", "twin"):
            record[name][side]["peak_memory_bytes"] = _memory_in_new_process(name, side, options)
        print(told(f"{name}, a step", record[name]), flush=True)
    write(record, options.out)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = options_of(__doc__, ipc=10)
    parser.add_argument("--methods", default="dm,datadam")
    parser.add_argument("--memory-of", choices=("fast", "twin"), help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


def _problem(name: str, options: argparse.Namespace) -> tuple[Problem, Method]:
    method = METHODS[name]()
    compute = compute_of(options)
    dataset = load_dataset(options.dataset).to(compute.device)
    plan = resolve(Settings(method=method, dataset=options.dataset, ipc=options.ipc), dataset)
    start = make_start(plan, dataset)
    problem = Problem(real=dataset.train, start=start, streams=Streams(0), compute=compute, flips=dataset.flips)
    return problem, method


def _stepper(problem: Problem, method: Method, side: str) -> Callable[[int], None]:
    """A function that does iteration i, on the fast path or the twin's."""
    if side == "fast":
        state = method.prepare(problem)

        def fast(iteration: int) -> None:
            nonlocal state
            with cpu_workers(problem.compute.device):
                state, _ = method.step(problem, state, iteration)

        return fast
    images = problem.start.images.to(problem.compute.device)
    momentum = torch.zeros_like(images)
    plain = Problem(
        real=problem.real,
        start=problem.start,
        streams=problem.streams,
        compute=Compute(problem.compute.device),
        flips=problem.flips,
    )

    def twin(iteration: int) -> None:
        nonlocal images, momentum
        images, momentum = _twin_step(plain, method, images, momentum, iteration)

    return twin


def _twin_step(
    problem: Problem, method: Method, images: Tensor, momentum: Tensor, iteration: int
) -> tuple[Tensor, Tensor]:
    if isinstance(method, DataDAM):
        return datadam_step(problem, method, images, momentum, iteration)[:2]
    assert isinstance(method, DM)
    return dm_step(problem, method, images, momentum, iteration)[:2]


def step_of(name: str, options: argparse.Namespace) -> dict[str, Any]:
    problem, method = _problem(name, options)
    fast, twin = _stepper(problem, method, "fast"), _stepper(problem, method, "twin")
    return in_turns(fast, twin, options.steps, problem.compute)


def _memory(options: argparse.Namespace) -> int:
    problem, method = _problem(options.methods, options)
    step = _stepper(problem, method, options.memory_of)
    for iteration in range(2):
        step(iteration)
    return peak_memory_bytes(problem.compute.device)


def _memory_in_new_process(name: str, side: str, options: argparse.Namespace) -> int:
    words = ["--methods", name, "--memory-of", side, "--dataset", options.dataset, "--ipc", str(options.ipc)]
    words += ["--device", options.device, "--precision", options.precision, "--compile", options.compile]
    return in_new_process("benchmarks.matching", words)


if __name__ == "__main__":
    main()
