"""The page's figures as PNG files, for slides and papers."""

from __future__ import annotations

import io
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from potstill.report import wording
from potstill.report.charts.curves import is_wide
from potstill.report.charts.dots import accuracy_scale
from potstill.report.charts.pictures import as_rgb, change, change_limit, diverging
from potstill.report.images import ImageSet
from potstill.report.run import Run
from potstill.report.sections.accuracy import comparisons
from potstill.report.sections.confusion import shares
from potstill.report.sections.learning import panels
from potstill.runtime.files import write_atomic

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DPI = 150
MOST_ROWS, MOST_COLUMNS = 50, 10
INK, SOFT, COPPER = "#1d1b18", "#6b665d", "#a3451a"
LINES = (COPPER, "#2b5f8a", "#4b7a3a", "#7a4f8a", "#8a7a2b", "#3a3a3a")
MARKERS = {"distilled": "o", "random": "s", "full": "D"}


def write_figures(run: Run) -> None:
    """Write ``figures/*.png``; a figure without records is removed, so that no figure is out of date.

    Raises:
        UserError: a file cannot be written.
    """
    made = {
        "before": None if run.before is None else gallery_figure(run.before, "before"),
        "after": gallery_figure(run.after, "after"),
        "difference": None if run.before is None else difference_figure(run.before, run.after),
        "accuracy": accuracy_figure(run) if comparisons(run) else None,
        "curves": curves_figure(run),
        "confusion": confusion_figure(run),
    }
    for name, figure in made.items():
        path = run.paths.figure(name)
        if figure is None:
            path.unlink(missing_ok=True)
        else:
            write_atomic(path, _png(figure))


def gallery_figure(images: ImageSet, title: str) -> Figure:
    """A row of images for each class."""
    return _mosaic(images, as_rgb(images.pixels), title)


def difference_figure(before: ImageSet, after: ImageSet) -> Figure:
    """The changes of pixels, with a row for each class: amber brighter, blue darker, grey unchanged."""
    changes = change(before.pixels, after.pixels)
    limit = change_limit(changes)
    title = f"difference (full colour at ±{limit:.2f}; amber brighter, blue darker)"
    return _mosaic(after, diverging(changes, limit), title)


def accuracy_figure(run: Run) -> Figure:
    """Each network on each set: mean, 95 % interval and repeats."""
    compared = comparisons(run)
    lines = [(item, contender) for item in compared for contender in item.contenders]
    figure = _figure(7.0, 0.9 + 0.32 * len(lines))
    axes = figure.subplots()
    for row, (_, contender) in enumerate(lines):
        result, colour = contender.result, COPPER if contender.kind == "distilled" else SOFT
        if not result.usable:
            style = {"va": "center", "fontsize": 8, "color": SOFT, "parse_math": False}
            axes.text(0.01, row, f"failed: {result.failed}"[:90], transform=axes.get_yaxis_transform(), **style)
            continue
        if result.interval:
            low, high = result.interval
            axes.plot([100 * low, 100 * high], [row, row], color=colour, linewidth=2)
        repeats = [100 * accuracy for accuracy in result.accuracies]
        axes.plot(repeats, [row] * len(repeats), "|", color=colour, ms=7)
        axes.plot([100 * result.mean], [row], MARKERS.get(contender.kind, "^"), color=colour, ms=6)
    scale = accuracy_scale(compared)
    axes.set_xlim(100 * scale.low, 100 * scale.high)
    axes.set_ylim(len(lines) - 0.5, -0.5)
    _label_ticks(axes, "y", [f"{item.network}: {contender.title}" for item, contender in lines])
    axes.set_xlabel("test accuracy, %", color=SOFT)
    axes.grid(axis="x", color="#dddddd", linewidth=0.6)
    _bare(axes)
    return figure


