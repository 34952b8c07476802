"""Several trainings by as many processes as there are cores, against the same one after another on all cores.

    python -m benchmarks.executors [--dataset mnist] [--ipc 1 10] [--epochs 20] [--trainings 4] [--out FILE]

The trainings are those of an evaluation by ``dsa-1000`` with few epochs, in turns; the processes are started before the
clock. What it takes to start them, until each has its data, is measured apart.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import torch

from potstill.data import load_dataset
from potstill.evaluation import find_recipe
from potstill.evaluation.specs import training_on
from potstill.runtime.compute import CPU
from potstill.runtime.machine import describe_machine, package_version
from potstill.runtime.parallel import core_count
from potstill.units import Job, Materials, Runner, Workplace, runner_by


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", default="mnist")
    parser.add_argument("--ipc", type=int, nargs="+", default=[1, 10])
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--trainings", type=int, default=4)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    dataset = load_dataset(options.dataset)
    # The test of a network is parallel in itself; here it is made small beside the training.
    dataset = replace(dataset, validation=dataset.validation.take(torch.arange(500)))
    recipe, rows = replace(find_recipe("dsa-1000"), epochs=options.epochs), list[dict[str, Any]]()
    where = f"processes:{core_count()}"
    with runner_by("here", Workplace(Materials(), CPU)) as here, runner_by(where, Workplace(Materials(), CPU)) as there:
        started = time.perf_counter()
        _trained(there, dataset, replace(recipe, epochs=1), 1, 2 * core_count(), "start")
        starting = time.perf_counter() - started
        print(f"starting {where} takes {starting:.1f} s")
        for ipc in options.ipc:
            seconds: dict[str, list[float]] = {"here": [], where: []}
            for turn in range(options.turns):
                for name, runner in (("here", here), (where, there)):
                    started = time.perf_counter()
                    _trained(runner, dataset, recipe, ipc, options.trainings, f"turn {turn}")
                    seconds[name].append(time.perf_counter() - started)
            one, many = (median(seconds[name]) for name in ("here", where))
            rows.append({"ipc": ipc, "seconds": seconds, "times": one / many})
            print(f"IPC {ipc}: here {one:.1f} s, {where} {many:.1f} s, {one / many:.2f} times as fast", flush=True)
    if options.out is not None:
        record = {
            "command": "python -m benchmarks.executors",
            "options": {name: value for name, value in vars(options).items() if name != "out"},
            "machine": describe_machine(),
            "version": package_version(),
            "starting_seconds": starting,
            "rows": rows,
        }
        options.out.write_text(json.dumps(record, indent=2) + "\n")


def _trained(runner: Runner, dataset: Any, recipe: Any, ipc: int, count: int, stream: str) -> None:
    """Train networks on random real images; each stream of draws is used once, as equal units are done once."""
    base = training_on(dataset, runner.workplace, recipe, 0, purpose=stream)
    each = replace(base, images="random", images_per_class=ipc, network="convnet", judged_by="validation")
    units = [replace(each, stream=(*each.stream, "repeat", number)) for number in range(count)]
    for _ in runner.results([Job(unit, "", None) for unit in units], count):
        pass


if __name__ == "__main__":
    main()
