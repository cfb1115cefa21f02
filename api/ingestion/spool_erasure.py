"""Empties the spools of this machine for an erasure: what was received before a moment reaches Postgres, or an error.

Processes that run empty their own; what ended ones left is drained here. What is stored leaves bytes behind in free
pages of the files: they are rewritten, with SQLite's own locks, while their processes go on.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from api.ingestion.availability import Availability
from api.ingestion.drain import Drain
from api.ingestion.spool import Spool
from api.ingestion.spool_claim import SUFFIX, spool_ids
from pipeline.ingestion.dead_letters import Cap
from pipeline.settings import Settings
from pipeline.statements import statement

PATIENCE_SECONDS = 120.0
PAUSE_SECONDS = 0.1
BUSY_SECONDS = 5.0
_FIRST_MOMENT = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

Say = Callable[[str], None]


class SpoolNotDrainedError(Exception):
    """A spool keeps what was received before the moment asked for; the message names it."""


def empty_spools(
    settings: Settings,
    database_url: str,
    before: datetime,
    log: Any,  # noqa: ANN401 - structlog's own type
    *,
    say: Say = lambda text: None,
    patience: float = PATIENCE_SECONDS,
) -> int:
    """Return once all that was received before a moment has left the spools, and nothing of it is in their free pages.

    Returns how many files were rewritten. Damaged files that were set aside are not touched.
    Raises SpoolNotDrainedError after `patience` seconds, psycopg.Error when the database is away.
    """
    if not settings.spool.is_dir():
        return 0
    deadline = time.monotonic() + patience
    if files := _waiting(settings.spool, before):
        say(f"waiting for {len(files)} spool files to be drained")
        with _draining(settings, database_url, log):
            while files := _waiting(settings.spool, before):
                _check(deadline, files, "keeps requests that are not in the database yet")
                time.sleep(PAUSE_SECONDS)
    count = 0
    for path in _files(settings.spool):
        while not _rewrite(path):
            _check(deadline, [path], "is in use and could not be rewritten")
            time.sleep(PAUSE_SECONDS)
        count += 1
    return count


@contextmanager
def _draining(settings: Settings, database_url: str, log: Any) -> Iterator[None]:  # noqa: ANN401
    """Adopt the spools of processes that ended, and drain them, for the block."""
    spool = Spool(settings.spool, log, max_bytes=settings.spool_max_bytes)
    drain = Drain(database_url, spool, Availability(), log, Cap.of(settings))
    spool.start()
    drain.start()
    try:
        yield
    finally:
        if drain.close():
            spool.close()


def _waiting(folder: Path, before: datetime) -> list[Path]:
    """Return the spool files that hold anything received before a moment."""
    moment = (before - _FIRST_MOMENT) // _MICROSECOND
    return [path for path in _files(folder) if _holds_older(path, moment)]


def _holds_older(path: Path, moment: int) -> bool:
    try:
        with closing(_opened(path)) as connection:
            row = connection.execute(statement("spool/count_older_groups"), (moment,)).fetchone()
            return bool(row[0])
    except sqlite3.Error:  # being made, or damaged and about to be set aside, or gone
        return path.exists() and path.stat().st_size > 0


def _rewrite(path: Path) -> bool:
    """Write a file anew without its free pages, and empty its journal; false when another is at it."""
    try:
        with closing(_opened(path)) as connection:
            connection.execute("VACUUM")
            busy = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
            return not busy
    except sqlite3.Error:
        return not path.exists() or path.stat().st_size == 0


def _opened(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.as_uri()}?mode=rw", uri=True, timeout=BUSY_SECONDS, isolation_level=None)


def _files(folder: Path) -> list[Path]:
    return [path for spool_id in spool_ids(folder) if (path := folder / f"{spool_id}{SUFFIX}").exists()]


def _check(deadline: float, files: list[Path], trouble: str) -> None:
    if time.monotonic() > deadline:
        names = ", ".join(path.name for path in files)
        raise SpoolNotDrainedError(
            f"{names} {trouble}; is the database reachable for the API? The erasure can be run again"
        )
