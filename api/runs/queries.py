"""Reads the runs of rollup jobs: a list of them, and one with all that is recorded of it."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from psycopg import AsyncConnection
from psycopg.rows import dict_row

from pipeline.rollups.run_history import run_detail, run_summary, statement_hashes
from pipeline.statements import statement

Json = dict[str, Any]


async def read_runs(
    connection: AsyncConnection, *, job_name: str | None, status: str | None, cursor: UUID | None, row_limit: int
) -> list[Json]:
    """Return runs, the newest first: of one job, with one status, and older than the run `cursor`; None: of any."""
    wanted = {"job_name": job_name, "status": status, "cursor": cursor, "row_limit": row_limit}
    return [run_summary(row) for row in await _rows(connection, "api/runs", wanted)]


async def read_run(connection: AsyncConnection, run_id: UUID) -> Json | None:
    """Return a run with its files, statements, parameters and versions; None when there is none."""
    async with connection.transaction():
        await connection.execute(statement("api/begin_snapshot"))
        rows = await _rows(connection, "api/run", {"run_id": run_id})
        if not rows:
            return None
        row = rows[0]
        texts = await _rows(connection, "provenance/read_texts", {"sha256s": statement_hashes(row)})
        files = await _rows(connection, "provenance/read_files", {"file_ids": row["file_ids"] or []})
    return run_detail(row, {text["sha256"]: text["text"] for text in texts}, files)


async def _rows(connection: AsyncConnection, name: str, parameters: Json) -> list[Json]:
    async with connection.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(statement(name), parameters)
        return await cursor.fetchall()
