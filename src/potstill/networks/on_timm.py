"""Models of the package timm as networks: ``timm:MODEL``, drawn at random or with weights that are on this machine.

timm is not installed with Potstill. Nothing is downloaded, and no file is opened by timm: weights are safetensors.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from potstill.networks.base import ImageShape, Network, Scheme, redraw
from potstill.networks.build import build_network
from potstill.networks.spec import Family, parse
from potstill.runtime.errors import UserError, in_one_line, unknown
from potstill.runtime.files import expanded
from potstill.runtime.safetensors_io import UNREADABLE, read_safetensors
from potstill.schema.shapes import shape_in_words

PREFIX = "timm:"
CACHED = "cached"
"""The value of ``weights`` that means those of the hub's cache."""


def timm_family(model: str) -> Family:
    """The family of one model of timm.

    Args:
        model: its name, such as ``resnet18`` or ``resnet18.a1_in1k``.

    Raises:
        UserError: timm is not installed, cannot be imported, or has no such model.
    """
    timm = _timm()
    if not model:
        raise UserError("network 'timm' names no model", "write timm:MODEL, such as timm:resnet18")
    if not timm.is_model(model):
        raise unknown("model of timm", model, timm.list_models(), listing="timm.list_models()")

    def build(shape: ImageShape, classes: int, *, weights: str | None = None) -> Network:
        return TimmNetwork(model, shape, classes, weights)

    return build


class TimmNetwork(Network):
    """A model of timm without its classifier, and a linear classifier of what it would classify.

    The single map is the output of ``forward_features``; that of a transformer is (N, C, tokens, 1). The embedding is
    that of ``forward_head`` before the classifier. Dropout is off: all that is random in a run comes from its seed.
    Attention is computed step by step, since some methods differentiate it twice.

    Args:
        model: the name of the model.
        shape: the shape of the images; it is passed to models that depend on it.
        classes: the number of classes.
        weights: ``cached``, or a safetensors file, has the parameters of all but the classifier; None draws them.

    Raises:
        UserError: the model does not take such images, or the weights are absent or do not fit.
    """

    def __init__(self, model: str, shape: ImageShape, classes: int, weights: str | None = None) -> None:
        with torch.device("cpu"):  # not "meta", where tables that a model computes would be lost
            recipe = _Recipe(model, shape, None if weights is None else _read(model, weights))
            body = recipe.body(seed=0)
            features, embedding = recipe.tried(body)
            needs_two = recipe.needs_two(body)
        super().__init__([], nn.Identity(), embedding.shape[1], classes)
        self.body, self._recipe = body, recipe
        self._channels_last = _is_channels_last(features, body)
        self._needs_two = needs_two
        self.needs_whole_batches = any(isinstance(m, nn.modules.batchnorm._BatchNorm) for m in body.modules())

    def _trunk(self, images: Tensor, maps: list[Tensor] | None = None) -> Tensor:
        if self._needs_two and self.training and len(images) == 1:
            raise UserError(
                f"timm:{self._recipe.model} cannot be trained on a single image of {self._recipe.shape} pixels: its "
                "batch norms see one pixel",
                "use more or larger images, or another model",
            )
        features = self.body.forward_features(images)
        if maps is not None:
            maps.append(_as_maps(features, self._channels_last))
        return self.body.forward_head(features, pre_logits=True).flatten(1)

    @torch.no_grad()
    def initialise(self, generator: torch.Generator, scheme: Scheme = "kaiming") -> None:
        """Redraw every parameter and reset every buffer, in place, as timm does; weights of a file stay those.

        timm draws from PyTorch's global generator, which is seeded by one number of ``generator`` for as long as this
        takes, and left as it was. That costs as much as building the model.

        Args:
            generator: a CPU generator, the only source of randomness.
            scheme: ``kaiming`` leaves the model its own distributions; ``xavier`` is as for all networks.
        """
        with torch.device("cpu"):
            drawn = self._recipe.body(seed=int(torch.randint(2**62, (), generator=generator)))
        for own, new in zip(_tensors(self.body), _tensors(drawn), strict=True):
            own.copy_(new)
        training = self.body.training
        self.body.train().train(training)  # which empties what some models keep of their parameters in evaluation
        if scheme == "xavier" and self._recipe.weights is None:
            for module in self.body.modules():
                if isinstance(module, nn.Conv2d | nn.Linear):
                    redraw(module, generator, scheme)
        redraw(self.classifier, generator, scheme)


