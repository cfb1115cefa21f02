"""Removes files that no kept version of the lake has, and keeps the table's log short.

A version is kept as long as it is the newest, or was so within a number of days. Which files those versions have is
read from the log itself: what the newest has, and what was taken out since. Files that the log does not know, of
writers that were killed, go at the same age; younger ones may belong to a commit that is about to be made.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import unquote

import pyarrow as pa
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError

from pipeline.database import AdvisoryLock, advisory_lock, connect
from pipeline.lake.files import sync
from pipeline.lake.log import LOG, Action, read_entry
from pipeline.lake.table import Lake, LakeError
from pipeline.settings import Settings

TABLES = ("events", "users")
MILLISECOND = timedelta(milliseconds=1)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class VacuumedTable:
    """Files and bytes removed from a table of the lake, and those that stay; `kept_since` is the age that counted."""

    table: str
    removed_files: int
    removed_bytes: int
    kept_files: int
    log_entries: int


@dataclass(frozen=True)
class VacuumResult:
    """What a vacuum removed; versions that were the newest after `kept_since` can still be read."""

    tables: tuple[VacuumedTable, ...]
    kept_since: datetime
    seconds: float
    dry_run: bool


def vacuum(settings: Settings, database_url: str, lake: Lake, now: datetime, *, dry_run: bool = False) -> VacuumResult:
    """Remove what no version of the last `settings.lake_history_days` needs, in the events and the users state.

    Safe beside exports, refreshes and readers of kept versions; killed, the next one goes on. Raises LockTakenError
    when another process rewrites the lake, LakeError when the log does not tell what is needed, psycopg.Error.
    """
    started = time.monotonic()
    if lake.folder is None:
        raise LakeError(f"the lake at {lake.location} is not on this machine's disk; use your engine's VACUUM there")
    kept_since = now - timedelta(days=settings.lake_history_days)
    with (
        connect(database_url, application="tidemark-vacuum", autocommit=True) as connection,
        advisory_lock(connection, AdvisoryLock.LAKE_REWRITE, wait=False),
    ):
        folders = [lake.folder.parent / name for name in TABLES]
        tables = tuple(
            _vacuum(folder, kept_since, dry_run=dry_run) for folder in folders if DeltaTable.is_deltatable(str(folder))
        )
    return VacuumResult(tables, kept_since, time.monotonic() - started, dry_run)


def _vacuum(folder: Path, kept_since: datetime, *, dry_run: bool) -> VacuumedTable:
    # The files are listed before the log is read: a file that a commit adds in between is not among them.
    listed = {path: path.stat() for path in folder.rglob("*.parquet") if LOG not in path.relative_to(folder).parts}
    try:
        table = DeltaTable(str(folder))
        needed = {folder / unquote(path) for path in _needed(table, folder, kept_since)}
        oldest = kept_since.timestamp()
        removed = {path: stat for path, stat in listed.items() if path not in needed and stat.st_mtime < oldest}
        if not dry_run:
            for path in removed:
                path.unlink(missing_ok=True)
            _shorten_log(table, folder / LOG)
    except DeltaError as error:
        raise LakeError(f"cannot read the table at {folder}: {error}") from error
    return VacuumedTable(
        table=folder.name,
        removed_files=len(removed),
        removed_bytes=sum(stat.st_size for stat in removed.values()),
        kept_files=len(listed) - len(removed),
        log_entries=sum(1 for _ in (folder / LOG).glob("*.json")),
    )


def _needed(table: DeltaTable, folder: Path, kept_since: datetime) -> Iterator[str]:
    """Yield the paths, as the log has them, of all files that a version has which was the newest after `kept_since`."""
    yield from pa.table(table.get_add_actions(flatten=True))["path"].to_pylist()
    for version in range(table.version(), -1, -1):
        actions = _entry(folder, version)
        if EPOCH + max(_moments(actions)) * MILLISECOND < kept_since:
            return  # the oldest version to keep: what it took out itself is not needed
        for action in actions:
            if "remove" in action:
                yield str(action["remove"]["path"])


def _entry(folder: Path, version: int) -> list[Action]:
    try:
        return read_entry(folder, version)
    except OSError as error:
        raise LakeError(
            f"the entry of version {version} in {folder / LOG} cannot be read ({error}), and without it nobody knows"
            " which files are still needed; nothing was removed"
        ) from error


def _moments(actions: list[Action]) -> Iterator[int]:
    """Yield when a commit was made, in milliseconds of the epoch; 0 when it does not say."""
    yield 0
    for action in actions:
        if "commitInfo" in action:
            yield int(str(action["commitInfo"].get("timestamp", 0)))


def _shorten_log(table: DeltaTable, log: Path) -> None:
    """Write the newest version down as a whole, and drop log entries that are older than the table's log retention.

    Otherwise opening the table would take longer with every commit.
    """
    table.create_checkpoint()
    for path in (*log.glob(f"{table.version():020d}.checkpoint*"), log / "_last_checkpoint", log):
        if path.exists():
            sync(path)
    table.cleanup_metadata()
