from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.func import functional_call, stack_module_state, vmap

from potstill.networks import NETWORKS, ImageShape, Network, Observation

# Every family, narrow where it has a width, so that the tests are quick.
NARROW = {
    "convnet": "convnet:width=8",
    "linear": "linear",
    "mlp": "mlp:width=8",
    "lenet": "lenet",
    "alexnet": "alexnet",
    "vgg11": "vgg11:width=4",
    "resnet18": "resnet18:width=4",
}
BATCH_NORM = ["convnet:width=8:norm=batch", "vgg11:width=4:norm=batch", "resnet18:width=4:norm=batch"]
EVERY_FAMILY = pytest.mark.parametrize("spec", NARROW.values(), ids=NARROW.keys())


def test_every_family_is_under_test():
    assert NARROW.keys() == NETWORKS.keys()


def test_shape_of_an_image():
    shape = ImageShape(3, 28, 20)
    assert shape.size == 3 * 28 * 20
    assert shape.shorter_side == 20
    assert str(shape) == "28x20"


@EVERY_FAMILY
@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("sides", [(8, 8), (16, 16), (28, 28), (32, 32), (28, 20), (64, 64)], ids=str)
def test_observation_has_the_promised_shapes(spec, channels, sides, build, draw):
    shape = (channels, *sides)
    network = build(spec, shape, classes=7)
    with torch.no_grad():
        check_shapes(network, network.observe(draw(2, shape)), count=2, classes=7)


@EVERY_FAMILY
@settings(max_examples=10, deadline=None)
@given(
    channels=st.integers(1, 4),
    height=st.integers(2, 40),
    width=st.integers(2, 40),
    seed=st.integers(0, 99),
)
def test_any_size_will_do(spec, channels, height, width, seed, build, draw):
    shape = (channels, height, width)
    network = build(spec, shape, classes=3, seed=seed)
    with torch.no_grad():
        check_shapes(network, network.observe(draw(2, shape, seed)), count=2, classes=3)


def check_shapes(network: Network, seen: Observation, count: int, classes: int) -> None:
    assert len(seen.maps) == len(network.blocks)
    assert all(maps.ndim == 4 and maps.shape[0] == count and maps.numel() > 0 for maps in seen.maps)
    assert seen.embedding.shape == (count, network.embedding_size)
    assert seen.logits.shape == (count, classes)
    assert seen.logits.isfinite().all()


@EVERY_FAMILY
def test_observe_embed_and_forward_agree(spec, build, draw):
    network, images = build(spec), draw(4)
    seen = network.observe(images)
    torch.testing.assert_close(network(images), seen.logits, rtol=0, atol=0)
    torch.testing.assert_close(network.embed(images), seen.embedding, rtol=0, atol=0)
    torch.testing.assert_close(network.classifier(seen.embedding), seen.logits, rtol=0, atol=0)


@EVERY_FAMILY
def test_maps_are_rectified_and_not_changed_by_what_follows(spec, build, draw):
    """An in-place operation on a map after it was handed out would leave a block's own output behind it."""
    network, images = build(spec), draw(3)
    features = images
    for block, pool, maps in zip(network.blocks, network.pools, network.observe(images).maps, strict=True):
        output = block(features)
        torch.testing.assert_close(maps, output, rtol=0, atol=0)
        assert (maps >= 0).all()
        assert (maps == 0).any()
        features = pool(output)


@pytest.mark.parametrize("spec", [*NARROW.values(), "alexnet:norm=instance"])
@pytest.mark.parametrize("side", [2, 5, 8, 16])
def test_small_images_are_told_apart(spec, side, build, draw):
    """Were a map of one pixel normalised over its pixels, all images would get the same logits."""
    logits = build(spec, (3, side, side))(draw(2, (3, side, side)))
    assert (logits[0] - logits[1]).abs().max() > 1e-4


