"""Models of timm as networks: with timm itself where it can be imported, and with a stand-in everywhere."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from huggingface_hub import constants
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap

from potstill.evaluation import RECIPES, evaluate
from potstill.networks import ImageShape, Network, build_network, checked_spec
from potstill.networks.on_timm import Preparation, TimmNetwork, pretrained, weights_file
from potstill.runtime.errors import UserError
from potstill.synthetic import SyntheticSet
from tests.networks import stand_in_timm
from tests.optional import needed
from tests.small import on_cpu, small_digits

SPECS = ["timm:test_resnet", "timm:test_vit"]
SHAPE = (3, 32, 48)
EVERY_MODEL = pytest.mark.parametrize("spec", SPECS)


@pytest.fixture(params=["stand-in", "timm"], autouse=True)
def timm(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    if request.param == "timm":
        return needed("timm")
    monkeypatch.setitem(sys.modules, "timm", stand_in_timm.module())
    return sys.modules["timm"]


@EVERY_MODEL
@pytest.mark.parametrize("channels", [1, 3])
def test_observation_has_the_promised_shapes(spec: str, channels: int, build: Callable[..., Network], draw: Any):
    network = build(spec, (channels, 32, 48), classes=7)
    seen = network.observe(draw(2, (channels, 32, 48)))
    assert [maps.ndim for maps in seen.maps] == [4]
    assert seen.embedding.shape == (2, network.embedding_size)
    assert seen.logits.shape == (2, 7)
    assert all(part.isfinite().all() for part in (*seen.maps, seen.embedding, seen.logits))
    assert max(network.map_sizes(draw(1, (channels, 32, 48)))) >= network.embedding_size


@EVERY_MODEL
def test_observe_embed_and_forward_agree(spec: str, build: Callable[..., Network], draw: Any):
    """In training mode too: no dropout draws anything."""
    network, images = build(spec, SHAPE).train(), draw(4, SHAPE)
    seen = network.observe(images)
    torch.testing.assert_close(network(images), seen.logits, rtol=0, atol=0)
    torch.testing.assert_close(network.embed(images), seen.embedding, rtol=0, atol=0)
    torch.testing.assert_close(network.classifier(seen.embedding), seen.logits, rtol=0, atol=0)


@EVERY_MODEL
def test_the_parameters_depend_on_the_generator_alone(spec: str, build: Callable[..., Network], draw: Any):
    torch.manual_seed(1)
    network, other = build(spec, SHAPE, seed=3), build(spec, SHAPE, seed=4)
    torch.manual_seed(2)
    before = torch.get_rng_state()
    same = build(spec, SHAPE, seed=3)
    assert torch.equal(torch.get_rng_state(), before)
    assert identical(network, same)
    assert not identical(network, other)
    network(draw(4, SHAPE))  # moves the buffers of batch norms
    network.initialise(torch.Generator().manual_seed(4))
    assert identical(network, other)
    generator = torch.Generator().manual_seed(3)
    network.initialise(generator)
    other.initialise(generator)
    assert identical(network, same)
    assert not identical(other, same)


def identical(one: nn.Module, other: nn.Module) -> bool:
    """All parameters and buffers, also those that no state dictionary has."""
    pairs = zip([*one.parameters(), *one.buffers()], [*other.parameters(), *other.buffers()], strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


@EVERY_MODEL
def test_the_parameters_are_those_that_timm_draws(spec: str, timm: Any, build: Callable[..., Network]):
    """The body is timm's model without its classifier, made with the global generator at one seed."""
    seed = int(torch.randint(2**62, (), generator=torch.Generator().manual_seed(5)))
    options = {"img_size": (32, 48)} if spec.endswith("vit") else {}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        theirs = timm.create_model(spec.removeprefix("timm:"), num_classes=0, in_chans=3, **options)
    network = build(spec, SHAPE, seed=5)
    assert isinstance(network, TimmNetwork)
    assert identical(network.body, theirs)


