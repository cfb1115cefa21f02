"""The Postgres side of an export: one read-only transaction, its watermark, and the stream of new rows.

The watermark is the snapshot's xmin: every transaction below it has ended, so a row below it can neither appear later
nor vanish. Ids and received_at have no such bound: exports that used them lost events that were committed late.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psycopg
import pyarrow as pa

from pipeline.export.arrow_transaction import ArrowTransaction, arrow_transaction
from pipeline.statements import statement


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

    def __init__(self, transaction: ArrowTransaction, source: Source) -> None:
        self._transaction = transaction
        self.source = source

    def rows(self) -> Iterator[pa.RecordBatch]:
        """Stream the rows from the last watermark up to this one, in batches of about a megabyte."""
        with self._transaction.query("export/new_events") as reader:
            yield from reader


@contextmanager
def export_transaction(database_url: str, exported_xid: int) -> Iterator[ExportTransaction]:
    """Open a transaction that sees what came after the watermark `exported_xid`, and describe it; for the block.

    Raises adbc_driver_manager.Error when the server cannot be reached.
    """
    system = system_identifier(database_url)
    settings = {"tidemark.exported_xid": str(exported_xid)}
    with arrow_transaction(database_url, application="tidemark-export", settings=settings) as transaction:
        (row,) = transaction.table("export/snapshot").to_pylist()
        yield ExportTransaction(transaction, Source(**row, system=system))


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
