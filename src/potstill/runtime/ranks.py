"""Ranks: processes that do one distillation together, each on its own device, as ``torchrun`` starts them.

Rank 0 decides and writes. The others wait for what it sends, do their share of an iteration and hand it over.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import wraps
from itertools import pairwise
from typing import Any, ParamSpec, TypeVar

import torch
from torch import Tensor, distributed

from potstill.runtime.errors import LostRank
from potstill.runtime.machine import torchrun_rank
from potstill.runtime.parallel import core_count

P = ParamSpec("P")
R = TypeVar("R")

_ON_MACHINE = {"LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "1"}

PATIENCE = timedelta(days=1)
"""How long a rank waits for another. A rank that ended closes its connection, and is not waited for."""


def _may_lose_a_rank(exchange: Callable[P, R]) -> Callable[P, R]:
    """An exchange of tensors, whose errors say that a rank is gone."""

    @wraps(exchange)
    def checked(*arguments: P.args, **options: P.kwargs) -> R:
        try:
            return exchange(*arguments, **options)
        except RuntimeError as error:
            if "out of memory" in str(error):
                raise
            raise LostRank(
                "another rank ended, and this one cannot go on alone",
                "see what it printed; resume with `resume=True`, on any number of ranks",
            ) from error

    return checked


@dataclass(frozen=True)
class Ranks:
    """The processes that do one distillation together. Alone, a process keeps all parts, and exchanges nothing.

    Attributes:
        rank: the number of this process; 0 decides and writes.
        count: the number of processes.
        local: the number of this process on its machine, which is that of its device.
        beside: the number of processes on its machine.
    """

    rank: int = 0
    count: int = 1
    local: int = 0
    beside: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this is rank 0."""
        return self.rank == 0

    @property
    def workers(self) -> int | None:
        """The threads of this process on a CPU, which the ranks of a machine share; None for one per core."""
        return None if self.beside == 1 else max(core_count() // self.beside, 1)

    def device(self, name: str) -> str:
        """The device of this rank, where a user asks for the one called ``name``: each rank takes a GPU of its own."""
        if self.count == 1 or not torch.cuda.is_available() or not (name == "auto" or name.startswith("cuda")):
            return name
        return f"cuda:{self.local}"

    def share(self, parts: int) -> slice:
        """Which of so many parts are this rank's: consecutive ones; no rank has two more than another."""
        return self._shares(parts)[self.rank]

    def own(self, rows: Tensor, parts: int) -> Tensor:
        """The rows (own parts * n, ...) of this rank's parts.

        Args:
            rows: (parts * n, ...), ordered by part.
            parts: the number of parts.
        """
        return rows if self.count == 1 else rows.unflatten(0, (parts, -1))[self.share(parts)].flatten(0, 1)

    @_may_lose_a_rank
    def gathered(self, rows: Tensor, parts: int) -> Tensor:
        """The rows (parts * n, ...) of all ranks, ordered by part: bytes are copied, nothing is added.

        Args:
            rows: (own parts * n, ...), n of each part, as in ``own``.
            parts: the number of parts.
        """
        if self.count == 1:
            return rows
        shares = [share.stop - share.start for share in self._shares(parts)]
        by_part = rows.detach().reshape(shares[self.rank], -1)
        padded = by_part.new_zeros(max(shares), by_part.shape[1])
        padded[: len(by_part)] = by_part
        found = [torch.empty_like(padded) for _ in shares]
        distributed.all_gather([_bytes_of(part) for part in found], _bytes_of(padded))
        whole = torch.cat([part[:share] for part, share in zip(found, shares, strict=True)])
        return whole.reshape(-1, *rows.shape[1:])

    @_may_lose_a_rank
    def told(self, text: str) -> list[str]:
        """The texts of all ranks, by rank."""
        if self.count == 1:
            return [text]
        ours = torch.frombuffer(bytearray(text.encode() or b" "), dtype=torch.uint8)
        sizes = [torch.empty(1, dtype=torch.int64) for _ in range(self.count)]
        distributed.all_gather(sizes, torch.tensor([len(ours)]))
        largest = max(int(size) for size in sizes)
        found = [torch.empty(largest, dtype=torch.uint8) for _ in sizes]
        padded = torch.zeros(largest, dtype=torch.uint8)
        padded[: len(ours)] = ours
        distributed.all_gather(found, padded)
        return [bytes(part[: int(size)].tolist()).decode() for part, size in zip(found, sizes, strict=True)]

    def _shares(self, parts: int) -> list[slice]:
        bounds = [parts * rank // self.count for rank in range(self.count + 1)]
        return [slice(start, end) for start, end in pairwise(bounds)]


ALONE = Ranks()
"""One process."""


class Messages:
    """What rank 0 sends to the others: plain values, and tensors that are sent again only if they are others.

    Args:
        ranks: all of them.
        device: where the others want the tensors.
    """

    def __init__(self, ranks: Ranks, device: torch.device) -> None:
        self._ranks, self._device = ranks, device
        self._last: dict[str, Tensor] = {}

    @_may_lose_a_rank
    def send(self, values: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
        """Send a message from rank 0.

        Args:
            values: JSON values by name.
            tensors: by name; one that is the same object as in the last message must have the same values.
        """
        if self._ranks.count == 1:
            return
        new = {name: tensor for name, tensor in tensors.items() if tensor is not self._last.get(name)}
        described = {name: _described(tensor) if name in new else None for name, tensor in tensors.items()}
        header = json.dumps({"values": dict(values), "tensors": described}).encode()
        distributed.broadcast(torch.tensor([len(header)]), src=0)
        distributed.broadcast(torch.frombuffer(bytearray(header), dtype=torch.uint8), src=0)
        for tensor in new.values():
            distributed.broadcast(_bytes_of(tensor.detach().contiguous()), src=0)
        self._last = dict(tensors)

    @_may_lose_a_rank
    def receive(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """The values and the tensors of the next message from rank 0."""
        size = torch.empty(1, dtype=torch.int64)
        distributed.broadcast(size, src=0)
        header = torch.empty(int(size), dtype=torch.uint8)
        distributed.broadcast(header, src=0)
        message = json.loads(bytes(header.tolist()))
        tensors = {}
        for name, described in message["tensors"].items():
            if described is None:
                tensors[name] = self._last[name]
                continue
            dtype, shape = described
            tensors[name] = torch.empty(shape, dtype=getattr(torch, dtype), device=self._device)
            distributed.broadcast(_bytes_of(tensors[name]), src=0)
        self._last = tensors
        return message["values"], tensors


@contextmanager
def joined_ranks() -> Iterator[Ranks]:
    """The ranks that ``torchrun`` started, which exchange within this context; or this process alone."""
    if torchrun_rank() is None:
        yield ALONE
        return
    nccl = torch.cuda.is_available() and distributed.is_nccl_available()
    distributed.init_process_group("cpu:gloo,cuda:nccl" if nccl else "gloo", timeout=PATIENCE)
    try:
        local, beside = (int(os.environ.get(name, default)) for name, default in _ON_MACHINE.items())
        yield Ranks(distributed.get_rank(), distributed.get_world_size(), local, beside)
    finally:
        distributed.destroy_process_group()


def _bytes_of(tensor: Tensor) -> Tensor:
    """The bytes of a contiguous tensor, of any type: a view."""
    return tensor.reshape(-1).view(torch.uint8)


def _described(tensor: Tensor) -> tuple[str, Sequence[int]]:
    return str(tensor.dtype).removeprefix("torch."), tuple(tensor.shape)
