"""``potstill distill auto``: the best settings known, instead of a method."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import Any

from potstill import data, distillation
from potstill.cli.options import duration, value_of
from potstill.distillation.settings import DEFAULT_DATASET, RunSettings, Settings
from potstill.runtime.errors import UserError

AUTO, AUTO_LIMIT = "auto", "10m"
"""The name that stands for the best method known, and how long it may take by default."""

AUTO_HELP = """usage: potstill distill auto [--dataset DATASET] [--ipc N] [--time-limit 10m] [OPTIONS]

Distil with the best settings known for a dataset, a number of images per class and a time limit: method, formation,
optimiser and network. It says what it chose, and which record supports the choice. Options of the chosen method that
you give as well take precedence; see potstill distill METHOD --help. For a dataset without a record, it uses the
settings for the one with the most similar images."""


def auto_settings(words: Sequence[str]) -> tuple[Settings[Any], str, str]:
    """The best settings known for the dataset, images per class and time limit that the words name.

    Args:
        words: the options; others than these three are not looked at.

    Returns:
        The settings, the time limit, and one line about what was chosen and why.

    Raises:
        UserError: a value is not understood, the time limit is too short, or the dataset cannot be read.
        SystemExit: the words ask for help.
    """
    if words and words[0] in ("-h", "--help"):
        print(AUTO_HELP)
        raise SystemExit(0)
    for option in ("--resume", "--config"):
        if option in words or value_of(option, words) is not None:
            raise UserError(f"{option} already has settings", "leave auto out")
    dataset = value_of("--dataset", words) or DEFAULT_DATASET
    limit = value_of("--time-limit", words) or AUTO_LIMIT
    count = value_of("--ipc", words) or str(RunSettings().ipc)
    if not count.isdecimal() or not int(count):
        raise UserError(f"--ipc {count} is not a number of images", "write a whole number from 1 on")
    shape, classes = _shape(dataset, words)
    seconds = duration(limit)
    chosen = distillation.chosen_settings(dataset, shape, classes, int(count), seconds)
    return chosen.settings(dataset, int(count), seconds), limit, chosen.why


def _shape(dataset: str, words: Sequence[str]) -> tuple[tuple[int, int, int], int]:
    """(C, H, W) of a dataset's images, and the number of its classes; what is not in the catalogue is read."""
    entry, size = data.CATALOGUE.get(dataset), value_of("--image-size", words)
    if entry is not None and size is None:
        return entry.shape, entry.classes
    names = ("image_column", "label_column", "split_map")
    named = {name: value_of(f"--{name.replace('_', '-')}", words) for name in names}
    loaded = data.load_dataset(
        dataset,
        data_root=value_of("--data-root", words),
        choices=data.Choices.among(named),
        image_size=int(size) if size is not None and size.isdecimal() else None,
    )
    channels, height, width = loaded.shape
    if loaded.train.holds_vectors:
        command = ["potstill", "distill", "linear-gradient", "--heads", "trained", *words]
        raise UserError("no settings are on record for vectors", f"use {shlex.join(command)}")
    return (channels, height, width), loaded.class_count
