"""Lets go of the records of runs that nobody can look up any more: old, and with no published row left.

A refresh every five minutes makes more than a thousand records a day. Every published row keeps the record of its run,
however old it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from pipeline.database import AdvisoryLock, advisory_lock, connect
from pipeline.settings import Settings
from pipeline.statements import statement

BATCH_RUNS = 1_000


@dataclass(frozen=True)
class ForgottenRuns:
    """How many records went, of runs that began before `before` and of files; in a dry run, how many runs' would go."""

    before: datetime
    runs: int
    files: int


def forget_runs(settings: Settings, database_url: str, as_of: datetime, *, dry_run: bool = False) -> ForgottenRuns:
    """Remove records of runs that began `settings.run_history_days` before `as_of` (aware), unless a row names them.

    Records of files go once the file is gone and no run names it. Killed at any moment, the next call goes on. Raises
    LockTakenError when another one is at it, psycopg.Error.
    """
    before = as_of - timedelta(days=settings.run_history_days)
    with (
        connect(database_url, application="tidemark-prune", autocommit=True) as connection,
        advisory_lock(connection, AdvisoryLock.PRUNE, wait=False),
    ):
        found = connection.execute(statement("prune/find_old_runs"), {"before": before}).fetchall()
        if dry_run:
            return ForgottenRuns(before, len(found), 0)
        for start in range(0, len(found), BATCH_RUNS):
            batch = [run_id for (run_id,) in found[start : start + BATCH_RUNS]]
            connection.execute(statement("prune/forget_runs"), {"run_ids": batch})
        unnamed = connection.execute(statement("prune/find_unnamed_files"), {"before": before}).fetchall()
        gone = [file_id for file_id, path in unnamed if not (Path(settings.lake) / path).exists()]
        files = connection.execute(statement("prune/forget_files"), {"file_ids": gone}).rowcount
    return ForgottenRuns(before, len(found), files)
