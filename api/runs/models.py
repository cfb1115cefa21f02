"""Shapes of the answers about runs. Times are ISO 8601 in UTC, to the ms; days are UTC."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

_RUN: dict[str, Any] = {
    "run_id": "0b0f8f0e-4a8e-4a52-8c3c-0f6f3b0c9d11",
    "job_name": "daily_metrics_rollup",
    "status": "SUCCESS",
    "window_start": "2026-02-18T00:00:00.000Z",
    "window_end": "2026-02-20T00:00:00.000Z",
    "days": None,
    "as_of": "2026-02-19T08:27:02.118Z",
    "lake_version": 412,
    "rows_written": 52,
    "ignored_count": 0,
    "seconds": 0.41,
    "error_text": None,
    "started_at": "2026-02-19T08:27:10.790Z",
    "finished_at": "2026-02-19T08:27:11.204Z",
    "code_version": "0.1.0",
    "newest_received_at": "2026-02-19T08:26:58.912Z",
}
_SHA256 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"


class RunSummary(BaseModel):
    """One run of one job. `window_end` is the first moment after the window."""

    run_id: str
    job_name: str
    status: str
    window_start: str
    window_end: str
    days: list[str] | None = Field(description="The days computed; null means every day of the window.")
    as_of: str
    lake_version: int | None
    rows_written: int
    ignored_count: int
    seconds: float | None = Field(description="Computing and publishing; null until it is computed.")
    error_text: str | None
    started_at: str
    finished_at: str | None
    code_version: str
    newest_received_at: str | None = Field(description="When the newest event in the files it read was received.")


class RunsResponse(BaseModel):
    """Runs, newest first."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"runs": [_RUN], "next_cursor": "0b0f8f0e-4a8e-4a52-8c3c-0f6f3b0c9d11"}]}
    )

    runs: list[RunSummary]
    next_cursor: str | None = Field(description="Give it as `cursor` to read on; null at the end.")


class RunFile(BaseModel):
    """A file the run read, as it was then; `path` is relative to the lake's folder."""

    path: str
    day: str | None
    rows: int
    size: int
    sha256: str
    newest_received_at: str | None


class RunStatement(BaseModel):
    """A statement the run executed."""

    name: str
    sha256: str
    text: str


class RunStep(BaseModel):
    """One execution of a statement; lists of files are [first, last] positions in `files`, from 0."""

    name: str
    sha256: str
    parameters: dict[str, Any]


class RunInput(BaseModel):
    """A table the run was given beside its files; `source` is the statement that read it from Postgres."""

    name: str
    rows: int
    digest: str
    source: str | None


class RunResponse(RunSummary):
    """A run and everything it was computed from; empty where nothing is recorded (a run that failed early)."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    **_RUN,
                    "sql_sha256": _SHA256,
                    "code_commit": None,
                    "engines": {"duckdb": "2.0.0", "python": "3.11.7"},
                    "parameters": {"first_day": "2026-02-18", "last_day": "2026-02-19", "tenants": ["default"]},
                    "files": [
                        {
                            "path": "events/day=2026-02-18/6a3c7f52-3c52-4a0e-9d39-4f8d4a6f6f0e.parquet",
                            "day": "2026-02-18",
                            "rows": 48_112,
                            "size": 2_104_551,
                            "sha256": _SHA256,
                            "newest_received_at": "2026-02-19T08:26:58.912Z",
                        }
                    ],
                    "statements": [{"name": "rollups/daily_activity", "sha256": _SHA256, "text": "-- ..."}],
                    "steps": [
                        {
                            "name": "rollups/daily_activity",
                            "sha256": _SHA256,
                            "parameters": {"paths": {"files": [[0, 0]]}},
                        }
                    ],
                    "inputs": [{"name": "tenants", "rows": 1, "digest": "2f8e6f1c", "source": None}],
                    "result_rows": 52,
                    "result_sha256": _SHA256,
                }
            ]
        }
    )

    sql_sha256: str = Field(description="Of all statements of its job, as they were.")
    code_commit: str | None
    engines: dict[str, str]
    parameters: dict[str, Any]
    files: list[RunFile]
    statements: list[RunStatement]
    steps: list[RunStep]
    inputs: list[RunInput]
    result_rows: int | None
    result_sha256: str | None
