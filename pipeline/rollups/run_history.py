"""The history of runs as people and programs see it: JSON objects, the same from the API and from the command.

Shapes for all; the API executes the statements itself, over connections of its own kind.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any
from uuid import UUID

from psycopg.rows import dict_row

from pipeline.clock import iso_millis
from pipeline.database import connect
from pipeline.statements import statement

Json = dict[str, Any]
STATUSES = ("RUNNING", "SUCCESS", "FAILED")
DEFAULT_LIMIT = 50
MAXIMUM_LIMIT = 200
SUMMARY_FIELDS = (
    "run_id", "job_name", "status", "window_start", "window_end", "days", "as_of", "lake_version", "rows_written",
    "ignored_count", "seconds", "error_text", "started_at", "finished_at", "code_version", "newest_received_at",
)  # fmt: skip


def read_runs(database_url: str, run_name: str | None = None, limit: int = DEFAULT_LIMIT) -> list[Json]:
    """Return the newest runs, of the job that calls its runs so or of all, newest first."""
    wanted = {"job_name": run_name, "status": None, "cursor": None, "row_limit": limit}
    with (
        connect(database_url, application="tidemark-runs") as connection,
        connection.cursor(row_factory=dict_row) as cursor,
    ):
        return [run_summary(row) for row in cursor.execute(statement("api/runs"), wanted)]


def run_summary(row: Mapping[str, Any]) -> Json:
    """Return a row of `api/runs` or `api/run` as JSON: times ISO 8601 in UTC, days YYYY-MM-DD."""
    return {name: _plain(row[name]) for name in SUMMARY_FIELDS}


def run_detail(row: Mapping[str, Any], texts: Mapping[str, str], files: Sequence[Mapping[str, Any]]) -> Json:
    """Return a row of `api/run` with its statements and files as JSON.

    `texts` are the statements by SHA-256, `files` rows of `provenance/read_files`. In `steps`, files are given as
    ranges of positions in `files`. What is not recorded is null or empty.
    """
    order = {file_id: number for number, file_id in enumerate(row["file_ids"] or ())}
    steps = [
        {"name": step["name"], "sha256": step["sha256"], "parameters": _parameters(step["parameters"])}
        for step in row["steps"] or ()
    ]
    names = {step["sha256"]: step["name"] for step in steps}
    return {
        **run_summary(row),
        "sql_sha256": row["sql_sha256"],
        "code_commit": row["code_commit"],
        "engines": row["engines"] or {},
        "parameters": {name: _shown(value) for name, value in (row["parameters"] or {}).items()},
        "files": [
            {name: _plain(file[name]) for name in ("path", "day", "rows", "size", "sha256", "newest_received_at")}
            for file in sorted(files, key=lambda file: order[file["file_id"]])
        ],
        "statements": [{"name": name, "sha256": sha256, "text": texts[sha256]} for sha256, name in names.items()],
        "steps": steps,
        "inputs": [
            {name: given[name] for name in ("name", "rows", "digest", "source")} for given in row["inputs"] or ()
        ],
        "result_rows": row["result_rows"],
        "result_sha256": row["result_sha256"],
    }


def statement_hashes(row: Mapping[str, Any]) -> list[str]:
    """Return the SHA-256 of each statement of a row of `api/run`."""
    return sorted({step["sha256"] for step in row["steps"] or ()})


def _parameters(parameters: Mapping[str, Any]) -> Json:
    return {name: _shown(value) for name, value in parameters.items()}


def _shown(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    """Return a recorded parameter without the wrapping that says its type."""
    if isinstance(value, list):
        return [_shown(part) for part in value]
    if not isinstance(value, dict):
        return value
    if "files" in value:
        return {"files": value["files"]}
    if "fields" in value:
        return _parameters(value["fields"])
    return value.get("at") or value.get("day")


def _plain(value: Any) -> Any:  # noqa: ANN401 - any column
    if isinstance(value, datetime):
        return iso_millis(value)
    if isinstance(value, (date, UUID)):
        return str(value)
    if isinstance(value, list):
        return [_plain(part) for part in value]
    return value
