"""The synthetic set, how it is parametrised while it is learned, and how it is trained on."""

from potstill.synthetic.formation import check_factor, enlarged, formed
from potstill.synthetic.parametrisation import (
    IDENTITY,
    PIXELS,
    POSITIVE,
    SOFTMAX,
    Decoded,
    Parametrisation,
    Transform,
)
from potstill.synthetic.set import Replay, Step, SyntheticSet, batch_indices

__all__ = [
    "IDENTITY",
    "PIXELS",
    "POSITIVE",
    "SOFTMAX",
    "Decoded",
    "Parametrisation",
    "Replay",
    "Step",
    "SyntheticSet",
    "Transform",
    "batch_indices",
    "check_factor",
    "enlarged",
    "formed",
]
