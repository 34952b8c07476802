"""The client of the Hugging Face hub: kept quiet, and asked only if the hub's address can be found."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import SplitResult, urlsplit
from urllib.request import getproxies, proxy_bypass

from potstill.runtime.errors import UserError


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


def hub_address() -> SplitResult:
    """The address of the hub: https://huggingface.co, or that of ``HF_ENDPOINT``.

    Raises:
        UserError: ``HF_ENDPOINT`` is not an address. With some values the client cannot even be imported: check first.
    """
    from huggingface_hub import constants

    remedy = "write it as https://HOST, or unset it"
    try:
        address = urlsplit(constants.ENDPOINT)
        host, _ = address.hostname, address.port
    except ValueError as error:  # a port that is not a number, or an unclosed bracket
        raise UserError(f"HF_ENDPOINT is {constants.ENDPOINT!r}, which is not an address ({error})", remedy) from error
    if not host:
        raise UserError(f"HF_ENDPOINT is {constants.ENDPOINT!r}, which names no host", remedy)
    return address


def unresolved_hub() -> str | None:
    """Why the hub's address cannot be found, as on a machine without a network; None if it can.

    The client would try again for half a minute, as is right for failures that may pass. Where a proxy is asked, it is
    the proxy that looks up addresses, so nothing is known here.

    Raises:
        UserError: as for ``hub_address``.
    """
    address = hub_address()
    host = str(address.hostname)
    if getproxies().keys() & {address.scheme, "all"} and not proxy_bypass(host):
        return None
    try:
        socket.getaddrinfo(host, None)  # a service has a number only where /etc/services says so
    except OSError as error:
        return f"{host}: {error.strerror or error}"
    except UnicodeError:
        return f"{host} is not the name of a machine"
    return None
