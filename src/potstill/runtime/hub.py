"""The client of the Hugging Face hub: kept quiet, and asked only if the hub's address can be found."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass


@contextmanager
def quiet_hub() -> Iterator[None]:
    """Within this context the client does not print each failed attempt: its final error says enough."""
    from huggingface_hub.utils import logging

    usual = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(usual)


def unresolved_hub() -> str | None:
    """Why the hub's address cannot be found, as on a machine without a network; None if it can.

    The client would try again for half a minute, as is right for failures that may pass. Where a proxy is asked, it is
    the proxy that looks up addresses, so nothing is known here.
    """
    from huggingface_hub import constants

    address = urlsplit(constants.ENDPOINT)
    host = address.hostname or ""
    if getproxies().keys() & {address.scheme, "all"} and not proxy_bypass(host):
        return None
    try:
        socket.getaddrinfo(host, None)  # a service has a number only where /etc/services says so
    except OSError as error:
        return f"{host}: {error.strerror or error}"
    except UnicodeError:
        return f"{host} is not the name of a machine"
    return None
