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
from potstill.report.lettering import cut, drawable_names, font_families
from potstill.report.mosaic import DPI, mosaic
from potstill.report.run import Run
from potstill.report.sections.accuracy import comparisons
from potstill.report.sections.confusion import shares
from potstill.report.sections.learning import panels
from potstill.runtime.files import write_atomic

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, SOFT, COPPER = "#1d1b18", "#6b665d", "#a3451a"
LINES = (COPPER, "#2b5f8a", "#4b7a3a", "#7a4f8a", "#8a7a2b", "#3a3a3a")
MARKERS = {"distilled": "o", "random": "s", "full": "D"}


def write_figures(run: Run) -> None:
    """Write ``figures/*.png``; a figure without records is removed, so that no figure is out of date.

    Raises:
        UserError: a file cannot be written.
    """
    made = {
        **(_pictures(run) if run.after.kind == "image" else {}),
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


def _pictures(run: Run) -> dict[str, Figure | None]:
    after = "After distillation" if run.distilled else wording.sentence(run.origin or "the set").rstrip(".")
    return {
        "before": None if run.before is None else gallery_figure(run.before, "Before distillation"),
        "after": gallery_figure(run.after, after),
        "difference": None if run.before is None else difference_figure(run.before, run.after),
    }


def gallery_png(images: ImageSet, title: str) -> bytes:
    """The images of each class as a PNG file."""
    return _png(gallery_figure(images, title))


def gallery_figure(images: ImageSet, title: str) -> Figure:
    """The images of each class."""
    return mosaic(images, as_rgb(images.pixels), title)


def difference_figure(before: ImageSet, after: ImageSet) -> Figure:
    """The changes of pixels by class: amber brighter, blue darker, grey unchanged."""
    changes = change(before.pixels, after.pixels)
    limit = change_limit(changes)
    title = f"Change by distillation: amber is brighter, blue darker, grey unchanged; full colour at ±{limit:.2f}"
    return mosaic(after, diverging(changes, limit), title)


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
    _label_ticks(axes, "y", [cut(f"{item.network}: {contender.title}", 60) for item, contender in lines])
    axes.set_xlabel("test accuracy, %", color=SOFT, fontsize=8)
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
            axes.legend(prop={"size": 7, "family": list(font_families())}, frameon=False)
        _bare(axes)
    return figure


def confusion_figure(run: Run) -> Figure | None:
    """The confusion matrix of the headline's network, in percent of the true class."""
    network = run.headline
    if network is None or run.evaluation is None or not run.evaluation.networks[network].confusion:
        return None
    counts = np.asarray(run.evaluation.networks[network].confusion)
    names = drawable_names(run.after.titles, 20)
    side = min(2.4 + 0.28 * len(names), 12.0)
    figure = _figure(side, side)
    axes = figure.subplots()
    picture = axes.imshow(100 * shares(counts), cmap="Oranges", vmin=0, vmax=100, interpolation="nearest")
    bar = figure.colorbar(picture, ax=axes, shrink=0.7)
    bar.set_label("% of the true class", color=SOFT, fontsize=8)
    bar.ax.tick_params(labelsize=8, colors=SOFT)
    if len(names) <= 60:
        _label_ticks(axes, "y", names)
        _label_ticks(axes, "x", names, rotation=90)
    axes.set_ylabel("true class", color=SOFT, fontsize=8)
    axes.set_xlabel("predicted class", color=SOFT, fontsize=8)
    axes.set_title(wording.network_title(network), fontsize=10, color=INK, parse_math=False)
    return figure


def _figure(width: float, height: float) -> Figure:
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), dpi=DPI, layout="constrained")


def _label_ticks(axes: Axes, axis: str, labels: Sequence[str], **style: Any) -> None:
    """Label ticks literally: a dollar sign in the name of a class does not start a formula."""
    setter = axes.set_yticks if axis == "y" else axes.set_xticks
    literal = {"fontsize": 8, "parse_math": False, "fontfamily": list(font_families())}
    setter(range(len(labels)), labels, **literal, **style)
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
