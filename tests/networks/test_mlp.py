from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F


@pytest.mark.parametrize(
    ("spec", "shape", "parameters"),
    [
        ("mlp", (1, 28, 28), 784 * 128 + 128 + 128 * 128 + 128 + 128 * 10 + 10),
        ("mlp", (3, 32, 32), 3072 * 128 + 128 + 128 * 128 + 128 + 128 * 10 + 10),
        ("mlp:depth=1:width=5", (1, 2, 3), 6 * 5 + 5 + 5 * 10 + 10),
    ],
)
def test_parameter_count(spec, shape, parameters, build, count_parameters):
    assert count_parameters(build(spec, shape)) == parameters


def test_agrees_with_its_plain_twin(build, draw):
    network, images = build("mlp:depth=2:width=6", (2, 4, 3)), draw(5, (2, 4, 3))
    first, bias1, second, bias2, last, bias3 = network.parameters()
    one = F.relu(images.flatten(1) @ first.T + bias1)
    two = F.relu(one @ second.T + bias2)
    seen = network.observe(images)
    torch.testing.assert_close(seen.maps, (one[:, :, None, None], two[:, :, None, None]))
    torch.testing.assert_close(seen.embedding, two)
    torch.testing.assert_close(seen.logits, two @ last.T + bias3)


def test_reads_channels_last_images_in_the_same_order(build, draw):
    network, images = build("mlp", (3, 8, 8)), draw(2, (3, 8, 8))
    torch.testing.assert_close(network(images.to(memory_format=torch.channels_last)), network(images))
