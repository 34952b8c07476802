"""The command line: thin commands over the library. Nothing else in the package prints."""

from potstill.cli.main import main

__all__ = ["main"]