@EVERY_MODEL
def test_initialise_works_in_place_in_any_dtype(spec: str, build: Callable[..., Network]):
    network, exact = build(spec, SHAPE, seed=1).to(torch.bfloat16), build(spec, SHAPE, seed=2)
    before = [tensor.data_ptr() for tensor in network.parameters()]
    network.initialise(torch.Generator().manual_seed(2))
    assert [tensor.data_ptr() for tensor in network.parameters()] == before
    assert identical(network, exact.to(torch.bfloat16))


def test_xavier_is_as_for_all_networks(build: Callable[..., Network]):
    network = build("timm:test_resnet", SHAPE)
    network.initialise(torch.Generator().manual_seed(0), "xavier")
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d) and layer.weight.numel() > 100:
            area = layer.weight[0, 0].numel()
            variance = 2 / (area * (layer.weight.shape[0] + layer.weight.shape[1]))
            assert layer.weight.square().mean().item() == pytest.approx(variance, rel=0.4)


@EVERY_MODEL
def test_gradients_reach_the_images_twice(spec: str, build: Callable[..., Network], draw: Any):
    network, images = build(spec, SHAPE), draw(4, SHAPE).requires_grad_()
    loss = nn.functional.cross_entropy(network(images), torch.arange(4))
    used = [parameter for parameter in network.parameters() if parameter.requires_grad]
    gradients = [g for g in torch.autograd.grad(loss, used, create_graph=True, allow_unused=True) if g is not None]
    (second,) = torch.autograd.grad(torch.stack([g.square().sum() for g in gradients]).sum(), images)
    assert second.isfinite().all()
    assert (second.flatten(1).abs().sum(1) > 0).all()


@EVERY_MODEL
def test_runs_under_functional_call_and_vmap(spec: str, build: Callable[..., Network], draw: Any):
    networks, images = [build(spec, SHAPE, seed=seed).eval() for seed in range(3)], draw(2, SHAPE)
    parameters, buffers = stack_module_state([*networks])
    logits = vmap(lambda p, b: functional_call(networks[0], (p, b), (images,)))(parameters, buffers)
    expected = torch.stack([network(images) for network in networks])
    torch.testing.assert_close(logits, expected, rtol=1e-4, atol=1e-4)


def test_batch_norms_are_known(build: Callable[..., Network]):
    assert build("timm:test_resnet", SHAPE).needs_whole_batches
    assert not build("timm:test_vit", SHAPE).needs_whole_batches


@pytest.mark.parametrize(
    ("spec", "shape", "message"),
    [
        ("timm", SHAPE, "network 'timm' names no model; write timm:MODEL, such as timm:resnet18"),
        ("timm:", SHAPE, "network 'timm' names no model"),
        ("timm:test_resnt", SHAPE, "unknown model of timm 'test_resnt'; did you mean 'test_resn"),
        ("timm:test_resnet:width=4", SHAPE, "has no option 'width'; its options are weights"),
        ("timm:test_vit", (3, 28, 28), "cuts images into patches of 16x16 pixels, which do not fill those of 28x28"),
        ("timm:test_vit", (3, 20, 40), "use `image_size=32`, or another model"),
        ("timm:test_resnet", (64, 1, 1), "is for images, and these are vectors"),
        ("timm:test_resnet:weights=a.pt", SHAPE, "a.pt is not a .safetensors file, the only kind that is read"),
        ("timm:test_resnet:weights=a.safetensors", SHAPE, "a.safetensors does not exist"),
    ],
)
def test_mistakes_are_named_with_their_remedy(spec: str, shape: tuple[int, int, int], message: str, build: Any):
    with pytest.raises(UserError) as raised:
        build(spec, shape)
    assert message in str(raised.value)


def test_images_that_a_model_cannot_take_are_refused(timm: Any, monkeypatch: pytest.MonkeyPatch, build: Any):
    def broken(*args: Any, **options: Any) -> nn.Module:
        made = stand_in_timm.create_model("test_resnet", in_chans=options["in_chans"], num_classes=0)
        vars(made)["forward_features"] = lambda x: nn.functional.avg_pool2d(x, 99)
        return made

    monkeypatch.setattr(timm, "create_model", broken)
    with pytest.raises(UserError, match=r"does not take images of .*48.* \(.*\); resize them with `image_size`"):
        build("timm:test_resnet", SHAPE)


