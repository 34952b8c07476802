"""What commands print: lines and tables in which every character of every name is visible."""

from __future__ import annotations

import sys
from typing import Any, TextIO

from rich import table
from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from potstill.runtime.errors import with_flags
from potstill.runtime.text import visible


def say(*lines: str, to: TextIO | None = None) -> None:
    """Print lines; a name in one of them never steers the terminal or begins a line of its own.

    Args:
        lines: the lines, each a sentence of ours with names from outside.
        to: the stream; by default the standard output.
    """
    for line in lines:
        print(printed(line), file=to, flush=True)


def printed(line: str) -> str:
    """A line as it is printed: every character visible, and options as flags."""
    return visible(with_flags(line))


class Table(table.Table):
    """A table whose titles and cells are printed as lines are; a title may be wider than the table."""

    def __init__(self, *, title: str | None = None, caption: str | None = None, **options: Any) -> None:
        super().__init__(**options)
        self._above, self._below = title, caption

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """The title, the table and the caption."""
        if self._above is not None:
            yield Text(printed(self._above), style="table.title")
        yield from super().__rich_console__(console, options)
        if self._below is not None:
            yield Text(printed(self._below), style="table.caption")

    def add_column(self, header: Any = "", *arguments: Any, **options: Any) -> None:
        """Add a column with this header."""
        super().add_column(printed(header), *arguments, **options)

    def add_row(self, *cells: Any, **options: Any) -> None:
        """Add a row with these texts."""
        super().add_row(*map(printed, cells), **options)


def table_console() -> Console:
    """A console for tables: as wide as the terminal, or as wide as needed in a file or a pipe."""
    return Console(width=None if sys.stdout.isatty() else 240, markup=False)
