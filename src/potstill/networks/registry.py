"""The families of networks by name. What is listed is what their sources say; a family is imported to be built."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from potstill.networks.spec import LIBRARIES, Family, Option, declared_options
from potstill.runtime.errors import unknown
from potstill.runtime.lazy import Located, class_syntax, located, summary
from potstill.schema.shapes import is_vector

FAMILIES = {
    "convnet": "potstill.networks.convnet:ConvNet",
    "linear": "potstill.networks.classic:Linear",
    "mlp": "potstill.networks.classic:MLP",
    "lenet": "potstill.networks.classic:LeNet",
    "alexnet": "potstill.networks.classic:AlexNet",
    "vgg11": "potstill.networks.classic:VGG11",
    "resnet18": "potstill.networks.resnet:ResNet18",
}
"""Where every family is, as ``module:Class``, by the name with which specs begin."""

NETWORKS: Mapping[str, Family] = Located(FAMILIES)
"""Every family by name; a class is imported when it is asked for."""


def find_family(name: str) -> Family:
    """The family of a name in ``NETWORKS``, or of a model of another package, such as ``timm:resnet18``.

    Raises:
        UserError: there is none, or the package is not installed.
    """
    prefix, _, model = name.partition(":")
    if prefix in LIBRARIES:
        return located(LIBRARIES[prefix])(model)
    if name not in NETWORKS:
        raise unknown("network", name, NETWORKS, listing="potstill list networks")
    return NETWORKS[name]


def default_network(shape: tuple[int, int, int]) -> str:
    """The network for images, or for vectors, of this shape where none is named: ``convnet`` or ``linear``."""
    return "linear" if is_vector(shape) else "convnet"


@dataclass(frozen=True)
class FamilyEntry:
    """What is known of a family before it is imported.

    Attributes:
        summary: the first line of its docstring, without the full stop.
        options: its options, by name.
    """

    summary: str
    options: Mapping[str, Option]


def entries() -> Mapping[str, FamilyEntry]:
    """The entry of every family by name."""
    classes = {name: class_syntax(location) for name, location in FAMILIES.items()}
    return {
        name: FamilyEntry(summary(each), declared_options(each)) for name, each in classes.items() if each is not None
    }
