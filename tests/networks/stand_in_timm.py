"""In place of timm, where it is not installed: models of its kinds, with its interface, named like its test models."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn


class Config(dict[str, Any]):
    def __or__(self, other: Any) -> Any:
        return Config({**self, **other})

    def to_dict(self) -> dict[str, Any]:
        return dict(self)


CONFIG = Config(
    hf_hub_id="timm/test",
    input_size=(3, 32, 32),
    crop_pct=0.5,
    interpolation="bicubic",
    mean=(0.5, 0.4, 0.3),
    std=(0.2, 0.3, 0.4),
)


class Resnet(nn.Module):
    """Convolutions with batch norm, drawn from normal distributions, and dropout."""

    num_features = 6

    def __init__(self, in_chans: int, num_classes: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_chans, 6, 3, 2)
        self.bn = nn.BatchNorm2d(6)
        self.drop = nn.Dropout(0.5)
        self.fc = nn.Linear(6, num_classes) if num_classes else nn.Identity()
        nn.init.normal_(self.conv.weight, 0.0, 0.3)

    def reset_classifier(self, num_classes: int) -> None:
        self.fc = nn.Linear(6, num_classes) if num_classes else nn.Identity()

    def forward_features(self, x: Tensor) -> Tensor:
        return torch.relu(self.bn(self.conv(x)))

    def forward_head(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        x = self.drop(x.mean((2, 3)))
        return x if pre_logits else self.fc(x)


class Patches(nn.Module):
    patch_size = (16, 16)

    def __init__(self, in_chans: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(in_chans, 5, 16, 16)


class Vit(nn.Module):
    """Tokens of patches; their places are a table that no state dictionary has."""

    num_features = 5

    def __init__(self, in_chans: int, num_classes: int, img_size: tuple[int, int] = (160, 160)) -> None:
        super().__init__()
        self.patch_embed = Patches(in_chans)
        tokens = (img_size[0] // 16) * (img_size[1] // 16)
        self.pos = nn.Parameter(torch.randn(1, tokens, 5))
        self.register_buffer("table", torch.arange(tokens) + 1.0, persistent=False)
        self.head = nn.Linear(5, num_classes) if num_classes else nn.Identity()

    def reset_classifier(self, num_classes: int) -> None:
        self.head = nn.Linear(5, num_classes) if num_classes else nn.Identity()

    def forward_features(self, x: Tensor) -> Tensor:
        tokens = self.patch_embed.proj(x).flatten(2).transpose(1, 2)
        return (tokens + self.pos) * self.get_buffer("table")[:, None]

    def forward_head(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        x = x.mean(1)
        return x if pre_logits else self.head(x)


MODELS = {"test_resnet": Resnet, "test_vit": Vit}


def create_model(
    name: str,
    pretrained: bool = False,
    pretrained_cfg_overlay: dict[str, Any] | None = None,
    num_classes: int = 1000,
    in_chans: int = 3,
    **options: Any,
) -> nn.Module:
    made = MODELS[name](in_chans, num_classes, **options)
    if pretrained:
        assert pretrained_cfg_overlay is not None, "would download"
        same = pretrained_cfg_overlay["num_classes"] == num_classes
        made.load_state_dict(pretrained_cfg_overlay["state_dict"], strict=same)
    return made


def module() -> ModuleType:
    made: Any = ModuleType("timm")
    made.create_model = create_model
    made.is_model = MODELS.__contains__
    made.list_models = lambda: list(MODELS)
    made.get_pretrained_cfg = lambda name: CONFIG | {"classifier": {"test_resnet": "fc", "test_vit": "head"}[name]}
    return made
