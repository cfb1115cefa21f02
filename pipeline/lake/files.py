"""Writes the Parquet files of one export: one growing file per day, durable before anybody may refer to them.

Each append becomes one row group. However many days an export touches, no file stays open between appends, and the
footers kept in memory are bounded. Files are named by a random UUID: no path is ever written twice.
"""

from __future__ import annotations

import io
import os
import uuid
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.lake.schema import FILE_SCHEMA, PARTITION_COLUMN, REPEATING_COLUMNS, WRITE_SCHEMA

# Until its file is closed, a row group takes some 150 kB of memory: its footer, and what the writer keeps of it.
MAX_OPEN_ROW_GROUPS = 128
COMPRESSION_LEVEL = 1
# A dictionary of values that hardly repeat costs time and saves nothing.
DICTIONARY_COLUMNS = [
    *REPEATING_COLUMNS,
    "assignment_version",
    "schema_version",
    "experiment_map.key_value.key",
    "experiment_map.key_value.value",
]
# Those by which a reader can skip row groups: a row group holds a day's users from the first to the last.
STATISTICS_COLUMNS = ["tenant_id", "occurred_at", "received_at"]
# No limit but the page's bytes: each page costs a compressor of its own.
MAX_ROWS_PER_PAGE = 2**20


@dataclass(frozen=True)
class NewFile:
    """A finished file: path relative to the table, UTC day, rows, bytes."""

    path: str
    day: date
    rows: int
    size: int


class DayFiles:
    """The files of one export below a table's folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._open: dict[date, _DayFile] = {}
        self._finished: list[NewFile] = []
        self._row_groups = 0

    def append(self, day: date, rows: pa.Table) -> None:
        """Add rows of one UTC day, sorted, as one row group; columns as in WRITE_SCHEMA."""
        if day not in self._open:
            self._open[day] = _DayFile(self._folder, day)
        self._open[day].append(rows)
        self._row_groups += 1
        if self._row_groups >= MAX_OPEN_ROW_GROUPS:
            self._close_all()

    def finish(self) -> list[NewFile]:
        """Close all files and make them durable: their bytes, their names and their folders."""
        self._close_all()
        for file in self._finished:
            sync(self._folder / file.path)
        days = {(self._folder / file.path).parent for file in self._finished}
        for folder in sorted(days | {folder.parent for folder in days} | {self._folder.parent} if days else days):
            sync(folder)
        return self._finished

    def discard(self) -> None:
        """Remove every file written so far, also when the disk is full; no version refers to them."""
        paths = [file.path for file in self._finished] + [file.path for file in self._open.values()]
        for path in paths:
            (self._folder / path).unlink(missing_ok=True)

    def _close_all(self) -> None:
        self._finished.extend(file.close() for file in self._open.values())
        self._open.clear()
        self._row_groups = 0


class _DayFile:
    def __init__(self, folder: Path, day: date) -> None:
        self._day = day
        self.path = f"{PARTITION_COLUMN}={day.isoformat()}/{uuid.uuid4()}.parquet"
        path = folder / self.path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._sink = _AppendedFile(path)
        self._writer = pq.ParquetWriter(
            pa.PythonFile(self._sink, mode="w"),
            WRITE_SCHEMA,
            compression="zstd",
            compression_level=COMPRESSION_LEVEL,
            use_dictionary=DICTIONARY_COLUMNS,
            write_statistics=STATISTICS_COLUMNS,
            max_rows_per_page=MAX_ROWS_PER_PAGE,
            store_schema=False,  # or readers would be told of our dictionaries
        )
        self._rows = 0

    def append(self, rows: pa.Table) -> None:
        self._writer.write_table(rows, row_group_size=max(rows.num_rows, 1))
        self._sink.drain()
        self._rows += rows.num_rows

    def close(self) -> NewFile:
        self._writer.close()
        self._sink.drain()
        return NewFile(self.path, self._day, self._rows, self._sink.tell())


class _AppendedFile(io.RawIOBase):
    """A file that is open only while it is written to: an export of 400 days must not hold 400 descriptors."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._pending: list[bytes] = []
        self._position = 0

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        chunk = bytes(memoryview(data))  # type: ignore[arg-type]
        self._pending.append(chunk)
        self._position += len(chunk)
        return len(chunk)

    def tell(self) -> int:
        return self._position

    def drain(self) -> None:
        """Move what was written so far to disk."""
        with self._path.open("ab") as file:
            file.writelines(self._pending)
        self._pending.clear()


def write_no_events(folder: Path) -> str:
    """Write a file of the lake without rows, for engines that refuse to read no file at all; return its path."""
    path = folder / f"{PARTITION_COLUMN}=1970-01-01" / "no_events.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(FILE_SCHEMA.empty_table(), path)
    return str(path)


def sync(path: Path) -> None:
    """Make a file's bytes, or a folder's entries, survive a loss of power."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
