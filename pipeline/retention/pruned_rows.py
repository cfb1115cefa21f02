"""Pruned events in the lake: those that Postgres no longer has, and that a rebuild of the lake must not lose."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

import psycopg
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.lake.files import DayFiles
from pipeline.lake.rows import encode
from pipeline.lake.table import LakeSnapshot
from pipeline.statements import statement

BATCH_ROWS = 50_000


def count_pruned(connection: psycopg.Connection) -> Mapping[date, int]:
    """Return the pruned events per UTC day of occurrence, of days that have any."""
    return dict(connection.execute(statement("prune/count_pruned")).fetchall())


def keep_pruned(connection: psycopg.Connection, snapshot: LakeSnapshot, files: DayFiles) -> int:
    """Write the pruned events of a version into new files, and return how many they are.

    The ids are compared one by one, so that memory stays flat and an event that Postgres has, perhaps since a restore,
    is left to the export. On failure the files are discarded.
    """
    days = count_pruned(connection)
    kept = 0
    try:
        for file in snapshot.files:
            if file.day not in days:
                continue
            with pq.ParquetFile(file.path) as parquet:
                for batch in parquet.iter_batches(BATCH_ROWS):
                    rows = _only_pruned(connection, pa.Table.from_batches([batch]))
                    if rows.num_rows:
                        files.append(file.day, encode(rows))
                        kept += rows.num_rows
    except BaseException:
        files.discard()
        raise
    return kept


def _only_pruned(connection: psycopg.Connection, rows: pa.Table) -> pa.Table:
    keys = {"tenant_ids": rows["tenant_id"].to_pylist(), "event_ids": rows["event_id"].to_pylist()}
    found = connection.execute(statement("prune/find_pruned"), keys).fetchall()
    return rows.take(pa.array([position for (position,) in found], pa.int64()))
