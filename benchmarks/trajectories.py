"""Trajectory matching against plain programs: an epoch of an expert, a step of mtt, and the memory of its way back.

    python -m benchmarks.trajectories [--dataset mnist] [--ipc 10] [--student-steps 20] [--memory-steps 80] [--out FILE]

The plain epoch is eager float32 with a PyTorch data loader; the plain step keeps the student's whole training by
autograd, all cores shared by every operation. Memory is the peak of a fresh process for each way during the step,
PyTorch and the dataset included; the lengths of both gradients, in float32, are compared in the same run.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

from benchmarks.pairs import compute_of, in_new_process, in_turns, options_of, record_of, told, write
from potstill.augmentation import siamese_augmentation
from potstill.data import ImageDataset, load_dataset
from potstill.distillation import Settings, make_start, resolve
from potstill.engine.schedule import Schedule
from potstill.engine.trainer import Trainer
from potstill.experts.plan import ExpertPlan
from potstill.experts.train import train_experts
from potstill.methods import MTT, Problem
from potstill.methods.trajectory import student_batches, trajectory_distance
from potstill.networks.weights import WeightsFile, weight_files
from potstill.runtime.compute import Compute
from potstill.runtime.machine import peak_memory_bytes, reset_peak_memory
from potstill.runtime.parallel import cpu_workers
from potstill.runtime.streams import Streams
from tests.twins.unrolling import unroll


def main(arguments: Sequence[str] | None = None) -> None:
    options = _options(arguments)
    compute = compute_of(options)
    if options.memory_of:
        print(json.dumps(_memory(options, compute)))
        return
    record = record_of("benchmarks.trajectories", dataset=options.dataset, ipc=options.ipc)
    record["expert epoch"] = epoch_of(options, compute)
    print(told("an expert's epoch", record["expert epoch"]), flush=True)
    record["mtt step"] = mtt_of(options, compute)
    print(told(f"a step of mtt, {options.student_steps} student steps", record["mtt step"]), flush=True)
    found = {side: _memory_of(side, options) for side in ("roots", "plain")}
    ratio = found["plain"]["bytes"] / found["roots"]["bytes"]
    norms = [found[side]["norm"] for side in ("plain", "roots")]
    record["memory"] = {**found, "ratio": ratio, "difference of lengths": abs(norms[0] - norms[1]) / norms[0]}
    print(
        f"peak memory, {options.memory_steps} steps: {found['roots']['bytes'] / 2**20:.0f} MiB, "
        f"plain {found['plain']['bytes'] / 2**20:.0f} MiB: {ratio:.1f} times as much",
        flush=True,
    )
    write(record, options.out)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = options_of(__doc__, ipc=10)
    parser.add_argument("--student-steps", type=int, default=20)
    parser.add_argument("--memory-steps", type=int, default=80)
    parser.add_argument(
        "--memory-ipc", type=int, default=2, help="10 images a class, kept by autograd, take over 24 GB"
    )
    parser.add_argument("--images", type=int, default=6_000, help="training images of a timed epoch")
    parser.add_argument("--memory-of", choices=("roots", "plain"), help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


def epoch_of(options: argparse.Namespace, compute: Compute) -> dict[str, Any]:
    """One pass over some training images, as experts are trained: SGD, batches of 256, Siamese augmentation."""
    dataset = load_dataset(options.dataset)
    some = dataset.train.take(torch.arange(min(options.images, len(dataset.train)))).to(compute.device)
    problem = Problem(real=some, start=_start(dataset, options), compute=compute)
    augmentation = siamese_augmentation(flips=dataset.flips)
    schedule = Schedule(epochs=1, momentum=0.0, weight_decay=0.0, decay="none", augmentation=augmentation)
    trainer = Trainer(problem.build_network(torch.Generator()), compute)
    network = problem.build_network(torch.Generator()).to(compute.device)
    loader = DataLoader(TensorDataset(some.normalised(), some.labels), batch_size=256, shuffle=True)
    optimiser = torch.optim.SGD(network.parameters(), lr=0.01)

    def fast(iteration: int) -> None:
        with cpu_workers(compute.device):
            trainer.fit(some, schedule, Streams(iteration))

    def twin(iteration: int) -> None:
        generator = torch.Generator().manual_seed(iteration)
        for images, labels in loader:
            draw = augmentation.draw(generator, len(images), one_operation=True)
            loss = F.cross_entropy(network(augmentation.apply(images, draw)), labels)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()

    return in_turns(fast, twin, options.steps, compute)


def mtt_of(options: argparse.Namespace, compute: Compute) -> dict[str, Any]:
    """One iteration of mtt against the same with the student's training kept by autograd."""
    fast, twin = _steppers(options, compute, options.student_steps, "steps")
    return in_turns(fast, twin, options.steps, compute.precise)


