"""The command line: thin commands over the library, and the one place that prints."""

from potstill.cli.main import main

__all__ = ["main"]
