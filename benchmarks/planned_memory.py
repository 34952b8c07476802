"""The planned peak of memory beside the measured one, for several methods, networks and sizes; one process for each.

python -m benchmarks.planned_memory [--out FILE]
"""

from __future__ import annotations

import argparse
import json
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.pairs import record_of, write
from potstill.distillation import Settings, distill
from potstill.methods import find_method
from potstill.methods.private import PrivateMethod

CASES = (
    "dm digits 10 convnet:width=32 64 float32",
    "dm mnist 1 convnet 256 float32",
    "dm mnist 50 convnet 256 float32",
    "dm cifar10 10 convnet 256 float32",
    "dm cifar10 50 convnet 256 bfloat16",
    "dm cifar10 10 resnet18 64 float32",
    "dm cifar10 10 resnet18:norm=batch 64 float32",
    "dm cifar10 10 convnet:norm=batch 64 float32",
    "datadam cifar10 10 convnet 128 float32",
    "dc mnist 1 convnet 256 float32",
    "dc cifar10 10 convnet 256 float32",
    "dsa mnist 10 convnet 256 float32",
    "dp-dm mnist 10 convnet 100 float32",
    "dp-dm cifar10 10 convnet 1000 float32",
    "psg mnist 10 convnet 256 float32",
    "psg cifar10 1 convnet 10000 float32",
)
"""Method, dataset, images per class, network, real images per class and precision."""


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--only", help="measure one case, in this process")
    options = parser.parse_args(arguments)
    if options.only:
        print(json.dumps(_measured(*shlex.split(options.only))))
        return
    record = record_of("benchmarks.planned_memory")
    for case in CASES:
        command = [sys.executable, "-m", "benchmarks.planned_memory", "--only", case]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        record[case] = json.loads(done.stdout.splitlines()[-1])
        print(case, record[case], flush=True)
    write(record, options.out)


def _measured(name: str, dataset: str, ipc: str, network: str, batch: str, precision: Any) -> dict[str, float]:
    """The planned and the measured peak of two iterations, in bytes, and the ratio of the two."""
    planned: list[float] = []

    def listen(event: str, fields: dict[str, float]) -> None:
        if event == "memory":
            planned.append(fields["planned"])

    method: Any = find_method(name)
    sizes = {"group" if name == "dp-dm" else "batch_real": int(batch)}
    private = {"queries": 2, "epsilon": 10.0} if issubclass(method, PrivateMethod) else {}
    settings = Settings(
        method=method(**sizes, **private),
        dataset=dataset,
        ipc=int(ipc),
        network=network,
        iterations=2,
        precision=precision,
        compile="off",
        validate_every=0,
    )
    with tempfile.TemporaryDirectory() as folder:
        distill(settings, out=Path(folder) / "run", listen=listen)
        peak = json.loads((Path(folder) / "run" / "manifest.json").read_text())["peak_memory_bytes"]
    return {"planned": round(planned[0]), "measured": peak, "planned / measured": round(planned[0] / peak, 2)}


if __name__ == "__main__":
    main()
