"""``python -m benchmarks``: what Potstill's work costs, beside plain programs and beside the least that it could cost.

    python -m benchmarks [--steps 3] [--only WORD] [--out records/benchmarks/all.json] [--page docs/speed.md]

Every row is measured pair by pair; see ``benchmarks.pairs``. Nothing fails here: all is recorded. The page and its
picture are made from the record. ``--page-of FILE`` makes them from an earlier one.
"""

from __future__ import annotations

import argparse
import json
from argparse import Namespace
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import evaluation, gradients, growth, matching, page, trajectories
from benchmarks.pairs import compute_of, in_new_process, record_of, told, write
from potstill.data import load_dataset


@dataclass(frozen=True)
class Row:
    """Something that is measured.

    Attributes:
        work: what it is, in words.
        measure: from options to a pair as ``in_turns`` returns it.
        options: beside those that all have.
    """

    work: str
    measure: Callable[[Namespace], dict[str, Any]]
    options: dict[str, Any]


def _of(measure: Callable[..., dict[str, Any]]) -> Callable[[Namespace], dict[str, Any]]:
    return lambda options: measure(options, compute_of(options))


def _with_dataset(measure: Callable[..., dict[str, Any]]) -> Callable[[Namespace], dict[str, Any]]:
    def measured(options: Namespace) -> dict[str, Any]:
        compute = compute_of(options)
        return measure(options, load_dataset(options.dataset).to(compute.device), compute)

    return measured


MNIST, CIFAR10 = {"dataset": "mnist"}, {"dataset": "cifar10"}
ROWS = (
    *(
        Row(f"`{name}`, {told_as}, 10 images per class: an iteration", lambda o: matching.step_of(o.method, o), more)
        for name in ("dm", "datadam")
        for told_as, data in (("MNIST", MNIST), ("CIFAR-10", CIFAR10))
        for more in [{**data, "ipc": 10, "method": name}]
    ),
    Row(
        "`dc`, MNIST, 1 image per class: an update of the pixels",
        _of(gradients.iteration_of),
        {**MNIST, "ipc": 1, "method": "dc", "inner_epochs": 0},
    ),
    Row(
        "`dsa`, MNIST, 10 images per class: an update, and 50 epochs of the network",
        _of(gradients.iteration_of),
        {**MNIST, "ipc": 10, "method": "dsa", "inner_epochs": 50},
    ),
    Row(
        "`mtt`, CIFAR-10, 10 images per class: an iteration with 5 student steps",
        _of(trajectories.mtt_of),
        {**CIFAR10, "ipc": 10, "student_steps": 5},
    ),
    Row(
        "`mtt`, MNIST, 10 images per class: an iteration with 20 student steps",
        _of(trajectories.mtt_of),
        {**MNIST, "ipc": 10, "student_steps": 20},
    ),
    Row("an expert's epoch, 3,000 images of MNIST", _of(trajectories.epoch_of), {**MNIST, "ipc": 10, "images": 3000}),
    Row(
        "20 epochs of `dc-300` on 100 images of MNIST",
        _with_dataset(evaluation.training_of),
        {**MNIST, "ipc": 10, "epochs": 20},
    ),
    Row("a test on 10,000 images of MNIST", _with_dataset(evaluation.test_of), {**MNIST, "ipc": 10}),
)


def main(arguments: Sequence[str] | None = None) -> None:
    options = _options(arguments)
    if options.page_of:
        page.write_page(json.loads(options.page_of.read_text()), options.page)
        return
    record = record_of("benchmarks", **{"written to": options.out}, rows=[])
    for row in ROWS:
        if options.only not in row.work:
            continue
        asked = Namespace(device=options.device, precision="auto", compile="auto", steps=options.steps, **row.options)
        record["rows"].append({"work": row.work, **row.measure(asked)})
        print(told(row.work, record["rows"][-1]), flush=True)
        write(record, options.out)
    if not options.only:
        record["high resolution"] = in_new_process("benchmarks.high_resolution", [])
        record["growth"] = growth.main(["--steps", str(options.steps)])
        write(record, options.out)
    if not options.only and all("core_ratios" in row for row in record["rows"]):
        page.write_page(record, options.page)  # which is about CPUs


def _options(arguments: Sequence[str] | None) -> Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=3, help="pairs that are timed")
    parser.add_argument("--only", default="", help="rows with this in their description, and no page")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--out", default="records/benchmarks/all.json")
    parser.add_argument("--page", type=Path, default=Path("docs/speed.md"))
    parser.add_argument("--page-of", type=Path, help="a record; nothing is measured")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
