"""The plan of experts: how the networks are trained, as a user asks for it."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Literal

from potstill.data import Choices
from potstill.networks import default_network
from potstill.runtime.bounds import at_least, below_one
from potstill.runtime.compute_choice import LONG_RUN_PIXELS
from potstill.runtime.errors import UserError
from potstill.runtime.files import sha256

if TYPE_CHECKING:
    from potstill.data import ImageDataset
    from potstill.networks import Network

Score = Literal["el2n", "grand", "forgetting"]
"""The difficulty scores of training images."""


@dataclass(frozen=True, kw_only=True)
class ExpertPlan:
    """How experts are trained, as for matching training trajectories (Cazenavette et al., CVPR 2022).

    The defaults train fewer experts, and for fewer epochs, than the paper, which uses 100 experts of 50 epochs.

    Attributes:
        dataset: dataset to train on, named as for distillation.
        network: spec of the architecture. By default that of the data: convnet, for vectors linear.
        count: number of experts.
        at_once: number of experts trained simultaneously, as one stack of networks. This helps if a single one would
            leave a GPU idle; on a CPU, one at a time is faster.
        epochs: number of training epochs.
        batch_size: images per step.
        learning_rate: learning rate of SGD.
        momentum: momentum of SGD.
        weight_decay: weight decay of SGD.
        augment: apply Siamese augmentation: one operation per batch, with parameters drawn for each image.
        gsam_rho: rho of GSAM, for experts in flat minima: 0.01 for DATM and PAD, 0 for plain SGD.
        curriculum: train on easy images first and drop the easiest later, as for PAD; difficulty is given by
            ``curriculum_by``.
        curriculum_by: difficulty score of the curriculum, computed with a network trained for the purpose: ``el2n``,
            ``grand`` (as in PAD; slower, as it takes a gradient per image) or ``forgetting``.
        last_only: keep only the final weights of each expert, not those of every epoch. These suffice as initial
            weights, but not for trajectory matching.
        ends_only: keep only the initial and the final weights of each expert, which are enough for a pool of networks,
            as ``dance`` and ``ncfm`` use.
        image_size: resize images to this side length, in pixels.
        zca: whiten images with a ZCA transform fitted to the training images.
        image_column: the column of images, in a dataset of tables with several.
        label_column: the column of classes, in a dataset of tables with several.
        split_map: which published splits to use, such as train=fold1,test=fold2. By default their names decide.
        seed: seed for all random draws.
    """

    dataset: str = "digits"
    network: str | None = None
    count: int = 10
    at_once: int = 1
    epochs: int = 20
    batch_size: int = 256
    learning_rate: float = 0.01
    momentum: float = 0.0
    weight_decay: float = 0.0
    augment: bool = True
    gsam_rho: float = 0.0
    curriculum: bool = False
    curriculum_by: Score = "el2n"
    last_only: bool = False
    image_size: int | None = None
    zca: bool = False
    # Added later, and kept out of ``repr``: so ``key`` gives older folders the names that they had.
    ends_only: bool = field(default=False, repr=False)
    image_column: str | None = field(default=None, repr=False)
    label_column: str | None = field(default=None, repr=False)
    split_map: str | None = field(default=None, repr=False)
    seed: int = 0

    def __post_init__(self) -> None:
        _ = self.choices  # checks them
        at_least(self, count=1, epochs=1, at_once=1, batch_size=1, learning_rate=0, weight_decay=0, gsam_rho=0)
        at_least(self, image_size=1)
        below_one(self, "momentum")
        if self.last_only and self.ends_only:
            raise UserError("`last_only` and `ends_only` exclude each other", "leave one of them out")

    @property
    def choices(self) -> Choices:
        """What to take where the files of the dataset leave a choice."""
        return Choices.among(vars(self))

    @property
    def key(self) -> str:
        """Eight hexadecimal digits that plans for different networks or data do not share, to name a folder by.

        ``ends_only`` makes no difference; a folder that was started the other way is refused when it is resumed.
        """
        chosen = {name: value for name, value in asdict(self.choices).items() if value is not None}
        return sha256((repr(self) + (json.dumps(chosen, sort_keys=True) if chosen else "")).encode())[:8]

    def trained_network(self, shape: tuple[int, int, int]) -> str:
        """The network that is trained: the one that is named, or the default of the data.

        Args:
            shape: (C, H, W) of one image.
        """
        return default_network(shape) if self.network is None else self.network

    def is_long(self, dataset: ImageDataset) -> bool:
        """Whether training takes long enough for compilation and low precision to pay off."""
        return self.pixels(dataset) >= LONG_RUN_PIXELS

    def pixels(self, dataset: ImageDataset) -> int:
        """The pixels that all experts process in training."""
        return self.count * self.epochs * len(dataset.train) * math.prod(dataset.shape[1:])

    def bytes_kept(self, network: Network) -> int:
        """Size of all files of experts, in bytes."""
        one = sum(tensor.numel() * 4 for tensor in network.state_dict().values())
        return self.count * one * (1 if self.last_only else 2 if self.ends_only else self.epochs + 1)