@dataclass(frozen=True, eq=False)
class _Recipe:
    """How a model is made."""

    model: str
    shape: ImageShape
    weights: Mapping[str, Tensor] | None

    def body(self, seed: int) -> Any:
        """The model without its classifier; its parameters depend on the seed alone, or are the weights.

        Raises:
            UserError: it is not for images of this shape, or the weights do not fit.
        """
        make: Callable[..., Any] = partial(_timm().create_model, self.model, in_chans=self.shape.channels)
        if self.weights is None:
            make = partial(make, num_classes=0)
        else:  # with the classifier that the weights have: timm then refuses any that do not fit
            classes = _classes(_config(self.model), self.weights)
            overlay = {"state_dict": dict(self.weights), "num_classes": classes}
            make = partial(make, num_classes=classes, pretrained=True, pretrained_cfg_overlay=overlay)
        with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.manual_seed(seed)  # timm draws from the global generator, which is as it was afterwards
            body = self._sized(make)
            body.reset_classifier(0)
        for module in body.modules():
            if isinstance(module, nn.modules.dropout._DropoutNd):
                module.p = 0.0
            if hasattr(module, "fused_attn"):  # which cannot be differentiated twice
                vars(module)["fused_attn"] = False
            if hasattr(module, "drop_prob"):
                vars(module)["drop_prob"] = 0.0
        return body

    def _sized(self, make: Callable[..., Any]) -> Any:
        """The model for images of this size, if it depends on it."""
        state = torch.get_rng_state()
        try:
            try:
                return make(img_size=(self.shape.height, self.shape.width))
            except TypeError as error:
                if "img_size" not in str(error):
                    raise
                torch.set_rng_state(state)
                return make()
        except Exception as error:  # models refuse what they cannot do in many ways
            raise self._refused(error) from error

    @torch.no_grad()
    def tried(self, body: Any) -> tuple[Tensor, Tensor]:
        """The output of ``forward_features`` and the embedding (1, D) of one image.

        Raises:
            UserError: the model does not take images of this shape.
        """
        patch = getattr(getattr(body, "patch_embed", None), "patch_size", None)
        if isinstance(patch, tuple) and (self.shape.height % patch[0] or self.shape.width % patch[1]):
            raise UserError(
                f"timm:{self.model} cuts images into patches of {patch[0]}x{patch[1]} pixels, which do not fill those "
                f"of {self.shape}",
                f"use `image_size={patch[0] * -(-self.shape.shorter_side // patch[0])}`, or another model",
            )
        training = body.training
        try:
            features = body.eval().forward_features(torch.zeros(1, *_sides(self.shape)))
            if not isinstance(features, Tensor) or features.ndim not in (3, 4):
                raise UserError(f"timm:{self.model} has no single map of features", "use another model")
            return features, body.forward_head(features, pre_logits=True).flatten(1)
        except UserError:
            raise
        except Exception as error:
            raise self._refused(error) from error
        finally:
            body.train(training)

    @torch.no_grad()
    def needs_two(self, body: Any) -> bool:
        """Whether batch norms of the model cannot be trained on a single image of this shape."""
        training = body.training
        try:
            body.train().forward_features(torch.zeros(1, *_sides(self.shape)))
        except ValueError:
            return True
        finally:
            body.train(training)
        return False

    def _refused(self, error: Exception) -> UserError:
        if self.weights is not None and "state_dict" in str(error):
            return UserError(
                f"the weights do not fit timm:{self.model} ({in_one_line(error)})", "name those of the model"
            )
        return UserError(
            f"timm:{self.model} does not take {shape_in_words(_sides(self.shape))} ({in_one_line(error)})",
            "resize them with `image_size`, or use another model",
        )


def _classes(config: Mapping[str, Any], weights: Mapping[str, Tensor]) -> int:
    """The number of classes of the classifier of some weights; 0 if they have none."""
    named = config.get("classifier") or ()
    for name in (named,) if isinstance(named, str) else named:
        if (rows := weights.get(f"{name}.weight")) is not None:
            return len(rows)
    return 0


def _sides(shape: ImageShape) -> tuple[int, int, int]:
    return shape.channels, shape.height, shape.width


def _tensors(body: nn.Module) -> list[Tensor]:
    """All parameters and buffers, those included that no state dictionary has."""
    return [*body.parameters(), *body.buffers()]


def _is_channels_last(features: Tensor, body: Any) -> bool:
    """Whether maps have their channels last."""
    return features.ndim == 4 and features.shape[1] != body.num_features == features.shape[3]


def _as_maps(features: Tensor, channels_last: bool) -> Tensor:
    """(N, C, H, W); of tokens (N, C, tokens, 1)."""
    if features.ndim == 3:
        return features.transpose(1, 2).unsqueeze(-1)
    return features.permute(0, 3, 1, 2) if channels_last else features