def curves_figure(run: Run) -> Figure | None:
    """Distillation loss, validation accuracy, and the learning curves of the evaluation's networks."""
    drawn = panels(run)
    if not drawn:
        return None
    figure = _figure(3.6 * len(drawn), 2.9)
    for axes, panel in zip(np.ravel(figure.subplots(1, len(drawn))), drawn, strict=True):
        for index, (name, (x, y)) in enumerate(panel.lines.items()):
            marker = "o" if len(x) == 1 else ""
            values = 100 * y if panel.is_accuracy else y
            axes.plot(x, values, marker=marker, color=LINES[index % len(LINES)], linewidth=1.3, label=name)
        if not panel.is_accuracy and is_wide(np.concatenate([y for _, y in panel.lines.values()])):
            axes.set_yscale("log")
        axes.set_title(panel.title + (", %" if panel.is_accuracy else ""), fontsize=8, loc="left", color=INK)
        axes.set_xlabel(panel.x_label, color=SOFT, fontsize=8)
        if len(panel.lines) > 1:
            axes.legend(fontsize=7, frameon=False)
        _bare(axes)
    return figure


def confusion_figure(run: Run) -> Figure | None:
    """The confusion matrix of the headline's network, in percent of the true class."""
    network = run.headline
    if network is None or run.evaluation is None or not run.evaluation.networks[network].confusion:
        return None
    counts = np.asarray(run.evaluation.networks[network].confusion)
    names = run.after.class_names
    side = min(2.4 + 0.28 * len(names), 12.0)
    figure = _figure(side, side)
    axes = figure.subplots()
    picture = axes.imshow(100 * shares(counts), cmap="Oranges", vmin=0, vmax=100, interpolation="nearest")
    figure.colorbar(picture, ax=axes, shrink=0.7, label="% of the true class")
    if len(names) <= 60:
        _label_ticks(axes, "y", names)
        _label_ticks(axes, "x", names, rotation=90)
    axes.set_ylabel("true class", color=SOFT)
    axes.set_xlabel("predicted class", color=SOFT)
    axes.set_title(wording.network_title(network), fontsize=10, color=INK, parse_math=False)
    return figure


def _mosaic(images: ImageSet, pictures: np.ndarray, title: str) -> Figure:
    """Pictures uint8 (N, H, W, 3) as one array with white gaps, a row for each class."""
    height, width = pictures.shape[1:3]
    rows = [members[:MOST_COLUMNS] for members in images.members[:MOST_ROWS]]
    columns = max(len(row) for row in rows)
    gap = max(1, width // 16)
    canvas = np.full((len(rows) * (height + gap) - gap, columns * (width + gap) - gap, 3), 255, dtype=np.uint8)
    for top, members in enumerate(rows):
        for left, member in enumerate(members):
            y, x = top * (height + gap), left * (width + gap)
            canvas[y : y + height, x : x + width] = pictures[member]
    cell = 0.5
    figure = _figure(1.6 + cell * max(columns, 6), 0.6 + cell * len(rows) * height / width)
    axes = figure.subplots()
    axes.imshow(canvas, interpolation="nearest")
    hidden = len(images.class_names) - len(rows)
    note = f", first {len(rows)} of {len(images.class_names)} classes" if hidden else ""
    most = max(len(members) for members in images.members)
    note += f", {columns} of {most} images a class" if most > columns else ""
    axes.set_title(title + note, fontsize=9, loc="left", color=INK)
    axes.set_xticks([])
    places = [row * (height + gap) + height / 2 for row in range(len(rows))]
    _label_ticks(axes, "y", images.class_names[: len(rows)], places)
    axes.spines[:].set_visible(False)
    return figure


def _figure(width: float, height: float) -> Figure:
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), dpi=DPI, layout="constrained")


def _label_ticks(
    axes: Axes, axis: str, labels: Sequence[str], places: Sequence[float] | None = None, **style: Any
) -> None:
    """Label ticks literally: a dollar sign in the name of a class does not start a formula."""
    setter = axes.set_yticks if axis == "y" else axes.set_xticks
    setter(range(len(labels)) if places is None else places, labels, fontsize=8, parse_math=False, **style)
    axes.tick_params(axis=axis, length=0)  # type: ignore[arg-type]


def _bare(axes: Axes) -> None:
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(labelsize=8, colors=SOFT, length=0)


def _png(figure: Figure) -> bytes:
    stream = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # a name in a script that the font lacks
        figure.savefig(stream, format="png", facecolor="white")
    return stream.getvalue()
