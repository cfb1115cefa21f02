"""Merges the small files that exports append: the same rows in fewer files, sorted as a whole.

An export every few minutes leaves hundreds of files a day, and each costs every reader. Small files are merged first,
and a large one only with as many bytes of smaller ones: a late event does not rewrite its day. The commit says that no
data changed, so that incremental readers pass over it, and exports go on meanwhile.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import accumulate, groupby
from math import ceil
from pathlib import Path

import duckdb
import pyarrow as pa

from pipeline.database import AdvisoryLock, advisory_lock, connect
from pipeline.engine import duckdb_engine, scratch_folder
from pipeline.lake.commit import commit_rewrite
from pipeline.lake.files import DayFiles, NewFile
from pipeline.lake.rows import encode
from pipeline.lake.table import Lake, LakeError, LakeFile
from pipeline.settings import Settings
from pipeline.statements import statement

# A query reads files of this size with all its threads, and a day of a million events fits into one.
TARGET_BYTES = 256 * 2**20
# Files below this size are always merged: rewriting them costs less than looking at them.
FLOOR_BYTES = 2**20
ROW_GROUP_ROWS = 122_880

DaysDone = Callable[[int, int], None]


class CompactionError(LakeError):
    """The merged files do not hold the rows of those they were made from; they were thrown away."""


@dataclass(frozen=True)
class CompactedDay:
    """What became of a UTC day's files that were merged: their number and bytes before and after, and their rows."""

    day: date
    files_before: int
    files_after: int
    bytes_before: int
    bytes_after: int
    rows: int


@dataclass(frozen=True)
class CompactionResult:
    """The days that had small files, and the version that has none of them; None when there is no lake."""

    days: tuple[CompactedDay, ...]
    lake_version: int | None
    seconds: float


def compact(
    settings: Settings,
    database_url: str,
    lake: Lake,
    *,
    whole_days: bool = False,
    target_bytes: int = TARGET_BYTES,
    days_done: DaysDone = lambda done, total: None,
) -> CompactionResult:
    """Merge each day's small files (`whole_days`: all of them) into files of about `target_bytes`, a commit per day.

    Memory is that of the DuckDB settings and a row group, whatever the day's size. Killed at any moment, a day has its
    old files or its new ones; files that no version has are left to `vacuum`. Raises LockTakenError when another
    process rewrites the lake, CompactionError, LakeError when the lake cannot be written, psycopg.Error.
    """
    started = time.monotonic()
    if lake.folder is None:
        raise LakeError(f"the lake at {lake.location} is not on this machine's disk; compacting it is not supported")
    with (
        connect(database_url, application="tidemark-compact", autocommit=True) as connection,
        advisory_lock(connection, AdvisoryLock.LAKE_REWRITE, wait=False),
        scratch_folder(settings) as scratch,
        duckdb_engine(settings, scratch) as engine,
    ):
        snapshot = lake.snapshot()
        wanted = [] if snapshot is None else list(_wanted(snapshot.files, target_bytes, whole_days=whole_days))
        version = None if snapshot is None else snapshot.version
        done = []
        for files in wanted:
            new, version = _merge(engine, lake, lake.folder, files, target_bytes)
            done.append(_summary(files, new))
            days_done(len(done), len(wanted))
    return CompactionResult(tuple(done), version, time.monotonic() - started)


def choose(files: Sequence[LakeFile], target_bytes: int = TARGET_BYTES, *, whole_days: bool = False) -> list[LakeFile]:
    """Return those files of one day that are to be merged; none when that would make no fewer.

    The largest of them is small, or not larger than all others together: each byte is rewritten a number of times that
    grows with the logarithm of the day's size, however many late events trickle in.
    """
    ascending = sorted(files, key=lambda file: (file.size, file.path))
    if not whole_days:
        ascending = [file for file in ascending if file.size <= target_bytes / 2]
        smaller = list(accumulate((file.size for file in ascending), initial=0))
        while ascending and ascending[-1].size > max(FLOOR_BYTES, smaller[len(ascending) - 1]):
            ascending.pop()
    fewest = max(1, ceil(sum(file.size for file in ascending) / target_bytes))
    return ascending if len(ascending) > fewest else []


def _wanted(files: Sequence[LakeFile], target_bytes: int, *, whole_days: bool) -> Iterator[list[LakeFile]]:
    for _, of_day in groupby(files, key=lambda file: file.day):
        if chosen := choose(list(of_day), target_bytes, whole_days=whole_days):
            yield chosen


def _merge(
    engine: duckdb.DuckDBPyConnection, lake: Lake, folder: Path, files: Sequence[LakeFile], target_bytes: int
) -> tuple[list[NewFile], int]:
    table = lake.table()
    if table is None:
        raise LakeError(f"the lake at {lake.location} is gone")
    new = _write(engine, folder, files, target_bytes)
    try:
        _compare(engine, files, [str(folder / file.path) for file in new])
        return new, commit_rewrite(lake, table, files, new, data_change=False)
    except BaseException:
        for file in new:
            (folder / file.path).unlink(missing_ok=True)
        raise


def _write(
    engine: duckdb.DuckDBPyConnection, folder: Path, files: Sequence[LakeFile], target_bytes: int
) -> list[NewFile]:
    """Write the rows of some files, sorted, into as few files as `target_bytes` allows; durable on return."""
    size, rows = sum(file.size for file in files), sum(file.rows for file in files)
    rows_per_file = ceil(rows / max(1, round(size / target_bytes)))
    written: list[NewFile] = []
    part, rows_left = DayFiles(folder), rows_per_file
    try:
        sorted_rows = engine.sql(statement("lake/sort_rows"), params={"paths": [file.path for file in files]})
        for batch in sorted_rows.to_arrow_reader(ROW_GROUP_ROWS):
            group = pa.Table.from_batches([batch])
            while group.num_rows:
                head = group.slice(0, rows_left)
                part.append(files[0].day, encode(head))
                group, rows_left = group.slice(head.num_rows), rows_left - head.num_rows
                if rows_left == 0:
                    written += part.finish()
                    part, rows_left = DayFiles(folder), rows_per_file
        return written + part.finish()
    except BaseException:
        part.discard()
        for file in written:
            (folder / file.path).unlink(missing_ok=True)
        raise


def _compare(engine: duckdb.DuckDBPyConnection, old: Sequence[LakeFile], new: Sequence[str]) -> None:
    """Raise CompactionError unless new files hold the events of the old ones: number and sums of ids, per tenant."""
    count = statement("checks/count_lake_events")
    before, after = (
        sorted(engine.execute(count, {"paths": paths}).fetchall()) for paths in ([file.path for file in old], list(new))
    )
    if before != after or sum(row[2] for row in before) != sum(file.rows for file in old):
        raise CompactionError(
            f"{old[0].day}: merging {len(old)} files changed their events; nothing was changed in the lake. Check the"
            " disk, then run `check conservation`"
        )


def _summary(old: Sequence[LakeFile], new: Sequence[NewFile]) -> CompactedDay:
    return CompactedDay(
        old[0].day,
        len(old),
        len(new),
        sum(file.size for file in old),
        sum(file.size for file in new),
        sum(file.rows for file in new),
    )
