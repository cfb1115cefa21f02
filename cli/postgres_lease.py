"""Shares the embedded Postgres between processes: the first that needs it starts it, the last that ends stops it.

Every user holds a shared lock on `users.lock`; the system frees it even after kill -9. Whoever can take that lock alone
was the last one. `keep` beside it (made by `tidemark db start`) means that the server stays up without users.
Comings and goings are serialised by `lease.lock`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cli.embedded_postgres import EmbeddedPostgres
from cli.file_lock import FileLock


class InUseError(Exception):
    """Other processes are using the server."""


@contextmanager
def leased(server: EmbeddedPostgres) -> Iterator[str]:
    """Yield the URL of the running server; at the end stop it, unless somebody else uses it or it is to be kept."""
    users = FileLock(_users(server), shared=True)
    transitions = FileLock(_transitions(server))
    with transitions:
        users.acquire()
    try:
        with transitions:
            url = server.start()
        yield url
    finally:
        with transitions:
            users.release()
            if not kept(server):
                _stop_when_unused(server)


def keep_running(server: EmbeddedPostgres) -> str:
    """Start the server so that it stays until `stop_keeping`, and return its URL. Idempotent."""
    with FileLock(_transitions(server)):
        _keep(server).touch()
        return server.start()


def stop_keeping(server: EmbeddedPostgres) -> None:
    """Stop the server now. Raises InUseError when others use it; it then stops when the last of them ends."""
    with FileLock(_transitions(server)):
        _keep(server).unlink(missing_ok=True)
        if not _stop_when_unused(server):
            raise InUseError("other Tidemark processes use the embedded Postgres; it stops when the last of them ends")


def kept(server: EmbeddedPostgres) -> bool:
    """Say whether the server stays up without users."""
    return _keep(server).exists()


def _stop_when_unused(server: EmbeddedPostgres) -> bool:
    alone = FileLock(_users(server))
    if not alone.try_acquire():
        return False
    try:
        server.stop()
    finally:
        alone.release()
    return True


def _users(server: EmbeddedPostgres) -> Path:
    return server.folder / "users.lock"


def _transitions(server: EmbeddedPostgres) -> Path:
    return server.folder / "lease.lock"


def _keep(server: EmbeddedPostgres) -> Path:
    return server.folder / "keep"
