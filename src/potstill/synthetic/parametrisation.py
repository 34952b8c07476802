"""Parametrisation of a set while it is learned: the tensors that are optimised, and the images and labels they encode.

Methods compute gradients with respect to images and labels, but the optimiser updates a state of raw tensors.
``decode`` maps the state to images and labels; ``pullback`` maps gradients with respect to images and labels to
gradients with respect to the state. Methods depend on nothing else, so a new representation is a new ``Transform``.
If stored images hold several pictures each (``potstill.synthetic.formation``), what is decoded are the pictures.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from potstill.synthetic.formation import enlarged, pulled_back
from potstill.synthetic.set import SyntheticSet


class Transform(Protocol):
    """A differentiable map from an unconstrained raw tensor to the value that it encodes."""

    def encode(self, value: Tensor) -> Tensor:
        """A raw tensor that encodes ``value``."""
        ...

    def decode(self, raw: Tensor) -> Tensor:
        """The value that ``raw`` encodes."""
        ...

    def pullback(self, raw: Tensor, gradient: Tensor) -> Tensor:
        """The gradient with respect to ``raw``, given the gradient with respect to the value."""
        ...


class Identity:
    """The value itself is optimised."""

    def encode(self, value: Tensor) -> Tensor:
        """The value."""
        return value

    def decode(self, raw: Tensor) -> Tensor:
        """The value."""
        return raw

    def pullback(self, raw: Tensor, gradient: Tensor) -> Tensor:
        """The same gradient."""
        return gradient


class Softmax:
    """Probabilities (N, classes), each row of which sums to 1, as the softmax of logits."""

    def encode(self, value: Tensor) -> Tensor:
        """The logarithms of probabilities, which must be positive."""
        return value.log()

    def decode(self, raw: Tensor) -> Tensor:
        """p = softmax(raw), row by row."""
        return raw.softmax(1)

    def pullback(self, raw: Tensor, gradient: Tensor) -> Tensor:
        """p (g - <g, p>) for each row."""
        p = self.decode(raw)
        return p * (gradient - (gradient * p).sum(1, keepdim=True))


class Positive:
    """Positive numbers, as the softplus log(1 + e^raw) of real ones."""

    def encode(self, value: Tensor) -> Tensor:
        """log(e^value - 1)."""
        return value.expm1().log()

    def decode(self, raw: Tensor) -> Tensor:
        """log(1 + e^raw)."""
        return F.softplus(raw)

    def pullback(self, raw: Tensor, gradient: Tensor) -> Tensor:
        """g sigmoid(raw)."""
        return gradient * torch.sigmoid(raw)


IDENTITY, SOFTMAX, POSITIVE = Identity(), Softmax(), Positive()


class Decoded(NamedTuple):
    """The images and labels that a state represents, on the state's device.

    Attributes:
        images: (N, C, H, W), ordered by class, in the state's dtype: the pictures of all stored images.
        labels: int64 (N,) classes, or probabilities (N, classes).
    """

    images: Tensor
    labels: Tensor


@dataclass(frozen=True)
class Parametrisation:
    """Which parts of a set are learned, and the transform of each; other parts remain those of the start.

    Attributes:
        images: the transform of the state's tensor ``images``; None if images are not learned.
        labels: the transform of the state's tensor ``labels``; None if labels are not learned.
    """

    images: Transform | None = IDENTITY
    labels: Transform | None = None

    def __post_init__(self) -> None:
        if self.images is None and self.labels is None:
            raise ValueError("a parametrisation that learns neither images nor labels learns nothing")

    def decode(self, state: Mapping[str, Tensor], start: SyntheticSet) -> Decoded:
        """The images and labels that ``state`` represents.

        Args:
            state: contains the raw tensors ``images``, ``labels`` or both, depending on what is learned.
            start: the initial set, which provides the other parts, and the formation.
        """
        images, labels = self._stored(state, start)
        return Decoded(enlarged(images, start.formation), labels.repeat_interleave(start.formation**2, dim=0))

    def pullback(
        self, state: Mapping[str, Tensor], start: SyntheticSet, decoded: Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        """Gradients with respect to the state's tensors.

        Args:
            state: as for ``decode``.
            start: as for ``decode``.
            decoded: gradients with respect to the decoded ``images`` and ``labels``; those of parts that are not
                learned are ignored.

        Returns:
            The gradient of each learned raw tensor, by name.
        """
        gradients = {}
        if self.images is not None and "images" in decoded:
            of_stored = pulled_back(decoded["images"], start.formation)
            gradients["images"] = self.images.pullback(state["images"], of_stored)
        if self.labels is not None and "labels" in decoded:
            of_each = decoded["labels"].unflatten(0, (-1, start.formation**2)).sum(1)
            gradients["labels"] = self.labels.pullback(state["labels"], of_each)
        return gradients

    def result(self, state: Mapping[str, Tensor], start: SyntheticSet) -> SyntheticSet:
        """``start`` with its learned parts replaced by those that ``state`` represents, in float32 on the CPU."""
        stored = self._stored(state, start)
        learned = {"images": self.images is not None, "labels": self.labels is not None}
        values = {name: getattr(stored, name).detach().float().cpu() for name, is_one in learned.items() if is_one}
        return replace(start, **values)

    def _stored(self, state: Mapping[str, Tensor], start: SyntheticSet) -> Decoded:
        """The stored images and their labels."""
        like = state["labels" if self.images is None else "images"]
        labels = start.labels.to(like.device, non_blocking=True)
        return Decoded(
            images=start.images.to(like) if self.images is None else self.images.decode(state["images"]),
            labels=labels if self.labels is None else self.labels.decode(state["labels"]),
        )


PIXELS = Parametrisation()
"""Images are learned pixel by pixel; labels are fixed."""
