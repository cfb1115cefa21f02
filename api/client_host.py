"""Whose request it is: the address a connection comes from, or the one that a proxy on this machine names."""

from __future__ import annotations

from contextlib import suppress
from ipaddress import ip_address

from starlette.requests import Request


def client_host(request: Request) -> str | None:
    """Return the client's address; None for one of a local socket.

    `X-Forwarded-For` counts only from a peer on this machine: of the addresses in it, the last that is elsewhere. Read
    here by the few who ask, since looking into every request's headers takes a tenth of the time to read it.
    """
    peer = request.client.host if request.client else None
    if not is_local(peer):
        return peer
    named = [name.strip() for value in request.headers.getlist("x-forwarded-for") for name in value.split(",")]
    return next((name for name in reversed(named) if not is_local(name)), peer)


def is_local(host: str | None) -> bool:
    """Whether an address is of this machine; a client without one has come through a local socket."""
    if host is None:
        return True
    with suppress(ValueError):
        address = ip_address(host)
        return (getattr(address, "ipv4_mapped", None) or address).is_loopback
    return False