@dataclass(frozen=True)
class Preparation:
    """How images are made ready for pretrained weights, as timm evaluates them.

    Attributes:
        channels: of the images.
        side: the side of the square that is cut out of the centre.
        resized: what the shorter side is resized to before.
        squashed: whether the longer side is resized to the same length, which distorts the image.
        interpolation: ``bilinear`` or ``bicubic``, both antialiased.
        mean: of each channel, of pixels scaled to [0, 1].
        std: likewise.
    """

    channels: int
    side: int
    resized: int
    squashed: bool
    interpolation: str
    mean: tuple[float, ...]
    std: tuple[float, ...]

    @classmethod
    def of(cls, model: str, config: Mapping[str, Any]) -> Preparation:
        """What timm says about a model's weights.

        Raises:
            UserError: they want images of another kind.
        """
        channels, side, width = config["input_size"]
        way, crop = config.get("interpolation", "bicubic"), config.get("crop_mode", "center")
        if side != width or way not in ("bilinear", "bicubic") or crop not in ("center", "squash"):
            raise UserError(f"the weights of timm:{model} want images prepared in an unusual way", "use another model")
        resized = int(side / config.get("crop_pct", 0.875))
        mean, std = tuple(config["mean"]), tuple(config["std"])
        return cls(channels, side, resized, crop == "squash", way, mean, std)

    def prepared(self, pixels: Tensor) -> Tensor:
        """Float32 (N, C, side, side).

        Args:
            pixels: uint8 (N, C', H, W) with C' from 1 to 4; alpha is dropped, and grey repeated.
        """
        colours = pixels[:, :-1] if pixels.shape[1] in (2, 4) else pixels
        shares = colours.float() / 255
        if colours.shape[1] != self.channels:
            shares = shares.expand(-1, self.channels, -1, -1) if colours.shape[1] == 1 else shares.mean(1, keepdim=True)
        scale = self.resized / min(shares.shape[2:])
        size = [self.resized if self.squashed else max(self.resized, int(side * scale)) for side in shares.shape[2:]]
        resized = nn.functional.interpolate(
            shares, size, mode=self.interpolation, align_corners=False, antialias=True
        ).clamp(0, 1)
        top, left = (round((side - self.side) / 2) for side in size)
        cut = resized[:, :, top : top + self.side, left : left + self.side]
        mean, std = (torch.tensor(values, device=cut.device)[:, None, None] for values in (self.mean, self.std))
        return (cut - mean) / std


def pretrained_spec(spec: str) -> tuple[str, str]:
    """The model and the weights in ``timm:MODEL:weights=WHERE``.

    Raises:
        UserError: no weights are named, or something else is.
    """
    family, options = parse(spec)
    if set(options) != {"weights"}:
        model = family.removeprefix(PREFIX) or "MODEL"
        raise UserError(
            f"{spec!r} does not say where the weights are, and features of random ones are worth little",
            f"write timm:{model}:weights={CACHED} for those of the hub's cache, or timm:{model}:weights=FILE",
        )
    return family.removeprefix(PREFIX), options["weights"]


def pretrained(spec: str) -> tuple[Network, Preparation]:
    """A model with its weights, for images of the size that these were made for.

    Args:
        spec: ``timm:MODEL:weights=WHERE``.

    Raises:
        UserError: timm is not there or has no such model, or the weights are not there or do not fit.
    """
    model, _ = pretrained_spec(spec)
    timm_family(model)
    prepared = Preparation.of(model, _config(model))
    shape = ImageShape(prepared.channels, prepared.side, prepared.side)
    return build_network(spec, shape, 1, torch.Generator()), prepared


def weights_file(model: str, weights: str) -> Path:
    """The file of the weights.

    Args:
        model: the name of the model.
        weights: ``cached``, or the file.

    Raises:
        UserError: there is none, or it is not a safetensors file.
    """
    if weights != CACHED:
        path = expanded(weights)
        if path.suffix != ".safetensors":
            raise UserError(f"{path} is not a .safetensors file, the only kind that is read", "convert it")
        if not path.is_file():
            raise UserError(f"{path} does not exist", "check the path")
        return path
    from huggingface_hub import try_to_load_from_cache

    repository = _config(model).get("hf_hub_id")
    if not repository:
        raise UserError(f"timm knows no weights of {model} on the hub", "name a file: weights=FILE")
    found = try_to_load_from_cache(repository, "model.safetensors")
    if not isinstance(found, str):
        raise UserError(
            f"the weights of {repository} are not in the hub's cache",
            f"download them with: hf download {repository} model.safetensors",
        )
    return Path(found)


def _config(model: str) -> dict[str, Any]:
    """What timm says about the weights of a model."""
    found = _timm().get_pretrained_cfg(model)
    if found is None:
        raise UserError(f"timm knows no weights of {model}", "use another model")
    return found.to_dict()


def _read(model: str, weights: str) -> Mapping[str, Tensor]:
    path = weights_file(model, weights)
    try:
        return read_safetensors(path)[0]
    except UNREADABLE as error:
        raise UserError(f"{path} cannot be read ({in_one_line(error)})", "download it again") from error


def _timm() -> ModuleType:
    """The package.

    Raises:
        UserError: it is not installed, or cannot be imported.
    """
    try:
        return import_module("timm")
    except ModuleNotFoundError as error:
        raise UserError(
            f"networks of timm need the package {error.name or 'timm'}, which is not installed",
            "install it with: pip install 'potstill[timm]'",
        ) from error
    except Exception as error:  # torchvision built for another PyTorch raises a RuntimeError
        raise UserError(
            f"timm cannot be imported ({in_one_line(error)})",
            f"install the torchvision that belongs to PyTorch {torch.__version__}",
        ) from error
