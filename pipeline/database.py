"""Connections to Postgres, and the advisory locks that keep two writers of one thing apart."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from enum import IntEnum
from typing import TypeVar

import psycopg
from psycopg.abc import PQGen
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from pipeline.statements import statement

# What the API's sessions act as: a role that owns nothing, so that row-level security holds for it.
APP_ROLE = "tidemark_app"

# Idle transactions hold back the export's watermark for everybody, hence the time limit on them.
SESSION_OPTIONS = "-c timezone=UTC -c idle_in_transaction_session_timeout=30s -c application_name={application}"
CONNECT_TIMEOUT_SECONDS = 5
# A server that vanished without a word (power, network) is noticed after this time rather than after two hours.
VANISHED_AFTER = {"keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3, "tcp_user_timeout": 25_000}

Answer = TypeVar("Answer")


class AdvisoryLock(IntEnum):
    """Keys of Postgres advisory locks, in one place so that no two meanings share a key."""

    MIGRATIONS = 7_301_000
    SEED = 7_301_001
    EXPORT = 7_301_002
    REFRESH = 7_301_003
    PRUNE = 7_301_004
    LAKE_REWRITE = 7_301_005  # compaction, vacuum, and whatever else takes files out of the lake
    ERASURE = 7_301_006
    ROLLUP_DAILY = 7_301_010
    ROLLUP_EXPERIMENT = 7_301_011
    ROLLUP_FUNNEL = 7_301_012
    ROLLUP_FUNNEL_COHORT = 7_301_013
    ROLLUP_RETENTION = 7_301_014
    EXPERIMENT_LAYER = 7_301_020  # the first of two keys; the second is the hash of a tenant's layer


class LockTakenError(Exception):
    """Another process holds the lock, and the caller chose not to wait."""


class Connection(psycopg.Connection):
    """A connection that gives up and closes when a server, frozen perhaps, has not answered by `deadline`.

    `deadline` is in seconds of time.monotonic(); None waits for ever. Giving up raises psycopg.OperationalError.
    """

    deadline: float | None = None
    _scope: str | None = None

    def scope(self, tenants: Iterable[str]) -> None:
        """Let a session of APP_ROLE see and store rows of these tenants alone, until the next call.

        In autocommit mode, outside a transaction: what a rollback took back would be believed to hold.
        """
        wanted = scope_text(tenants)
        if wanted != self._scope:
            self.execute(statement("transaction/scope"), {"tenants": wanted})
            self._scope = wanted

    def wait(self, gen: PQGen[Answer], interval: float = 0.1, timeout: float | None = None) -> Answer:
        """Wait for an answer as psycopg does, until the deadline at most."""
        if self.deadline is None:
            return super().wait(gen, interval, timeout)
        left = max(self.deadline - time.monotonic(), 0.001)
        try:
            return super().wait(gen, interval, left if timeout is None else min(timeout, left))
        except psycopg.OperationalError:
            if time.monotonic() >= self.deadline:
                self.pgconn.finish()
            raise


def connect(
    database_url: str,
    *,
    application: str = "tidemark",
    autocommit: bool = False,
    connect_seconds: int = CONNECT_TIMEOUT_SECONDS,
    role: str | None = None,
) -> Connection:
    """Open a connection in UTC whose idle transactions end after 30 seconds; with `role`, it acts as that role.

    Raises psycopg.OperationalError when the server cannot be reached within `connect_seconds`.
    """
    return Connection.connect(
        make_conninfo(database_url, **VANISHED_AFTER),
        autocommit=autocommit,
        connect_timeout=connect_seconds,
        options=session_options(database_url, SESSION_OPTIONS.format(application=application), role),
    )


def session_options(database_url: str, options: str, role: str | None = None) -> str:
    """Return the settings of a session: those that the URL itself asks for, then `options`, and the role it acts as."""
    acting = f" -c role={role}" if role else ""
    return f"{conninfo_to_dict(database_url).get('options') or ''} {options}{acting}".strip()


def scope_text(tenants: Iterable[str]) -> str:
    """Return how a session is told the tenants whose rows it may see: their ids, which hold no comma, in order."""
    return ",".join(sorted(set(tenants)))


@contextmanager
def advisory_lock(connection: psycopg.Connection, key: AdvisoryLock, *, wait: bool = True) -> Iterator[None]:
    """Hold a session-level advisory lock for the block; Postgres frees it if the process dies.

    `connection` must be in autocommit mode and serve nothing else meanwhile.
    Raises LockTakenError when `wait` is false and somebody else holds the lock.
    """
    if wait:
        connection.execute("SELECT pg_advisory_lock(%s)", [int(key)])
    else:
        row = connection.execute("SELECT pg_try_advisory_lock(%s)", [int(key)]).fetchone()
        if not (row and row[0]):
            work = key.name.lower().replace("_", " ")
            raise LockTakenError(f"another process is at work on this ({work}); try again when it is done")
    try:
        yield
    finally:
        if not connection.broken:
            connection.execute("SELECT pg_advisory_unlock(%s)", [int(key)])
