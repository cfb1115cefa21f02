"""Exports new events from Postgres to the lake: nothing skipped, nothing doubled, in one atomic commit.

The watermark lives in the lake's own commit, so data and progress are one step: killed at any moment, an export leaves
either the old version or the new one, and perhaps files that no version refers to. The commit is tied to the version
that was read: should two exports ever get past the advisory lock, one of them is refused and changes nothing.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import date

import pyarrow as pa
from deltalake import DeltaTable

from pipeline.database import AdvisoryLock, advisory_lock, connect
from pipeline.export.event_batches import chunks, split_days
from pipeline.export.read_ahead import read_ahead
from pipeline.export.source import ExportTransaction, Source, export_transaction, restamp
from pipeline.export.stamps import Stamps
from pipeline.lake.commit import commit
from pipeline.lake.files import DayFiles, NewFile
from pipeline.lake.table import EXPORT_WATERMARK, Lake, LakeError
from pipeline.retention.pruned_rows import count_pruned, keep_pruned

# App transactions that record, with every export, where its rows came from.
SYSTEM = "export_system"
DATABASE = "export_database"
# Of about a megabyte each: Postgres goes on while a chunk is sorted and written.
BATCHES_AHEAD = 32

RowsWritten = Callable[[int], None]


class SourceChangedError(LakeError):
    """The database is not the one the lake was filled from, or was restored: its watermark would lose events."""


@dataclass(frozen=True)
class ExportResult:
    """What an export did: rows with lo <= ingest_xid < hi, new rows by UTC day, files and bytes written.

    `lake_version` is the version that holds them: the new one, the newest one when nothing was new, None when the
    lake has no table yet.
    """

    rows: int
    rows_by_day: Mapping[date, int]
    lake_version: int | None
    seconds: float
    lo: int
    hi: int
    files: int = 0
    size: int = 0
    days: tuple[date, ...] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "days", tuple(sorted(self.rows_by_day)))


def export(
    database_url: str, lake: Lake, *, rebuild: bool = False, rows_written: RowsWritten | None = None
) -> ExportResult:
    """Append the events that finished since the last export to the lake, in one commit; nothing new, no commit.

    Safe to call at any time, by several processes at once: the second waits and finds what is newer. Cost follows the
    number of new rows; memory does not. `rebuild` exports everything and replaces the table's contents in one commit:
    the repair after a restore; events that were pruned are in the lake alone, and stay. `rows_written` is told the
    running total.
    Raises SourceChangedError when the database is not the one the lake was filled from, or the lake is gone that held
    pruned events, LakeError when the lake cannot be written, psycopg.Error or adbc_driver_manager.Error when the
    database fails; the lake is unchanged then.
    """
    started = time.monotonic()
    if lake.folder is None:
        raise LakeError(f"the lake at {lake.location} is not on this machine's disk; exporting there is not supported")
    with (
        _memory_given_back(),
        connect(database_url, application="tidemark-export", autocommit=True) as connection,
        advisory_lock(connection, AdvisoryLock.EXPORT),
        ExitStack() as rebuilding,
    ):
        if rebuild:
            for lock in (AdvisoryLock.PRUNE, AdvisoryLock.LAKE_REWRITE):
                rebuilding.enter_context(advisory_lock(connection, lock))
            restamp(database_url)
        table = lake.table()
        if table is None and not rebuild and (pruned := sum(count_pruned(connection).values())):
            raise SourceChangedError(
                f"there is no lake at {lake.location}, but {pruned} events were pruned and are nowhere else: check"
                " TIDEMARK_HOME, bring the lake back from a backup, or run `./tidemark export --rebuild` to begin a new"
                " one without them"
            )
        lo = 0 if rebuild or table is None else table.transaction_version(EXPORT_WATERMARK) or 0
        with export_transaction(database_url, lo) as transaction:
            check_source(transaction.source, None if rebuild else table, lo)
            stamps = Stamps(database_url, transaction.source.snapshot)
            days = DayFiles(lake.folder)
            kept = keep_pruned(connection, lake.read(table), days) if rebuild and table is not None else 0
            files = _write(transaction, lo, stamps, days, rows_written, kept=kept)
        hi = transaction.source.hi
        version = None if table is None else table.version()
        if files or (rebuild and table is not None):
            version = commit(lake, table, files, _marks(transaction.source), replace=rebuild)
    by_day: Counter[date] = Counter()
    for file in files:
        by_day[file.day] += file.rows
    return ExportResult(
        rows=by_day.total(),
        rows_by_day=dict(sorted(by_day.items())),
        lake_version=version,
        seconds=time.monotonic() - started,
        lo=lo,
        hi=hi,
        files=len(files),
        size=sum(file.size for file in files),
    )


def _write(
    transaction: ExportTransaction,
    lo: int,
    stamps: Stamps,
    files: DayFiles,
    rows_written: RowsWritten | None,
    *,
    kept: int,
) -> list[NewFile]:
    if transaction.source.hi <= lo:
        return []
    total = kept
    try:
        for chunk in chunks(read_ahead(transaction.rows(), BATCHES_AHEAD)):
            for part in split_days(chunk, stamps):
                files.append(part.day, part.rows)
            total += chunk.num_rows
            if rows_written is not None:
                rows_written(total)
        return files.finish()
    except BaseException:
        files.discard()
        raise


@contextmanager
def _memory_given_back() -> Iterator[None]:
    """Have Arrow use the system's allocator: its own keeps what it freed, a quarter more than an export needs."""
    usual = pa.default_memory_pool()
    pa.set_memory_pool(pa.system_memory_pool())
    try:
        yield
    finally:
        pa.set_memory_pool(usual)


def check_source(source: Source, table: DeltaTable | None, lo: int) -> None:
    """Raise SourceChangedError when a database is not the one the table, exported up to `lo`, was filled from."""
    repair = "run `./tidemark export --rebuild` to export everything from this database anew"
    if source.has_foreign_rows:
        raise SourceChangedError(
            "event_logs holds transaction ids this server has not reached: it was restored from another server's "
            f"backup, and its watermark would lose events; {repair}"
        )
    if table is None:
        return
    system = table.transaction_version(SYSTEM)
    database = table.transaction_version(DATABASE)
    moved = source.system is not None and system is not None and source.system != system
    if moved or (database is not None and source.database != database):
        raise SourceChangedError(
            "the lake was filled from another database (or this one was restored): exporting would mix the two; "
            f"check DATABASE_URL and TIDEMARK_HOME, or {repair}"
        )
    if source.next < lo:
        raise SourceChangedError(
            f"the lake has events up to transaction {lo}, but the server is at {source.next}: it was set back to an "
            f"earlier time; {repair}"
        )


def _marks(source: Source) -> dict[str, int]:
    marks = {EXPORT_WATERMARK: source.hi, DATABASE: source.database}
    return marks if source.system is None else {**marks, SYSTEM: source.system}