@EVERY_FAMILY
def test_gradient_reaches_the_images_and_every_parameter(spec, build, draw):
    network, images = build(spec), draw(4).requires_grad_()
    nn.functional.cross_entropy(network(images), torch.arange(4)).backward()
    assert images.grad is not None
    assert (images.grad.flatten(1).abs().sum(1) > 0).all()
    assert all(parameter.grad is not None for parameter in network.parameters())


@EVERY_FAMILY
def test_gradient_also_flows_from_each_map(spec, build, draw):
    network = build(spec, (1, 16, 16))
    images = draw(2, (1, 16, 16)).requires_grad_()
    for maps in network.observe(images).maps:
        (gradient,) = torch.autograd.grad(maps.square().sum(), images, retain_graph=True)
        assert (gradient.flatten(1).abs().sum(1) > 0).all()


@EVERY_FAMILY
def test_a_gradient_of_gradients_reaches_every_image(spec, build, draw):
    """Gradient matching differentiates twice, through the in-place activations too."""
    network, images = build(spec), draw(4).requires_grad_()
    loss = nn.functional.cross_entropy(network(images), torch.arange(4))
    gradients = torch.autograd.grad(loss, list(network.parameters()), create_graph=True)
    (second,) = torch.autograd.grad(torch.stack([g.square().sum() for g in gradients]).sum(), images)
    assert second.isfinite().all()
    assert (second.flatten(1).abs().sum(1) > 0).all()


@pytest.mark.parametrize("spec", [*NARROW.values(), *BATCH_NORM])
def test_bfloat16_and_channels_last_give_nearly_the_same(spec, build, draw):
    network, images = build(spec), draw(8)
    with torch.no_grad():
        exact = network(images)
        network.to(memory_format=torch.channels_last, dtype=torch.bfloat16)
        fast = network(images.to(torch.bfloat16, memory_format=torch.channels_last))
    assert fast.dtype == torch.bfloat16
    assert (fast.float() - exact).norm() < 0.05 * exact.norm()


@EVERY_FAMILY
def test_channels_last_is_kept_by_the_maps(spec, build, draw):
    network = build(spec, (3, 32, 32)).to(memory_format=torch.channels_last)
    seen = network.observe(draw(2, (3, 32, 32)).to(memory_format=torch.channels_last))
    assert all(maps.is_contiguous(memory_format=torch.channels_last) for maps in seen.maps)


@pytest.mark.slow
@pytest.mark.parametrize("spec", NARROW.values(), ids=NARROW.keys())
def test_compiles_into_one_graph(spec, build, draw):
    torch._dynamo.reset()
    network, images = build(spec), draw(2)
    compiled = torch.compile(network.observe, fullgraph=True, backend="eager")
    torch.testing.assert_close(compiled(images), network.observe(images))


@pytest.mark.slow
def test_initialising_does_not_recompile(build, draw):
    torch._dynamo.reset()
    network, images = build("convnet:width=8"), draw(2)
    compiled = torch.compile(network.embed, fullgraph=True, backend="aot_eager")
    compiled(images)
    network.initialise(torch.Generator().manual_seed(1))
    with torch.compiler.set_stance("fail_on_recompile"):
        torch.testing.assert_close(compiled(images), network.embed(images))


