"""Siamese augmentation one image and one pixel at a time: the plain twin of ``potstill.augmentation``.

Zhao and Bilen, "Dataset Condensation with Differentiable Siamese Augmentation", ICML 2021: A(x, omega) is one operation
A with the parameters omega. Here omega comes from uniform numbers u, and rows and columns are counted in pixels.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from potstill.augmentation import Draw, SiameseAugmentation

Uniforms = Sequence[float]


def color(x: Tensor, u: Uniforms, strength: SiameseAugmentation) -> Tensor:
    """Brightness b is added; the distance from grey is multiplied by s, that from the image's mean by c."""
    b, s, c = (u[0] - 0.5) * strength.brightness, u[1] * strength.saturation, u[2] + strength.contrast
    channels, height, width = x.shape
    y = torch.empty_like(x)
    for i in range(height):
        for j in range(width):
            grey = sum(float(x[k, i, j]) + b for k in range(channels)) / channels
            for k in range(channels):
                y[k, i, j] = grey + s * (float(x[k, i, j]) + b - grey)
    mean = sum(float(value) for value in y.flatten()) / y.numel()
    return mean + c * (y - mean)


def crop(x: Tensor, u: Uniforms, strength: SiameseAugmentation) -> Tensor:
    """Shifted by whole pixels, by any number up to the reach either way with the same probability."""
    _, height, width = x.shape
    reach_y, reach_x = _rounded(height * strength.crop), _rounded(width * strength.crop)
    dy, dx = int(u[3] * (2 * reach_y + 1)) - reach_y, int(u[4] * (2 * reach_x + 1)) - reach_x
    y = torch.zeros_like(x)
    for i in range(height):
        for j in range(width):
            if 0 <= i + dy < height and 0 <= j + dx < width:
                y[:, i, j] = x[:, i + dy, j + dx]
    return y


def cutout(x: Tensor, u: Uniforms, strength: SiameseAugmentation) -> Tensor:
    """A rectangle about any pixel is blanked; one of even sides lies about a corner of pixels, the border included."""
    _, height, width = x.shape
    h, w = _rounded(height * strength.cutout), _rounded(width * strength.cutout)
    top = int(u[5] * (height if h % 2 else height + 1)) - h // 2
    left = int(u[6] * (width if w % 2 else width + 1)) - w // 2
    y = x.clone()
    for i in range(height):
        for j in range(width):
            if top <= i < top + h and left <= j < left + w:
                y[:, i, j] = 0
    return y


def flip(x: Tensor, u: Uniforms, strength: SiameseAugmentation) -> Tensor:
    """Mirrored left to right with probability 1/2."""
    width = x.shape[2]
    return torch.stack([x[:, :, width - 1 - j] for j in range(width)], dim=2) if u[7] < 0.5 else x


def scale(x: Tensor, u: Uniforms, strength: SiameseAugmentation) -> Tensor:
    """Rows and columns are read s_y and s_x times as far from the centre."""
    least, most = 1 / strength.scale, strength.scale
    s_x, s_y = least + u[8] * (most - least), least + u[9] * (most - least)
    return _read_at(x, lambda dy, dx: (s_y * dy, s_x * dx))


def rotate(x: Tensor, u: Uniforms, strength: SiameseAugmentation) -> Tensor:
    """Turned about the centre by U(-r, r) degrees, every distance kept."""
    theta = (2 * u[10] - 1) * strength.rotation * math.pi / 180
    sine, cosine = math.sin(theta), math.cos(theta)
    return _read_at(x, lambda dy, dx: (sine * dx + cosine * dy, cosine * dx - sine * dy))


A: Mapping[str, Callable[[Tensor, Uniforms, SiameseAugmentation], Tensor]] = {
    "color": color,
    "crop": crop,
    "cutout": cutout,
    "flip": flip,
    "scale": scale,
    "rotate": rotate,
}


def augment(images: Tensor, draw: Draw, augmentation: SiameseAugmentation) -> Tensor:
    """Every image (N, C, H, W) with the set of parameters that it shares with its neighbours."""
    share = len(images) // len(draw.operations)
    results = []
    for n, x in enumerate(images):
        omega = n // share
        names = augmentation.operations
        for name in names if augmentation.sequence else [names[int(draw.operations[omega])]]:
            x = A[name](x, draw.uniforms[omega].tolist(), augmentation)
        results.append(x)
    return torch.stack(results)


def _rounded(value: float) -> int:
    return math.floor(value + 0.5)


def _read_at(x: Tensor, place: Callable[[float, float], tuple[float, float]]) -> Tensor:
    """y(i, j) = x(place of (i, j)), both from the centre; between pixels bilinear, beyond the border zero."""
    _, height, width = x.shape
    centre_y, centre_x = (height - 1) / 2, (width - 1) / 2
    y = torch.zeros_like(x)
    for i in range(height):
        for j in range(width):
            dy, dx = place(i - centre_y, j - centre_x)
            row, column = centre_y + dy, centre_x + dx
            for r in (math.floor(row), math.floor(row) + 1):
                for c in (math.floor(column), math.floor(column) + 1):
                    if 0 <= r < height and 0 <= c < width:
                        y[:, i, j] += (1 - abs(row - r)) * (1 - abs(column - c)) * x[:, r, c]
    return y
