"""Group norm of maps in channels-last order: ours against PyTorch's, forward and back, in CPU milliseconds of a thread.

    python -m benchmarks.norms [--pairs 7] [--out FILE]

Both take turns; medians are quoted.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.pairs import record_of, write
from potstill.networks.group_norm import GroupNorm
from potstill.runtime.parallel import one_thread

SHAPES = [(20, 128, 28, 28), (20, 32, 28, 28), (100, 128, 14, 14), (50, 64, 32, 32), (1, 128, 224, 224)]
"""Maps as networks have them: of chunks that fit the cache."""


def main() -> None:
    """Print a line for each shape and precision, and write the record if asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=7)
    parser.add_argument("--out")
    options = parser.parse_args()
    record = record_of("benchmarks.norms", maps={})
    with one_thread():
        for shape in SHAPES:
            for dtype in (torch.float32, torch.bfloat16):
                name = f"{'x'.join(map(str, shape))}, {str(dtype).removeprefix('torch.')}"
                record["maps"][name] = found = _compared(shape, dtype, options.pairs)
                print(f"{name}: {found['theirs']:.1f} -> {found['ours']:.1f} ms, {found['ratio']:.1f} x", flush=True)
    write(record, options.out)


def _compared(shape: tuple[int, ...], dtype: torch.dtype, pairs: int) -> dict[str, float]:
    generator = torch.Generator().manual_seed(0)
    maps, gradient = (
        torch.randn(shape, generator=generator).to(dtype).contiguous(memory_format=torch.channels_last)
        for _ in range(2)
    )
    norm = GroupNorm(shape[1], shape[1]).to(dtype).requires_grad_(False)

    def theirs(given: Tensor) -> Tensor:
        return F.group_norm(given, norm.num_groups, norm.weight, norm.bias, norm.eps)

    for way in (theirs, norm):
        _timed(way, maps, gradient)
    found = [(_timed(theirs, maps, gradient), _timed(norm, maps, gradient)) for _ in range(pairs)]
    return {
        "theirs": statistics.median(slow for slow, _ in found),
        "ours": statistics.median(fast for _, fast in found),
        "ratio": statistics.median(slow / fast for slow, fast in found),
    }


def _timed(norm: Callable[[Tensor], Tensor], maps: Tensor, gradient: Tensor) -> float:
    """CPU milliseconds of this process, forward and back."""
    given = maps.detach().requires_grad_()
    started = time.process_time()
    torch.autograd.grad(norm(given), given, gradient)
    return (time.process_time() - started) * 1e3


if __name__ == "__main__":
    main()
