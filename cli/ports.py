"""Looks at TCP ports before anything slow is started: is it free, and if not, who has it."""

from __future__ import annotations

import contextlib
import errno
import random
import socket

import psutil

# Below those that Linux (32768 and up) and macOS (49152 and up) give to outgoing connections.
LASTING_PORTS = range(20_000, 32_000)
TRIES = 50


class PortError(Exception):
    """A port that Tidemark should listen on cannot be used."""


def check_port(host: str, port: int, variable: str) -> None:
    """Raise PortError, naming the environment variable to set, unless `host:port` can be listened on."""
    try:
        addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except socket.gaierror:
        raise PortError(f"{host} is not an address of this machine; set TIDEMARK_HOST to one") from None
    family, kind, protocol, _, address = addresses[0]
    with socket.socket(family, kind, protocol) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(address)
            probe.listen(1)
        except OSError as error:
            raise PortError(_explanation(error, host, port, variable)) from None


def free_port() -> int:
    """Return a port on 127.0.0.1 that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def lasting_port() -> int:
    """Return a port on 127.0.0.1 that is free now, and not one that the system hands out to clients.

    Who comes back to its port later, after a restart, finds it taken otherwise now and then.
    """
    for port in random.SystemRandom().sample(LASTING_PORTS, TRIES):
        if is_free(port):
            return port
    return free_port()


def is_free(port: int) -> bool:
    """Whether one could listen on a port of 127.0.0.1 now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def answers(host: str, port: int) -> bool:
    """Say whether something accepts connections on `host:port`."""
    with contextlib.suppress(OSError), socket.create_connection((host, port), timeout=1):
        return True
    return False


def _explanation(error: OSError, host: str, port: int, variable: str) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"port {port} is taken{_holder(port)}; stop that, or set {variable} to another port"
    if error.errno == errno.EACCES:
        return f"port {port} needs root's rights; set {variable} to a port above 1023"
    return f"cannot listen on {host}:{port} ({error.strerror}); set TIDEMARK_HOST to an address of this machine"


def _holder(port: int) -> str:
    """Name the process that listens on `port`, as far as the system tells us."""
    with contextlib.suppress(psutil.Error, OSError):
        for connection in psutil.net_connections(kind="tcp"):
            listening = connection.status == psutil.CONN_LISTEN and connection.laddr.port == port
            if listening and connection.pid is not None:
                command = " ".join(psutil.Process(connection.pid).cmdline())
                return f" by process {connection.pid} ({command[:80]})"
    return ""
