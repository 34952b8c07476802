"""The page ``docs/speed.md`` and its picture, made from a record of ``python -m benchmarks``."""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import Any

from benchmarks.pairs import times_limit

WIDTH, NAME, ROW = 900, 470, 34
"""Of the picture: its width, where its bars begin, and the height of a row."""

TEXT = """# Speed

What Potstill's work costs, beside a plain program that does the same, and beside the least that its arithmetic takes.
This page is made by `make bench` from [`{record}`](../{record}).

![Seconds of one core: plain program, Potstill, and the limit]({picture})

| work | precision | plain, one core | Potstill, one core | times as fast | times the limit | all cores: times as fast |
|---|---|---|---|---|---|---|
{rows}

- **Plain** programs are the twins that the tests compare with: eager float32, as the papers write it, for matching one
  class after another, and for `dc` and `dsa` one output unit after another. No released program was run.
- **One core**: seconds of the processor, medians of {pairs} pairs that took turns. **All cores**: wall time.
- **The limit** is the additions and multiplications of the plain program's convolutions and matrix products, at the
  rate at which PyTorch computes a 3×3 convolution of 128 maps of 16×16 pixels in the same precision on this machine,
  measured between the pairs: {rates}. No memory traffic, norm, activation or random number is in it.
- Long runs are compiled, as by `--compile auto`; a first run spends about a minute on it, later ones load the code.

{high}

## Growth

CPU seconds of an iteration of `dm` on one core, in float32, not compiled, with {batch} real images per class, and how
many times the limit that is. One size changes at a time; the others are {usual}.

{growth}

Machine: {machine}.
"""


def write_page(record: dict[str, Any], page: Path) -> None:
    """Write the page, and its picture into the folder ``images`` beside it.

    Args:
        record: of ``python -m benchmarks``, with all its parts.
        page: where to write.
    """
    picture = page.parent / "images" / f"{page.stem}.svg"
    picture.parent.mkdir(parents=True, exist_ok=True)
    picture.write_text(picture_of(record["rows"]))
    page.write_text(page_of(record, f"images/{picture.name}"))


def page_of(record: dict[str, Any], picture: str) -> str:
    """The page as Markdown."""
    rows, growth, high = record["rows"], record["growth"], record["high resolution"]
    rates: dict[str, list[float]] = {}
    for row in rows:
        rates.setdefault(row["precision"], []).append(row["operations_per_second"] / 1e9)
    return TEXT.format(
        record=record["written to"],
        picture=picture,
        rows="\n".join(_row(row) for row in rows),
        pairs=len(rows[0]["core_ratios"]),
        rates=", ".join(
            f"{min(found):.0f} to {max(found):.0f} billion a second in {name}" for name, found in sorted(rates.items())
        ),
        high=(
            f"`datadam` in the shape of MHIST (two classes of {high['side']}×{high['side']} pixels, ConvNet of depth "
            f"{high['depth']}, {high['ipc']} images per class, real batches of {high['batch']}), {high['precision']}, "
            f"not compiled: {high['cpu_seconds']:.1f} CPU s for the forward and backward passes of "
            f"an iteration, {high['times_limit']:.2f} times the limit, with "
            f"{high['peak_memory_bytes'] / 2**30:.2f} GiB of memory."
        ),
        batch=growth["batch_real"],
        usual=", ".join(f"{value:,} {name}" for name, value in growth["usual"].items()),
        growth=_growth(growth),
        machine=_machine(record["machine"]),
    )


def _row(row: dict[str, Any]) -> str:
    precision = f"{row['precision']}, compiled" if row["compile"] else row["precision"]
    return (
        f"| {row['work']} | {precision} | {row['twin']['core_seconds']:.3g} s | {row['fast']['core_seconds']:.3g} s "
        f"| {row['core_ratio']:.2f} | {times_limit(row):.2f} | {row['ratio']:.2f} |"
    )


def _growth(growth: dict[str, Any]) -> str:
    lines = ["| size | | | |", "|---|---|---|---|"]
    for name in growth["usual"]:
        cells = [
            f"{int(value):,}: {of['core_seconds']:.2f} s ({of['times_limit']:.2f})"
            for value, of in growth[name].items()
        ]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _machine(machine: dict[str, Any]) -> str:
    return ", ".join(
        f"{name} {value}" for name, value in machine.items() if isinstance(value, str | int | float) and value
    )


def picture_of(rows: list[dict[str, Any]]) -> str:
    """Bars of each row, in percent of the plain program's seconds: that program, Potstill, and the limit as a line."""
    height = ROW * len(rows) + 40
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" '
        'font-size="12">',
        f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>',
    ]
    long = WIDTH - NAME - 90
    for place, row in enumerate(rows):
        top, plain = ROW * place + 8, row["twin"]["core_seconds"]
        ours, limit = (long * seconds / plain for seconds in (row["fast"]["core_seconds"], row["limit_seconds"]))
        work = escape(row["work"].replace("`", ""))
        parts += [
            f'<text x="{NAME - 10}" y="{top + 15}" text-anchor="end" fill="#222">{work}</text>',
            f'<rect x="{NAME}" y="{top}" width="{long}" height="9" fill="#c9ccd1"/>',
            f'<rect x="{NAME}" y="{top + 10}" width="{ours:.1f}" height="9" fill="#b4541a"/>',
            f'<rect x="{NAME + limit:.1f}" y="{top - 2}" width="2" height="23" fill="#222"/>',
            f'<text x="{NAME + long + 6}" y="{top + 15}" fill="#222">{row["core_ratio"]:.1f} times</text>',
        ]
    foot = height - 14
    for x, colour, name in (
        (NAME, "#c9ccd1", "plain program"),
        (NAME + 130, "#b4541a", "Potstill"),
        (NAME + 220, "#222", "limit"),
    ):
        parts.append(f'<rect x="{x}" y="{foot - 9}" width="10" height="10" fill="{colour}"/>')
        parts.append(f'<text x="{x + 15}" y="{foot}" fill="#222">{name}</text>')
    return "\n".join([*parts, "</svg>", ""])
