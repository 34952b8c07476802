"""Networks near given weights: a step of a normal draw, no longer than the radius, and nothing of the classifier."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from potstill.networks import ImageShape, NearbyWeights, Network, build_network
from potstill.networks.weights import CLASSIFIER, keep_weights, kept_weights, snapshot
from potstill.runtime.errors import UserError
from potstill.runtime.files import sha256_of_files
from tests.small import NETWORK

SHAPE = ImageShape(1, 8, 8)


def built(spec: str = NETWORK, classes: int = 10, seed: int = 0) -> Network:
    return build_network(spec, SHAPE, classes, torch.Generator().manual_seed(seed))


def written(folder: Path, network: Network) -> Path:
    return kept_weights(folder, keep_weights(folder, snapshot(network), {}))


def features(network: Network) -> Tensor:
    """All parameters but those of the classifier, as one vector."""
    parameters = network.named_parameters()
    return torch.cat([tensor.detach().flatten() for name, tensor in parameters if not name.startswith(CLASSIFIER)])


def test_a_radius_of_zero_gives_exactly_the_weights_with_their_buffers(tmp_path: Path):
    spec = "convnet:depth=2:width=4:norm=batch"
    server, client = built(spec), built(spec, seed=1)
    server.train()(torch.randn(4, 1, 8, 8))  # running statistics of its own
    generator = torch.Generator().manual_seed(3)
    before = generator.get_state()
    NearbyWeights(written(tmp_path, server), 0.0).draw(client, generator)
    there = snapshot(client)
    for name, tensor in snapshot(server).items():
        assert tensor.equal(there[name]) == (not name.startswith(CLASSIFIER)), name
    assert generator.get_state().equal(before), "nothing is drawn"


@settings(max_examples=15, deadline=None)
@given(st.floats(1e-3, 20), st.integers(0, 5))
def test_a_step_has_the_length_of_the_radius(tmp_path_factory: pytest.TempPathFactory, radius: float, seed: int):
    server = built()
    nearby = NearbyWeights(written(tmp_path_factory.mktemp("weights"), server), radius)
    steps = []
    for number in (seed, seed, seed + 1):
        client = built(seed=number)
        nearby.draw(client, torch.Generator().manual_seed(number))
        steps.append(features(client) - features(server))
    assert len(steps[0]) > 20**2
    assert steps[0].norm().item() == pytest.approx(radius, rel=1e-3)
    assert steps[0].equal(steps[1]), "the generator decides, not what the network was before"
    assert abs(torch.cosine_similarity(steps[0], steps[2], dim=0)) < 0.3


def test_within_a_large_radius_a_step_is_a_plain_normal_draw(tmp_path: Path):
    server, client = built("mlp:width=64"), built("mlp:width=64")
    NearbyWeights(written(tmp_path, server), 1e6).draw(client, torch.Generator().manual_seed(0))
    step = features(client) - features(server)
    assert step.std().item() == pytest.approx(1, abs=0.03)
    assert step.mean().item() == pytest.approx(0, abs=0.03)


def test_a_network_of_other_classes_takes_the_features_alone(tmp_path: Path):
    server, client = built(classes=10), built(classes=3, seed=1)
    kept = client.classifier.weight.clone()
    NearbyWeights(written(tmp_path, server), 0.0).draw(client, torch.Generator())
    assert features(client).equal(features(server))
    assert client.classifier.weight.equal(kept)


def test_a_file_is_named_after_its_contents(tmp_path: Path):
    one, same, other = (keep_weights(tmp_path, snapshot(built(seed=seed)), {}) for seed in (0, 0, 1))
    assert one == same != other
    assert one == sha256_of_files([kept_weights(tmp_path, one)])


def test_a_file_that_cannot_be_used_gets_a_clear_line(tmp_path: Path):
    path = written(tmp_path, built("mlp:width=8"))
    with pytest.raises(UserError, match=r"the weights in .* do not fit: blocks.* is absent there"):
        NearbyWeights(path, 1.0).draw(built(), torch.Generator())
    with pytest.raises(UserError, match=r"absent.safetensors does not exist"):
        NearbyWeights(tmp_path / "absent.safetensors", 1.0)
    with pytest.raises(UserError, match="is a folder; name a single file of weights in it"):
        NearbyWeights(tmp_path, 1.0)
    (tmp_path / "text.safetensors").write_text("no weights")
    with pytest.raises(UserError, match="holds no usable weights"):
        NearbyWeights(tmp_path / "text.safetensors", 1.0)
