"""The files that runs read: size, SHA-256, rows and newest event of each, found out once and kept in `lake_files`.

Files of the lake never change, so the cost follows the new files and not the history. A path is kept relative to the
lake's root: a home that moves takes its history along.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

import psycopg
import pyarrow.parquet as pq
from psycopg.rows import class_row

from pipeline.statements import statement

RECEIVED_AT = "received_at"
_TABLE = re.compile(r"(?:^|.*/)((?:events|users)/.+)$")
_DAY = re.compile(r"/day=(\d{4}-\d{2}-\d{2})/")


@dataclass(frozen=True)
class InputFile:
    """A file as it was when a run first read it: path below the lake's root, UTC day of its events, bytes.

    `newest_received_at` is None for a file that has no such column.
    """

    file_id: int
    path: str
    day: date | None
    rows: int
    size: int
    sha256: str
    newest_received_at: datetime | None


def kept_path(path: str) -> str:
    """Return a file's path below the lake's root: `events/day=.../name` or `users/name`."""
    match = _TABLE.match(path)
    return match[1] if match else path


def record_files(connection: psycopg.Connection, paths: Sequence[str]) -> list[InputFile]:
    """Return what is known of these files, in this order; a file that is new is read and hashed first.

    Raises FileNotFoundError when a new file is not there.
    """
    known = _find(connection, paths)
    unknown = [path for path in dict.fromkeys(paths) if kept_path(path) not in known]
    if unknown:
        with connection.cursor() as cursor:
            cursor.executemany(statement("provenance/add_file"), [_describe(path) for path in unknown])
        known |= _find(connection, unknown)
    return [known[kept_path(path)] for path in paths]


def read_files(connection: psycopg.Connection, file_ids: Sequence[int]) -> list[InputFile]:
    """Return recorded files by their ids, in this order."""
    with connection.cursor(row_factory=class_row(InputFile)) as cursor:
        rows = cursor.execute(statement("provenance/read_files"), {"file_ids": list(file_ids)}).fetchall()
    by_id = {row.file_id: row for row in rows}
    return [by_id[file_id] for file_id in file_ids]


def sha256_of(path: str | Path) -> str:
    """Return the SHA-256 of a file's bytes, as hexadecimal digits."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def newest_received(files: Iterable[InputFile]) -> datetime | None:
    """Return when the newest event in these files was received; None without events."""
    return max((file.newest_received_at for file in files if file.newest_received_at is not None), default=None)


def _find(connection: psycopg.Connection, paths: Sequence[str]) -> dict[str, InputFile]:
    with connection.cursor(row_factory=class_row(InputFile)) as cursor:
        rows = cursor.execute(
            statement("provenance/find_files"), {"paths": [kept_path(path) for path in paths]}
        ).fetchall()
    return {row.path: row for row in rows}


def _describe(path: str) -> dict[str, object]:
    file = Path(path)
    footer = pq.read_metadata(file)
    day = _DAY.search(path)
    return {
        "path": kept_path(path),
        "day": day and day[1],
        "rows": footer.num_rows,
        "size": file.stat().st_size,
        "sha256": sha256_of(file),
        "newest_received_at": _newest(footer),
    }


def _newest(footer: pq.FileMetaData) -> datetime | None:
    """Read the newest received_at from the footer's statistics; without them, None."""
    found = []
    for group in range(footer.num_row_groups):
        for column in range(footer.num_columns):
            chunk = footer.row_group(group).column(column)
            if chunk.path_in_schema == RECEIVED_AT and chunk.is_stats_set and chunk.statistics.has_min_max:
                found.append(chunk.statistics.max)
    return max((moment if moment.tzinfo else moment.replace(tzinfo=UTC) for moment in found), default=None)