def test_without_timm_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch, build: Any):
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(UserError, match="need the package timm, which is not installed; install it with: pip install"):
        build("timm:test_resnet", SHAPE)


def test_a_torchvision_of_another_pytorch_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, build: Any):
    (tmp_path / "timm.py").write_text("raise RuntimeError('operator torchvision::nms does not exist')")
    monkeypatch.delitem(sys.modules, "timm")
    monkeypatch.syspath_prepend(tmp_path)
    message = (
        rf"nms does not exist\); install the torchvision that belongs to PyTorch {torch.__version__.split('+')[0]}"
    )
    with pytest.raises(UserError, match=message):
        build("timm:test_resnet", SHAPE)


@pytest.fixture(params=SPECS)
def stored(request: pytest.FixtureRequest, timm: Any, tmp_path: Path) -> tuple[str, Path, nn.Module]:
    """A model's spec, and the file of weights of such a model for 1,000 classes as it is published."""
    name = request.param.removeprefix("timm:")
    side = timm.get_pretrained_cfg(name).to_dict()["input_size"][1]
    options = {"img_size": (side, side)} if name.endswith("vit") else {}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(9)
        theirs = timm.create_model(name, **options).eval()
    save_file(theirs.state_dict(), tmp_path / "weights.safetensors")
    return request.param, tmp_path / "weights.safetensors", theirs


def test_weights_of_a_file_stay_and_the_classifier_is_drawn(stored: tuple[str, Path, nn.Module]):
    spec, path, theirs = stored
    network, _ = pretrained(f"{spec}:weights={path}")
    classifier = network.classifier.weight.clone()
    network.initialise(torch.Generator().manual_seed(8))
    own = dict(network.named_parameters())
    for name, tensor in theirs.named_parameters():
        if f"body.{name}" in own:
            assert torch.equal(own[f"body.{name}"], tensor)
    assert not torch.equal(network.classifier.weight, classifier)


def test_an_embedding_is_that_of_the_published_model(stored: tuple[str, Path, nn.Module], draw: Any):
    spec, path, theirs = stored
    network, preparation = pretrained(f"{spec}:weights={path}")
    images = draw(2, (3, preparation.side, preparation.side))
    any_theirs: Any = theirs
    with torch.no_grad():
        expected = any_theirs.forward_head(any_theirs.forward_features(images), pre_logits=True)
        torch.testing.assert_close(network.eval().embed(images), expected)


def test_weights_come_from_the_hubs_cache_and_nothing_is_downloaded(
    stored: tuple[str, Path, nn.Module], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, timm: Any
):
    spec, path, _ = stored
    model = spec.removeprefix("timm:")
    repository = timm.get_pretrained_cfg(model).to_dict()["hf_hub_id"]
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    with pytest.raises(UserError, match=f"weights of {repository} are not in the hub's cache; download them with: hf"):
        weights_file(model, "cached")
    folder = tmp_path / "hub" / f"models--{repository.replace('/', '--')}"
    (folder / "snapshots/abc").mkdir(parents=True)
    (folder / "refs").mkdir()
    (folder / "refs/main").write_text("abc")
    path.rename(folder / "snapshots/abc/model.safetensors")
    assert weights_file(model, "cached") == folder / "snapshots/abc/model.safetensors"
    pretrained(f"{spec}:weights=cached")


def test_weights_that_do_not_fit_are_refused(tmp_path: Path, build: Any):
    save_file({"other": torch.zeros(3)}, tmp_path / "other.safetensors")
    with pytest.raises(UserError, match=r"the weights do not fit timm:test_resnet \("):
        build(f"timm:test_resnet:weights={tmp_path / 'other.safetensors'}", SHAPE)
    (tmp_path / "damaged.safetensors").write_bytes(b"no")
    with pytest.raises(UserError, match=r"damaged.safetensors cannot be read"):
        build(f"timm:test_resnet:weights={tmp_path / 'damaged.safetensors'}", SHAPE)


