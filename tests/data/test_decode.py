"""What is decided for all images of a dataset: order, white, alpha, channels, memory."""

from __future__ import annotations

import io
import time
import warnings
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from potstill.data import decode
from potstill.data.decode import decode_splits
from potstill.data.pixels import ScaledSplits
from potstill.runtime.errors import UserError
from potstill.runtime.machine import peak_memory_bytes, reset_peak_memory
from tests.forks import CONTEXT

GRADIENT = np.arange(6 * 9, dtype=np.uint8).reshape(6, 9) * 4


def encoded(image: Image.Image, format: str = "PNG", **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, format, **options)
    return stream.getvalue()


def splits(**images: list[Image.Image]) -> ScaledSplits:
    return decode_splits({split: list(map(named, of)) for split, of in images.items()})


def named(image: Image.Image) -> tuple[bytes, str]:
    return encoded(image, "TIFF" if image.mode == "F" else "PNG"), "it"


def decode_images(images: Iterable[tuple[bytes, str]], image_size: int | None = None) -> Tensor:
    return decode_splits({"train": images}, image_size=image_size).splits["train"]


def deep(values: np.ndarray, factor: int) -> Image.Image:
    return Image.fromarray(values.astype(np.uint16) * factor)


def test_order_is_kept_over_many_images():
    images = [encoded(Image.new("L", (2, 2), number % 256)) for number in range(700)]
    decoded = decode_images((image, "it") for image in images)
    assert decoded.dtype == torch.uint8
    assert decoded[:, 0, 1, 1].tolist() == [number % 256 for number in range(700)]


def test_no_images_are_an_empty_array():
    assert len(decode_images([])) == 0


@pytest.mark.parametrize(
    ("modes", "channels"), [(["L", "RGB"], 3), (["L", "LA", "LA"], 2), (["LA", "LA", "RGB"], 4), (["L"], 1)]
)
def test_mixed_channels_become_those_of_the_richest(modes: list[str], channels: int):
    white = [Image.new("RGBA", (2, 2), (200, 200, 200, 255)).convert(mode) for mode in modes]
    decoded = decode_images((encoded(image), "it") for image in white)
    assert decoded.shape == (len(modes), channels, 2, 2)
    colour, alpha = (decoded[:, :-1], decoded[:, -1]) if channels in (2, 4) else (decoded, None)
    assert (colour == 200).all()
    assert alpha is None or (alpha == 255).all()


def test_alpha_of_a_few_images_is_dropped_and_said():
    plain, alpha = Image.new("RGB", (2, 2), (9, 8, 7)), Image.new("RGBA", (2, 2), (9, 8, 7, 50))
    pictures = splits(train=[plain, plain, alpha], test=[plain])
    assert pictures.splits["train"].shape == (3, 3, 2, 2)
    assert pictures.remarks == ("1 of 4 images has alpha: it is dropped, since most have none",)
    pictures = splits(train=[alpha, alpha], test=[plain])
    assert pictures.splits["train"].shape == (2, 4, 2, 2)
    assert pictures.remarks == ("2 of 3 images have alpha: the others are taken as opaque, since most have it",)
    assert splits(train=[alpha], test=[alpha]).remarks == ()
    assert splits(train=[alpha], test=[plain]).remarks == (
        "1 of 2 images has alpha: it is dropped, since half of them have none",
    )


def test_transparent_palettes_and_colours_count_as_alpha():
    plain = encoded(Image.new("RGB", (2, 2), (9, 8, 7)))
    palette = encoded(Image.new("RGB", (2, 2), (9, 8, 7)).quantize(2), transparency=0)
    colour = encoded(Image.new("RGB", (2, 2), (9, 8, 7)), transparency=(9, 8, 7))
    pictures = decode_splits({"train": [(plain, "it")] * 3 + [(palette, "it")], "test": [(colour, "it")]})
    assert pictures.splits["train"].shape == (4, 3, 2, 2)
    assert pictures.remarks == ("2 of 5 images have alpha: it is dropped, since most have none",)
    pictures = decode_splits({"train": [(plain, "it"), (palette, "it"), (colour, "it")]})
    assert pictures.splits["train"][:, :, 0, 0].tolist() == [[9, 8, 7, 255], [9, 8, 7, 0], [9, 8, 7, 0]]
    pictures = decode_splits({"train": [(plain, "it"), (palette, "it")]}, channels=3)
    assert pictures.remarks == ("1 of 2 images has alpha: it is dropped, since the dataset is published without",)


