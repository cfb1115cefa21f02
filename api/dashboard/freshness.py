"""How fresh what a tenant sees is, in one short sentence: the pill at the top of every page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from psycopg import AsyncConnection

from api.dashboard import formats
from api.metrics.window import MAX_DAYS
from pipeline.rollups.jobs import REFRESH_JOBS, job_named
from pipeline.statements import statement

JOBS = tuple(job_named(name).run_name for name in REFRESH_JOBS)
# A refresh may take as long as its interval; only the third one that is missed is a delay.
MISSED_REFRESHES = 3
DEFAULT_PROMISE_MINUTES = 15


@dataclass(frozen=True)
class Freshness:
    """What is known; times are aware. `failed_jobs` are those whose last run failed."""

    newest_received_at: datetime | None
    computed_at: datetime | None
    lake_version: int | None
    failed_jobs: Sequence[str]


@dataclass(frozen=True)
class Pill:
    """What the page shows: `state` is `empty`, `fresh`, `late` or `failed`; `detail` explains it in a sentence."""

    state: str
    text: str
    detail: str


async def read_freshness(connection: AsyncConnection, tenant_id: str, last_day: date) -> Freshness:
    """Read what the published daily metrics of the last 90 days were computed from, and how the last runs ended."""
    cursor = await connection.execute(
        statement("dashboard/freshness"),
        {
            "tenant_id": tenant_id,
            "first_day": last_day - timedelta(days=MAX_DAYS - 1),
            "last_day": last_day,
            "job_names": list(JOBS),
        },
    )
    row = await cursor.fetchone()
    assert row is not None
    return Freshness(*row)


def pill(found: Freshness, export_lag: float | None, now: datetime, refresh_minutes: int) -> Pill:
    """Judge the freshness. `export_lag` is how long the oldest event waits for the lake in seconds, None if unknown.

    A day that no event has touched keeps its run, so age alone is no delay: something must be waiting.
    """
    if found.failed_jobs:
        jobs = ", ".join(found.failed_jobs)
        return Pill(
            "failed", "A run failed", f"The last run of {jobs} failed; the numbers are those of the run before."
        )
    if found.newest_received_at is None:
        return Pill("empty", "No data yet", "Nothing is published. Send events, or run ./tidemark rollup.")
    promise = (refresh_minutes * MISSED_REFRESHES or DEFAULT_PROMISE_MINUTES) * 60
    age = max((now - found.newest_received_at).total_seconds(), 0.0)
    text = f"Data up to {formats.clock_time(found.newest_received_at, now)}"
    computed = (
        f"Computed at {formats.clock_time(found.computed_at, now)} from version {found.lake_version} of the lake."
    )
    if export_lag is not None and export_lag > promise:
        return Pill("late", text, f"Events have waited for {formats.seconds(export_lag)} to be included. {computed}")
    return Pill("fresh", text, f"The newest event included came {formats.seconds(age)} ago. {computed}")
