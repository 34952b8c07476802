"""What papers print about their methods: accuracies of ConvNets on small sets, by dataset and images per class."""

from __future__ import annotations

from collections.abc import Mapping

from potstill.schema.published import Published

Table = Mapping[str, Mapping[str, tuple[Published | None, ...]]]

PER_CLASS = (1, 10, 50)
"""The images per class of the columns of ``PUBLISHED``."""


def _row(*results: float | tuple[float, float] | None) -> tuple[Published | None, ...]:
    def printed(result: float | tuple[float, float] | None) -> Published | None:
        if result is None:
            return None
        return Published(result[0], result[1]) if isinstance(result, tuple) else Published(result)

    return tuple(map(printed, results))


PUBLISHED: Table = {
    "cifar10": {
        "random": _row((15.4, 0.3), (31.0, 0.5), (50.6, 0.3)),
        "dc": _row((28.3, 0.5), (44.9, 0.5), (53.9, 0.5)),
        "dsa": _row((28.8, 0.7), (52.1, 0.5), (60.6, 0.5)),
        "dm": _row((26.0, 0.8), (48.9, 0.6), (63.0, 0.4)),
        "mtt": _row((46.2, 0.8), (65.4, 0.7), (71.6, 0.2)),
        "tesla": _row((48.5, 0.8), (66.4, 0.8), (72.6, 0.7)),
        "datm": _row((46.9, 0.5), (66.8, 0.2), (76.1, 0.3)),
        "pad": _row((47.2, 0.6), (67.4, 0.3), (77.0, 0.5)),
        "frepo": _row((46.8, 0.7), (65.5, 0.4), (71.7, 0.2)),
        "ncfm, f = 2": _row((49.5, 0.3), (71.8, 0.3), (77.4, 0.3)),
        "dance, f = 2": _row(47.1, 70.8, 76.1),
        "idc": _row(36.7, 58.3, 69.5),
        "idc, f = 2": _row(50.6, 67.5, 74.5),
    },
    "mnist": {
        "ld": _row((60.9, 3.2), (87.3, 0.7), (93.3, 0.3)),
        "dc": _row((91.7, 0.5), (97.4, 0.2), (98.8, 0.1)),
        "dsa": _row((88.7, 0.6), (97.8, 0.1), (99.2, 0.1)),
        "idc": _row(88.9, 98.0, 98.8),
        "idc, f = 2": _row(94.2, 98.4, 99.1),
    },
    "fashion-mnist": {
        "dc": _row((70.5, 0.6), (82.3, 0.4), (83.6, 0.4)),
        "dsa": _row((70.6, 0.6), (84.6, 0.3), (88.7, 0.2)),
        "dm": _row(70.7, 83.5, 88.1),
        "dance, f = 2": _row(81.5, 86.3, 86.9),
        "idc": _row(70.7, 85.3, 89.1),
        "idc, f = 2": _row(81.0, 86.0, 86.2),
    },
}
"""By dataset and method, with its formation: the accuracies with 1, 10 and 50 images per class, in percent.

Evaluation protocols differ from paper to paper. Sources: the repository of Zhao and Bilen for ``dc`` and ``dsa``; that
of PAD (Li et al. 2024) for ``random``, ``dm``, ``mtt``, ``tesla``, ``datm``, ``pad`` and ``frepo`` on CIFAR-10; NCFM
(Wang et al. 2025), DANCE (Zhang et al. 2024; also for ``dm`` on Fashion-MNIST) and IDC (Kim et al. 2022) for their own;
KIP (Nguyen et al. 2021) for ``ld``.
"""


def published_result(dataset: str, method: str, images_per_class: int, formation: int = 1) -> Published | None:
    """The published accuracy of a ConvNet on a set of a method, or None if none is known.

    Args:
        dataset: its name in the catalogue.
        method: the name of the method.
        images_per_class: the number of stored images of each class.
        formation: the pictures along each side of a stored image.
    """
    if images_per_class not in PER_CLASS:
        return None
    rows = PUBLISHED.get(dataset, {})
    row = rows.get(method if formation == 1 else f"{method}, f = {formation}")
    return None if row is None else row[PER_CLASS.index(images_per_class)]