@pytest.mark.parametrize("spec", ["timm:test_resnet", "timm:test_resnet:depth=3"])
def test_features_need_weights(spec: str):
    with pytest.raises(UserError, match=r"does not say where the weights are.*weights=cached"):
        pretrained(spec)


def test_images_are_prepared_as_timm_does():
    """Twin of timm's own transform for evaluation, which resizes with Pillow and rounds to bytes."""
    transforms, resolve, image = (
        needed("timm.data.transforms_factory").create_transform,
        needed("timm.data").resolve_data_config,
        needed("PIL.Image"),
    )
    config = {"input_size": (3, 64, 64), "crop_pct": 0.9, "interpolation": "bicubic", "crop_mode": "center"}
    config |= {"mean": (0.5, 0.4, 0.3), "std": (0.2, 0.3, 0.4)}
    generator = torch.Generator().manual_seed(0)
    pixels = (torch.rand(1, 3, 9, 12, generator=generator) * 255).byte()
    pixels = nn.functional.interpolate(pixels, (90, 120), mode="bilinear")
    theirs = transforms(**resolve(config))(image.fromarray(pixels[0].permute(1, 2, 0).numpy()))
    ours = Preparation.of("x", config).prepared(pixels)
    assert ours.shape == (1, 3, 64, 64)
    assert (ours[0] - theirs).abs().max() < 3 / 255 / 0.2


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_grey_is_repeated_and_alpha_dropped(channels: int):
    pixels = (torch.arange(channels * 64).reshape(1, channels, 8, 8) % 256).byte()
    ready = Preparation.of("x", stand_in_timm.CONFIG).prepared(pixels)
    back = ready * torch.tensor((0.2, 0.3, 0.4))[:, None, None] + torch.tensor((0.5, 0.4, 0.3))[:, None, None]
    assert ready.shape == (1, 3, 32, 32)
    assert (back >= 0).all()
    assert (back <= 1 + 1e-6).all()
    colours = pixels[:, :-1] if channels in (2, 4) else pixels
    assert len(back.round(decimals=5).unique(dim=1)[0]) == colours.shape[1]


def test_a_spec_is_checked_before_anything_is_built():
    assert checked_spec("timm:test_resnet:weights=x") == ("timm:test_resnet", {"weights": "x"})


@pytest.mark.slow
def test_an_evaluation_trains_it_and_repeats_the_result(timm: Any):
    data = small_digits()
    first = torch.cat([index[:2] for index in data.train.class_index])
    images, labels = data.train[first]
    synthetic = SyntheticSet(images=images, labels=labels, class_names=data.class_names, mean=data.mean, std=data.std)
    recipe = replace(RECIPES["quick"], epochs=2)
    found = [
        evaluate(synthetic, on_cpu(data), networks=["timm:test_resnet"], recipe=recipe, repeats=2, baselines=())
        for _ in range(2)
    ]
    accuracies = [each.networks["timm:test_resnet"].accuracies for each in found]
    assert accuracies[0] == accuracies[1]
    assert len(accuracies[0]) == 2


def test_a_shape_is_that_of_the_caller(build: Any):
    shape = ImageShape(1, 32, 32)
    network = build_network("timm:test_resnet", shape, 2, torch.Generator())
    assert isinstance(network(torch.zeros(2, 1, 32, 32)), Tensor)


def test_a_single_image_of_one_pixel_cannot_be_normalised(build: Any):
    network = build("timm:test_resnet", (3, 3, 3))
    assert network.train()(torch.zeros(2, 3, 3, 3)).shape == (2, 10)
    assert network.eval()(torch.zeros(1, 3, 3, 3)).shape == (1, 10)
    with pytest.raises(UserError, match=r"cannot be trained on a single image of 3x3 pixels: its batch norms see one"):
        network.train()(torch.zeros(1, 3, 3, 3))
