"""An iteration of matching never waits for the device: what is computed there is not read by the program.

Here there is no accelerator. Instead, every tensor that would be on one is followed: the real images, the network, the
state, and whatever is computed from them. Reading a number of such a tensor would wait for the device.
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
from tests.small import problem

READS = {"item", "tolist", "__bool__", "__float__", "__int__", "__index__", "cpu", "numpy"}
SIZED_BY_VALUES = {"aten::nonzero", "aten::masked_select", "aten::_unique2", "aten::_local_scalar_dense"}
"""Operations whose result has a shape that only the values tell, or is a number."""


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
            if func._schema.name in SIZED_BY_VALUES:
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
        if getattr(func, "__name__", "") in READS and args[0] in self.device:
            self.device.waits.append(func.__name__)
        return func(*args, **(kwargs or {}))


@contextmanager
def following(given: Problem, state: dict[str, Tensor]) -> Iterator[OnDevice]:
    device = OnDevice()
    for tensor in (given.real.images, given.real.labels, given.start_images, *state.values()):
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
    state, _ = method.step(given, state, 0)
    seen = UnseenSteps(torch.device("cpu"))
    with following(given, state) as device:
        state, loss = method.step(given, state, 1)
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
        assert torch.ones(2).sum().item() == 2  # this one is on the CPU in any case
    waits = [wait for wait in device.waits if wait != "aten::_local_scalar_dense"]
    assert waits == ["item", "__bool__", "aten::nonzero"]
