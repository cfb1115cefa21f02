"""Stale days: published days of a job whose numbers can have changed, to be computed again by the next refresh.

They lie in Postgres, so that a refresh that is killed loses none: marked before the users state moves on, cleared in
the transaction that publishes them, by whatever run that read its input after they were marked.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime

import psycopg

from pipeline.rollups.jobs import JOBS, Window
from pipeline.statements import statement

BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)


def mark(connection: psycopg.Connection, job: str, days: Iterable[date], as_of: datetime = BEGINNING) -> None:
    """Mark days of a job (one of pipeline.rollups.jobs.REFRESH_JOBS) within the caller's transaction.

    A run that reads after this, as of `as_of` or later, sets them right.
    """
    connection.execute(
        statement("refresh/mark_stale_days"), {"job_name": job, "days": sorted(set(days)), "as_of": as_of}
    )


def mark_all(connection: psycopg.Connection, days: Iterable[date], as_of: datetime = BEGINNING) -> None:
    """Mark days of every job within the caller's transaction, as `mark` does."""
    wanted = sorted(set(days))
    for job in JOBS:
        mark(connection, job, wanted, as_of)


def read(connection: psycopg.Connection, window: Window) -> Mapping[str, tuple[date, ...]]:
    """Return the stale days of each job that has any, of those from the window's first day to its last."""
    rows = connection.execute(
        statement("refresh/read_stale_days"), {"first_day": window.first, "last_day": window.last}
    ).fetchall()
    found: dict[str, tuple[date, ...]] = {}
    for job, day in rows:
        found[job] = (*found.get(job, ()), day)
    return found
