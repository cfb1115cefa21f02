"""Which runs an answer shows, and how fresh they are: the fields `runs` and `freshness` of every metrics endpoint."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection

from pipeline.clock import iso_millis
from pipeline.statements import statement

Json = dict[str, Any]


async def read_shown(connection: AsyncConnection, run_ids: Iterable[UUID]) -> Json:
    """Return the runs behind the rows of an answer, oldest first, and the newest event and computation among them.

    To be called in the snapshot that read the rows.
    """
    cursor = await connection.execute(statement("api/runs_shown"), {"run_ids": list(set(run_ids))})
    rows = await cursor.fetchall()
    return {
        "runs": [
            {
                "run_id": str(run_id),
                "job_name": job_name,
                "lake_version": lake_version,
                "finished_at": finished_at and iso_millis(finished_at),
            }
            for run_id, job_name, lake_version, finished_at, _ in rows
        ],
        "freshness": {
            "newest_received_at": _newest(newest for *_, newest in rows),
            "computed_at": _newest(finished_at for _, _, _, finished_at, _ in rows),
            "lake_version": max((version for _, _, version, _, _ in rows if version is not None), default=None),
        },
    }


def _newest(moments: Iterable[datetime | None]) -> str | None:
    newest = max((moment for moment in moments if moment is not None), default=None)
    return None if newest is None else iso_millis(newest)
