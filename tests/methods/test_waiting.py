"""An iteration of matching never waits for the device: what is computed there is not read by the program.

Here there is no accelerator. Instead, every tensor that would be on one is followed: the real images, the network, the
state, and whatever is computed from them. Reading a number of such a tensor would wait for the device, and so would
sending it another tensor without ``non_blocking``.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils import _pytree as tree
from torch.utils._python_dispatch import TorchDispatchMode

from potstill.distillation.unseen_steps import UnseenSteps
from potstill.methods import DC, DM, DSA, DataDAM, Method, Problem
from potstill.networks import Network
from tests.small import problem

READS = {"item", "tolist", "__bool__", "__float__", "__int__", "__index__", "cpu", "numpy"}
SIZED_BY_VALUES = {
    "aten::nonzero",
    "aten::masked_select",
    "aten::_unique2",
    "aten::unique_dim",
    "aten::equal",
    "aten::_local_scalar_dense",
}
"""Operations whose result has a shape that only the values tell, or is a number."""
INDEXED = {"aten::index", "aten::index_put_", "aten::_index_put_impl_"}
"""Operations of which the same holds if they are given a mask."""


class OnDevice:
    """Tensors that would be on the device, by their memory; all are kept, so that no memory is used again."""

    def __init__(self) -> None:
        self._kept: list[Tensor] = []
        self._memory: set[int] = set()
        self.waits: list[str] = []

    def add(self, tensor: Tensor) -> None:
        self._kept.append(tensor)
        self._memory.add(tensor.untyped_storage()._cdata)

    def __contains__(self, value: Any) -> bool:
        return isinstance(value, Tensor) and value.untyped_storage()._cdata in self._memory


class Follow(TorchDispatchMode):
    """Follows what is computed."""

    def __init__(self, device: OnDevice) -> None:
        super().__init__()
        self.device = device

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        if any(value in self.device for value in tree.tree_leaves((args, kwargs))):
            inside = [value for value in tree.tree_leaves(args[1:]) if isinstance(value, Tensor)]
            masked = func._schema.name in INDEXED and any(value.dtype == torch.bool for value in inside)
            if func._schema.name in SIZED_BY_VALUES or masked:
                self.device.waits.append(func._schema.name)
            for value in tree.tree_leaves(made):
                if isinstance(value, Tensor):
                    self.device.add(value)
        return made


class Read(TorchFunctionMode):
    """Notices what is read."""

    def __init__(self, device: OnDevice) -> None:
        super().__init__()
        self.device = device

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = getattr(func, "__name__", "")
        if name in READS and args[0] in self.device:
            self.device.waits.append(name)
        if self._sends(name, args) and not (kwargs or {}).get("non_blocking"):
            self.device.waits.append(f"{name} from the CPU")
        return func(*args, **(kwargs or {}))

    def _sends(self, name: str, args: Any) -> bool:
        """Whether a tensor that is not on the device is copied to it."""
        if name == "copy_":
            return args[0] in self.device and args[1] not in self.device
        if name == "to" and args[0] not in self.device:
            return any(isinstance(where, torch.device) or where in self.device for where in args[1:])
        return False


@contextmanager
def following(given: Problem, state: dict[str, Tensor]) -> Iterator[OnDevice]:
    device = OnDevice()
    made = [getattr(tool, "network", None) for tool in given._tools.values()]
    networks = [network for network in made if isinstance(network, Network)]
    parameters = [parameter for network in networks for parameter in network.parameters()]
    for tensor in (given.real.images, given.real.labels, given.start_images, *state.values(), *parameters):
        device.add(tensor)
    with Read(device), Follow(device):
        yield device


METHODS = {
    "dm": DM(batch_real=4),
    "datadam": DataDAM(batch_real=4),
    "datadam trained": DataDAM(batch_real=4, network_iterations=4, network_steps=2),
    "dc": DC(batch_real=4, outer_loops=4, inner_epochs=1),
    "dsa": DSA(batch_real=4, outer_loops=4, inner_epochs=1),
}


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
def test_an_iteration_reads_nothing_from_the_device(method: Method):
    given = problem(ipc=2)
    state = method.prepare(given)
    state, _ = method.step(given, state, 0)  # makes the networks
    seen = UnseenSteps(torch.device("cpu"))
    with following(given, state) as device:
        for iteration in (1, 2, 3, 4):  # at the fourth, a network that lives for four is drawn anew
            state, loss = method.step(given, state, iteration)
        seen.add(loss, state)
        assert loss in device
        assert device.waits == []
        [only] = seen.look()
    assert device.waits == ["tolist"]
    assert only.is_finite


def test_a_read_is_noticed():
    given = problem()
    state = DM(batch_real=4).prepare(given)
    with following(given, state) as device:
        assert (state["images"] * 2).sum().item() != 0
        assert bool(state["images"].isfinite().all())
        (state["images"] > 0).nonzero()
        state["images"][state["images"] > 0].add(1)
        torch.ones(10).to(state["images"].device)
        state["images"].copy_(torch.zeros(state["images"].shape))
        state["images"].copy_(torch.zeros(state["images"].shape), non_blocking=True)
        assert torch.ones(2).sum().item() == 2  # this one is on the CPU in any case
    waits = [wait for wait in device.waits if wait != "aten::_local_scalar_dense"]
    assert waits == ["item", "__bool__", "aten::nonzero", "aten::index", "to from the CPU", "copy_ from the CPU"]
