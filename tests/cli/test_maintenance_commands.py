"""`prune`, `compact` and `vacuum` as commands: JSON on stdout, exit codes, and what a dry run leaves alone."""

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
from deltalake import DeltaTable

from pipeline.clock import utc_now
from pipeline.export.run import export
from pipeline.ingestion.event_store import store
from pipeline.lake.table import Lake
from pipeline.settings import REPOSITORY
from tests.makers import event_row


@pytest.fixture
def home(database_url: str, connection: psycopg.Connection, tmp_path: Path) -> Path:
    """An installation with two old events, in two files, and a young one."""
    old = utc_now() - timedelta(days=40)
    for number in range(2):
        store(connection, [event_row(number, occurred_at=old.replace(hour=12), received_at=old)])
        export(database_url, Lake(tmp_path / "lake"))
    store(connection, [event_row(9, occurred_at=utc_now(), received_at=utc_now())])
    export(database_url, Lake(tmp_path / "lake"))
    return tmp_path


def run(home: Path, database_url: str, *arguments: str) -> tuple[int, dict[str, Any], str]:
    done = subprocess.run(
        [sys.executable, "-m", "cli", *arguments],
        cwd=REPOSITORY,
        env={**os.environ, "TIDEMARK_HOME": str(home), "DATABASE_URL": database_url},
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    return done.returncode, json.loads(done.stdout or "{}"), done.stderr


def test_a_night_by_hand(home: Path, database_url: str, connection: psycopg.Connection) -> None:
    code, printed, _ = run(home, database_url, "prune", "--dry-run")
    assert (code, printed["found"], printed["removed"]) == (0, 2, 0)
    code, printed, _ = run(home, database_url, "compact")
    assert code == 0
    assert printed["days"][0]["files_before"] == 2
    code, printed, _ = run(home, database_url, "prune")
    assert (code, printed["ok"], printed["removed"], printed["held"]) == (0, True, 2, [])
    assert connection.execute("SELECT count(*) FROM event_logs").fetchone() == (1,)
    code, printed, _ = run(home, database_url, "vacuum", "--dry-run")
    assert (code, [table["removed_files"] for table in printed["tables"]]) == (0, [0])
    code, printed, error = run(home, database_url, "check", "conservation")
    assert (code, error) == (0, "")


def test_a_day_that_the_lake_does_not_confirm_makes_prune_fail(home: Path, database_url: str) -> None:
    DeltaTable(str(home / "lake" / "events")).delete(f"event_id = '{event_row(1).event_id}'")
    code, printed, error = run(home, database_url, "prune")
    assert (code, printed["ok"], printed["removed"]) == (1, False, 0)
    assert error.startswith("kept in Postgres: ")
    assert "2 exported events by Postgres, 1 in the lake" in error
