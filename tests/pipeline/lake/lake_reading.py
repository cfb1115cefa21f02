"""Reading a lake in tests: the rows of a version, whole and in one order."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.lake.schema import FILE_SCHEMA
from pipeline.lake.table import Lake


def lake_rows(lake: Lake, version: int | None = None) -> list[dict[str, Any]]:
    """Every row of a version, in order of tenant and event id, read file by file without any of our own code."""
    snapshot = lake.snapshot(version)
    paths = [] if snapshot is None else snapshot.paths()
    rows = [row for path in paths for row in pq.ParquetFile(path).read().cast(FILE_SCHEMA).to_pylist()]
    return sorted(rows, key=lambda row: (row["tenant_id"], row["event_id"]))


def row_groups(path: str) -> list[pa.Table]:
    """The row groups of a file, in order."""
    with pq.ParquetFile(path) as parquet:
        return [parquet.read_row_group(number) for number in range(parquet.num_row_groups)]
