"""Connections to Postgres, and the advisory locks that keep two writers of one thing apart."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum

import psycopg
from psycopg.conninfo import conninfo_to_dict

# Idle transactions hold back the export's watermark for everybody, hence the time limit on them.
SESSION_OPTIONS = "-c timezone=UTC -c idle_in_transaction_session_timeout=30s -c application_name={application}"
CONNECT_TIMEOUT_SECONDS = 5


class AdvisoryLock(IntEnum):
    """Keys of Postgres advisory locks, in one place so that no two meanings share a key."""

    MIGRATIONS = 7_301_000
    SEED = 7_301_001
    EXPORT = 7_301_002
    ROLLUP_DAILY = 7_301_010
    ROLLUP_EXPERIMENT = 7_301_011
    ROLLUP_FUNNEL = 7_301_012


class LockTakenError(Exception):
    """Another process holds the lock, and the caller chose not to wait."""


def connect(database_url: str, *, application: str = "tidemark", autocommit: bool = False) -> psycopg.Connection:
    """Open a connection in UTC whose idle transactions end after 30 seconds.

    Raises psycopg.OperationalError when the server cannot be reached.
    """
    return psycopg.connect(
        database_url,
        autocommit=autocommit,
        connect_timeout=CONNECT_TIMEOUT_SECONDS,
        options=session_options(database_url, SESSION_OPTIONS.format(application=application)),
    )


def session_options(database_url: str, options: str) -> str:
    """Return the settings of a session: those that the URL itself asks for, and then `options`."""
    return f"{conninfo_to_dict(database_url).get('options') or ''} {options}".strip()


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
