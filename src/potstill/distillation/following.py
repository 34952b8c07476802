"""One distillation by several ranks: what they must agree on, what rank 0 sends to the others, and what these do."""

from __future__ import annotations

import json
import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor

from potstill.data import ImageDataset
from potstill.distillation.plan import Plan
from potstill.methods import Method, Problem, State
from potstill.runtime.errors import UserError
from potstill.runtime.ranks import Messages, Ranks
from potstill.synthetic import SyntheticSet
from potstill.units.worker import code_sha256

START = "start"
"""Name of the tensor that holds the file of the initial set."""


def check_ranks(plan: Plan[Method], dataset: ImageDataset, ranks: Ranks) -> None:
    """Make sure that all ranks would compute the same, and that each has something to do.

    Args:
        plan: the plan of this rank.
        dataset: the images of this rank.
        ranks: all of them.

    Raises:
        UserError: a rank has other code, another PyTorch, other images or other settings; or the work of an iteration
            does not fall into as many parts.
    """
    if ranks.count == 1:
        return
    parts = plan.method.parts(dataset.class_count)
    if parts == 1:
        remedy = "start it without torchrun"
        if hasattr(plan.method, "segments"):
            remedy = f"use `segments={ranks.count}` or more, or {remedy}"
        raise UserError(f"an iteration of {plan.method.name} has one part, which ranks cannot share", remedy)
    if ranks.count > parts:
        raise UserError(f"{ranks.count} ranks share the {parts} parts of an iteration", f"start {parts} ranks or fewer")
    settings = {name: value for name, value in plan.settings.to_dict().items() if name != "device"}
    ours = {
        "code of Potstill": code_sha256(),
        "PyTorch": torch.__version__,
        "images": dataset.fingerprint,
        "settings": json.dumps(settings, sort_keys=True, default=str),
    }
    first, *others = map(json.loads, ranks.told(json.dumps(ours)))
    for rank, theirs in enumerate(others, 1):
        if differing := [name for name in ours if theirs[name] != first[name]]:
            raise UserError(f"rank {rank} has other {' and '.join(differing)} than rank 0", "start all ranks alike")


class Lead:
    """How rank 0 leads the others: it sends them the start, the state before each iteration, and the last one.

    What the others compute of a state is not used: all go on from that of rank 0. Alone it does nothing.

    Args:
        ranks: all of them.
        device: where the others want the tensors.
    """

    def __init__(self, ranks: Ranks, device: torch.device) -> None:
        self._alone = ranks.count == 1
        self._messages = Messages(ranks, device)

    def begin(self, start: SyntheticSet) -> None:
        """Send the initial set."""
        if not self._alone:
            self._messages.send({}, {START: _packed(start)})

    def iterate(self, state: State, iteration: int) -> None:
        """Let the others do an iteration with this one."""
        self._messages.send({"iteration": iteration}, state)

    def end(self, state: State, ending: Mapping[str, Any]) -> None:
        """Send the state that is kept, and how the run ended.

        Args:
            state: the state.
            ending: JSON values by name.
        """
        self._messages.send({"ending": dict(ending)}, state)


def follow(problem: Problem, method: Method) -> tuple[SyntheticSet, dict[str, Any]]:
    """Do the share of a rank other than 0, until rank 0 ends.

    Ctrl-C is left to rank 0.

    Args:
        problem: the problem; its start is replaced with that of rank 0.
        method: the method.

    Returns:
        The set that rank 0 keeps, without provenance, and how it ended.

    Raises:
        LostRank: rank 0 ended without a word.
    """
    device = problem.compute.device
    with _interrupts_ignored():
        _, tensors = Messages(problem.ranks, torch.device("cpu")).receive()
        problem = replace(problem, start=_unpacked(tensors[START]))
        messages = Messages(problem.ranks, device)
        while True:
            values, state = messages.receive()
            if "ending" in values:
                return method.result(problem, state), values["ending"]
            method.step(problem, state, values["iteration"])


@contextmanager
def _interrupts_ignored() -> Iterator[None]:
    """Within this context Ctrl-C, which reaches all ranks of a terminal, changes nothing."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _packed(synthetic: SyntheticSet) -> Tensor:
    """The file of a set."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "start.safetensors"
        synthetic.save(path)
        return torch.frombuffer(bytearray(path.read_bytes()), dtype=torch.uint8)


def _unpacked(content: Tensor) -> SyntheticSet:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "start.safetensors"
        path.write_bytes(content.numpy().tobytes())
        return SyntheticSet.load(path)
