"""Networks to match and to train, for images of any size and number of channels.

- ``convnet``, ``resnet``, ``classic``: the families; a new one is a file here and an entry of ``NETWORKS``.
- ``base``: what all networks have in common; ``layers``: what families are built of.
- ``spec``: networks named in text, such as ``convnet:depth=4``; ``registry``: the families by name.
- ``weights``, ``initial``, ``nearby``: trained parameters in files, where a network's parameters come from before it is
  trained, and random ones near trained ones.

It imports ``runtime`` alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from potstill.runtime.lazy import on_first_use

if TYPE_CHECKING:
    from potstill.networks.base import ImageShape as ImageShape
    from potstill.networks.base import Network as Network
    from potstill.networks.base import Observation as Observation
    from potstill.networks.base import Scheme as Scheme
    from potstill.networks.build import build_network as build_network
    from potstill.networks.build import checked_spec as checked_spec
    from potstill.networks.initial import RANDOM_WEIGHTS as RANDOM_WEIGHTS
    from potstill.networks.initial import InitialWeights as InitialWeights
    from potstill.networks.nearby import NearbyWeights as NearbyWeights
    from potstill.networks.registry import NETWORKS as NETWORKS
    from potstill.networks.registry import default_network as default_network
    from potstill.networks.registry import entries as entries
    from potstill.networks.spec import Option as Option
    from potstill.networks.spec import options_of as options_of
    from potstill.networks.spec import parse as parse
else:
    __getattr__, __dir__, __all__ = on_first_use(__name__)
