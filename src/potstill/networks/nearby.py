"""Networks near given weights: a random step about what a file holds, no longer than a radius."""

from __future__ import annotations

from pathlib import Path

import torch

from potstill.networks.base import Network
from potstill.networks.weights import Weights, WeightsFile, install_features
from potstill.runtime.errors import UserError


class NearbyWeights:
    """The weights of a file, and random weights near them.

    A draw adds one standard normal number to each parameter, and shortens this step to the radius if it is longer: it
    always is in a network of more parameters than the square of the radius. So FedDM draws networks about the weights
    of a server (Xiong et al., CVPR 2023, arXiv:2207.09653). The classifier is left out on both sides: it is no part of
    the features that are matched, and has as many outputs as there are classes.

    Args:
        path: a file of ``potstill experts``, whose last epoch counts, or another of :func:`write_weights`.
        radius: the greatest Euclidean length of a step through all parameters; 0 stays at the weights.

    Raises:
        UserError: the file is absent, a folder, or holds no usable weights.
    """

    def __init__(self, path: Path, radius: float) -> None:
        if path.is_dir():
            raise UserError(f"{path} is a folder", "name a single file of weights in it")
        self.path, self.radius = path, radius
        self._weights: Weights = WeightsFile(path).read()

    @torch.no_grad()
    def draw(self, network: Network, generator: torch.Generator) -> None:
        """Set all parameters of ``network`` but those of its classifier, in place; buffers become those of the file.

        The values depend on file, radius and generator alone: steps are drawn on the CPU in float32.

        Args:
            network: on any device, in any floating dtype.
            generator: a CPU generator; with a radius of 0 nothing is drawn from it.

        Raises:
            UserError: the weights do not fit the network.
        """
        names = install_features(network, self._weights, self.path)
        if self.radius == 0:
            return
        parameters = {name: tensor for name, tensor in network.named_parameters() if name in names}
        steps = {name: torch.randn(tensor.shape, generator=generator) for name, tensor in parameters.items()}
        length = torch.stack([step.double().square().sum() for step in steps.values()]).sum().sqrt().item()
        share = min(self.radius / length, 1.0)
        for name, tensor in parameters.items():
            tensor.copy_(self._weights[name] + share * steps[name], non_blocking=True)
