"""Where networks and images lie, and what an optimiser moves."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from potstill.engine import layout
from potstill.engine.layout import (
    CPU_CHUNK_PIXELS,
    CPU_CHUNK_VALUES,
    GPU_CHUNK_PIXELS,
    MasterWeights,
    arrange_images,
    chunk_size,
    is_compiled,
    part_size,
    place_network,
    share_of_chunk,
    shrinking_chunks,
)
from potstill.networks import ImageShape, Network, build_network
from potstill.runtime.compute import CPU, Compute
from tests.small import CPU64, NETWORK

BFLOAT16 = Compute(torch.device("cpu"), "bfloat16")


def network(spec: str = NETWORK) -> Network:
    return build_network(spec, ImageShape(2, 8, 10), 3, torch.Generator().manual_seed(0))


def draw(count: int) -> Tensor:
    return torch.randn(count, 2, 8, 10, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(
    ("spec", "gains"),
    [("convnet", True), ("convnet:norm=batch", True), ("vgg11", True), ("convnet:norm=none", False), ("mlp", False)],
)
def test_networks_with_norms_are_compiled_where_anything_is(spec, gains):
    shape = ImageShape(1, 28, 28)
    some = build_network(spec, shape, 10, torch.Generator().manual_seed(0))
    assert is_compiled(some, Compute(torch.device("cpu"), compile=True)) == gains
    assert not is_compiled(some, CPU)


def test_weights_and_images_lie_channels_last():
    weights = [parameter for parameter in place_network(network(), CPU64).parameters() if parameter.dim() == 4]
    assert weights
    assert all(weight.is_contiguous(memory_format=torch.channels_last) for weight in weights)
    images = arrange_images(draw(3), CPU)
    assert images.dtype == torch.float32
    assert images.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("count", [1, 3])
def test_grey_images_have_one_layout_whatever_they_came_in(count: int):
    grey = torch.randn(count, 1, 4, 5)
    twice = torch.randn(count, 4, 5, 1).permute(0, 3, 1, 2)
    assert grey.stride() != twice.stride()
    assert {arrange_images(images, CPU).stride() for images in (grey, twice)} == {(20, 1, 5, 1)}
    assert arrange_images(grey, CPU).equal(grey)


@pytest.mark.parametrize(
    ("count", "side", "size"),
    [
        (10, 28, 5),  # two cores share it, though it would fit the cache of one
        (10, 8, 10),  # too little to share
        (11, 28, 6),
        (100, 28, 10),
        (256, 28, 10),
        (21, 28, 7),  # parts of one size, not two full ones and a rest
        (1, 224, 1),
        (3, 224, 1),
        (0, 28, 10),
    ],
)
def test_parts_of_a_batch_fit_the_cache_and_are_of_one_size(count: int, side: int, size: int):
    images = torch.empty(count, 1, side, side)
    convnet = build_network("convnet", ImageShape(*images.shape[1:]), 10, torch.Generator())
    assert part_size(images, convnet, torch.device("cpu")) == size


def test_a_batch_whose_images_depend_on_each_other_is_not_divided():
    images = torch.empty(256, 1, 28, 28)
    batch_norm = build_network("convnet:norm=batch", ImageShape(1, 28, 28), 10, torch.Generator())
    assert (
        part_size(images, batch_norm, torch.device("cpu")) == len(images) > chunk_size(images, batch_norm, CPU.device)
    )


@pytest.mark.parametrize(
    ("spec", "largest"),
    [("convnet", 128 * 32 * 32), ("convnet:width=8", 8 * 32 * 32), ("lenet", 6 * 28 * 28), ("mlp:width=5", 28 * 28)],
)
def test_chunks_are_as_large_as_a_networks_largest_map_lets_them_be(spec: str, largest: int):
    images = torch.empty(10, 1, 28, 28)
    some = build_network(spec, ImageShape(1, 28, 28), 10, torch.Generator())
    assert max(some.map_sizes(images)) == largest
    assert chunk_size(images, some, torch.device("cpu")) == min(CPU_CHUNK_VALUES // largest, CPU_CHUNK_PIXELS // 784)


def test_an_accelerator_takes_all_that_fits():
    images = torch.empty(10, 3, 32, 32)
    assert part_size(images, network(), torch.device("cuda")) == GPU_CHUNK_PIXELS // 2048


def test_running_statistics_stay_in_single_precision():
    made = place_network(network("convnet:depth=2:width=4:norm=batch"), BFLOAT16).train()
    assert all(buffer.dtype == torch.float32 for buffer in made.buffers() if buffer.is_floating_point())
    assert all(m.weight.dtype == torch.bfloat16 for m in made.modules() if isinstance(m, nn.Conv2d))
    assert made(arrange_images(draw(4), BFLOAT16)).dtype == torch.bfloat16


@pytest.mark.parametrize("compute", [CPU, CPU64])
def test_masters_are_the_networks_own_where_nothing_is_lost(compute: Compute):
    made = place_network(network(), compute)
    masters = MasterWeights(made)
    assert all(master is own for master, own in zip(masters.parameters, made.parameters(), strict=True))


def test_steps_too_small_for_bfloat16_add_up_in_the_masters():
    made = place_network(network(), BFLOAT16)
    masters = MasterWeights(made)
    before = made.classifier.bias.detach().clone()
    for _ in range(1000):
        masters.named["classifier.bias"].data += before.float() * 1e-3
        masters.hand_over()
    torch.testing.assert_close(made.classifier.bias, before * 2, rtol=0.01, atol=0)


def test_masters_are_restored_by_name():
    masters, others = (MasterWeights(place_network(network(), BFLOAT16)) for _ in range(2))
    for master in masters.parameters:
        master.data += 1 / 3
    made = place_network(network(), BFLOAT16)
    others = MasterWeights(made)
    others.restore(masters.named)
    assert all(one.equal(other) for one, other in zip(masters.parameters, others.parameters, strict=True))
    assert all(p.equal(master.bfloat16()) for p, master in zip(made.parameters(), others.parameters, strict=True))


def test_masters_take_over_what_the_network_was_given():
    made = place_network(network(), BFLOAT16)
    masters = MasterWeights(made)
    made.initialise(torch.Generator().manual_seed(9))
    masters.take_over()
    assert all(m.equal(p.float()) for m, p in zip(masters.parameters, made.parameters(), strict=True))
    assert all(master.dtype == torch.float32 for master in masters.parameters)


def test_outside_of_a_run_chunks_are_whole_and_nothing_is_remembered():
    assert share_of_chunk(100) == 100
    assert share_of_chunk(0) == 1
    assert layout._shrinking.get() is None
    with shrinking_chunks() as halve:
        assert not halve(), "nothing was taken in chunks within"


def test_chunks_are_halved_until_nothing_can_be_smaller():
    some, images = network(), torch.empty(5, 2, 8, 10)
    usual = chunk_size(images, some, torch.device("cpu"))
    with shrinking_chunks() as halve:
        assert not halve(), "nothing was taken in chunks"
        sizes = [chunk_size(images, some, torch.device("cpu"))]
        while halve():
            sizes.append(chunk_size(images, some, torch.device("cpu")))
        assert sizes == [max(int(usual / 2**times), 1) for times in range(len(sizes))]
        assert sizes[-1] == 1
        assert 1 not in sizes[:-1]
    assert chunk_size(images, some, torch.device("cpu")) == usual