def test_the_depth_is_judged_over_all_splits():
    pictures = splits(train=[deep(GRADIENT, 5)], test=[deep(GRADIENT, 19)])
    assert pictures.pixels == "12 bits (0 to 4,028) in 16-bit PNG, divided by 4,095, times 255"
    expected = np.rint(GRADIENT * 5.0 * 255 / 4095)
    np.testing.assert_array_equal(pictures.splits["train"][0, 0].numpy(), expected)


def test_real_16_bits_are_divided_by_257():
    pictures = splits(train=[deep(GRADIENT, 257)])
    np.testing.assert_array_equal(pictures.splits["train"][0, 0].numpy(), GRADIENT)


def test_bytes_among_deeper_images_stay_bytes():
    pictures = splits(train=[Image.fromarray(GRADIENT), deep(GRADIENT, 257)])
    assert torch.equal(pictures.splits["train"][0], pictures.splits["train"][1])
    assert pictures.pixels.startswith("8 bits (0 to 212); 16 bits")


def test_floats_in_files_are_judged_too():
    images = [Image.fromarray((GRADIENT / 255 * white).astype(np.float32)) for white in (1, 255)]
    for image in images:
        np.testing.assert_array_equal(splits(train=[image]).splits["train"][0, 0].numpy(), GRADIENT)
    with pytest.raises(UserError, match=r"train .* all dark"):
        splits(train=[images[0]], test=[images[1]])


def test_black_datasets_are_refused():
    with pytest.raises(UserError, match="every pixel"):
        splits(train=[Image.new("RGB", (2, 2))], test=[Image.new("L", (2, 2))])


def test_animations_are_counted():
    frames = [Image.new("L", (4, 4), grey) for grey in (200, 100)]
    gif = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    pictures = decode_splits({"train": [(gif, "a"), (encoded(frames[0]), "b")]})
    assert pictures.remarks == ("1 image has several frames, of which the first is read",)


def test_mixed_sizes_offer_image_size():
    images = [(encoded(Image.new("L", size, 9)), f"image {size}") for size in [(4, 3), (4, 3), (5, 3)]]
    with pytest.raises(UserError, match=r"image \(4, 3\) is 4×3, image \(5, 3\) is 5×3.*`image_size`"):
        decode_images(images)
    assert decode_images(images, image_size=2).shape == (3, 1, 2, 2)


def test_pillow_does_not_warn_the_user(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    wide = encoded(Image.new("1", (15, 10), 1))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert decode_images([(wide, "it")], image_size=4).shape == (1, 1, 4, 4)


def test_what_does_not_fit_into_memory_is_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(decode, "memory_bytes", lambda: 2**20)
    black = encoded(Image.new("L", (1000, 1000), 1))
    with pytest.raises(UserError, match=r"`image_size`|resize"):
        decode_images([(black, "it")] * 3)
    assert decode_images([(black, "it")] * 3, image_size=8).shape == (3, 1, 8, 8)


def test_large_encoded_images_wait_in_the_source(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(decode, "CHUNK_BYTES", 2**10)
    monkeypatch.setattr(decode, "WAITING_BYTES", 2**12)
    read: list[int] = []

    def images() -> Iterable[tuple[bytes, str]]:
        for number in range(100):
            read.append(number)
            yield b"no image" * 2**8, "it"

    def slow(*_: object, **__: object) -> None:
        time.sleep(0.1)
        raise UserError("it is damaged", "replace it")

    monkeypatch.setattr(decode, "read_raster", slow)
    with pytest.raises(UserError, match="it is damaged"):
        decode_images(images())
    assert len(read) < 10


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="the system does not reset the peak")
def test_images_are_let_go_as_they_are_stacked():
    with ProcessPoolExecutor(1, CONTEXT) as pool:  # the heap of this process may keep what earlier tests let go
        growth, size = pool.submit(growth_while_stacking).result()
    assert growth < 1.75 * size  # 2 if all are kept meanwhile


def growth_while_stacking() -> tuple[int, int]:
    """By how much the peak of this process's memory grows while it decodes a thousand images, and their bytes."""
    image = encoded(Image.fromarray(np.random.default_rng(0).integers(0, 256, (256, 256, 3), dtype=np.uint8)), "BMP")
    decode_images([(image, "it")] * 10)
    reset_peak_memory(torch.device("cpu"))
    before = peak_memory_bytes(torch.device("cpu"))
    stacked = decode_images((image, "it") for _ in range(1000))
    return peak_memory_bytes(torch.device("cpu")) - before, stacked.nbytes
