"""Counts the lake's events by the day they happened and the day they were received, so that lateness can be shown.

The counts lie in Postgres with the version they hold, in one transaction: a refresh that is killed counts the same
files again from the same state, and none twice. Where the log does not tell what was added since, or the counts do not
add up to the rows of the version, as after an erasure, everything is counted again: two columns of each file.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import duckdb
import psycopg

from pipeline.database import connect
from pipeline.lake.table import Lake, LakeSnapshot
from pipeline.refresh.lake_changes import UnknownChangesError, added_files
from pipeline.statements import statement

# A lake that has no table yet, and the version before a table's first.
NO_TABLE, NO_VERSION = "", -1

Arrivals = list[tuple[str, date, date, int]]


def count_arrivals(
    database_url: str,
    engine: duckdb.DuckDBPyConnection,
    lake: Lake,
    snapshot: LakeSnapshot | None,
    *,
    anew: bool = False,
) -> None:
    """Bring arrival_counts to the version of `snapshot` (None: no lake yet); afterwards it equals a count of all of it.

    `anew`: whatever was counted before, count everything.
    The caller holds the lock REFRESH, and `engine` counts in UTC. Raises psycopg.Error, duckdb.Error.
    """
    table_id, version = NO_TABLE, NO_VERSION
    if snapshot is not None and (table := lake.table()) is not None:
        table_id, version = str(table.metadata().id), snapshot.version
    with connect(database_url, application="tidemark-refresh") as connection:
        counted = _counted(connection)
        if counted == (table_id, version) and not anew:
            return
        files = None if anew else _new_files(lake, counted, table_id, version)
        if files is not None:
            _add(connection, _count(engine, files))
        if files is None or _total(connection) != (0 if snapshot is None else snapshot.rows()):
            connection.execute(statement("refresh/empty_arrival_counts"))
            _add(connection, _count(engine, [] if snapshot is None else snapshot.paths()))
        connection.execute(statement("refresh/note_arrival_progress"), {"table_id": table_id, "lake_version": version})


def _counted(connection: psycopg.Connection) -> tuple[str, int]:
    row = connection.execute(statement("refresh/read_arrival_progress")).fetchone()
    return (NO_TABLE, NO_VERSION) if row is None else (row[0], row[1])


def _total(connection: psycopg.Connection) -> int:
    row = connection.execute(statement("refresh/sum_arrival_counts")).fetchone()
    return 0 if row is None else int(row[0])


def _new_files(lake: Lake, counted: tuple[str, int], table_id: str, version: int) -> Sequence[str] | None:
    """Return the files that came since; None when everything has to be counted."""
    known_id, known_version = counted
    if known_id != table_id or known_version > version:
        return None
    try:
        return added_files(lake, known_version, version)
    except UnknownChangesError:
        return None


def _count(engine: duckdb.DuckDBPyConnection, files: Sequence[str]) -> Arrivals:
    if not files:
        return []
    return engine.execute(statement("refresh/count_arrivals"), {"paths": list(files)}).fetchall()


def _add(connection: psycopg.Connection, arrivals: Arrivals) -> None:
    # In one order for all, so that no writer waits for one behind it.
    columns = list(zip(*sorted(arrivals), strict=True)) or [()] * 4
    names = ("tenant_ids", "occurred_days", "received_days", "events")
    connection.execute(
        statement("refresh/add_arrival_counts"),
        {name: list(column) for name, column in zip(names, columns, strict=True)},
    )
