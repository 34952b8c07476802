"""Features of images by a pretrained model of another package."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor

from potstill.data import LabeledImages
from potstill.engine.features import FeatureExtractor, embedding
from potstill.experts.feature_source import OfImages, Training
from potstill.networks.on_timm import pretrained, pretrained_spec, weights_file
from potstill.runtime.errors import UserError
from potstill.runtime.progress import Pace

BLOCK = 64
"""How many images are resized at a time."""


class PretrainedFeatures(OfImages):
    """The embeddings of a model of timm, of images that are resized and normalised as its weights want them.

    Args:
        training: the images, device and precision; its network plays no part.
        spec: ``timm:MODEL:weights=WHERE``.

    Raises:
        UserError: these are vectors, or model or weights are not there.
    """

    def __init__(self, training: Training, spec: str) -> None:
        super().__init__(training.real, training.progress)
        if training.real.holds_vectors:
            raise UserError("a pretrained model takes images, and these are vectors", "leave `features` out")
        self._model, self._weights = pretrained_spec(spec)
        network, self._preparation = pretrained(spec)
        self._network = network.eval().requires_grad_(False)
        self._compute = training.compute

    @property
    def weights(self) -> Path:
        """The file of the weights."""
        return weights_file(self._model, self._weights)

    @property
    def _width(self) -> int:
        return self._network.embedding_size

    @cached_property
    def _extractor(self) -> FeatureExtractor:
        extractor = FeatureExtractor(self._network, embedding, self._compute)
        extractor.network.eval()
        return extractor

    def _describe(self, images: LabeledImages) -> Tensor:
        described, pace = torch.empty(len(images), self._width), Pace()
        for start in range(0, len(images), BLOCK):
            some = images.stored[slice(start, start + BLOCK)]
            pixels = some if isinstance(some, Tensor) else some.read()
            ready = self._preparation.prepared(pixels.to(self._compute.device))
            described[start : start + BLOCK] = self._extractor.describe_tensor(ready)[0].float().cpu()
            if pace.due():
                self.progress(f"computing features with a pretrained model, {start + len(pixels):,} of {len(images):,}")
        return described
