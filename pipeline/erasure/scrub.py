"""What Postgres keeps of deleted rows: bytes in its tables, its statistics and its write-ahead log, and how they go.

A deleted row stays on its page until another is written over it. Tables are therefore written anew, which locks each
for that long: requests go to the spool meanwhile. Of the log, whose segments are reused with their old bytes in them,
every segment that lies ready is used up. On a server that is not ours to command, what could not be done is named.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import psycopg
from psycopg import sql

from pipeline.statements import statement

LOCK_TIMEOUT = "5s"
PATIENCE_SECONDS = 120.0
PAUSE_SECONDS = 0.2
SYSTEM_TABLES = ("pg_statistic",)

Say = Callable[[str], None]


class OldSnapshotError(Exception):
    """A session holds a view of the database in which the person is still there."""


def scrub(connection: psycopg.Connection, tables: tuple[str, ...], *, whole_server: bool, say: Say) -> list[str]:
    """Rid tables of what was deleted from them; with `whole_server` the write-ahead log too. Returns what was not done.

    `connection` must be in autocommit mode. Waits for sessions that may still see deleted rows. Raises
    OldSnapshotError when one does not end, psycopg.Error when a table stays locked; the erasure can be run again.
    """
    _wait_for_older_sessions(connection, say)
    connection.execute("SELECT set_config('lock_timeout', %s, false)", [LOCK_TIMEOUT])
    left = []
    for table in (*tables, *SYSTEM_TABLES):
        query = sql.SQL(statement("erasure/rewrite_table")).format(table=sql.Identifier(table))
        try:
            _patiently(connection, query)
        except psycopg.errors.InsufficientPrivilege:
            left.append(f"the deleted rows of {table}: only its owner can rewrite it")
    connection.execute("SELECT set_config('lock_timeout', '0', false)")
    left += [f"what is kept by {name}" for (name,) in connection.execute(statement("erasure/keeps_old_log"))]
    if not whole_server:
        return [*left, "the server's write-ahead log, until its segments are written over or removed"]
    try:
        _use_up_log(connection)
    except psycopg.errors.InsufficientPrivilege:
        left.append("the server's write-ahead log: only its administrator can end its segments")
    return left


def _use_up_log(connection: psycopg.Connection) -> None:
    """Let go of the old segments, then write over those that wait to be used again."""
    connection.execute(statement("erasure/use_up_segment"))
    connection.execute(statement("erasure/checkpoint"))
    row = connection.execute(statement("erasure/segments_ahead")).fetchone()
    for _ in range(1 + (0 if row is None else row[0])):
        connection.execute(statement("erasure/use_up_segment"))
    connection.execute(statement("erasure/checkpoint"))


def _wait_for_older_sessions(connection: psycopg.Connection, say: Say) -> None:
    row = connection.execute(statement("erasure/new_transaction")).fetchone()
    deadline = time.monotonic() + PATIENCE_SECONDS
    told = False
    while sessions := connection.execute(statement("erasure/older_snapshots"), {"xid": row and row[0]}).fetchall():
        names = ", ".join(f"{name or 'a session'} (pid {pid})" for pid, name in sessions)
        if time.monotonic() > deadline:
            raise OldSnapshotError(f"{names} may still see the erased rows; end it and run the erasure again")
        if not told:
            say(f"waiting for transactions to end: {names}")
            told = True
        time.sleep(PAUSE_SECONDS)


def _patiently(connection: psycopg.Connection, query: sql.Composed) -> None:
    """Run a statement that needs a table for itself; while it waits, others wait behind it, hence the short tries."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            connection.execute(query)
            return
        except (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected):
            if time.monotonic() > deadline:
                raise
            time.sleep(PAUSE_SECONDS)
