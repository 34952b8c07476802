"""One distillation by several ranks: what they must agree on, what rank 0 sends to the others, and what these do."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor

from potstill.data import ImageDataset
from potstill.distillation.plan import Plan
from potstill.distillation.provenance import Provenance
from potstill.methods import Method, Problem, State
from potstill.runtime.errors import Diverged, LostRank, UserError
from potstill.runtime.files import sha256
from potstill.runtime.interrupts import interrupts_ignored
from potstill.runtime.ranks import Messages, Ranks
from potstill.schema.manifest import Status
from potstill.synthetic import SyntheticSet
from potstill.units.worker import code_sha256

SET = "set"
"""Name of the tensor that holds the file of a set."""


def check_ranks(plan: Plan[Method], dataset: ImageDataset, ranks: Ranks) -> None:
    """Make sure that all ranks would compute the same, and that each has something to do.

    Args:
        plan: the plan of this rank.
        dataset: the images of this rank.
        ranks: all of them.

    Raises:
        UserError: an iteration cannot be divided among so many ranks; or one of them differs from rank 0 in code,
            PyTorch, images, weights, settings or kind of device.
    """
    if ranks.count == 1:
        return
    name, parts = plan.method.name, plan.method.parts_of_iteration(dataset.class_count)
    if parts == 1:
        remedy = "start it without torchrun; docs/scaling.md says what can be divided"
        raise UserError(f"an iteration of {name} cannot be divided among ranks", remedy)
    if ranks.count > parts:
        remedy = f"start {parts} ranks or fewer"
        raise UserError(f"an iteration of {name} has {parts} parts, and there are {ranks.count} ranks", remedy)
    first, *others = map(json.loads, ranks.texts_of_all(json.dumps(_identity(plan, dataset))))
    for rank, theirs in enumerate(others, 1):
        differing = [name for name in sorted(first | theirs) if theirs.get(name) != first.get(name)]
        if differing:
            raise UserError(f"rank {rank} differs from rank 0 in its {', '.join(differing)}", "start all ranks alike")


def _identity(plan: Plan[Method], dataset: ImageDataset) -> dict[str, Any]:
    """What must be equal on all ranks, as JSON values by name."""
    settings = plan.settings.to_dict()
    options = settings.pop("method") | settings
    source = inspect.getsourcefile(type(plan.method))
    identity = {
        **{f"`{name}`": value for name, value in options.items() if name not in ("dataset", "device")},
        "code of Potstill": code_sha256(),
        "code of the method": sha256(Path(source).read_bytes()) if source else "",
        "version of PyTorch": torch.__version__,
        "images": dataset.fingerprint,
        "weights": Provenance(plan, dataset).input_sha256,
        "kind of device": plan.compute.device.type,
    }
    return json.loads(json.dumps(identity, default=str))


class Lead:
    """How rank 0 leads the others: it sends them the start, the state before each iteration, and the set that is kept.

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
            self._messages.send({}, {SET: _packed(start)})

    def iterate(self, state: State, iteration: int) -> None:
        """Let the others do an iteration with this one."""
        self._messages.send({"iteration": iteration}, state)

    def end(self, chosen: SyntheticSet, status: Status) -> None:
        """Send the set that is kept, and how the run ended; whoever has ended before does not need it."""
        if not self._alone:
            with suppress(LostRank):
                self._messages.send({"status": status}, {SET: _packed(chosen)})


def follow(
    plan: Plan[Method], ranks: Ranks, problem_of: Callable[[SyntheticSet], Problem]
) -> tuple[SyntheticSet, Status]:
    """Do the share of a rank other than 0, until rank 0 ends.

    Ctrl-C is left to rank 0, and so is a divergence, which all ranks notice.

    Args:
        plan: the plan of the run.
        ranks: all of them.
        problem_of: makes the problem from the initial set.

    Returns:
        The set that rank 0 keeps, and how the run ended.

    Raises:
        LostRank: rank 0 ended unexpectedly.
    """
    messages = Messages(ranks, plan.compute.device)
    with interrupts_ignored():
        problem = problem_of(_unpacked(messages.receive()[1][SET]))
        while True:
            values, tensors = messages.receive()
            if "status" in values:
                return _unpacked(tensors[SET]), values["status"]
            with suppress(Diverged):
                plan.method.step(problem, tensors, values["iteration"])


def _packed(synthetic: SyntheticSet) -> Tensor:
    """The file of a set."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "set.safetensors"
        synthetic.save(path)
        return torch.frombuffer(bytearray(path.read_bytes()), dtype=torch.uint8)


def _unpacked(content: Tensor) -> SyntheticSet:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "set.safetensors"
        path.write_bytes(content.cpu().numpy().tobytes())
        return SyntheticSet.load(path)
