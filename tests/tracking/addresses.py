"""An address at which nobody answers."""

from __future__ import annotations

import socket


def closed_port() -> str:
    """Host and port of a place that was free just now."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{bound.getsockname()[1]}"
