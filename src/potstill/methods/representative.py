"""Representative batches: the real images nearest to the centres of clusters, instead of random ones.

Yanqing Liu et al., "DREAM: Efficient Dataset Distillation by Representative Matching", ICCV 2023 (arXiv:2302.14416).
Every so many updates the images of each class are embedded by the network that is matched and divided into as many
clusters as a batch has images; until the next time, the batch is the image nearest to each centre.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from potstill.data import LabeledImages
from potstill.runtime.streams import Streams
from potstill.selection.geometry import k_means_nearest

REPRESENTATIVE = "representative"
"""The name of the chosen images, int64 (classes, batch), in the state."""


def representative_images(
    real: LabeledImages,
    embed: Callable[[LabeledImages], Tensor],
    streams: Streams,
    *,
    batch: int,
    candidates: int,
) -> Tensor:
    """Choose a representative batch of each class.

    Args:
        real: the real images.
        embed: from n images to their embeddings (n, D).
        streams: random streams of this choice.
        batch: images of each class; a class of no more than these is drawn at random instead.
        candidates: images of each class that are embedded, drawn at random; 0 embeds all.

    Returns:
        int64 (classes, batch): indices, on the images' device.
    """
    drawn = real.sample_per_class(batch, streams.generator("real batch"))
    for place, members in enumerate(real.class_index):
        if len(members) <= batch:
            continue
        own = streams.child("class", place)
        if 0 < candidates < len(members):
            order = torch.randperm(len(members), generator=own.generator("candidates"))
            members = members[order[: max(candidates, batch)].sort().values.to(members.device)]
        embedded = embed(real.take(members)).float().cpu()
        seed = int(torch.randint(2**31, (), generator=own.generator("clusters")))
        drawn[place] = members[k_means_nearest(embedded, batch, seed, starts=1).to(members.device)]
    return drawn