@EVERY_FAMILY
def test_runs_under_functional_call_and_vmap(spec, build, draw):
    networks, images = [build(spec, seed=seed) for seed in range(3)], draw(2)
    parameters, buffers = stack_module_state([*networks])
    logits = vmap(lambda p, b: functional_call(networks[0], (p, b), (images,)))(parameters, buffers)
    expected = torch.stack([network(images) for network in networks])
    torch.testing.assert_close(logits, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("spec", [*NARROW.values(), *BATCH_NORM])
def test_initialise_depends_on_the_generator_alone(spec, build, draw):
    network, same, other = build(spec, seed=3), build(spec, seed=3), build(spec, seed=4)
    network(draw(4))  # moves the buffers of batch norms
    network.initialise(torch.Generator().manual_seed(3))
    assert identical(network, same)
    assert not identical(network, other)
    network.initialise(torch.Generator().manual_seed(4))
    assert identical(network, other)


@pytest.mark.parametrize("spec", [*NARROW.values(), *BATCH_NORM])
def test_initialise_draws_what_pytorch_draws(spec, build):
    network = build(spec, (3, 32, 32), seed=5)
    family, _, options = spec.partition(":")
    values = dict(option.split("=") for option in options.split(":") if option)
    numbers = {name: int(value) if value.isdecimal() else value for name, value in values.items()}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        assert identical(network, NETWORKS[family](ImageShape(3, 32, 32), 10, **numbers))


def test_initialise_follows_the_default_distributions(build):
    network = build("convnet:width=64", (3, 32, 32))
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            bound = layer.weight[0].numel() ** -0.5
            assert layer.weight.abs().max() <= bound
            assert layer.weight.detach().std() == pytest.approx(bound / 3**0.5, rel=0.05)
            assert layer.bias is not None
            assert 0 < layer.bias.abs().max() <= bound
        elif isinstance(layer, nn.GroupNorm):
            assert (layer.weight == 1).all()
            assert (layer.bias == 0).all()


def test_xavier_draws_normal_weights_of_its_variance_and_no_biases(build):
    network = build("mlp:width=200")
    network.initialise(torch.Generator().manual_seed(0), "xavier")
    for name, parameter in network.named_parameters():
        if name.endswith("bias"):
            assert not parameter.any()
        else:
            variance = 2 / (parameter.shape[0] + parameter[0].numel())
            standardised = parameter / variance**0.5
            assert abs(standardised.square().mean() - 1) < 0.1
            assert abs(standardised.pow(4).mean() - 3) < 0.5  # 1.8 were they uniform


@pytest.mark.parametrize("spec", [*NARROW.values(), *BATCH_NORM])
def test_initialise_works_in_place(spec, build):
    network = build(spec)
    network.requires_grad_(False)
    before = {name: tensor.data_ptr() for name, tensor in network.state_dict().items()}
    network.initialise(torch.Generator().manual_seed(1))
    assert {name: tensor.data_ptr() for name, tensor in network.state_dict().items()} == before
    assert not any(parameter.requires_grad for parameter in network.parameters())


def test_initialise_rounds_the_same_draws_to_any_dtype_and_layout(build):
    network, fast = build("convnet:width=8", (3, 32, 32), seed=1), build("convnet:width=8", (3, 32, 32))
    fast.to(memory_format=torch.channels_last, dtype=torch.bfloat16)
    fast.initialise(torch.Generator().manual_seed(1))
    assert identical(network.to(torch.bfloat16), fast)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@EVERY_FAMILY
def test_initialise_draws_the_same_on_any_device(spec, build):
    network = build(spec).to("cuda")
    network.initialise(torch.Generator().manual_seed(1))
    assert identical(network.cpu(), build(spec, seed=1))


def test_initialise_draws_on_from_the_generator(build):
    """Networks drawn in turn from one stream differ."""
    generator, network, other = torch.Generator().manual_seed(1), build("lenet"), build("lenet")
    network.initialise(generator)
    other.initialise(generator)
    assert not identical(network, other)


def test_building_and_initialising_leave_the_global_generator_alone(build):
    before = torch.get_rng_state()
    for spec in [*NARROW.values(), *BATCH_NORM]:
        build(spec).initialise(torch.Generator().manual_seed(1))
    assert torch.equal(torch.get_rng_state(), before)


def test_initialise_refuses_a_layer_that_it_does_not_know(build):
    network = build("lenet")
    network.neck = nn.Sequential(network.neck, nn.PReLU())
    with pytest.raises(TypeError, match="PReLU"):
        network.initialise(torch.Generator().manual_seed(0))


def identical(one: nn.Module, other: nn.Module) -> bool:
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)
