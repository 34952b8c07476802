"""Search spaces: networks by name, some built in, others in a file."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from pathlib import Path
from types import MappingProxyType
from typing import Any

from potstill.networks import ImageShape
from potstill.networks.build import checked_spec, outline_network
from potstill.runtime.errors import UserError, unknown
from potstill.runtime.reading import read_json, read_toml
from potstill.schema.search import Candidate

CONVNET_22 = MappingProxyType(
    {
        **{f"ConvNetD{depth}": f"convnet:depth={depth}" for depth in range(1, 6)},
        **{f"ConvNetW{width}": f"convnet:depth=3:width={width}" for width in (32, 64, 128, 256)},
        "ConvNetAS": "convnet:depth=3:activation=sigmoid",
        "ConvNetAR": "convnet:depth=3:activation=relu",
        "ConvNetAL": "convnet:depth=3:activation=leaky",
        "ConvNetASwish": "convnet:depth=3:activation=swish",
        "ConvNetASwishBN": "convnet:depth=3:activation=swish:norm=batch",
        "ConvNetNN": "convnet:depth=3:norm=none",
        "ConvNetBN": "convnet:depth=3:norm=batch",
        "ConvNetLN": "convnet:depth=3:norm=layer",
        "ConvNetIN": "convnet:depth=3:norm=instance",
        "ConvNetGN": "convnet:depth=3:norm=group",
        "ConvNetNP": "convnet:depth=3:pooling=none",
        "ConvNetMP": "convnet:depth=3:pooling=max",
        "ConvNetAP": "convnet:depth=3:pooling=avg",
    }
)
"""The 22 ConvNets of the DataDAM coursework, by their names there; each differs from ConvNetD3 in one respect."""

CONVNET_720 = MappingProxyType(
    {
        f"D{depth}-W{width}-{norm}-{activation}-{pooling}": (
            f"convnet:depth={depth}:width={width}:norm={norm}:activation={activation}:pooling={pooling}"
        )
        for depth, width, norm, activation, pooling in product(
            (1, 2, 3, 4),
            (32, 64, 128, 256),
            ("none", "batch", "layer", "instance", "group"),
            ("sigmoid", "relu", "leaky"),
            ("none", "max", "avg"),
        )
    }
)
"""A grid of 720 ConvNets over the axes of "Dataset Condensation with Gradient Matching" (Zhao et al., ICLR 2021)."""

SPACES: Mapping[str, Mapping[str, str]] = MappingProxyType({"convnet-22": CONVNET_22, "convnet-720": CONVNET_720})
"""Search spaces by name, each a mapping from the names of the candidates to their specs."""

LARGEST = 10_000
"""The most candidates of a space."""
LONGEST = 100
"""The most characters of a candidate's name."""
SUFFIXES = (".json", ".toml")
WRITE = 'write one network per name, such as {"wide": "convnet:width=256"}'


def space_named(text: str) -> str | dict[str, str]:
    """The space that a word on the command line names: one in ``SPACES``, or that in a file.

    Args:
        text: a name, or the path of a JSON or TOML file.

    Returns:
        The name, or the specs in the file by name.

    Raises:
        UserError: there is no such space or file, or something is wrong in the file.
    """
    if text in SPACES:
        return text
    if Path(text).suffix.lower() in SUFFIXES or Path(text).exists():
        return read_space(Path(text))
    raise unknown("search space", text, SPACES, listing=f"{', '.join(SPACES)}, or a JSON or TOML file")


def read_space(path: Path) -> dict[str, str]:
    """The specs by name in a JSON or TOML file.

    Args:
        path: the file; its name ends in ``.toml``, or it is read as JSON.

    Raises:
        UserError: it cannot be read, is not an object of specs, or a name or a spec is wrong.
    """
    content: Any = read_toml(path)[1] if path.suffix.lower() == ".toml" else read_json(path)
    if not isinstance(content, dict):
        raise UserError(f"{path} is not an object of networks by name", WRITE)
    try:
        checked_space(content)
    except UserError as error:
        raise UserError(f"{path}: {error.problem}", error.remedy) from error
    return content


def specs_of(space: str | Mapping[str, str]) -> Mapping[str, str]:
    """The specs of a space by name.

    Args:
        space: a name in ``SPACES``, or the specs themselves.

    Raises:
        UserError: there is no such space, or something is wrong with a name or a spec.
    """
    if isinstance(space, str):
        if space not in SPACES:
            raise unknown("search space", space, SPACES, listing=", ".join(SPACES))
        return SPACES[space]
    checked_space(space)
    return space


def checked_space(space: Mapping[Any, Any]) -> None:
    """Make sure that a mapping is a search space.

    Raises:
        UserError: it is empty or too large, a name is empty or too long, or a spec is not text or names no network.
    """
    if not space:
        raise UserError("the search space is empty", "give at least one network spec by name")
    if len(space) > LARGEST:
        raise UserError(f"the search space has {len(space):,} candidates", f"use {LARGEST:,} or fewer")
    for name, spec in space.items():
        if not isinstance(name, str) or not name.strip() or len(name) > LONGEST:
            shown = f"{name[:LONGEST]}…" if isinstance(name, str) and len(name) > LONGEST else name
            raise UserError(f"{shown!r} is not a name for a candidate", f"use 1 to {LONGEST} characters")
        if not isinstance(spec, str):
            raise UserError(f"candidate {name!r} is not the spec of a network", WRITE)
        try:
            checked_spec(spec)
        except UserError as error:
            raise UserError(f"candidate {name!r}: {error.problem}", error.remedy) from error


def candidates_in(specs: Mapping[str, str], shape: ImageShape, classes: int) -> dict[str, Candidate]:
    """The candidates before any training: with their parameters, or with the reason why they are skipped.

    Args:
        specs: the specs by name.
        shape: the shape of the images.
        classes: the number of classes.
    """
    return {name: _candidate(spec, shape, classes) for name, spec in specs.items()}


def _candidate(spec: str, shape: ImageShape, classes: int) -> Candidate:
    try:
        network = outline_network(spec, shape, classes)
    except UserError as error:
        return Candidate(spec=spec, failed=error.problem, skipped=True)
    return Candidate(spec=spec, parameters=sum(parameter.numel() for parameter in network.parameters()))
