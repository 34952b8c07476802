"""Pixels as pictures: colour for any number of channels, signed changes, PNG."""

from __future__ import annotations

import base64
import io

import numpy as np
from markupsafe import Markup
from PIL import Image

DARKER, UNCHANGED, BRIGHTER = (
    (16, 52, 122),
    (143, 143, 143),
    (255, 200, 102),
)  # also in report.css, as --darker ...

CHANNEL_NOTES = {
    2: "The first channel is shown in magenta, the second in green; where they are equal, the picture is grey.",
    4: "The first three channels are shown as red, green and blue; the fourth is only visible in the difference.",
}


def as_rgb(pixels: np.ndarray) -> np.ndarray:
    """Pixels as colours.

    One channel is shown as grey and three as red, green and blue. Of two channels the first is magenta and the second
    green, which people with red-green colour blindness can distinguish. Of four channels the last is left out.

    Args:
        pixels: float (N, C, H, W) in [0, 1], C from 1 to 4.

    Returns:
        uint8 (N, H, W, 3).
    """
    order = {1: (0, 0, 0), 2: (0, 1, 0), 3: (0, 1, 2), 4: (0, 1, 2)}[pixels.shape[1]]
    return np.rint(pixels[:, order].transpose(0, 2, 3, 1) * 255).astype(np.uint8)


def change(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """The change of each pixel in the channel that changed most, signed.

    Args:
        before: float (N, C, H, W).
        after: the same images later, of the same shape.

    Returns:
        float (N, H, W), positive where the pixel became brighter.
    """
    difference = after - before
    most = np.abs(difference).argmax(axis=1, keepdims=True)
    return np.take_along_axis(difference, most, axis=1)[:, 0]


def change_limit(changes: np.ndarray) -> float:
    """The change that is shown in full colour. Few pixels exceed it, so that outliers do not make all others pale."""
    return max(float(np.quantile(np.abs(changes), 0.995)), 0.01)


def diverging(changes: np.ndarray, limit: float) -> np.ndarray:
    """Changes as colours: deep blue darker, grey unchanged, amber brighter.

    Lightness increases monotonically, so that the map is also readable in black and white.

    Args:
        changes: float, of any shape.
        limit: the change that is shown in full colour; larger changes are clipped.

    Returns:
        uint8, of the shape of ``changes`` with a last dimension of 3 added.
    """
    scaled = np.clip(changes / limit, -1, 1)
    colours = [np.interp(scaled, (-1, 0, 1), ends) for ends in zip(DARKER, UNCHANGED, BRIGHTER, strict=True)]
    return np.rint(np.stack(colours, axis=-1)).astype(np.uint8)


def data_uri(rgb: np.ndarray, reduction: int = 1) -> Markup:
    """One picture as a PNG in a data URI.

    Args:
        rgb: uint8 (H, W, 3).
        reduction: the whole number by which width and height are divided, by averaging pixels.
    """
    grey = (rgb[..., 0] == rgb[..., 1]).all() and (rgb[..., 1] == rgb[..., 2]).all()
    image = Image.fromarray(np.ascontiguousarray(rgb[..., 0] if grey else rgb)).reduce(reduction)
    stream = io.BytesIO()
    image.save(stream, "PNG")
    return Markup("data:image/png;base64," + base64.b64encode(stream.getvalue()).decode())
