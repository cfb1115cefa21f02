"""`lake-versions` and `lake-files` as a person runs them: JSON, a source for DuckDB, and one line when it fails."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import psycopg
import pytest

from pipeline.export.run import export
from pipeline.ingestion.event_store import store
from pipeline.lake.table import Lake
from pipeline.settings import REPOSITORY
from tests.makers import NOW, event_row

Run = Callable[..., subprocess.CompletedProcess[str]]
DAY = str(NOW.date())


@pytest.fixture
def run(database_url: str, connection: psycopg.Connection, tmp_path: Path) -> Run:
    """Runs a command in a home whose lake has versions of 3 and of 5 events; needs no database."""
    home = tmp_path / "an analyst's home"
    for rows in (range(3), range(3, 5)):
        store(connection, [event_row(number) for number in rows])
        export(database_url, Lake(home / "lake"))

    def call(*arguments: str, where: Path = home) -> subprocess.CompletedProcess[str]:
        kept = {name: value for name, value in os.environ.items() if name != "DATABASE_URL"}
        return subprocess.run(
            [sys.executable, "-m", "cli", *arguments],
            cwd=REPOSITORY, env={**kept, "TIDEMARK_HOME": str(where)}, capture_output=True, text=True, check=False,
            timeout=60,
        )  # fmt: skip

    return call


def answer(done: subprocess.CompletedProcess[str]) -> Any:
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_versions_and_the_files_of_each(run: Run) -> None:
    versions = answer(run("lake-versions", "--newest", "9"))["versions"]
    assert [(found["version"], found["days"]) for found in versions] == [
        (0, [{"day": DAY, "rows": 3}]),
        (1, [{"day": DAY, "rows": 2}]),
    ]
    newest = answer(run("lake-files"))
    assert (newest["version"], newest["rows"], len(newest["files"])) == (1, 5, 2)
    for file in newest["files"]:
        assert Path(file["path"]).stat().st_size == file["bytes"]
    assert answer(run("lake-files", "--time", versions[0]["committed_at"]))["rows"] == 3
    assert answer(run("lake-files", "--version", "0", "--from", DAY, "--to", DAY))["rows"] == 3


def test_sql_is_a_source_for_any_duckdb(run: Run) -> None:
    source = run("lake-files", "--sql").stdout.strip()
    assert duckdb.connect().execute(f"SELECT day::VARCHAR, count(*) FROM {source} GROUP BY ALL").fetchall() == [
        (DAY, 5)
    ]
    nothing = run("lake-files", "--sql", "--to", "2001-01-01")
    assert (nothing.returncode, nothing.stdout) == (1, "")
    assert "has no events in these days" in nothing.stderr


def test_what_is_not_there_is_one_line(run: Run, tmp_path: Path) -> None:
    missing = run("lake-files", "--version", "7")
    assert (missing.returncode, missing.stdout) == (1, "")
    assert missing.stderr == "tidemark: the lake has no version 7; it keeps 0 to 1\n"
    without = run("lake-versions", where=tmp_path / "other")
    assert without.returncode == 1
    assert without.stderr.endswith("lake/events yet; `./tidemark export` makes it\n")
    assert run("lake-files", "--from", "yesterday").returncode == 2
