"""The Postgres side of an export: one read-only transaction, its watermark, and the stream of new rows.

The watermark is the snapshot's xmin: every transaction below it has ended, so a row below it can neither appear later
nor vanish. Ids and received_at have no such bound: exports that used them lost events that were committed late.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psycopg
import pyarrow as pa
from psycopg.conninfo import make_conninfo

from pipeline.statements import statement

if TYPE_CHECKING:
    from adbc_driver_manager.dbapi import Cursor

BATCH_BYTES = 2**20


@dataclass(frozen=True)
class Source:
    """A view of the database: rows with ingest_xid below `hi` are finished.

    `next` is the first transaction id the server has not given out, `newest` the highest one found in event_logs.
    `system` identifies the cluster (None when the server does not tell), `database` the database within it. Other
    transactions can share the view while this one lasts: `snapshot` is its name.
    """

    hi: int
    next: int
    newest: int | None
    database: int
    system: int | None
    snapshot: str

    @property
    def has_foreign_rows(self) -> bool:
        """Whether rows carry transaction ids of another server, as they do after a restore."""
        return self.newest is not None and self.newest >= self.next


class ExportTransaction:
    """An open transaction of an export."""

    def __init__(self, cursor: Cursor, source: Source) -> None:
        self._cursor = cursor
        self.source = source

    def rows(self, exported_xid: int) -> Iterator[pa.RecordBatch]:
        """Stream the rows from `exported_xid` up to the watermark, in batches of about a megabyte."""
        self._cursor.execute(statement("export/set_exported_xid"), [str(exported_xid)])
        self._cursor.fetchall()
        self._cursor.adbc_statement.set_options(**{"adbc.postgresql.batch_size_hint_bytes": str(BATCH_BYTES)})
        self._cursor.execute(statement("export/new_events"))
        yield from self._cursor.fetch_record_batch()


@contextmanager
def export_transaction(database_url: str) -> Iterator[ExportTransaction]:
    """Open a REPEATABLE READ, READ ONLY transaction and describe it; it ends with the block.

    Raises adbc_driver_manager.Error when the server cannot be reached.
    """
    # ADBC loads polars, which takes longer than everything else here: only an export shall pay for it.
    import adbc_driver_postgresql.dbapi as adbc  # noqa: PLC0415

    system = system_identifier(database_url)
    conninfo = make_conninfo(database_url, application_name="tidemark-export", connect_timeout=5)
    with adbc.connect(conninfo) as connection, connection.cursor() as cursor:
        cursor.execute(statement("export/begin"))
        cursor.execute(statement("export/snapshot"))
        row = cursor.fetchone()
        assert row is not None
        hi, following, newest, database, snapshot = row
        yield ExportTransaction(cursor, Source(hi, following, newest, database, system, snapshot))


def system_identifier(database_url: str) -> int | None:
    """Return the cluster's identifier, or None when the server does not let this user see it."""
    with psycopg.connect(database_url, autocommit=True, connect_timeout=5) as connection:
        try:
            row = connection.execute(statement("export/system_identifier")).fetchone()
        except (psycopg.errors.InsufficientPrivilege, psycopg.errors.FeatureNotSupported):
            return None
    return None if row is None else int(row[0])


def restamp(database_url: str) -> int:
    """Give rows with another server's transaction ids one of this server; return how many. Needs the table's owner."""
    with psycopg.connect(database_url, connect_timeout=5) as connection, connection.transaction():
        connection.execute(statement("export/allow_restamp"))
        count = connection.execute(statement("export/restamp")).rowcount
        connection.execute(statement("export/forbid_restamp"))
    return count
