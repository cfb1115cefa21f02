"""Databases of tests: clones of a template that each server migrates once, and servers that a test may stop."""

from __future__ import annotations

import contextlib
import shutil
import signal
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
import psycopg
from psycopg import sql

from cli.embedded_postgres import EmbeddedPostgres
from pipeline.migrations import migrate

TEMPLATE = "tidemark"  # the database that a server is made with; no test writes into it


@contextmanager
def template_server(**options: str) -> Iterator[EmbeddedPostgres]:
    """Run a `bare_server` whose template is migrated."""
    with bare_server(**options) as server:
        migrate(server.url())
        yield server


@contextmanager
def bare_server(**options: str) -> Iterator[EmbeddedPostgres]:
    """Run a server of its own with Postgres options such as `fsync="off"`, until the block ends.

    Its files lie directly under the system's temporary folder: pytest's own is closed to the user Postgres runs as.
    They are removed at the end.
    """
    folder = Path(tempfile.mkdtemp(prefix="tidemark-test-"))
    folder.chmod(0o755)
    server = EmbeddedPostgres(folder / "postgres", options=options)
    try:
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


def server_url(server: EmbeddedPostgres) -> str:
    """Return the URL of a running server, without a database name at its end."""
    return server.url().rsplit("/", 1)[0]


def cloned_database(server: str) -> str:
    """Make a migrated database with nothing in it but the default tenant; return its URL. It goes with the server.

    `server` is a URL without a database name at its end.
    """
    name = f"test_{uuid.uuid4().hex}"
    with psycopg.connect(f"{server}/postgres", autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(*map(sql.Identifier, (name, TEMPLATE))))
    return f"{server}/{name}"


@contextmanager
def migrated_database(server: str) -> Iterator[str]:
    """Yield the URL of a `cloned_database` that is dropped at the end, whoever is still connected."""
    url = cloned_database(server)
    try:
        yield url
    finally:
        with psycopg.connect(f"{server}/postgres", autocommit=True) as connection:
            name = sql.Identifier(url.rsplit("/", 1)[1])
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(name))


@dataclass(frozen=True)
class Postgres:
    """A server whose processes the test signals."""

    server: EmbeddedPostgres

    def url(self) -> str:
        """Its URL, without a database name."""
        return server_url(self.server)

    def processes(self) -> list[psutil.Process]:
        """The server and its children."""
        pid = self.server.pid
        if pid is None:
            return []
        postmaster = psutil.Process(pid)
        return [postmaster, *postmaster.children(recursive=True)]

    def start(self) -> None:
        self.server.start()

    def stop(self) -> None:
        self.server.stop()

    def kill(self) -> None:
        """End all of its processes at once, and return when they are gone."""
        processes = self.processes()
        self._signal(processes, signal.SIGKILL)
        psutil.wait_procs(processes, timeout=30)

    def freeze(self) -> None:
        """Stop the server first, so that it starts no further child meanwhile."""
        self._signal(self.processes()[:1], signal.SIGSTOP)
        self._signal(self.processes(), signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(self.processes(), signal.SIGCONT)

    def _signal(self, processes: list[psutil.Process], number: signal.Signals) -> None:
        for process in processes:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(number)
