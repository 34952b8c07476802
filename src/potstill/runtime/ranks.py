"""Ranks: processes that do one distillation together, each on its own device, as ``torchrun`` starts them.

Rank 0 decides and writes. The others wait for what it sends, do their share of an iteration and hand it over. All that
is exchanged goes through Gloo, by way of the CPU: means and gradients of synthetic images are small.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, distributed

from potstill.runtime.errors import LostRank, UserError, is_lack_of_memory
from potstill.runtime.machine import core_count, torchrun_rank

PATIENCE = timedelta(days=1)
"""How long a rank waits for another, which may have to train selections first. One whose process ended closes its
connections, and is not waited for."""


@dataclass(frozen=True)
class Ranks:
    """The processes that do one distillation together. Alone, a process keeps all parts, and exchanges nothing.

    After an error they are of no more use: rank 0 may have ended where the others still wait for it.

    Attributes:
        rank: the number of this process; 0 decides and writes.
        count: the number of processes.
        local_rank: the number of this process on its machine, which is that of its GPU.
        local_count: the number of processes on its machine.
    """

    rank: int = 0
    count: int = 1
    local_rank: int = 0
    local_count: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this is rank 0."""
        return self.rank == 0

    @property
    def workers(self) -> int | None:
        """The threads of this process on a CPU, which the ranks of a machine share; None for one per core."""
        return None if self.local_count == 1 else max(core_count() // self.local_count, 1)

    def device(self, name: str) -> str:
        """The device of this rank, where a user asks for the one called ``name``: each rank takes a GPU of its own.

        Raises:
            UserError: there are more ranks on this machine than GPUs.
        """
        if self.count == 1 or not torch.cuda.is_available() or not (name == "auto" or name.startswith("cuda")):
            return name
        if (there := torch.cuda.device_count()) == 1:  # all that there is, or all that this rank is shown
            return "cuda:0"
        if self.local_count > there:
            raise UserError(
                f"this machine has {there} GPUs for {self.local_count} ranks",
                f"start {there} ranks on it, or use `device=cpu`",
            )
        return f"cuda:{self.local_rank}"

    def share(self, parts: int) -> slice:
        """Which of so many parts are this rank's: consecutive ones; no rank has two more than another."""
        return self._shares(parts)[self.rank]

    def gathered(self, rows: Tensor, parts: int) -> Tensor:
        """The rows (parts * n, ...) of all ranks, ordered by part, without a graph: copied, and nothing is added.

        Args:
            rows: (own parts * n, ...), n of each part, ordered by part.
            parts: the number of parts.

        Raises:
            ValueError: the number of rows is not a multiple of that of this rank's parts.
        """
        shares = [share.stop - share.start for share in self._shares(parts)]
        if len(rows) % shares[self.rank]:
            raise ValueError(f"{len(rows)} rows cannot be divided equally among {shares[self.rank]} parts")
        if self.count == 1:
            return rows.detach()
        by_part = rows.detach().reshape(shares[self.rank], -1)
        padded = torch.zeros(max(shares), by_part.shape[1], dtype=rows.dtype)
        padded[: len(by_part)] = by_part.cpu()
        found = [torch.empty_like(padded) for _ in shares]
        _exchanged(distributed.all_gather, [_bytes_of(part) for part in found], _bytes_of(padded))
        whole = torch.cat([part[:share] for part, share in zip(found, shares, strict=True)])
        return whole.reshape(-1, *rows.shape[1:]).to(rows.device)

    def texts_of_all(self, text: str) -> list[str]:
        """The texts that all ranks give, by rank."""
        if self.count == 1:
            return [text]
        ours = text.encode()
        sizes = [torch.empty(1, dtype=torch.int64) for _ in range(self.count)]
        _exchanged(distributed.all_gather, sizes, torch.tensor([len(ours)]))
        padded = torch.zeros(max(map(int, sizes)), dtype=torch.uint8)
        padded[: len(ours)] = _tensor_of(ours)
        found = [torch.empty_like(padded) for _ in sizes]
        _exchanged(distributed.all_gather, found, padded)
        return [_content_of(part[: int(size)]).decode() for part, size in zip(found, sizes, strict=True)]

    def _shares(self, parts: int) -> list[slice]:
        bounds = [parts * rank // self.count for rank in range(self.count + 1)]
        return [slice(start, end) for start, end in pairwise(bounds)]


ALONE = Ranks()
"""One process."""


class Messages:
    """What rank 0 sends to the others: plain values, and tensors, which are sent again only if they have changed.

    Args:
        ranks: all of them; a process alone sends nothing.
        device: where the receivers want the tensors.
    """

    def __init__(self, ranks: Ranks, device: torch.device) -> None:
        self._ranks, self._device = ranks, device
        self._last: dict[str, Tensor] = {}

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
        _broadcast(torch.tensor([len(header)]))
        _broadcast(_tensor_of(header))
        for tensor in new.values():
            _broadcast(_bytes_of(tensor.detach().cpu().contiguous()))
        self._last = dict(tensors)

    def receive(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """The values and the tensors of the next message from rank 0."""
        size = torch.empty(1, dtype=torch.int64)
        _broadcast(size)
        header = torch.empty(int(size), dtype=torch.uint8)
        _broadcast(header)
        message = json.loads(_content_of(header))
        tensors = {}
        for name, described in message["tensors"].items():
            if described is None:
                tensors[name] = self._last[name]
                continue
            dtype, shape = described
            tensor = torch.empty(shape, dtype=getattr(torch, dtype))
            _broadcast(_bytes_of(tensor))
            tensors[name] = tensor.to(self._device)
        self._last = tensors
        return message["values"], tensors


@contextmanager
def joined_ranks() -> Iterator[Ranks]:
    """The ranks that ``torchrun`` started, which exchange within this context; or this process alone.

    Raises:
        UserError: they do not find each other.
    """
    if torchrun_rank() is None:
        yield ALONE
        return
    try:
        distributed.init_process_group("gloo", timeout=PATIENCE)
    except (ValueError, RuntimeError) as error:
        raise UserError(f"this rank cannot join the others: {error}", "start all of them with torchrun") from error
    try:
        local_rank, local_count = (int(os.environ[name]) for name in ("LOCAL_RANK", "LOCAL_WORLD_SIZE"))
        yield Ranks(distributed.get_rank(), distributed.get_world_size(), local_rank, local_count)
    finally:
        distributed.destroy_process_group()


def _exchanged(exchange: Callable[..., Any], *arguments: Any, **options: Any) -> None:
    """Exchange tensors with the other ranks.

    Raises:
        LostRank: one of them is gone.
    """
    try:
        exchange(*arguments, **options)
    except RuntimeError as error:
        if is_lack_of_memory(error):
            raise
        (reason, *_) = str(error).strip().splitlines() or [type(error).__name__]
        raise LostRank(
            f"another rank ended, and this one cannot continue alone ({reason.rstrip('.')})",
            "see what the others printed; a run that has begun continues with `resume=True`, on any number of ranks",
        ) from error


def _broadcast(tensor: Tensor) -> None:
    _exchanged(distributed.broadcast, tensor, src=0)


def _bytes_of(tensor: Tensor) -> Tensor:
    """The bytes of a contiguous tensor, of any type: a view."""
    return tensor.reshape(-1).view(torch.uint8)


def _tensor_of(content: bytes) -> Tensor:
    return torch.frombuffer(bytearray(content), dtype=torch.uint8) if content else torch.empty(0, dtype=torch.uint8)


def _content_of(tensor: Tensor) -> bytes:
    return tensor.numpy().tobytes()


def _described(tensor: Tensor) -> tuple[str, tuple[int, ...]]:
    return str(tensor.dtype).removeprefix("torch."), tuple(tensor.shape)
