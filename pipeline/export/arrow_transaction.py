"""A read-only view of Postgres whose results are Arrow.

Uses ADBC's bindings as they are: its DB-API on top of them loads polars, 60 MB and a third of a second for nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager

import adbc_driver_manager as adbc
import adbc_driver_postgresql
import pyarrow as pa
from psycopg.conninfo import make_conninfo

from pipeline.database import session_options
from pipeline.statements import statement

BATCH_BYTES = 2**20


class ArrowTransaction:
    """An open REPEATABLE READ, READ ONLY transaction: every query sees the database at the moment of the first."""

    def __init__(self, connection: adbc.AdbcConnection) -> None:
        self._connection = connection

    @contextmanager
    def query(self, name: str) -> Iterator[pa.RecordBatchReader]:
        """Run the statement `sql/<name>.sql` and stream its result in batches of about a megabyte, during the block.

        Raises adbc_driver_manager.Error when the database refuses, also while the result is read.
        """
        with closing(adbc.AdbcStatement(self._connection)) as query:
            query.set_options(**{"adbc.postgresql.batch_size_hint_bytes": str(BATCH_BYTES)})
            query.set_sql_query(statement(name))
            stream, _ = query.execute_query()
            with pa.RecordBatchReader._import_from_c(stream.address) as reader:
                yield reader

    def table(self, name: str) -> pa.Table:
        """Return the whole result of the statement `sql/<name>.sql`."""
        with self.query(name) as reader:
            return reader.read_all()


@contextmanager
def arrow_transaction(
    database_url: str, *, application: str, settings: Mapping[str, str] | None = None
) -> Iterator[ArrowTransaction]:
    """Open the transaction for the block. `settings` are Postgres settings of this session: COPY takes no parameters.

    Values of `settings` must be free of spaces. Raises adbc_driver_manager.Error when the server cannot be reached.
    """
    options = " ".join(f"-c {name}={value}" for name, value in (settings or {}).items())
    conninfo = make_conninfo(
        database_url,
        application_name=application,
        connect_timeout=5,
        options=session_options(database_url, options),
    )
    with (
        closing(adbc_driver_postgresql.connect(conninfo)) as database,
        closing(adbc.AdbcConnection(database)) as connection,
    ):
        connection.set_autocommit(False)
        with closing(adbc.AdbcStatement(connection)) as begin:
            begin.set_sql_query(statement("transaction/one_view"))
            begin.execute_update()
        try:
            yield ArrowTransaction(connection)
        finally:
            connection.rollback()
