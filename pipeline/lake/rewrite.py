"""Writes one Parquet file of a table anew with its rows changed: same order, same columns, one row group at a time."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.lake.files import DayFiles, NewFile, sync
from pipeline.lake.rows import encode
from pipeline.lake.schema import PARTITION_COLUMN

Change = Callable[[pa.Table], pa.Table]


def rewrite_file(folder: Path, path: Path, change: Change) -> list[NewFile]:
    """Write the rows of `path`, changed, to new files below the table's `folder`; none when no row is left.

    A file of events is written as an export writes it, any other as it was. Durable on return; the old file stays.
    Raises OSError, or pyarrow.ArrowInvalid when the file cannot be read; nothing is left behind then.
    """
    prefix = f"{PARTITION_COLUMN}="
    if path.parent.name.startswith(prefix):
        return _events(folder, path, date.fromisoformat(path.parent.name.removeprefix(prefix)), change)
    return _plain(folder, path, change)


def _events(folder: Path, path: Path, day: date, change: Change) -> list[NewFile]:
    files = DayFiles(folder)
    try:
        for rows in _row_groups(path, change):
            files.append(day, encode(rows))
        return files.finish()
    except BaseException:
        files.discard()
        raise


def _plain(folder: Path, path: Path, change: Change) -> list[NewFile]:
    name = f"{uuid.uuid4()}.parquet"
    count = 0
    try:
        with pq.ParquetWriter(folder / name, pq.read_schema(path), compression="zstd") as writer:
            for rows in _row_groups(path, change):
                writer.write_table(rows)
                count += rows.num_rows
        if not count:
            (folder / name).unlink()
            return []
        sync(folder / name)
        sync(folder)
    except BaseException:
        (folder / name).unlink(missing_ok=True)
        raise
    return [NewFile(name, date.min, count, (folder / name).stat().st_size)]


def _row_groups(path: Path, change: Change) -> Iterator[pa.Table]:
    with pq.ParquetFile(path) as file:
        for number in range(file.num_row_groups):
            rows = change(file.read_row_group(number))
            if rows.num_rows:
                yield rows