def _steppers(
    options: argparse.Namespace, compute: Compute, steps: int, keep: Any
) -> tuple[Callable[[int], Tensor], Callable[[int], Tensor]]:
    """Two functions that take iteration i from the start, and give the gradient of the pixels."""
    dataset = load_dataset(options.dataset)
    folder = Path(tempfile.mkdtemp(prefix="experts-"))
    few = ImageDataset(
        name=dataset.name,
        train=dataset.train.take(torch.arange(2_000)),
        validation=dataset.validation.take(torch.arange(100)),
        test=dataset.test,
        flips=dataset.flips,
        fingerprint=dataset.fingerprint,
    )
    plan = ExpertPlan(dataset=options.dataset, count=1, epochs=4)
    train_experts(plan, few, folder / "experts", Compute(compute.device))
    method = MTT(
        experts=str(folder / "experts"),
        student_steps=steps,
        expert_epochs=2,
        latest_start=2,
        student_batch=0,
        learning_rate=100.0,
        rate_learning_rate=1e-9,
        initial_rate=0.01,
        keep=keep,
    )
    start = _start(dataset, options)
    problem = Problem(real=dataset.train, start=start, compute=compute, flips=dataset.flips)
    state = method.prepare(problem)
    labels = start.labels.to(compute.device)
    network = problem.build_network(torch.Generator()).to(compute.device)
    augmentation = siamese_augmentation(flips=dataset.flips)

    def fast(iteration: int) -> Tensor:
        with cpu_workers(compute.device):
            after, _ = method.step(problem, state, iteration)
        return after["images.momentum"]

    def twin(iteration: int) -> Tensor:
        streams = problem.streams.child("iteration", iteration)
        generator = streams.generator("start")
        torch.randint(1, (), generator=generator)
        epoch = int(torch.randint(0, 2, (), generator=generator))
        file = WeightsFile(weight_files(folder / "experts")[0])
        names = [name for name, _ in network.named_parameters()]
        first, target = ([file.read(at)[name].to(compute.device) for name in names] for at in (epoch, epoch + 2))
        images = state["images"].detach().requires_grad_()
        batches = []
        for step, chosen in enumerate(student_batches(len(images), len(images), steps, streams)):
            chosen = chosen.to(compute.device)
            draw = augmentation.draw(streams.generator("augmentation", step), len(chosen), one_operation=True)
            batches.append((augmentation.apply(images[chosen], draw), labels[chosen]))
        begun = [tensor.requires_grad_() for tensor in first]
        end = unroll(network, begun, batches, [state["rate"]] * steps)
        _, back = trajectory_distance([tensor.detach() for tensor in end], first, target)
        return torch.autograd.grad(end, images, back)[0]

    return fast, twin


def _start(dataset: ImageDataset, options: argparse.Namespace) -> Any:
    plan = resolve(Settings(method=MTT(), dataset=options.dataset, ipc=options.ipc, iterations=1), dataset)
    return make_start(plan, dataset)


def _memory(options: argparse.Namespace, compute: Compute) -> dict[str, float]:
    """The most memory that a process takes for one iteration, and the length of the gradient."""
    fast, twin = _steppers(options, compute, options.memory_steps, "roots")
    reset_peak_memory(compute.device)
    gradient = (fast if options.memory_of == "roots" else twin)(1)
    return {"bytes": peak_memory_bytes(compute.device), "norm": gradient.double().norm().item()}


def _memory_of(side: str, options: argparse.Namespace) -> dict[str, float]:
    words = ["--memory-of", side, "--dataset", options.dataset, "--ipc", str(options.memory_ipc)]
    words += ["--memory-steps", str(options.memory_steps), "--device", options.device]
    return in_new_process("benchmarks.trajectories", [*words, "--compile", "off", "--precision", "float32"])


if __name__ == "__main__":
    main()
