"""`rollup`, `backfill` and `check` as processes: JSON on stdout, one line per problem, exit codes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from pipeline.clock import utc_now
from pipeline.ingestion.event_store import store
from pipeline.settings import REPOSITORY
from tests.makers import NOW, event_rows

AS_OF = "2026-02-19T15:00:00Z"


def tidemark(home: Path, database_url: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "cli", *arguments],
        cwd=REPOSITORY,
        env={**os.environ, "DATABASE_URL": database_url, "TIDEMARK_HOME": str(home)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def answer(done: subprocess.CompletedProcess[str]) -> Any:
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_rollup_exports_computes_and_publishes(
    database_url: str, connection: psycopg.Connection, tmp_path: Path
) -> None:
    store(connection, event_rows(200, days=3, end=NOW))
    result = answer(tidemark(tmp_path, database_url, "rollup", "--window-days", "5", "--as-of", AS_OF))
    assert result["ok"] is True
    assert result["window_start"] == "2026-02-15T00:00:00.000Z"
    assert result["window_end"] == "2026-02-20T00:00:00.000Z"
    assert [job["job_name"] for job in result["jobs"]] == [
        "daily_metrics_rollup", "experiment_metrics_rollup", "funnel_rollup", "funnel_cohort_rollup",
        "retention_rollup",
    ]  # fmt: skip
    assert [job["ignored_count"] for job in result["jobs"]] == [0] * 5
    row = connection.execute(
        "SELECT sum(value) FROM daily_metric_rollups WHERE metric_name = 'event_volume_by_name'"
    ).fetchone()
    assert row == (200,)


def test_rollup_of_one_job_over_the_usual_window(database_url: str, tmp_path: Path) -> None:
    result = answer(tidemark(tmp_path, database_url, "rollup", "--job", "funnel"))
    assert [job["job_name"] for job in result["jobs"]] == ["funnel_rollup"]
    assert result["jobs"][0]["rows_written"] == 14 * 5


def test_backfill_names_its_days(database_url: str, connection: psycopg.Connection, tmp_path: Path) -> None:
    last = utc_now().date() - timedelta(days=20)
    days = ["--from", str(last - timedelta(days=1)), "--to", str(last)]
    answer(tidemark(tmp_path, database_url, "backfill", *days))
    row = connection.execute("SELECT min(day), max(day), count(*) FROM daily_metric_rollups").fetchone()
    assert row == (last - timedelta(days=1), last, 12)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["rollup", "--job", "weekly"], "--job"),
        (["rollup", "--window-days", "0"], "--window-days"),
        (["rollup", "--window-days", "181"], "--window-days"),
        (["rollup", "--as-of", "yesterday"], "ISO 8601"),
        (["backfill", "--from", "2026-02-19", "--to", "2026-02-18"], "after the last day"),
        (["backfill", "--from", "2020-01-01", "--to", "2020-01-02"], "too old"),
        (["backfill", "--from", "2999-01-01", "--to", "2999-01-01"], "has not begun"),
        (["backfill", "--from", "19.02.2026", "--to", "2026-02-19"], "not a day"),
        (["backfill", "--from", "2026-02-19"], "--to"),
        (["check", "everything"], "everything"),
    ],
)
def test_wrong_usage_is_refused_before_anything_happens(
    database_url: str, connection: psycopg.Connection, tmp_path: Path, arguments: list[str], message: str
) -> None:
    done = tidemark(tmp_path, database_url, *arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert done.stdout == ""
    assert connection.execute("SELECT count(*) FROM rollup_runs").fetchone() == (0,)


def test_check_passes_and_names_the_day_when_something_is_off(
    database_url: str, connection: psycopg.Connection, tmp_path: Path
) -> None:
    store(connection, event_rows(100, days=2, end=utc_now()))
    answer(tidemark(tmp_path, database_url, "rollup"))
    checked = answer(tidemark(tmp_path, database_url, "check"))
    assert [(check["name"], check["ok"]) for check in checked["checks"]] == [
        ("idempotency", True), ("conservation", True), ("freshness", True),
    ]  # fmt: skip
    row = connection.execute(
        "DELETE FROM event_logs WHERE event_id = (SELECT event_id FROM event_logs LIMIT 1)"
        " RETURNING (occurred_at AT TIME ZONE 'UTC')::date"
    ).fetchone()
    assert row is not None
    done = tidemark(tmp_path, database_url, "check", "conservation")
    assert done.returncode == 1
    assert f"conservation: {row[0]} of tenant default:" in done.stderr
    assert json.loads(done.stdout)["ok"] is False


def test_funnels_are_printed_or_their_mistake_is_named(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = answer(tidemark(tmp_path, database_url, "funnels"))
    assert [funnel["name"] for funnel in shown["funnels"]] == ["core_journey"]
    path = tmp_path / "funnels.json"
    path.write_text('{"version": 1, "funnels": [{"name": "buy", "window": "8w", "steps": []}]}')
    monkeypatch.setenv("TIDEMARK_FUNNELS", str(path))
    for command in ("funnels", "rollup"):
        done = tidemark(tmp_path, database_url, command)
        assert done.returncode == 1
        assert f"tidemark: {path}: funnel 'buy': field 'steps': needs at least 2\n" in done.stderr
        assert done.stdout == ""
